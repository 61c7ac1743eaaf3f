package socket

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// Accept upgrades the connection of a request, and c becomes that connection. c is zero before. The
// caller has checked the origin, the subprotocol and the session. The answer is not written yet:
// the caller hands it to [Writers.Open] or [Conn.TurnAway] before anything else is done with c.
// After an error the answer is written and the connection is closed.
func Accept(w http.ResponseWriter, r *http.Request, c *Conn) (*Answer, error) {
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
	if !hijack.early {
		hijack.reader.Reset(&c.stream) // the library reads by a detour, for what came early
	}
	return hijack.answer, nil
}

// Answer is an answer to a handshake that is not written yet.
type Answer struct{ bytes.Buffer }

var answers = sync.Pool{New: func() any {
	a := new(Answer)
	a.Grow(2048) // with room for first messages
	return a
}}

// drop gives the memory of an answer back.
func (a *Answer) drop() {
	a.Reset()
	answers.Put(a)
}

// TurnAway answers the handshake of a connection that was accepted and is not served, and closes
// it. It waits for the peer's answer, a second at most.
func (c *Conn) TurnAway(answer *Answer, code int, reason string) {
	c.stream.SetDeadline(time.Now().Add(closePatience))
	c.stream.Write(answer.Bytes()) // after an error the closing fails as well
	c.ws.Close(websocket.StatusCode(code), reason)
	c.ws.CloseNow()
}

// Drop answers the handshake of a connection that was accepted, and breaks it.
func (c *Conn) Drop(answer *Answer) {
	c.stream.SetDeadline(time.Now().Add(closePatience))
	c.stream.Write(answer.Bytes())
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
	stream *stream

	// set by Hijack
	reader *bufio.Reader // the library's
	early  bool          // the page has sent something without waiting for the answer
	answer *Answer
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
	h.reader, err = h.take(raw, buffers.Reader)
	if err != nil {
		raw.Close()
		return nil, nil, err
	}
	// The library keeps the name: it is ours, and none that lies in the request.
	h.Header().Set("Sec-WebSocket-Protocol", wire.Subprotocol)
	h.answer = newAnswer(h.Header())
	return h.stream, bufio.NewReadWriter(h.reader, bufio.NewWriterSize(h.stream, writeBuffer)), nil
}

// newAnswer is the answer to the handshake (RFC 6455 §4.2.2).
func newAnswer(header http.Header) *Answer {
	a := answers.Get().(*Answer)
	a.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	header.Write(a) // a bytes.Buffer accepts everything
	a.WriteString("\r\n")
	return a
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
	h.early = true
	h.stream.received(early)
	r = bufio.NewReaderSize(io.MultiReader(bytes.NewReader(early), h.stream), max(readBuffer, len(early)))
	_, err = r.Peek(len(early)) // the library carries on with what is buffered
	return r, err
}
