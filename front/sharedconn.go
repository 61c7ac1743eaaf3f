package front

import (
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
)

// sharedConn is a connection that serves one request after another. An application that sends more
// than its answer may have, such as a body longer than it says, must not have the rest taken for
// the answer to the next request, which may be another person's. It is refused by net/http as soon
// as that looks for the next answer, but only if no request is waiting for one by then. Therefore
// each request waits until net/http has looked, and found nothing.
type sharedConn struct {
	net.Conn
	raw syscall.RawConn

	mu       sync.Mutex
	changed  sync.Cond // on mu
	isQuiet  bool      // the reader has read all that came, and waits for more
	isClosed bool
}

// newSharedConn wraps a connection, below TLS where there is any: the reader of a TLS connection
// waits for more only once it has handed out all that came.
func newSharedConn(conn net.Conn) (*sharedConn, error) {
	system, ok := conn.(syscall.Conn)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	raw, err := system.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &sharedConn{Conn: conn, raw: raw}
	c.changed.L = &c.mu
	return c, nil
}

// Read notes when there is nothing to be read.
func (c *sharedConn) Read(p []byte) (n int, err error) {
	var failed error
	err = c.raw.Read(func(fd uintptr) bool {
		for {
			if n, failed = syscall.Read(int(fd), p); !errors.Is(failed, syscall.EINTR) {
				break
			}
		}
		isEmpty := errors.Is(failed, syscall.EAGAIN)
		c.setQuiet(isEmpty)
		return !isEmpty
	})
	c.setQuiet(false)
	switch {
	case err != nil:
		return 0, err
	case failed != nil:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: failed}
	case n == 0 && len(p) > 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *sharedConn) setQuiet(quiet bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isQuiet = quiet
	c.changed.Broadcast()
}

// awaitQuiet waits until nothing is left of the answer before, or the connection is closed because
// something is.
func (c *sharedConn) awaitQuiet() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.isQuiet && !c.isClosed {
		c.changed.Wait()
	}
}

func (c *sharedConn) Close() error {
	c.mu.Lock()
	c.isClosed = true
	c.changed.Broadcast()
	c.mu.Unlock()
	return c.Conn.Close()
}
