package views

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"net/http"
	"sync"
	"time"

	"curfew/session/gorilla"
)

// Forms that are sent twice, as by a double click, do their work once: whoever sends the same form
// again gets the answer of the first. Each page gives its forms a text of its own for that, in the
// field named once; the same content with the same text from the same session is the same form.
// Browsers break off the first of two requests, so its work goes on without it.
//
// A browser that goes back to a page sends its form again too, and means it. So an answer is given
// again only while it is true: one that lets into a session that has ended since, or tells of a
// forced logout that was cancelled, is not. A form whose answer may be made untrue by others, such
// as that of the note, does its work each time.

const (
	// rememberFor is how long an answer is given again.
	rememberFor = time.Minute
	// maxForms is how many forms are remembered. The oldest is forgotten for a new one, and would
	// do its work again.
	maxForms = 1000
	// workLimit is how long a form's work may take, whether or not its browser is still there.
	workLimit = 50 * time.Second
)

// forms are those that are being worked on, and those that have succeeded lately.
type forms struct {
	mu    sync.Mutex
	sent  map[formKey]*form
	order []*form // of sent, oldest first
}

type formKey [sha256.Size]byte

type form struct {
	key  formKey
	at   time.Time
	done chan struct{} // closed once what follows is set

	answer recorded
	err    error
}

// begin returns the form of that key. isFirst says that the caller does its work, and must call
// settle.
func (f *forms) begin(key formKey) (one *form, isFirst bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.order) > 0 && (len(f.order) >= maxForms || time.Since(f.order[0].at) > rememberFor) {
		f.forgetLocked(f.order[0])
	}
	if one, ok := f.sent[key]; ok {
		return one, false
	}
	if f.sent == nil {
		f.sent = make(map[formKey]*form)
	}
	one = &form{key: key, at: time.Now(), done: make(chan struct{})}
	f.sent[key] = one
	f.order = append(f.order, one)
	return one, true
}

// settle lets those who wait have the answer. Only a success is given to those who come later: the
// rest is to be tried again.
func (f *forms) settle(one *form) {
	if one.err != nil || one.answer.status >= 400 {
		f.forget(one)
	}
	close(one.done)
}

func (f *forms) forget(one *form) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgetLocked(one)
}

func (f *forms) forgetLocked(one *form) {
	if f.sent[one.key] == one {
		delete(f.sent, one.key)
	}
	for i, other := range f.order {
		if other == one {
			f.order = append(f.order[:i], f.order[i+1:]...)
			return
		}
	}
}

// untrue says of an answer that what it tells is so no more. r is the request that would be given
// it, with its form.
type untrue func(r *http.Request, a *recorded) (bool, error)

// lasting is for answers that stay true: an end is for good, and who has been told something has
// been told.
func lasting(*http.Request, *recorded) (bool, error) { return false, nil }

// once answers a form that was sent before as it was answered then, unless that is untrue by now.
func (s *Server) once(h handler, isOver untrue) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		if err := parseForm(w, r); err != nil {
			return err
		}
		if r.PostForm.Get("once") == "" {
			return h(w, r)
		}
		content := fmt.Appendf(nil, "%s\x00%s\x00%t\x00%s",
			visitOf(r).token.ID(), r.URL.Path, wantsJSON(r), r.PostForm.Encode())
		key := formKey(sha256.Sum256(content))
		for {
			one, isFirst := s.forms.begin(key)
			if isFirst {
				s.work(one, h, r)
			}
			select {
			case <-one.done:
			case <-r.Context().Done():
				return nil // nobody waits for the answer any more
			}
			if !isFirst {
				over, err := one.isOver(r, isOver)
				if err != nil {
					return err
				}
				if over {
					s.forms.forget(one)
					continue
				}
			}
			if one.err != nil {
				return one.err
			}
			one.answer.writeTo(w)
			return nil
		}
	}
}

// work does what the form asks for.
func (s *Server) work(one *form, h handler, r *http.Request) {
	one.err = errInternal // should h panic
	defer s.forms.settle(one)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), workLimit)
	defer cancel()
	one.answer.header = make(http.Header)
	one.err = h(&one.answer, r.WithContext(ctx))
	one.answer.WriteHeader(http.StatusOK) // unless it has said another status
}

// isOver asks about a success. Whoever waited for a failure gets that.
func (f *form) isOver(r *http.Request, isOver untrue) (bool, error) {
	if f.err != nil || f.answer.status >= 400 {
		return false, nil
	}
	return isOver(r, &f.answer)
}

// letsIntoEnded says that an answer lets its browser into a session that has ended since.
func (s *Server) letsIntoEnded(r *http.Request, a *recorded) (bool, error) {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		token, ok := gorilla.Token(&http.Request{Header: http.Header{"Cookie": {c.Name + "=" + c.Value}}})
		if !ok {
			continue
		}
		switch _, err := s.hub.Check(r.Context(), token.ID()); {
		case isSessionError(err):
			return true, nil
		case err != nil:
			return false, storeError{err}
		}
	}
	return false, nil
}

// recorded is an answer that can be given several times.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer

	logouts []string // the forced logouts that were ordered, for leavesSomebody
}

func (a *recorded) Header() http.Header { return a.header }

func (a *recorded) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *recorded) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

func (a *recorded) writeTo(w http.ResponseWriter) {
	for name, values := range a.header {
		if name == "Set-Cookie" {
			values = append(w.Header()[name], values...) // a language may be kept already
		}
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	w.Write(a.body.Bytes())
}
