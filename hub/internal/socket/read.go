package socket

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/internal/parallel"
	"curfew/hub/wire"
)

// Errors of [Conn.Read] for a page that breaks the protocol. After ErrBreach the caller may go on
// reading; after the others it may only call [Conn.Drain].
var (
	ErrBreach = errors.New("protocol breach")
	ErrTooBig = errors.New("message too big")
	ErrFlood  = errors.New("flood")
)

// messageBuffers have room for one byte more than a message may have.
var messageBuffers = sync.Pool{New: func() any { return new([wire.MaxMessage + 1]byte) }}

// Read waits for the next message of the page. It returns ErrBreach (wrapping what is wrong),
// ErrTooBig or ErrFlood where the page broke the protocol; any other error means that the
// connection is done, and [CloseOf] tells how. [Conn.Cut] ends the waiting. For messages that come
// often it needs little stack.
func (c *Conn) Read() (in wire.Incoming, err error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return wire.Incoming{}, err
	}
	buffer := messageBuffers.Get().(*[wire.MaxMessage + 1]byte)
	defer messageBuffers.Put(buffer)
	n, err := readFull(r, buffer[:])
	if err != nil {
		return wire.Incoming{}, err
	}
	if kind != websocket.MessageText {
		return wire.Incoming{}, ErrBreach
	}
	in, ok := wire.DecodeUsual(buffer[:n])
	if !ok {
		return decodeAside(buffer[:n])
	}
	return in, nil
}

// decodeAside decodes a message that comes seldom, or is none.
func decodeAside(message []byte) (in wire.Incoming, err error) {
	parallel.Aside(func() { in, err = wire.Decode(message) })
	if err != nil {
		return wire.Incoming{}, errors.Join(ErrBreach, err)
	}
	return in, nil
}

// readFull reads a message into buffer. The error is ErrTooBig if it fills the buffer.
func readFull(r io.Reader, buffer []byte) (n int, err error) {
	for n < len(buffer) {
		m, err := r.Read(buffer[n:])
		n += m
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
	return n, ErrTooBig
}

// Forgive does not count the frame that was read last towards [ErrFlood], because it acknowledges a
// message of the server. The reading goroutine calls it.
func (c *Conn) Forgive() { c.stream.frames.forgive() }

// ReadAt is when something was read last. The reading goroutine calls it.
func (c *Conn) ReadAt() time.Time { return c.stream.readAt }

// maxDrain is how many bytes Drain reads at most.
const maxDrain = 1 << 20

// Drain reads and drops what the peer still sends, so that the peer gets to read the close frame.
// It takes a second at most. The reading goroutine calls it.
func (c *Conn) Drain() {
	c.stream.SetReadDeadline(time.Now().Add(closePatience))
	io.CopyN(io.Discard, c.stream.Conn, maxDrain)
}

// CloseOf returns the code and the reason of the close frame (RFC 6455 §5.5.1) that an error of
// [Conn.Read] stands for. ok is false if there was none: the connection was lost.
func CloseOf(err error) (code int, reason string, ok bool) {
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return 0, "", false
	}
	return int(ce.Code), ce.Reason, true
}
