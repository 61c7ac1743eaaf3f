package front

import (
	"bufio"
	"net"
	"net/http"
)

// reply is an application's answer as the reverse proxy passes it on: net/http neither adds a type
// to it, nor takes it for one of a handler that has read its request.
type reply struct {
	http.ResponseWriter
	request *http.Request
	upload  *upload
	isBegun bool // nothing else can be answered any more
}

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
	a.ResponseWriter.WriteHeader(status)
}

// Unwrap leads [http.ResponseController] to the connection.
func (a *reply) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// Hijack takes the connection over for a WebSocket. What the browser has sent right behind its
// handshake is read from the connection first.
func (a *reply) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, ahead, err := http.NewResponseController(a.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	a.isBegun = true
	if ahead.Reader.Buffered() > 0 {
		conn = &aheadConn{conn, ahead.Reader}
	}
	return conn, ahead, nil
}
