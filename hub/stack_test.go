//go:build !race

package hub

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"curfew/hub/wire"
	"curfew/session"
)

// The stacks of the goroutines that read tabs. The race detector needs stacks of its own, so make
// test runs this file once without it.

// frames are what pages send.
var frames = []struct {
	name   string
	opcode byte
	body   string
}{
	{name: "opening"},
	{"a ping", wire.OpPing, "body"},
	{"a pong", opPong, ""},
	{"a pong with a body", opPong, "body"},
	{"an activity heartbeat", wire.OpText, `{"type":"activity","idle_ms":0}`},
	{"an activity heartbeat of another client", wire.OpText, `{"idle_ms": 0, "type": "activity"}`},
	{"an ack", wire.OpText, `{"type":"ack","seq":1}`},
	{"an ack of what was acknowledged", wire.OpText, `{"type":"ack","seq":1}`},
	{"a page that is hidden", wire.OpText, `{"type":"visibility","hidden":true}`},
	{"a page that is shown", wire.OpText, `{"type":"visibility","hidden":false}`},
	{"sync", wire.OpText, `{"type":"sync"}`},
	{"confirm", wire.OpText, `{"type":"confirm"}`},
	{"watch", wire.OpText, `{"type":"watch","users":["ada","grace"]}`},
	{"an activity heartbeat that somebody watches", wire.OpText, `{"type":"activity","idle_ms":0}`},
	{"a long message", wire.OpText, fmt.Sprintf(`{"type":"sync","padding":"%0500d"}`, 0)},
}

// TestAReadingGoroutineKeepsASmallStack has pages send every kind of message. It runs in a process
// of its own, where the collector leaves stacks as large as they have grown.
func TestAReadingGoroutineKeepsASmallStack(t *testing.T) {
	const inside = "CURFEW_TEST_STACKS"
	if os.Getenv(inside) == "" {
		test := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		test.Env = append(os.Environ(), inside+"=1", "GODEBUG=gcshrinkstackoff=1")
		if out, err := test.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("PASS")) {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	warned := standard
	warned.WarnAfter = time.Millisecond
	hubs := []*rig{startHub(t, standard), startHub(t, warned)} // acts do more while a warning is shown
	var addresses []string
	for _, hub := range hubs {
		addresses = append(addresses, serveTCP(t, hub))
	}
	const tabs = 200
	var users []*user
	for i := range tabs {
		users = append(users, hubs[i%len(hubs)].signIn(fmt.Sprint("user-", i), "admins"))
	}
	for i, address := range addresses { // what the first one costs once
		openPlainTab(users[i], address).conn.Close()
	}
	// Half of the tabs with 8 KB would be 2048 more. The runtime keeps some of what others left.
	const slack = 1536
	before := stackBytes()
	var pages []*plainTab
	for i, u := range users {
		pages = append(pages, openPlainTab(u, addresses[i%len(addresses)]))
	}
	for _, step := range frames {
		for _, page := range pages {
			if step.opcode != 0 {
				page.send(step.opcode, step.body)
				page.send(wire.OpPing, step.name)
			}
		}
		for _, page := range pages {
			if step.opcode != 0 {
				page.wantsPong(step.name)
			}
		}
		// A stack that has grown stays so. Those of goroutines that are about to end do not.
		for limit := time.Now().Add(5 * time.Second); ; {
			each := (stackBytes() - before) / tabs
			if each <= 4096+slack {
				break
			}
			if time.Now().After(limit) {
				t.Fatalf("after %s the stack of a tab has %d bytes, want 4096", step.name, each)
			}
		}
	}
}

// stackBytes is the memory of all stacks. Those of goroutines that have ended do not count.
func stackBytes() int64 {
	runtime.GC()
	runtime.GC() // the stacks that the first one has found free go back
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return int64(sample[0].Value.Uint64())
}

// serveTCP has tabs opened over real TCP, and returns the address.
func serveTCP(t *testing.T, hub *rig) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := session.ParseToken(r.Header.Get("X-Session"))
		if err == nil {
			err = hub.Accept(w, r, token.ID(), Endpoint{Origin: origin})
		}
		if err != nil {
			t.Error(err)
		}
	})}
	go server.Serve(l)
	t.Cleanup(func() { server.Close() })
	return l.Addr().String()
}

const opPong = 10

// plainTab is the other end of a tab without a goroutine, whose stack would count.
type plainTab struct {
	t    testing.TB
	conn net.Conn
	r    *bufio.Reader
}

func openPlainTab(u *user, address string) *plainTab {
	t := u.t
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(time.Minute))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Protocol: %s\r\nOrigin: %s\r\nX-Session: %s\r\n\r\n", wire.Subprotocol, origin, u.token.Text())
	tab := &plainTab{t, conn, bufio.NewReader(conn)}
	response, err := http.ReadResponse(tab.r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("handshake: %+v, %v", response, err)
	}
	return tab
}

// send sends a frame, masked with zeros.
func (tab *plainTab) send(opcode byte, body string) {
	frame := []byte{0x80 | opcode, 0x80 | byte(len(body)), 0, 0, 0, 0}
	if len(body) > 125 {
		frame = []byte{0x80 | opcode, 0x80 | 126, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 0}
	}
	if _, err := tab.conn.Write(append(frame, body...)); err != nil {
		tab.t.Fatal(err)
	}
}

// wantsPong reads until the answer to a ping with that body, which comes once everything is handled
// that was sent before.
func (tab *plainTab) wantsPong(body string) {
	for {
		var head [2]byte
		io.ReadFull(tab.r, head[:])
		length := uint16(head[1])
		if length == 126 {
			binary.Read(tab.r, binary.BigEndian, &length)
		}
		got := make([]byte, length)
		if _, err := io.ReadFull(tab.r, got); err != nil {
			tab.t.Fatal(err)
		}
		if head[0]&0x0f == opPong && string(got) == body {
			return
		}
	}
}
