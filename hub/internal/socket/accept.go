package socket

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// Accept upgrades the connection of a request, and c becomes that connection. c is zero before. The
// caller has checked the origin, the subprotocol and the session. After an error the answer is
// written and the connection is closed.
func Accept(w http.ResponseWriter, r *http.Request, c *Conn) error {
	hijack := &hijacker{ResponseWriter: w, stream: &c.stream}
	ws, err := websocket.Accept(hijack, r, &websocket.AcceptOptions{
		Subprotocols:       []string{wire.Subprotocol},
		InsecureSkipVerify: true, // the origin was checked before, more strictly
		CompressionMode:    websocket.CompressionDisabled,
	})
	if err != nil {
		if c.stream.Conn != nil {
			c.stream.Close()
		}
		return err
	}
	ws.SetReadLimit(wire.MaxMessage + 16) // Read judges the size itself
	c.ws = ws
	return nil
}

// TurnAway closes a connection that was accepted and is not served. It waits for the peer's answer,
// a second at most.
func (c *Conn) TurnAway(code int, reason string) {
	c.stream.SetDeadline(time.Now().Add(closePatience))
	c.ws.Close(websocket.StatusCode(code), reason)
	c.ws.CloseNow()
}

// smallBuffer is the size of both buffers of a connection. The HTTP server's have 4 KB each, and
// would stay as long as the connection.
const smallBuffer = 256

// hijacker gives the library a stream of ours with small buffers.
type hijacker struct {
	http.ResponseWriter
	stream *stream // set by Hijack
}

func (h *hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack implements [http.Hijacker]. What the page has sent without waiting for the answer is kept.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	r, err := h.take(raw, buffers)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	return h.stream, bufio.NewReadWriter(r, bufio.NewWriterSize(h.stream, smallBuffer)), nil
}

// take takes over the connection from the HTTP server.
func (h *hijacker) take(raw net.Conn, buffers *bufio.ReadWriter) (r *bufio.Reader, err error) {
	if err := buffers.Writer.Flush(); err != nil { // the answer to the handshake
		return nil, err
	}
	raw.SetDeadline(time.Time{}) // those of the HTTP server reach into hijacked connections
	h.stream.Conn = raw
	if tcp, ok := raw.(*net.TCPConn); ok {
		if h.stream.raw, err = tcp.SyscallConn(); err != nil {
			return nil, err
		}
	}
	early := make([]byte, buffers.Reader.Buffered())
	if _, err := io.ReadFull(buffers.Reader, early); err != nil {
		return nil, err
	}
	if len(early) == 0 {
		return bufio.NewReaderSize(h.stream, smallBuffer), nil
	}
	h.stream.received(early)
	r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), h.stream), max(smallBuffer, len(early)))
	_, err = r.Peek(len(early)) // the library carries on with what is buffered
	return r, err
}
