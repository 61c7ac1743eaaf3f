package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// Errors of a request that the application has not answered, for [ProxyOptions.Fail].
var (
	ErrUpstream        = errors.New("the application cannot be reached, or breaks off its answer")
	ErrUpstreamTimeout = errors.New("the application does not begin its answer in time")
	ErrBrokenRequest   = errors.New("the body of the request does not come as its header says")
)

// ProxyOptions are those of a proxy.
type ProxyOptions struct {
	Upstream *Upstream
	Timeout  time.Duration // until the first byte of an answer
	Log      *slog.Logger
	// Fail answers a request that the application has not answered; r is the browser's own. Its
	// error is one of the above, or ErrSessionEnded where the session has ended meanwhile.
	Fail func(w http.ResponseWriter, r *http.Request, err error)
}

// Proxy forwards requests to an application. [NewProxy] makes one. It knows no rule, but stands
// behind a [Front]: a request without one is not served. Its methods may be called concurrently.
type Proxy struct {
	reverse   httputil.ReverseProxy
	transport *transport
	o         ProxyOptions
}

// NewProxy makes a proxy. [Proxy.Close] gives up the connections that nobody uses.
func NewProxy(o ProxyOptions) *Proxy {
	p := &Proxy{o: o, transport: newTransport(o.Upstream, o.Timeout)}
	p.reverse = httputil.ReverseProxy{
		Rewrite:        p.rewrite,
		Transport:      p.transport,
		BufferPool:     &buffers,
		ErrorLog:       slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
		ModifyResponse: modifyResponse,
		ErrorHandler:   p.fail,
	}
	return p
}

// Close gives up the connections that wait for the next request.
func (p *Proxy) Close() { p.transport.close() }

// ServeHTTP forwards a request, and its answer. It aborts the handler, as [http.ErrAbortHandler]
// tells, where an answer breaks off, and where the browser has gone.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	e := exchangeOf(r)
	// The time limits of the server are for its own pages.
	control := http.NewResponseController(w)
	control.SetReadDeadline(time.Time{})
	control.SetWriteDeadline(time.Time{})
	control.EnableFullDuplex() // an answer may begin before the request has arrived
	defer e.upload.leave()
	if !isRepeatable(r) {
		out := &outgoing{upload: e.upload, isMarked: needsMark(sentPath(r))}
		r = r.WithContext(context.WithValue(r.Context(), outgoingKey{}, out))
	}
	a := &reply{ResponseWriter: w, control: control, request: r, upload: e.upload}
	isWhole := false
	defer func() { a.end(isWhole) }()
	p.reverse.ServeHTTP(a, r)
	isWhole = true
}

// rewrite addresses a request to the application. Path and query stay byte for byte as they were
// sent.
func (p *Proxy) rewrite(r *httputil.ProxyRequest) {
	path, query := SentTarget(r.In)
	if needsMark(path) {
		path = mark + path
	}
	r.Out.URL = &url.URL{Scheme: p.o.Upstream.scheme, Host: p.o.Upstream.host, Opaque: path}
	if query != "" {
		r.Out.URL.RawQuery, r.Out.URL.ForceQuery = query[1:], true
	}
	r.Out.Host = r.In.Host
	r.Out.Trailer = r.In.Trailer // filled as they arrive
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto"} {
		if values, ok := r.In.Header[name]; ok {
			r.Out.Header[name] = values
		}
	}
}

// failLimit is how long it may take to send an answer of our own.
const failLimit = time.Minute

// fail answers for the application.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, err error) {
	e := exchangeOf(r)
	switch cause := context.Cause(r.Context()); {
	case w.(*reply).isBegun:
		panic(http.ErrAbortHandler)
	case errors.Is(cause, ErrSessionEnded):
		err = cause
	case cause != nil && !e.upload.stopped.Load(): // the browser has gone; net/http says so after an interruption, too
		panic(http.ErrAbortHandler)
	case e.upload.broken.Load():
		err = fmt.Errorf("%w: %w", ErrBrokenRequest, err)
	case isTimeout(err):
		err = fmt.Errorf("%w: %w", ErrUpstreamTimeout, err)
	default:
		err = fmt.Errorf("%w: %w", ErrUpstream, err)
	}
	own := ownAnswer(w.(*reply).ResponseWriter)
	clear(own.Header())
	control := http.NewResponseController(own)
	control.SetWriteDeadline(time.Now().Add(failLimit))
	if !e.upload.arrived.Load() && r.ProtoMajor == 1 {
		own.Header().Set("Connection", "close")
	}
	p.o.Fail(own, e.request, err)
	control.Flush() // the browser may wait for it before it sends the rest of its request
}

// isTimeout reports whether the application was reached and has not answered in time.
func isTimeout(err error) bool {
	var timeout net.Error
	return !errors.As(err, new(dialError)) && errors.As(err, &timeout) && timeout.Timeout()
}

// modifyResponse applies the rules for answers to a 101: its header goes to the connection that was
// taken over, past the answer of the front. It also has the reverse proxy, which would start a
// goroutine for each answer, leave it to the reply when to flush.
func modifyResponse(r *http.Response) error {
	if r.StatusCode == http.StatusSwitchingProtocols {
		e := exchangeOf(r.Request)
		e.front.confine(r.Header)
		if _, ok := e.request.Header[RequestID]; ok {
			delete(r.Header, RequestID) // the answer has it already, from who serves
		}
	}
	r.ContentLength = 0 // only for that; the header has it
	return nil
}
