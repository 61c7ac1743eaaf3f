package front

import (
	"bufio"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// reply is an application's answer as the reverse proxy passes it on: net/http neither adds a type
// to it, nor takes it for one of a handler that has read its request.
//
// What the application sends is passed on at once, but for a header whose body follows it at once,
// and for the end of a body, which the server sends when the handler returns.
type reply struct {
	http.ResponseWriter
	control *http.ResponseController // of the ResponseWriter
	request *http.Request
	upload  *upload
	isBegun bool // nothing else can be answered any more

	mu     sync.Mutex // held while the browser is written to
	isDone bool
	left   int64       // of the body; negative: nobody knows
	header *time.Timer // sends the header that waits for its body; nil: none does
}

// headerWait is how long a header waits for its body.
const headerWait = 2 * time.Millisecond

// WriteHeader passes a status on.
func (a *reply) WriteHeader(status int) {
	if status < 200 && status != http.StatusSwitchingProtocols {
		if a.request.ProtoAtLeast(1, 1) { // RFC 9110 §15.2
			a.ResponseWriter.WriteHeader(status)
		}
		return
	}
	a.isBegun = true
	h := a.Header()
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // net/http would guess it
	}
	if !a.upload.arrived.Load() && a.request.ProtoMajor == 1 {
		h["Connection"] = []string{"close"} // the next request may stand behind what nobody reads
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left = -1
	if length, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64); err == nil {
		a.left = length
	}
	a.ResponseWriter.WriteHeader(status)
	a.header = time.AfterFunc(headerWait, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if !a.isDone {
			a.control.Flush()
		}
	})
}

// Write passes on a part of the body.
func (a *reply) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.header != nil {
		a.header.Stop()
		a.header = nil
	}
	n, err := a.ResponseWriter.Write(p)
	a.left -= int64(n)
	if err == nil && a.left != 0 {
		err = a.control.Flush()
	}
	return n, err
}

// FlushError sends what was written.
func (a *reply) FlushError() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.control.Flush()
}

// end is called before the handler returns. Of an answer that is not whole the browser gets what
// has come of it.
func (a *reply) end(isWhole bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.isDone = true
	if a.header != nil {
		a.header.Stop()
		if !isWhole {
			a.control.Flush()
		}
	}
}

// Unwrap leads [http.ResponseController] to the connection.
func (a *reply) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack takes the connection over for a WebSocket. What the browser has sent right behind its
// handshake is read from the connection first.
func (a *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, ahead, err := a.control.Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.isBegun = true
	if ahead.Reader.Buffered() > 0 {
		conn = &aheadConn{conn, ahead.Reader}
	}
	return conn, ahead, nil
}
