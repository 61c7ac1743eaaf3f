package views

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub"
	"curfew/hub/wire"
	"curfew/locale"
	"curfew/session"
	"curfew/session/gorilla"
)

// The console's own socket: the page says what it shows, the server says how that looks now, as
// often as it changes and at most every consoleEvery. It carries nothing but reading; what an
// administrator does goes by forms.

// ConsoleSubprotocol is the subprotocol of GET /admin/ws. Its version tells what a view is made of.
const ConsoleSubprotocol = "curfew.console.v2"

// oldConsoleSubprotocol is that of consoles that have stayed open over an upgrade. Their scripts do
// not know this view. Where their connection is closed for a violation, they load the page anew.
const oldConsoleSubprotocol = "curfew.console.v1"

// consoleEvery is how often a console is looked after. Where a look takes long, as with very many
// sessions, it is seldomer: consoles may use a tenth of a core each.
const consoleEvery = 250 * time.Millisecond

// consoleWriteLimit is how long a browser may keep a view waiting.
const consoleWriteLimit = 5 * time.Second

// consoleReadLimit is the size of the largest question: one that names maxSessions refs has it.
const consoleReadLimit = 512 << 10

// maxShown is how many rows a page may name that it shows: those of its users, all open.
const maxShown = 2_000

// consoleQuestion is what a page asks for: what it shows, and what only a page with script can
// want to know beyond that.
type consoleQuestion struct {
	consoleQuery
	Number int    `json:"n"`      // stands in the answers
	Logout string `json:"logout"` // the forced logout whose progress is wanted instead; empty for none
	All    bool   `json:"all"`    // the refs of all that match are wanted instead, once

	// Of a page whose rows stand still.
	Shown []string `json:"shown"` // refs of its rows
	Since int64    `json:"since"` // the newest sign-in that it has shown, Unix ms; 0: it follows

	// Refs of the selected sessions; nil: those named before.
	Selected []string `json:"selected"`
}

// tidy also cuts what is too much.
func (q consoleQuestion) tidy() consoleQuestion {
	q.consoleQuery = q.consoleQuery.tidy()
	q.Shown = q.Shown[:min(len(q.Shown), maxShown)]
	if len(q.Selected) > maxSessions {
		q.Selected = q.Selected[:maxSessions]
	}
	return q
}

// consoleAnswer is the view that was asked for.
type consoleAnswer struct {
	Type   string `json:"type"` // view
	Number int    `json:"n"`
	consoleView
	New   int          `json:"new"`   // signed in since what the page shows
	Kept  []consoleRow `json:"kept"`  // rows that it shows beside those of the view
	Ended []string     `json:"ended"` // refs of what it shows or has selected
}

// consoleRefs are the refs of all sessions that match, unless they are too many.
type consoleRefs struct {
	Type   string   `json:"type"` // refs
	Number int      `json:"n"`
	Found  int      `json:"found"`
	Refs   []string `json:"refs"`
}

// consoles are the open ones.
type consoles struct {
	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup

	faces faces // with a lock of its own
}

// Shutdown closes the consoles and waits until they are done with.
func (s *Server) Shutdown() {
	s.consoles.mu.Lock()
	if !s.consoles.closed {
		s.consoles.closed = true
		close(s.consoles.closing)
	}
	s.consoles.mu.Unlock()
	s.guard.rules.Close()
	s.consoles.running.Wait()
}

func (s *Server) consoleSocket(w http.ResponseWriter, r *http.Request) error {
	if !s.hasOrigin(r) {
		return errCrossSite
	}
	token, ok := gorilla.Token(r)
	if !ok {
		return session.ErrNotFound
	}
	if err := s.stillAdmin(r.Context(), token.ID()); err != nil {
		return err
	}
	s.consoles.mu.Lock()
	closed := s.consoles.closed
	if !closed {
		s.consoles.running.Add(1)
	}
	s.consoles.mu.Unlock()
	if closed {
		return hub.ErrClosing
	}
	defer s.consoles.running.Done()
	// the origin was judged above
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		Subprotocols:       []string{ConsoleSubprotocol, oldConsoleSubprotocol},
		InsecureSkipVerify: true,
	})
	if err != nil {
		return nil // answered by the library
	}
	if c.Subprotocol() == oldConsoleSubprotocol {
		c.Close(websocket.StatusPolicyViolation, "the page is of an earlier version")
		return nil
	}
	c.SetReadLimit(consoleReadLimit)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(context.Background()) // the request's own ends with the upgrade
	defer cancel()
	queries := make(chan consoleQuestion)
	reading.Go(func() { readConsole(ctx, cancel, c, queries) })
	code, reason := s.serveConsole(ctx, c, token.ID(), s.locale(r), queries)
	c.Close(code, reason)
	return nil
}

// readConsole hears what the page wants to see, until its connection is closed.
func readConsole(ctx context.Context, cancel func(), c *websocket.Conn, queries chan<- consoleQuestion) {
	defer cancel()
	for {
		_, data, err := c.Read(ctx)
		if err != nil {
			return
		}
		var q consoleQuestion
		if json.Unmarshal(data, &q) != nil {
			return
		}
		select {
		case queries <- q.tidy():
		case <-ctx.Done():
			return
		}
	}
}

// stillAdmin is the error that a page would get.
func (s *Server) stillAdmin(ctx context.Context, id session.ID) error {
	status, err := s.hub.Check(ctx, id)
	switch {
	case err != nil && !isSessionError(err):
		return storeError{err}
	case err != nil:
		return err
	case !s.hub.IsAdmin(status.Record.GroupNames()):
		return errNotAdmin
	}
	return nil
}

// serveConsole sends what is asked for until the connection or the right to see it ends. It returns
// how to close.
func (s *Server) serveConsole(ctx context.Context, c *websocket.Conn, id session.ID, l *locale.Locale,
	queries <-chan consoleQuestion) (websocket.StatusCode, string) {
	var asked *consoleQuestion
	var sent []byte
	var took time.Duration // by the last view
	timer := time.NewTimer(consoleEvery)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return websocket.StatusNormalClosure, ""
		case <-s.consoles.closing:
			return websocket.StatusServiceRestart, "server restarting"
		case q := <-queries:
			if q.Selected == nil && asked != nil {
				q.Selected = asked.Selected
			}
			asked, sent = &q, nil
		case <-timer.C:
		}
		began := time.Now()
		err := s.stillAdmin(ctx, id)
		switch {
		case errors.As(err, new(storeError)): // nothing may be concluded: the view stays as it is
		case isSessionError(err): // the page waits, or leaves: its other socket says which
			return wire.StatusExpired, "the session is over"
		case err != nil:
			return websocket.StatusPolicyViolation, "not an administrator any more"
		}
		if asked != nil && err == nil {
			view, err := json.Marshal(s.consoleAnswer(ctx, l, *asked))
			if err != nil {
				return websocket.StatusInternalError, ""
			}
			if !bytes.Equal(view, sent) {
				limit, done := context.WithTimeout(ctx, consoleWriteLimit)
				err := c.Write(limit, websocket.MessageText, view)
				done()
				if err != nil {
					return websocket.StatusInternalError, ""
				}
				sent = view
			}
			asked.All = false
		}
		before := took
		took = time.Since(began)
		timer.Reset(max(consoleEvery, 9*min(before, took))) // one that was held up costs no more than others
	}
}

// consoleAnswer is the view asked for, or what is wanted instead.
func (s *Server) consoleAnswer(ctx context.Context, l *locale.Locale, q consoleQuestion) any {
	if q.Logout != "" {
		logout, err := s.hub.ForcedLogout(q.Logout)
		if err != nil {
			return map[string]string{"type": "unknown"}
		}
		return s.progressView(ctx, l, logout)
	}
	if q.All {
		refs, found := s.hub.Refs(q.consoleFilter.inHub(), maxSessions)
		return consoleRefs{"refs", q.Number, found, refs}
	}
	a := consoleAnswer{
		Type:        "view",
		Number:      q.Number,
		consoleView: s.consoleView(l, q.consoleQuery),
		Kept:        []consoleRow{},
	}
	draw := rows{locale: l, now: s.clock.Now(), withNodes: len(a.Nodes) > 0}
	newer := 0
	if q.Since > 0 {
		newer = s.hub.CountNewer(q.consoleFilter.inHub(), session.FromUnixMilli(q.Since))
	}
	a.compare(q, newer, s.hub.Among(slices.Concat(q.Shown, q.Selected)), draw)
	return a
}

// compare says how the sessions differ from what the page shows and has selected. live are those of
// them that have not ended.
func (a *consoleAnswer) compare(q consoleQuestion, newer int, live map[string]*hub.Session, draw rows) {
	a.New, a.Ended = newer, []string{}
	inView := make(map[string]bool, len(a.Rows))
	for _, row := range a.Rows {
		inView[row.Ref] = true
	}
	ended := make(map[string]bool)
	for _, ref := range q.Shown {
		if one := live[ref]; one == nil {
			ended[ref] = true
		} else if !inView[ref] {
			a.Kept = append(a.Kept, draw.session(one))
		}
	}
	for _, ref := range q.Selected {
		if live[ref] == nil {
			ended[ref] = true
		}
	}
	a.Ended = slices.Sorted(maps.Keys(ended))
	if a.Ended == nil {
		a.Ended = []string{}
	}
}
