package front

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Options of a front.
type Options struct {
	Public      *url.URL // what browsers see; its path is empty
	Base        string   // the base path of Curfew's own routes, without a slash at its end
	PublicPaths PublicPaths
	Origins     []string   // further origins whose pages may send unsafe requests
	Inner       []*url.URL // addresses of the application that no browser can reach
	// Trusted reports whether the peer of a request is a proxy whose X-Forwarded-For is believed.
	Trusted func(*http.Request) bool
	// Fail answers a request whose answer cannot be passed on. Its error is an ErrUpstream.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
	// Omitted is told of a user of whose groups some are left out of the headers; may be nil.
	Omitted func(user string, groups int)
}

// Front has the rules between browsers and an application. [New] makes one. Its methods may be
// called concurrently.
type Front struct {
	o      Options
	origin string // of the public URL
}

// New makes a front.
func New(o Options) *Front {
	if o.Trusted == nil {
		o.Trusted = func(*http.Request) bool { return false }
	}
	if o.Omitted == nil {
		o.Omitted = func(string, int) {}
	}
	return &Front{o: o, origin: o.Public.Scheme + "://" + o.Public.Host}
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

// frontKey leads from the context of a request to its front.
type frontKey struct{}

// Serve has next answer a request as the rules have it. s is the session of the request, nil where
// it needs none. When the session ends, what is still open is closed, and the request's context is
// cancelled, with [ErrSessionEnded] as its cause; see ending.go.
func (f *Front) Serve(w http.ResponseWriter, r *http.Request, s *Session, next http.Handler) {
	a := &answer{ResponseWriter: w, front: f}
	ctx := context.WithValue(r.Context(), frontKey{}, f)
	if s == nil {
		f.serve(a, f.prepare(r.WithContext(ctx), nil), next)
		return
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	out := f.prepare(r.WithContext(ctx), s)
	a.exchange = &exchange{session: s, cancel: cancel, control: http.NewResponseController(w), upload: newUpload(out)}
	if !a.exchange.upload.arrived.Load() {
		out.Body = a.exchange.upload
	}
	defer a.exchange.watch()()
	f.serve(a, out, next)
}

// serve has next answer a request that is prepared.
func (f *Front) serve(a *answer, r *http.Request, next http.Handler) {
	if !isPageRequest(r) {
		next.ServeHTTP(a, r)
		return
	}
	tag := Tag{
		Source:   f.o.Base + "/static/curfew.js",
		Socket:   f.o.Base + "/session/ws",
		Folder:   f.origin + f.o.Base + "/static/",
		Required: a.exchange != nil,
	}
	servePage(a, r, tag, func(w http.ResponseWriter, err error) {
		f.o.Fail(ownAnswer(w), r, fmt.Errorf("%w: %w", ErrUpstream, err))
	}, next)
}
