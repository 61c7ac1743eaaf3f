package views

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"hash"
	"net/http"
	"strings"
	"sync"
	"time"

	"curfew/hub"
	"curfew/session"
	"curfew/session/gorilla"
)

// visit is a request of a live session.
type visit struct {
	token  session.Token
	status hub.Status
	asked  time.Time // of a navigation: what the hub calls it
}

type visitKey struct{}

func visitOf(r *http.Request) visit {
	v, _ := r.Context().Value(visitKey{}).(visit)
	return v
}

func withVisit(r *http.Request, v visit) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), visitKey{}, v))
}

// check judges the session of a request: session.ErrNotFound, also without a cookie,
// session.ErrEnded, or a storeError.
func (s *Server) check(r *http.Request) (visit, error) {
	token, ok := gorilla.Token(r)
	if !ok {
		return visit{}, session.ErrNotFound
	}
	status, err := s.hub.Check(r.Context(), token.ID())
	if err != nil {
		return visit{token: token, status: status}, overError{error: s.sessionError(err), record: status.Record}
	}
	return visit{token: token, status: status}, nil
}

func isSessionError(err error) bool {
	return errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded)
}

func (s *Server) sessionError(err error) error {
	if isSessionError(err) {
		return err
	}
	return storeError{err}
}

// requireSession lets only requests of live sessions pass. What a person does counts as activity: a
// page that they navigated to. h finds the session in [visitOf]. Any other request gets the sign-in
// page, or 401 where a script asks; 503 where the store cannot be asked.
func (s *Server) requireSession(h handler) handler { return s.judged(s.visit, h) }

// observeSession is requireSession for what no person does: whoever sends the request and however,
// nothing follows from it.
func (s *Server) observeSession(h handler) handler { return s.judged(s.check, h) }

func (s *Server) judged(judge func(*http.Request) (visit, error), h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v, err := judge(r)
		if err != nil {
			return err
		}
		if !v.asked.IsZero() {
			w = &navigation{ResponseWriter: w, stayed: func() { s.hub.Stayed(r.Context(), v.token.ID(), v.asked) }}
		}
		return h(w, withVisit(r, v))
	}
}

// requireAdmin is requireSession for administrators. Anybody else who is signed in gets 403.
func (s *Server) requireAdmin(h handler) handler {
	return s.requireSession(func(w http.ResponseWriter, r *http.Request) error {
		if !s.hub.IsAdmin(visitOf(r).status.Record.GroupNames()) {
			return errNotAdmin
		}
		return h(w, r)
	})
}

// visit judges the session of a request and notes the activity that it is.
func (s *Server) visit(r *http.Request) (visit, error) {
	v, err := s.check(r)
	if err == nil {
		err = s.observe(r, originalOf(r), &v)
	}
	return v, err
}

// observe notes the activity that a request of a live session is.
func (s *Server) observe(r *http.Request, o original, v *visit) error {
	if isTopLevel(r) {
		v.asked = s.hub.Navigated(r.Context(), v.token.ID())
	}
	if s.isActivity(r, o) {
		if err := s.hub.Act(r.Context(), v.token.ID(), 0, false); err != nil {
			return s.sessionError(err)
		}
	}
	return nil
}

// protected refuses requests that come from another site or lack the session's token; a form with
// the token of an earlier session is shown again. It goes within requireSession and around whatever
// changes something.
func (s *Server) protected(h handler) handler {
	return func(w http.ResponseWriter, r *http.Request) error {
		v := visitOf(r)
		err := s.checkCrossSite(w, r, v.token.ID())
		switch {
		case s.isOutdated(r, v.status.Record.User, err):
			return s.offerAgain(w, r)
		case err != nil:
			return err
		}
		return h(w, r)
	}
}

func (s *Server) checkCrossSite(w http.ResponseWriter, r *http.Request, id session.ID) error {
	if !s.sameOrigin(r) {
		return errCrossSite
	}
	token := r.Header.Get("X-CSRF-Token")
	if token == "" {
		if err := parseForm(w, r); err != nil {
			return err
		}
		token = r.PostForm.Get("csrf")
	}
	if !hmac.Equal([]byte(token), []byte(s.csrf(id))) {
		return errNoToken
	}
	return nil
}

// secrets are what tokens against cross-site requests are made with.
type secrets struct {
	secret []byte
	macs   sync.Pool  // HMACs by secret: one that was used before costs half
	marks  knownMarks // with tokens by secret
}

// csrf is the token of a session against cross-site requests (NIST SP 800-63B §5.1).
func (s *secrets) csrf(id session.ID) string {
	mac, _ := s.macs.Get().(hash.Hash)
	if mac == nil {
		mac = hmac.New(sha256.New, s.secret)
	}
	defer s.macs.Put(mac)
	mac.Reset()
	mac.Write(id[:])
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// maxForm is the largest form in bytes that is read.
const maxForm = 64 << 10

func parseForm(w http.ResponseWriter, r *http.Request) error { return parseFormUpTo(maxForm, w, r) }

// parseFormUpTo reads a form of so many bytes at most. One that was read stays as it is.
func parseFormUpTo(most int64, w http.ResponseWriter, r *http.Request) error {
	if r.PostForm != nil {
		return nil
	}
	r.Body = http.MaxBytesReader(w, r.Body, most)
	var err error
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		err = r.ParseMultipartForm(most)
	} else {
		err = r.ParseForm()
	}
	if err != nil {
		return errBadForm
	}
	return nil
}
