package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub"
)

// tab is a browser's end of a socket, as small as can be: it acknowledges what it is told.
type tab struct {
	cookie  string
	conn    net.Conn
	mu      sync.Mutex // guards writes
	due     time.Time  // the end, by the server's hello
	late    time.Duration
	greeted chan struct{} // closed when due is known
	expired chan struct{} // closed when late is known

	told   atomic.Int64  // when a notice or the end arrived, Unix ns
	closed chan struct{} // closed with the connection
}

var heartbeat = frame([]byte(`{"type":"activity","idle_ms":0}`))

// frame is a masked text frame (RFC 6455 §5.2), under the mask of zeros.
func frame(body []byte) []byte {
	return append([]byte{0x81, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
}

func dial(address, cookie string) *tab {
	t, status := tryDial(address, cookie)
	if t == nil {
		check(fmt.Errorf("handshake: %d", status))
	}
	return t
}

// tryDial opens a tab; nil where the server refuses it.
func tryDial(address, cookie string) (t *tab, status int) {
	c, err := net.Dial("tcp", address)
	check(err)
	fmt.Fprintf(c, "GET /session/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nOrigin: %s\r\nCookie: %s\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\n\r\n", origin, cookie, hub.Subprotocol)
	r := bufio.NewReaderSize(c, 512)
	response, err := http.ReadResponse(r, nil)
	check(err)
	if response.StatusCode != http.StatusSwitchingProtocols {
		c.Close()
		return nil, response.StatusCode
	}
	t = &tab{cookie: cookie, conn: c, greeted: make(chan struct{}), expired: make(chan struct{}), closed: make(chan struct{})}
	go t.read(r)
	return t, response.StatusCode
}

func (t *tab) send(frame []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, err := t.conn.Write(frame)
	check(err)
}

func (t *tab) read(r *bufio.Reader) {
	defer close(t.closed)
	defer t.conn.Close()
	var head [4]byte
	for {
		if _, err := io.ReadFull(r, head[:2]); err != nil {
			return
		}
		n := int(head[1])
		if n == 126 {
			if _, err := io.ReadFull(r, head[2:4]); err != nil {
				return
			}
			n = int(binary.BigEndian.Uint16(head[2:4]))
		}
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil || head[0] != 0x81 {
			return
		}
		now := time.Now()
		kind, seq, ok := opening(body)
		if !ok {
			check(fmt.Errorf("not a message: %s", body))
		}
		switch kind {
		case hub.KindHello:
			var m struct {
				ExpireInMS int64 `json:"expire_in_ms"`
			}
			check(json.Unmarshal(body, &m))
			t.due = now.Add(time.Duration(m.ExpireInMS) * time.Millisecond)
			close(t.greeted)
			continue
		case hub.KindExpire:
			t.late = now.Sub(t.due)
			t.told.Store(now.UnixNano())
			close(t.expired)
		case hub.KindNotice:
			t.told.Store(now.UnixNano())
		}
		acks <- ack{t, frame(append(append([]byte(`{"type":"ack","seq":`), seq...), '}'))}
	}
}

// ack is an acknowledgement on its way. One goroutine writes those of all tabs: the load runs on the cores of the server, and
// ten thousand goroutines that write would keep others from noting when they were told.
type ack struct {
	tab   *tab
	frame []byte
}

var acks = make(chan ack, 1<<16)

func writeAcks() {
	for a := range acks {
		a.tab.mu.Lock()
		a.tab.conn.Write(a.frame) // the server may be gone
		a.tab.mu.Unlock()
	}
}

// opening reads how every message of the server begins, without decoding it: the load must not cost more than the server.
func opening(body []byte) (kind hub.Kind, seq []byte, ok bool) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"type":"`))
	if !ok {
		return "", nil, false
	}
	name, rest, ok := bytes.Cut(rest, []byte(`","seq":`))
	if !ok {
		return "", nil, false
	}
	n := 0
	for n < len(rest) && rest[n] >= '0' && rest[n] <= '9' {
		n++
	}
	return hub.Kind(name), rest[:n], n > 0
}
