package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"time"
)

// Errors of an application that does not answer, for [ProxyOptions.Fail].
var (
	ErrUpstream        = errors.New("the application cannot be reached, or breaks off its answer")
	ErrUpstreamTimeout = errors.New("the application does not begin its answer in time")
)

// ProxyOptions are those of a proxy.
type ProxyOptions struct {
	Upstream *Upstream
	Timeout  time.Duration // until the first byte of an answer
	Log      *slog.Logger
	// Fail answers a request that the application has not answered. Its error is an ErrUpstream, an
	// ErrUpstreamTimeout, or ErrSessionEnded where the session has ended meanwhile.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Proxy forwards requests to an application. [NewProxy] makes one. It knows no rule: it stands
// behind a [Front]. Its methods may be called concurrently.
type Proxy struct {
	reverse httputil.ReverseProxy
	o       ProxyOptions
}

// NewProxy makes a proxy. [Proxy.Close] gives up its connections.
func NewProxy(o ProxyOptions) *Proxy {
	p := &Proxy{o: o}
	p.reverse = httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      o.Upstream.transport(o.Timeout),
		FlushInterval:  -1, // what the application sends is passed on at once
		ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ModifyResponse: confineSwitch,
		ErrorHandler:   p.fail,
	}
	return p
}

// ServeHTTP forwards a request, and its answer.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// The time limits of the server are for its own pages.
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{})
	control.SetWriteDeadline(time.Time{})
	p.reverse.ServeHTTP(w, r)
}

// rewrite addresses a request to the application. Path and query stay byte for byte as they were
// sent, as far as net/http can send them: it encodes what no URL may hold in a path that begins
// with two slashes.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	u := r.Out.URL
	u.Scheme, u.Host = p.o.Upstream.scheme, p.o.Upstream.host
	path, query := SentTarget(r.In)
	u.RawQuery, u.ForceQuery = "", false
	if query != "" {
		u.RawQuery, u.ForceQuery = query[1:], true
	}
	if len(path) < 2 || path[1] != '/' {
		u.Opaque = path
	}
	r.Out.Host = r.In.Host
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// fail answers for the application.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	switch cause := context.Cause(r.Context()); {
	case errors.Is(cause, ErrSessionEnded):
		err = cause
	case cause != nil:
		return // the browser has gone
	case isTimeout(err):
		err = fmt.Errorf("%w: %w", ErrUpstreamTimeout, err)
	default:
		err = fmt.Errorf("%w: %w", ErrUpstream, err)
	}
	p.o.Fail(ownAnswer(w), r, err)
}

// isTimeout reports whether the application was reached and has not answered in time.
func isTimeout(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return false
	}
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// confineSwitch applies the rules for answers to a 101: its header goes to the connection that was
// taken over, past the answer of the front.
func confineSwitch(r *http.Response) error {
	if f, ok := r.Request.Context().Value(frontKey{}).(*Front); ok && r.StatusCode == http.StatusSwitchingProtocols {
		f.confine(r.Header)
	}
	return nil
}
