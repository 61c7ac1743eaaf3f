package views

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
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

// ConsoleSubprotocol is the subprotocol of GET /admin/ws.
const ConsoleSubprotocol = "curfew.console.v1"

// consoleEvery is how often a console is looked after. Where a look takes long, as with very many
// sessions, it is seldomer: consoles may use a tenth of a core each.
const consoleEvery = 250 * time.Millisecond

// consoleWriteLimit is how long a browser may keep a view waiting.
const consoleWriteLimit = 5 * time.Second

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
		Subprotocols:       []string{ConsoleSubprotocol},
		InsecureSkipVerify: true,
	})
	if err != nil {
		return nil // answered by the library
	}
	c.SetReadLimit(maxBody)
	var reading sync.WaitGroup
	defer reading.Wait()
	defer c.CloseNow()
	ctx, cancel := context.WithCancel(context.Background()) // the request's own ends with the upgrade
	defer cancel()
	queries := make(chan consoleQuery)
	reading.Go(func() { readConsole(ctx, cancel, c, queries) })
	code, reason := s.serveConsole(ctx, c, token.ID(), s.locale(r), queries)
	c.Close(code, reason)
	return nil
}

// readConsole hears what the page wants to see, until its connection is closed.
func readConsole(ctx context.Context, cancel func(), c *websocket.Conn, queries chan<- consoleQuery) {
	defer cancel()
	for {
		_, data, err := c.Read(ctx)
		if err != nil {
			return
		}
		var q consoleQuery
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
	queries <-chan consoleQuery) (websocket.StatusCode, string) {
	var asked *consoleQuery
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
		}
		before := took
		took = time.Since(began)
		timer.Reset(max(consoleEvery, 9*min(before, took))) // one that was held up costs no more than others
	}
}

// consoleAnswer is the view asked for, or the progress of a logout.
func (s *Server) consoleAnswer(ctx context.Context, l *locale.Locale, q consoleQuery) any {
	if q.Logout == "" {
		return s.consoleView(l, q)
	}
	logout, err := s.hub.ForcedLogout(q.Logout)
	if err != nil {
		return map[string]string{"type": "unknown"}
	}
	return s.progressView(ctx, l, logout)
}
