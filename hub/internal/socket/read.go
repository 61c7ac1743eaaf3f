package socket

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// What [Conn.Read] returns where a page has gone too far. After ErrBreach it may be read on; the
// others end the reading.
var (
	ErrBreach = errors.New("protocol breach")
	ErrTooBig = errors.New("message too big")
	ErrFlood  = errors.New("flood")
)

var messageBuffers = sync.Pool{New: func() any { return new([wire.MaxMessage]byte) }}

// Read waits for the next message of the page. It returns ErrBreach (wrapping what is wrong),
// ErrTooBig or ErrFlood where the page broke the protocol; any other error means that the
// connection is done, and [CloseOf] tells how. [Conn.Cut] ends the waiting.
func (c *Conn) Read() (wire.Incoming, error) {
	kind, r, err := c.ws.Reader(context.Background())
	if err != nil {
		return wire.Incoming{}, err
	}
	buffer := messageBuffers.Get().(*[wire.MaxMessage]byte)
	defer messageBuffers.Put(buffer)
	n, err := readFull(r, buffer[:])
	if err != nil {
		return wire.Incoming{}, err
	}
	if kind != websocket.MessageText {
		return wire.Incoming{}, ErrBreach
	}
	in, err := wire.Decode(buffer[:n])
	if err != nil {
		return wire.Incoming{}, errors.Join(ErrBreach, err)
	}
	return in, nil
}

// readFull reads a message into buffer. ErrTooBig if it is longer.
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
	if _, err := r.Read(make([]byte, 1)); err != io.EOF {
		return n, ErrTooBig
	}
	return n, nil
}

// Forgive takes the frame that was read last off the count of [ErrFlood]: it acknowledges a message
// of the server. The reading goroutine calls it.
func (c *Conn) Forgive() { c.stream.frames.forgive() }

// HeardAt is when something was read last. The reading goroutine calls it.
func (c *Conn) HeardAt() time.Time { return c.stream.heardAt }

// maxDrain is how much is read of a peer that has gone too far, in bytes, before the connection is
// cut.
const maxDrain = 1 << 20

// Drain reads past what cannot be understood any more, so that the peer can take in the close
// frame. It takes a second at most. The reading goroutine calls it.
func (c *Conn) Drain() {
	c.stream.SetReadDeadline(time.Now().Add(closePatience))
	io.CopyN(io.Discard, c.stream.Conn, maxDrain)
}

// CloseOf is the close frame (RFC 6455 §5.5.1) that an error of [Conn.Read] tells of. ok is false
// where there was none: the connection was lost.
func CloseOf(err error) (code int, reason string, ok bool) {
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return 0, "", false
	}
	return int(ce.Code), ce.Reason, true
}
