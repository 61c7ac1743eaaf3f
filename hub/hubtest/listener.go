package hubtest

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Listener is a [net.Listener] in memory, for a server in a bubble. Its connections are pairs of
// [net.Pipe]: they have no buffer, so whoever writes waits for the reader.
type Listener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// Listen makes a Listener. Make it in the bubble that uses it.
func Listen() *Listener {
	return &Listener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Accept waits for the next Dial. It fails with [net.ErrClosed] once the listener is closed.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept and Dial. Connections that were accepted stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr is no address that anybody could dial.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }

// Dial connects to whoever calls Accept, whatever the network and address. It fits
// [http.Transport.DialContext].
func (l *Listener) Dial(ctx context.Context, _, _ string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Client is an HTTP client that reaches the listener under any host name. The caller closes its
// idle connections before a bubble ends.
func (l *Listener) Client() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: l.Dial}}
}
