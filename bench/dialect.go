package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"

	"curfew/hub/wire"
)

// dialect is how the tabs of a server speak with it.
type dialect struct {
	handshake func(cookie string) []byte
	first     func(cookie string) []byte // the frame after the handshake; nil: none
	heartbeat []byte                     // the frame that says that the person acted
	hear      func(t *tab, body []byte, at time.Time)
}

// ours is what Curfew and the bare servers speak.
var ours = &dialect{
	handshake: func(cookie string) []byte {
		return upgrade("/session/ws", "Cookie: "+cookie+"\r\nSec-WebSocket-Protocol: "+wire.Subprotocol+"\r\n")
	},
	heartbeat: frame([]byte(`{"type":"activity","idle_ms":0}`)),
	hear:      (*tab).hear,
}

// upgrade is the request of a handshake (RFC 6455 §4.1).
func upgrade(path, headers string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Origin: %s\r\n%s"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, origin, headers)
}

// hear takes in a message, and acknowledges all but a hello.
func (t *tab) hear(body []byte, at time.Time) {
	kind, seq, ok := opening(body)
	if !ok {
		check(fmt.Errorf("not a message: %s", body))
	}
	switch kind {
	case wire.KindHello:
		_, rest, _ := bytes.Cut(body, []byte(`"expire_in_ms":`))
		ms, err := strconv.Atoi(string(digits(rest)))
		check(err)
		t.hello, t.helloSize = at, len(body)
		t.due = at.Add(time.Duration(ms) * time.Millisecond)
		close(t.greeted)
		return
	case wire.KindExpire:
		t.late = at.Sub(t.due)
		t.told.Store(at.UnixNano())
		close(t.expired)
	case wire.KindNotice:
		t.told.Store(at.UnixNano())
	}
	acks <- ack{t, frame(append(append([]byte(`{"type":"ack","seq":`), seq...), '}')), at}
}

// opening reads how every message of the server begins, without decoding it: the load must not cost
// more than the server.
func opening(body []byte) (kind wire.Kind, seq []byte, ok bool) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"type":"`))
	if !ok {
		return "", nil, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","seq":`))
	if !ok {
		return "", nil, false
	}
	seq = digits(rest)
	return wire.Kind(name), seq, len(seq) > 0
}

// digits are those that data begins with.
func digits(data []byte) []byte {
	n := 0
	for n < len(data) && data[n] >= '0' && data[n] <= '9' {
		n++
	}
	return data[:n]
}
