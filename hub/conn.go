package hub

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// conn is a tab's connection. The library reads through it and writes its control frames; data
// frames and close frames are written by the tab. Each of them is one write under mu, so that no
// frame lands inside another.
type conn struct {
	net.Conn
	raw syscall.RawConn // of a TCP connection, else nil

	probed atomic.Bool // set with a ping, until something is read

	// used by the reading goroutine alone
	heardAt time.Time // when something was read last
	frames  frameCounter
	flood   flood

	mu     sync.Mutex // held for a whole frame
	closed bool       // a close frame is out: nothing may follow it
}

// Read is the library's way. It counts frames of every kind, also those that the library does not
// pass on: pings, pongs, empty continuations. By the time it is called again, all that it has
// brought is dealt with, and the acks of messages that the server has sent are taken off; see
// frameCounter.
func (c *conn) Read(p []byte) (int, error) {
	if n := c.frames.complete; n > 0 {
		c.frames.complete = 0
		if c.flood.over(c.heardAt, n) {
			return 0, errFlood
		}
	}
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.heard(p[:n])
	}
	return n, err
}

// heard takes note of what was read.
func (c *conn) heard(p []byte) {
	c.heardAt = time.Now()
	if c.probed.Load() {
		c.probed.Store(false)
	}
	c.frames.take(p)
}

// Write is the library's way: pongs, and the answer to a close frame.
func (c *conn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// writeNow writes p as far as the socket takes it without waiting. Where done is false, the rest is
// not written and mu stays locked: the caller hands it to finish.
func (c *conn) writeNow(p []byte) (rest []byte, done bool, err error) {
	if c.raw == nil || !c.mu.TryLock() {
		return p, false, errWouldWait
	}
	if c.closed {
		c.mu.Unlock()
		return nil, true, nil
	}
	attempt := attempts.Get().(*attempt)
	attempt.p = p
	err = c.raw.Write(attempt.write)
	n := attempt.n
	if err == nil {
		err = attempt.err
	}
	attempt.p, attempt.err = nil, nil
	attempts.Put(attempt)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		n, err = 0, nil
	}
	if err != nil || n == len(p) {
		c.mu.Unlock()
		return nil, true, err
	}
	return p[max(n, 0):], false, nil
}

// attempt is a write that does not wait for the socket. It is kept for the next one, because a
// closure each would cost more than all else that is done for a tab when many are told.
type attempt struct {
	p     []byte
	n     int
	err   error
	write func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.write = func(fd uintptr) bool {
		a.n, a.err = syscall.Write(int(fd), a.p)
		return true // never wait
	}
	return a
}}

// errWouldWait says that mu was not taken: the write needs a goroutine that may wait.
var errWouldWait = io.ErrShortWrite

// writeLimit is how long a peer may keep a write waiting. It is real time, like all limits of the
// network.
const writeLimit = 10 * time.Second

// writeWaiting writes p and waits for the peer as long as writeLimit. locked: mu is held already.
func (c *conn) writeWaiting(p []byte, locked bool) error {
	if !locked {
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if c.closed {
		return nil
	}
	c.SetWriteDeadline(time.Now().Add(writeLimit))
	_, err := c.Conn.Write(p)
	c.SetWriteDeadline(time.Time{})
	return err
}

// seal lets nothing be written after a close frame.
func (c *conn) seal() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
}

// smallBuffer replaces the HTTP server's 4 KB buffers of each connection, which would otherwise
// stay for its life.
const smallBuffer = 256

// hijacker gives the library a connection of ours with small buffers.
type hijacker struct {
	http.ResponseWriter
	conn *conn // set by Hijack
}

func (h *hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if err := buffers.Writer.Flush(); err != nil { // the answer to the handshake
		raw.Close()
		return nil, nil, err
	}
	raw.SetDeadline(time.Time{}) // those of the HTTP server reach into hijacked connections
	h.conn = &conn{Conn: raw}
	if tcp, ok := raw.(*net.TCPConn); ok {
		if h.conn.raw, err = tcp.SyscallConn(); err != nil {
			raw.Close()
			return nil, nil, err
		}
	}
	early := make([]byte, buffers.Reader.Buffered()) // what the page sent without waiting for the answer
	if _, err := io.ReadFull(buffers.Reader, early); err != nil {
		raw.Close()
		return nil, nil, err
	}
	r := bufio.NewReaderSize(h.conn, smallBuffer)
	if len(early) > 0 {
		h.conn.heard(early)
		r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), h.conn), max(smallBuffer, len(early)))
		if _, err := r.Peek(len(early)); err != nil { // the library carries on with what is buffered
			raw.Close()
			return nil, nil, err
		}
	}
	return h.conn, bufio.NewReadWriter(r, bufio.NewWriterSize(h.conn, smallBuffer)), nil
}
