package front

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"time"
)

const (
	dialLimit  = 5 * time.Second // for a connection: its name, itself and its TLS handshake
	maxIdle    = 256             // connections that wait for the next request
	idleLimit  = 30 * time.Second
	maxHeaders = 1 << 20 // bytes of an answer's header
)

// transport sends requests to one application.
//
// An application closes a connection that nobody uses for a while, and may do so at the moment at
// which the next request is sent on it. Whether the application has seen that request, nobody knows
// then. A request that may be sent again without harm is sent on a connection that has served
// before, and once more on another one if that one is closed. Every other request, and the
// handshake of a WebSocket, gets a connection of its own, so that no form is lost. So does a HEAD:
// there are applications that send a body after all, which would stand before the next answer.
type transport struct {
	upstream *Upstream
	shared   *http.Transport
	own      *http.Transport // makes an [ownConn] for each request
	timeout  time.Duration   // see [ProxyOptions.Timeout]
}

func newTransport(u *Upstream, timeout time.Duration) *transport {
	t := &transport{upstream: u, timeout: timeout}
	config := &tls.Config{
		RootCAs:            u.CA,
		MinVersion:         tls.VersionTLS12,
		ServerName:         u.hostname(),
		ClientSessionCache: tls.NewLRUClientSessionCache(0),
	}
	pool := func(dial func(ctx context.Context, config *tls.Config) (net.Conn, error)) *http.Transport {
		with := func(config *tls.Config) func(ctx context.Context, _, _ string) (net.Conn, error) {
			return func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, config) }
		}
		return &http.Transport{
			DialContext:            with(nil),
			DialTLSContext:         with(config),
			DisableCompression:     true,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        idleLimit,
			ResponseHeaderTimeout:  timeout,
			ExpectContinueTimeout:  time.Second,
			MaxResponseHeaderBytes: maxHeaders,
		}
	}
	t.shared = pool(t.dialShared)
	t.own = pool(t.dialOwn)
	t.own.DisableKeepAlives = true
	return t
}

// dialError is why there is no connection.
type dialError struct{ error }

func (e dialError) Unwrap() error { return e.error }

// dialShared makes a connection that serves one request after another.
func (t *transport) dialShared(ctx context.Context, config *tls.Config) (net.Conn, error) {
	return t.dial(ctx, config, true)
}

// dial makes a connection, with TLS unless config is nil. One that is shared is a [sharedConn],
// below TLS.
func (t *transport) dial(ctx context.Context, config *tls.Config, shared bool) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	network, address := t.upstream.address()
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, dialError{err}
	}
	if shared {
		wrapped, err := newSharedConn(conn)
		if err != nil {
			conn.Close()
			return nil, dialError{err}
		}
		conn = wrapped
	}
	if config == nil {
		return conn, nil
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, dialError{fmt.Errorf("TLS handshake with %s: %w", address, err)}
	}
	return secure, nil
}

// outgoing is what the connection of a request's own needs to know of the request.
type outgoing struct {
	upload   *upload
	isMarked bool                    // see mark
	conn     atomic.Pointer[ownConn] // nil until it is made
}

// outgoingKey leads from the context of a request to its outgoing. A request without one shares
// connections with others.
type outgoingKey struct{}

func (t *transport) dialOwn(ctx context.Context, config *tls.Config) (net.Conn, error) {
	conn, err := t.dial(ctx, config, false)
	if err != nil {
		return nil, err
	}
	out := ctx.Value(outgoingKey{}).(*outgoing)
	own := &ownConn{Conn: conn, limit: t.timeout, upload: out.upload, isMarked: out.isMarked}
	out.conn.Store(own)
	return own, nil
}

// RoundTrip sends a request. It is called by the reverse proxy.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	out, ok := r.Context().Value(outgoingKey{}).(*outgoing)
	if !ok {
		trace := &httptrace.ClientTrace{GotConn: gotConn} // its own: httptrace adds that of the reverse proxy to it
		r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
		return checked(r)(t.shared.RoundTrip(r))
	}
	response, err := checked(r)(t.own.RoundTrip(r))
	if err != nil {
		return nil, err
	}
	conn := out.conn.Load()
	if response.StatusCode != http.StatusSwitchingProtocols {
		conn.lift()
		return response, nil
	}
	conn.switchOver()
	response.Body = &switched{response.Body.(io.ReadWriteCloser), conn}
	return response, nil
}

// gotConn has a request wait until nothing is left on its connection of the answer before.
func gotConn(got httptrace.GotConnInfo) {
	conn := got.Conn
	if secure, ok := conn.(*tls.Conn); ok {
		conn = secure.NetConn()
	}
	if shared, ok := conn.(*sharedConn); ok && got.Reused {
		shared.awaitQuiet()
	}
}

// close gives up the connections that wait.
func (t *transport) close() {
	t.shared.CloseIdleConnections()
	t.own.CloseIdleConnections()
}

// isRepeatable reports whether an application may get a request twice, and on a connection that
// others use as well.
func isRepeatable(r *http.Request) bool {
	return r.ContentLength == 0 && isSafe(r.Method) && r.Method != http.MethodHead && r.Header.Get("Upgrade") == "" &&
		!needsMark(sentPath(r))
}

// checked refuses an answer that cannot be passed on: one without a status, and a change to a
// protocol that was not asked for.
func checked(r *http.Request) func(*http.Response, error) (*http.Response, error) {
	return func(response *http.Response, err error) (*http.Response, error) {
		if err != nil {
			return nil, err
		}
		code, to := response.StatusCode, response.Header.Get("Upgrade")
		if code >= 200 ||
			code == http.StatusSwitchingProtocols && IsHandshake(r) && strings.EqualFold(to, r.Header.Get("Upgrade")) {
			return response, nil
		}
		response.Body.Close()
		return nil, fmt.Errorf("application answers with status %d and Upgrade %q", code, to)
	}
}
