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
// caller has checked the origin, the subprotocol and the session. The answer is not written yet:
// the caller hands it to [Writers.Open] or [Conn.TurnAway] before anything else is done with c.
// After an error the answer is written and the connection is closed.
func Accept(w http.ResponseWriter, r *http.Request, c *Conn) (answer []byte, err error) {
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
		return nil, err
	}
	ws.SetReadLimit(wire.MaxMessage + 16) // Read judges the size itself
	c.ws = ws
	return hijack.answer, nil
}

// TurnAway answers the handshake of a connection that was accepted and is not served, and closes
// it. It waits for the peer's answer, a second at most.
func (c *Conn) TurnAway(answer []byte, code int, reason string) {
	c.stream.SetDeadline(time.Now().Add(closePatience))
	c.stream.Write(answer) // after an error the closing fails as well
	c.ws.Close(websocket.StatusCode(code), reason)
	c.ws.CloseNow()
}

// Drop answers the handshake of a connection that was accepted, and breaks it.
func (c *Conn) Drop(answer []byte) {
	c.stream.SetDeadline(time.Now().Add(closePatience))
	c.stream.Write(answer)
	c.ws.CloseNow()
}

// The sizes of the buffers of a connection. The HTTP server's have 4 KB each, and would stay as
// long as the connection. The messages of a page that come often have some 40 bytes; longer ones
// take another read. The library writes control frames, which have 127 bytes at most.
const (
	readBuffer  = 64
	writeBuffer = 128
)

// hijacker gives the library a stream of ours with small buffers, and keeps the answer to the
// handshake back, so that it goes out in one write with the first messages.
type hijacker struct {
	http.ResponseWriter
	stream *stream // set by Hijack
	answer []byte  // set by Hijack
}

func (h *hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// WriteHeader keeps the answer back that Hijack makes. Others are refusals.
func (h *hijacker) WriteHeader(status int) {
	if status != http.StatusSwitchingProtocols {
		h.ResponseWriter.WriteHeader(status)
	}
}

// Hijack implements [http.Hijacker]. What the page has sent without waiting for the answer is kept.
func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, buffers, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	r, err := h.take(raw, buffers.Reader)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	// The library keeps the name: it is ours, and none that lies in the request.
	h.Header().Set("Sec-WebSocket-Protocol", wire.Subprotocol)
	h.answer = answer(h.Header())
	return h.stream, bufio.NewReadWriter(r, bufio.NewWriterSize(h.stream, writeBuffer)), nil
}

// answer is the answer to the handshake (RFC 6455 §4.2.2), with room for first messages behind it.
func answer(header http.Header) []byte {
	b := bytes.NewBuffer(make([]byte, 0, 2048))
	b.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(b) // a bytes.Buffer accepts everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// take takes over the connection from the HTTP server.
func (h *hijacker) take(raw net.Conn, buffer *bufio.Reader) (r *bufio.Reader, err error) {
	raw.SetDeadline(time.Time{}) // those of the HTTP server reach into hijacked connections
	h.stream.Conn = raw
	if tcp, ok := raw.(*net.TCPConn); ok {
		if h.stream.raw, err = tcp.SyscallConn(); err != nil {
			return nil, err
		}
	}
	early := make([]byte, buffer.Buffered())
	if _, err := io.ReadFull(buffer, early); err != nil {
		return nil, err
	}
	if len(early) == 0 {
		return bufio.NewReaderSize(h.stream, readBuffer), nil
	}
	h.stream.received(early)
	r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), h.stream), max(readBuffer, len(early)))
	_, err = r.Peek(len(early)) // the library carries on with what is buffered
	return r, err
}
