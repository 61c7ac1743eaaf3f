package front

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"curfew/front/page"
)

// Options of a front.
type Options struct {
	Public      *url.URL // what browsers see; its path is empty
	Base        string   // the base path of Curfew's own routes, without a slash at its end
	PublicPaths PublicPaths
	Origins     []string   // further origins whose pages may send unsafe requests
	Inner       []*url.URL // addresses of the application that no browser can reach
	KeepForms   string     // CSS selector of forms whose text the script keeps; may be empty; see [ValidateForms]
	HSTS        string     // Strict-Transport-Security of each answer, whatever the application says; empty: as it says
	// Trusted reports whether the peer of a request is a proxy whose X-Forwarded-For is believed.
	Trusted func(*http.Request) bool
	// Fail answers a request whose answer cannot be passed on. Its error is an ErrUpstream, or
	// ErrSessionEnded where there is none and the session has ended.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Meter is told of the requests that go on to the application; may be nil.
	Meter Meter
	// Omitted is told of a user of whose groups some are left out of the headers; may be nil.
	Omitted func(user string, groups int)
}

// Meter counts requests. Many goroutines call it at once, and answers wait for it.
type Meter interface {
	// Forwarded says that a request goes on to an application.
	Forwarded()
	// Answered says that it is done, with that status; 0 where no answer of the application has
	// begun.
	Answered(status int)
}

type noMeter struct{}

func (noMeter) Forwarded()   {}
func (noMeter) Answered(int) {}

// Front has the rules between browsers and an application. [New] makes one. Its methods may be
// called concurrently.
type Front struct {
	o       Options
	origin  string           // of the public URL
	inner   map[address]bool // see innerAddresses
	late    time.Duration    // lateAnswer, or what a test sets
	closing context.Context  // done once the server stops
	stop    context.CancelFunc
}

// New makes a front.
func New(o Options) *Front {
	if o.Trusted == nil {
		o.Trusted = func(*http.Request) bool { return false }
	}
	if o.Omitted == nil {
		o.Omitted = func(string, int) {}
	}
	if o.Meter == nil {
		o.Meter = noMeter{}
	}
	f := &Front{
		o:      o,
		origin: o.Public.Scheme + "://" + o.Public.Host,
		inner:  innerAddresses(o.Public, o.Inner),
		late:   lateAnswer,
	}
	f.closing, f.stop = context.WithCancel(context.Background())
	return f
}

// Tell sets the headers that tell an application who somebody is; see [Identity.Set].
func (f *Front) Tell(i Identity, h http.Header) {
	if omitted := i.Set(h); omitted > 0 {
		f.o.Omitted(i.User, omitted)
	}
}

// Session is what a front knows of a session: a user, and a channel that closes at its end.
type Session struct {
	Identity
	Life   context.Context // done at the end of the session
	ByTime func() bool     // once Life is done: it ended by time, and what is being transferred may finish
}

// IdentityFrom tells whose request it is that a handler behind a front answers. ctx is the context
// of the request. It reports false where the request needed no session.
func IdentityFrom(ctx context.Context) (Identity, bool) {
	e, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok || e.session == nil {
		return Identity{}, false
	}
	return e.session.Identity, true
}

// Serve has next answer a request as the rules have it. s is the session of the request, nil where
// it needs none; next does not get the request where that has ended by now. When the session ends,
// what is still open is closed, and the request's context is cancelled, with [ErrSessionEnded] as
// its cause; see ending.go.
func (f *Front) Serve(w http.ResponseWriter, r *http.Request, s *Session, next http.Handler) {
	if s != nil && s.Life.Err() != nil {
		f.o.Fail(w, r, ErrSessionEnded)
		return
	}
	e := &exchange{front: f, session: s, w: w, request: r, upload: newUpload(w, r)}
	f.o.Meter.Forwarded()
	defer func() { f.o.Meter.Answered(e.answered()) }()
	ctx, cancel := context.WithCancelCause(context.WithValue(r.Context(), exchangeKey{}, e))
	defer cancel(nil)
	e.cancel = cancel
	out := f.prepare(ctx, r, s)
	e.upload.attach(out)
	defer e.watch()()
	f.serve(&answer{ResponseWriter: w, front: f, exchange: e}, out, e.answeredBy(next))
	f.confine(w.Header()) // trailers
}

// serve has next answer a request that is prepared.
func (f *Front) serve(a *answer, r *http.Request, next http.Handler) {
	if !page.IsAskedBy(r) {
		next.ServeHTTP(a, r)
		return
	}
	tag := page.Tag{
		Source:   f.o.Base + "/static/curfew.js",
		Socket:   f.o.Base + "/session/ws",
		Folder:   f.origin + f.o.Base + "/static/",
		Required: a.exchange.session != nil,
		Forms:    f.o.KeepForms,
	}
	page.Serve(a, r, tag, func(w http.ResponseWriter, err error) {
		f.o.Fail(ownAnswer(w), a.exchange.request, fmt.Errorf("%w: %w", ErrUpstream, err))
	}, next)
}

// Close closes the WebSockets and event streams of all sessions, and those that begin later: the
// server stops.
func (f *Front) Close() { f.stop() }
