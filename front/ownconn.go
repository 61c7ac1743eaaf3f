package front

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// mark stands before a request's target that begins with two slashes, which net/http would take for
// the host of a URL. The connection takes it out again.
const mark = "*"

// needsMark reports whether the mark is to stand before a target with this path.
func needsMark(path string) bool { return strings.HasPrefix(path, "//") }

// ownConn is the connection of one request to an application. It sends the target as it was sent to
// Curfew, and does not wait for ever for an application that has stopped reading. Once it is
// closed, the request's body lets go of the browser.
type ownConn struct {
	net.Conn
	limit  time.Duration // for a write, as long as there is no answer; 0: none
	upload *upload

	// for the one writer
	isMarked bool // the mark stands before the target, and is not taken out yet
	inTarget bool // the method has been written, and the space behind it

	isGone     atomic.Bool // the application takes no more of the request
	isSwitched atomic.Bool

	mu       sync.Mutex // held while the write deadline is set
	isLifted bool
}

// Write sends a part of the request. An application may answer, and close the connection, before
// it has read all of the request. What it has not read is dropped then, and its answer is heard.
func (c *ownConn) Write(p []byte) (int, error) {
	if c.isGone.Load() {
		return len(p), nil
	}
	sent := c.withoutMark(p)
	c.expect()
	if n, err := c.Conn.Write(sent); err != nil {
		var limit net.Error
		if c.isSwitched.Load() || errors.Is(err, net.ErrClosed) || errors.As(err, &limit) && limit.Timeout() {
			return min(n, len(p)), err
		}
		c.isGone.Store(true)
	}
	return len(p), nil
}

// withoutMark is a part of the request without the mark. Nothing but the target has one: a header
// may look alike, as Accept: */* does.
func (c *ownConn) withoutMark(p []byte) []byte {
	if !c.isMarked {
		return p
	}
	start := 0
	if !c.inTarget {
		start = bytes.IndexByte(p, ' ') + 1
		c.inTarget = start > 0
	}
	if !c.inTarget || start == len(p) {
		return p
	}
	c.isMarked = false
	return slices.Concat(p[:start], p[start+len(mark):])
}

// expect sets the time limit of a write.
func (c *ownConn) expect() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isLifted && c.limit > 0 {
		c.Conn.SetWriteDeadline(time.Now().Add(c.limit))
	}
}

// lift ends the time limit of writes: the application has answered.
func (c *ownConn) lift() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.isLifted = true
	c.Conn.SetWriteDeadline(time.Time{})
}

// switchOver makes it the connection of a WebSocket.
func (c *ownConn) switchOver() {
	c.isSwitched.Store(true)
	c.lift()
}

func (c *ownConn) Close() error {
	err := c.Conn.Close()
	c.upload.interrupt()
	return err
}

func closeWrite(c net.Conn) error {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// switched is the application's side of a WebSocket. What it copies needs little memory while
// nothing is sent.
type switched struct {
	io.ReadWriteCloser // of net/http, which has read ahead
	conn               *ownConn
}

// WriteTo copies what the application sends.
func (s *switched) WriteTo(w io.Writer) (int64, error) { return relay(w, s.ReadWriteCloser) }

// ReadFrom copies what the browser sends.
func (s *switched) ReadFrom(r io.Reader) (int64, error) { return relay(s.conn, r) }

// CloseWrite tells the application that the browser sends nothing more.
func (s *switched) CloseWrite() error { return closeWrite(s.conn.Conn) }

// smallBuffer is what a direction of a WebSocket waits with.
const smallBuffer = 2 << 10

// relay copies until src ends. It waits with a small buffer, and takes a large one while much
// comes.
func relay(dst io.Writer, src io.Reader) (written int64, err error) {
	small := make([]byte, smallBuffer)
	buffer := small
	defer func() { buffers.giveBack(buffer) }()
	for {
		n, err := src.Read(buffer)
		if n > 0 {
			sent, err := dst.Write(buffer[:n])
			written += int64(sent)
			if err != nil {
				return written, err
			}
		}
		switch {
		case err == io.EOF:
			return written, nil
		case err != nil:
			return written, err
		case n == smallBuffer && len(buffer) == smallBuffer:
			buffer = buffers.Get()
		case n < smallBuffer && len(buffer) > smallBuffer:
			buffers.Put(buffer)
			buffer = small
		}
	}
}

// largeBuffer is what bodies of answers are copied with.
const largeBuffer = 32 << 10

// buffers are large buffers that nobody uses just now.
var buffers bufferPool

type bufferPool struct{ pool sync.Pool }

// Get makes it an [httputil.BufferPool].
func (b *bufferPool) Get() []byte {
	if buffer, ok := b.pool.Get().(*[largeBuffer]byte); ok {
		return buffer[:]
	}
	return new([largeBuffer]byte)[:]
}

// Put gives a buffer back.
func (b *bufferPool) Put(buffer []byte) { b.pool.Put((*[largeBuffer]byte)(buffer)) }

// giveBack is Put for a buffer that may be a small one.
func (b *bufferPool) giveBack(buffer []byte) {
	if len(buffer) == largeBuffer {
		b.Put(buffer)
	}
}

// aheadConn is a browser's connection of which the server has read ahead.
type aheadConn struct {
	net.Conn
	ahead *bufio.Reader
}

func (c *aheadConn) Read(p []byte) (int, error) {
	if n := c.ahead.Buffered(); n > 0 {
		return c.ahead.Read(p[:min(n, len(p))])
	}
	return c.Conn.Read(p)
}

func (c *aheadConn) CloseWrite() error { return closeWrite(c.Conn) }
