package views

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"curfew/front"
	"curfew/hub"
	"curfew/session"
	"curfew/session/gorilla"
)

// Requests that go on to an application behind Curfew.

// Application says what Curfew expects of an application behind it, and grants it.
type Application struct {
	Exists      bool // behind this server, or behind a proxy that asks its doors: there is no sample
	PublicPaths front.PublicPaths
	Origins     []string       // further origins whose pages may send unsafe requests
	Inner       []*url.URL     // addresses of the application that no browser reaches
	KeepForms   string         // CSS selector of its forms whose text is kept
	Cookies     []front.Cookie // of the application, that end with its user beside those that a sign-in sees
}

// guard lets requests of live sessions through to an application.
type guard struct {
	exists      bool
	rules       *front.Front
	application http.Handler // what is not below the base path; nil: there is no such application
	requires    atomic.Bool  // this process guards an application by Require
}

func newGuard(o *Options, fail func(http.ResponseWriter, *http.Request, error)) guard {
	omitted := &omittedGroups{clock: o.Clock, log: o.Log}
	rules := front.New(front.Options{
		Public:      o.PublicURL,
		Base:        o.BasePath,
		PublicPaths: o.Application.PublicPaths,
		Origins:     o.Application.Origins,
		Inner:       o.Application.Inner,
		KeepForms:   o.Application.KeepForms,
		HSTS:        o.Site.HSTS,
		Trusted:     func(r *http.Request) bool { return o.Proxies.trusts(peer(r)) },
		Fail:        fail,
		Meter:       o.Proxied,
		Omitted:     omitted.tell,
	})
	return guard{exists: o.Application.Exists, rules: rules}
}

// omittedGroups has the log told of the users of whose groups an application does not hear all:
// once a minute of each, for every request of theirs is such a one.
type omittedGroups struct {
	clock session.Clock
	log   *slog.Logger

	mu    sync.Mutex
	since time.Time
	told  map[string]bool // users, since then
}

// maxTold is how many users the log is told of in a minute.
const maxTold = 1000

func (o *omittedGroups) tell(user string, groups int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if now := o.clock.Now(); o.told == nil || now.Sub(o.since) >= tellEvery {
		o.since, o.told = now, map[string]bool{}
	}
	if o.told[user] || len(o.told) >= maxTold {
		return
	}
	o.told[user] = true
	o.log.Warn("an application is not told of all groups of a user: names with a comma, and what does not fit; "+
		"told once a minute", "user", user, "left_out", groups)
}

// SetApplication has app answer all requests that are not below the base path, as [Server.Require]
// guards it. It is called before the server serves.
func (s *Server) SetApplication(app http.Handler) { s.guard.application = s.Require(app) }

// Require returns a handler that lets only requests of live sessions through to app, and those that
// need none: of public paths, and preflights of allowed origins. Without a session a navigation is
// led to the sign-in page, and anything else is answered with 401.
//
// The application is told who asks by the headers Remote-User, -Name, -Email, -Groups and -Session,
// which a client cannot set, and by [UserFrom]. It does not see Curfew's cookies. Its pages get the
// script tag. When the session ends, its WebSockets and event streams are closed, and the contexts
// of its requests are cancelled.
func (s *Server) Require(app http.Handler) http.Handler {
	s.browsers.keepCookies.Store(true)
	s.guard.requires.Store(true)
	return s.page(func(w http.ResponseWriter, r *http.Request) error {
		switch s.guard.rules.Refuse(r) {
		case front.BadMethod:
			return errNoApplicationMethod
		case front.CrossSite:
			return errCrossSite
		}
		if s.guard.rules.NeedsNoSession(r) {
			s.guard.rules.Serve(w, r, nil, app)
			return nil
		}
		v, life, err := s.admit(r)
		if err == nil {
			err = s.observe(r, originalOf(r), &v)
		}
		if err != nil {
			return err
		}
		if id, asked := v.token.ID(), v.asked; !asked.IsZero() {
			w = &navigation{ResponseWriter: w, stayed: func() { s.hub.Stayed(r.Context(), id, asked) }}
		}
		s.guard.rules.Serve(w, r, &front.Session{
			Identity: identityOf(&v.status),
			Life:     life,
			ByTime:   func() bool { return endedByTime(life) },
		}, app)
		return nil
	})
}

// admit judges the session of a request that goes on to an application. Its error is an overError
// or a storeError.
func (s *Server) admit(r *http.Request) (visit, context.Context, error) {
	token, ok := gorilla.Token(r)
	if !ok {
		return visit{}, nil, overError{error: session.ErrNotFound}
	}
	status, life, err := s.hub.Admit(r.Context(), token.ID())
	v := visit{token: token, status: status}
	switch {
	case err == nil:
		return v, life, nil
	case isSessionError(err):
		return v, nil, overError{error: err, record: status.Record}
	}
	return v, nil, storeError{err}
}

func identityOf(s *hub.Status) front.Identity {
	return front.Identity{
		User:    s.Record.User,
		Name:    s.Record.Name,
		Email:   s.Record.Email,
		Groups:  s.Record.GroupNames(),
		Session: s.Ref,
	}
}

// UserFrom tells whose request it is that a handler behind [Server.Require] answers; ctx is the
// request's context. It reports false where the request needed no session.
func UserFrom(ctx context.Context) (front.Identity, bool) { return front.IdentityFrom(ctx) }

// endedByTime reports whether a session has ended without anybody having ended it.
func endedByTime(life context.Context) bool {
	var ended hub.EndedError
	if !errors.As(context.Cause(life), &ended) {
		return false
	}
	switch ended.End.Reason {
	case session.ReasonIdle, session.ReasonLifetime, session.ReasonBrowserClosed:
		return true
	}
	return false
}

// FailApplication answers a request that the application has not answered; see
// [front.ProxyOptions.Fail]. Nobody is signed out.
func (s *Server) FailApplication(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, front.ErrSessionEnded) {
		err = fmt.Errorf("%w: %w", err, session.ErrEnded)
	}
	s.fail(w, r, err)
}
