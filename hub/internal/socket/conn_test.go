package socket

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// patience is how long a test waits for what should come at once.
const patience = 10 * time.Second

// site accepts connections over real TCP and writes to them.
type site struct {
	t        *testing.T
	writers  Writers
	stalled  atomic.Bool
	tracked  sync.WaitGroup
	address  string
	accepted chan *Conn
}

func start(t *testing.T) *site {
	s := &site{t: t, accepted: make(chan *Conn, 1)}
	s.writers.Cores = 2
	s.writers.Go, s.writers.Stalled, s.writers.Counted = s.tracked.Go, s.stalled.Load, true
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := new(Conn)
		answer, err := Accept(w, r, c)
		if err != nil {
			t.Errorf("Accept = %v", err)
			return
		}
		s.writers.Open(c, answer)
		s.accepted <- c
	})}
	go server.Serve(l)
	t.Cleanup(func() {
		server.Close()
		s.tracked.Wait()
	})
	return s
}

// open opens a connection and returns both of its ends.
func (s *site) open() (*Conn, *websocket.Conn) {
	s.t.Helper()
	page, _, err := websocket.Dial(s.t.Context(), "ws://"+s.address,
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		s.t.Fatal(err)
	}
	page.SetReadLimit(-1)
	s.t.Cleanup(func() { page.CloseNow() })
	return s.take(), page
}

func (s *site) take() *Conn {
	s.t.Helper()
	select {
	case c := <-s.accepted:
		s.t.Cleanup(c.CloseNow)
		return c
	case <-time.After(patience):
		s.t.Fatal("no connection was accepted")
		return nil
	}
}

// dial opens a connection whose bytes the test reads and writes itself. extra is sent in one write
// with the request.
func (s *site) dial(extra []byte) (*Conn, net.Conn) {
	s.t.Helper()
	raw, err := net.Dial("tcp", s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { raw.Close() })
	raw.SetDeadline(time.Now().Add(patience))
	raw.Write(append([]byte("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"+
		"Sec-WebSocket-Protocol: "+wire.Subprotocol+"\r\n\r\n"), extra...))
	c := s.take()
	var head []byte
	for b := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, b[0]) {
		if _, err := io.ReadFull(raw, b); err != nil {
			s.t.Fatal(err)
		}
	}
	return c, raw
}

// send queues a text frame and writes it.
func (s *site) send(c *Conn, text string) {
	if c.Queue(wire.Frame(text), false) {
		s.writers.Start([]*Conn{c})
	}
}

// masked is a frame as a browser sends it, with a masking key of zeros.
func masked(opcode byte, payload string) []byte {
	b := []byte{0x80 | opcode}
	if len(payload) < 126 {
		b = append(b, 0x80|byte(len(payload)))
	} else {
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(len(payload)))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

// frame reads a frame that the server has sent.
func frame(t *testing.T, r io.Reader) (opcode byte, payload []byte) {
	t.Helper()
	head := make([]byte, 2)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatalf("want a frame: %v", err)
	}
	n := int(head[1])
	if n == 126 {
		long := make([]byte, 2)
		io.ReadFull(r, long)
		n = int(binary.BigEndian.Uint16(long))
	}
	payload = make([]byte, n)
	if _, err := io.ReadFull(r, payload); err != nil {
		t.Fatalf("want %d bytes of a frame: %v", n, err)
	}
	return head[0] & 0x0f, payload
}

func TestFramesArriveInTheirOrder(t *testing.T) {
	s := start(t)
	c, page := s.open()
	for i := range 40 {
		s.send(c, fmt.Sprint(i))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 40 {
		if _, got, err := page.Read(ctx); err != nil || string(got) != fmt.Sprintf("%q", fmt.Sprint(i)) {
			t.Fatalf("frame %d is %s, %v", i, got, err)
		}
	}
}

// TestPeerThatDoesNotReadHoldsUpNobody fills the socket, so that a frame is written in part.
func TestPeerThatDoesNotReadHoldsUpNobody(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	text := strings.Repeat("x", 60_000)
	sent := 0
	for ; s.writers.Busy() == 0; sent++ { // a writer that waits stays busy
		s.send(c, text)
		if sent > 1000 {
			t.Fatal("the socket takes everything")
		}
	}
	raw.Write(masked(wire.OpPing, "are you there")) // answered by the library, between two frames
	go c.Read()                                     // sees the ping, and answers
	pongs := 0
	for texts := 0; texts < sent || pongs == 0; {
		switch opcode, payload := frame(t, raw); {
		case opcode == wire.OpText && string(payload) == `"`+text+`"`:
			texts++
		case opcode == 10 && string(payload) == "are you there":
			pongs++
		default:
			t.Fatalf("got a frame %d of %d bytes: frames are mixed", opcode, len(payload))
		}
	}
}

func TestTabThatDoesNotReadIsClosedAsSlow(t *testing.T) {
	s := start(t)
	c, _ := s.dial(nil)
	text := strings.Repeat("x", 60_000)
	for range 1000 {
		s.send(c, text)
	}
	c.mu.Lock()
	closing, waiting := c.closing, len(c.outbox)
	c.mu.Unlock()
	if !closing || waiting > 1 {
		t.Errorf("closing %v with %d frames waiting, want it closed and nothing kept", closing, waiting)
	}
	if _, err := c.Read(); err == nil {
		t.Error("a slow tab can still be read")
	}
	done := make(chan struct{})
	go func() { s.tracked.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience / 2): // less than WriteLimit
		t.Error("a writer still waits for a tab that was closed as slow")
	}
}

func TestNothingFollowsACloseFrame(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	s.send(c, "last words")
	if !c.Close(wire.StatusExpired, "idle") {
		t.Fatal("closing needs no writer")
	}
	if c.Close(wire.StatusRestart, "again") || c.Queue(wire.Frame("late"), false) || c.Ping() {
		t.Error("something is queued behind a close frame")
	}
	s.writers.Start([]*Conn{c})
	raw.Write(masked(wire.OpPing, "late"))
	go func() {
		c.Read() // until the second is over that the peer has to answer
		c.CloseNow()
	}()
	if opcode, payload := frame(t, raw); opcode != wire.OpText || string(payload) != `"last words"` {
		t.Errorf("got %d %q first", opcode, payload)
	}
	if opcode, payload := frame(t, raw); opcode != wire.OpClose ||
		binary.BigEndian.Uint16(payload) != wire.StatusExpired || string(payload[2:]) != "idle" {
		t.Errorf("got %d %q, want the close frame", opcode, payload)
	}
	if rest, err := io.ReadAll(raw); len(rest) > 0 || err != nil {
		t.Errorf("%d bytes follow the close frame, %v", len(rest), err)
	}
}

func TestReadJudgesMessages(t *testing.T) {
	for _, tt := range []struct {
		name string
		send []byte
		want error // nil: a message
	}{
		{"a message", masked(wire.OpText, `{"type":"sync"}`), nil},
		{"one of the largest size", masked(wire.OpText, `{"type":"sync"}`+strings.Repeat(" ", wire.MaxMessage-15)),
			nil},
		{"a byte more", masked(wire.OpText, `{"type":"sync"}`+strings.Repeat(" ", wire.MaxMessage-14)), ErrTooBig},
		{"what is no message", masked(wire.OpText, `{"type":"nonsense"}`), ErrBreach},
		{"bytes instead of text", masked(2, `{"type":"sync"}`), ErrBreach},
		{"too many frames", bytes.Repeat(masked(wire.OpPing, ""), MaxFrames+1), ErrFlood},
	} {
		for _, early := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, early: %v", tt.name, early), func(t *testing.T) {
				s := start(t)
				var c *Conn
				if early { // in one write with the handshake
					c, _ = s.dial(tt.send)
				} else {
					var raw net.Conn
					c, raw = s.dial(nil)
					raw.Write(tt.send)
				}
				in, err := c.Read()
				if errors.Is(err, ErrFlood) != errors.Is(tt.want, ErrFlood) || !errors.Is(err, tt.want) ||
					err == nil && in.Kind != wire.KindSync {
					t.Errorf("Read = %+v, %v, want %v", in, err, tt.want)
				}
				if c.ReadAt().IsZero() {
					t.Error("nothing was heard")
				}
			})
		}
	}
}

func TestCloseOfTellsHowAPageWent(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	raw.Write(masked(wire.OpClose, "\x0f\xa0navigate"))
	_, err := c.Read()
	if code, reason, ok := CloseOf(err); !ok || code != wire.StatusLeft || reason != wire.LeftNavigate {
		t.Errorf("CloseOf(%v) = %d %q %v", err, code, reason, ok)
	}
	c, raw = s.dial(nil)
	raw.Close()
	_, err = c.Read()
	if code, reason, ok := CloseOf(err); ok {
		t.Errorf("CloseOf(%v) = %d %q, want a lost connection", err, code, reason)
	}
}

func TestStalledFramesGoOutLater(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	s.stalled.Store(true)
	s.send(c, "one")
	s.send(c, "two")
	if c.mu.Lock(); len(c.outbox) != 2 {
		t.Errorf("%d frames wait, want 2", len(c.outbox))
	}
	c.mu.Unlock()
	s.stalled.Store(false)
	if !c.Resume() {
		t.Fatal("nothing waits for a writer")
	}
	s.writers.Start([]*Conn{c})
	for _, want := range []string{`"one"`, `"two"`} {
		if _, got := frame(t, raw); string(got) != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if c.Resume() {
		t.Error("a connection with nothing queued wants a writer")
	}
}

// TestAStallThatEndsAsAWriterPausesHoldsNothingBack has a stall end while a writer has seen it and
// has not paused yet.
func TestAStallThatEndsAsAWriterPausesHoldsNothingBack(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	asked := 0
	s.writers.Stalled = func() bool {
		asked++
		if asked == 1 && c.Resume() {
			t.Error("a connection that has a writer wants one")
		}
		return asked == 1
	}
	s.send(c, "late")
	raw.SetReadDeadline(time.Now().Add(time.Second))
	if _, got := frame(t, raw); string(got) != `"late"` {
		t.Errorf("got %s", got)
	}
}

func TestProbedUntilSomethingIsRead(t *testing.T) {
	s := start(t)
	c, raw := s.dial(nil)
	if c.Probed() {
		t.Error("probed before it was")
	}
	if c.Probe() {
		s.writers.Start([]*Conn{c})
	}
	if !c.Probed() {
		t.Error("not probed")
	}
	if opcode, _ := frame(t, raw); opcode != wire.OpPing {
		t.Errorf("got %d, want a ping", opcode)
	}
	raw.Write(masked(10, ""))
	raw.Write(masked(wire.OpText, `{"type":"sync"}`))
	if _, err := c.Read(); err != nil || c.Probed() {
		t.Errorf("probed %v, %v, though the browser has answered", c.Probed(), err)
	}
}

// writeCounter is a listener whose connections count their writes.
type writeCounter struct {
	net.Listener
	writes atomic.Int32
}

func (l *writeCounter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	return &countedConn{c, l}, err
}

type countedConn struct {
	net.Conn
	listener *writeCounter
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.listener.writes.Add(1)
	return c.Conn.Write(p)
}

func TestTheAnswerToTheHandshakeAndTheFirstMessagesAreOneWrite(t *testing.T) {
	s := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	counter := &writeCounter{Listener: l}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := new(Conn)
		w.Header().Set("X-Of-Ours", "kept")
		answer, err := Accept(w, r, c)
		if err != nil {
			t.Error(err)
			return
		}
		c.Queue(wire.Frame("one"), false)
		c.Queue(wire.Frame("two"), false)
		s.writers.Open(c, answer)
		c.CloseNow()
	})}
	go server.Serve(counter)
	defer server.Close()
	page, response, err := websocket.Dial(t.Context(), "ws://"+l.Addr().String(),
		&websocket.DialOptions{Subprotocols: []string{wire.Subprotocol}})
	if err != nil {
		t.Fatal(err)
	}
	defer page.CloseNow()
	if response.Header.Get("X-Of-Ours") != "kept" || page.Subprotocol() != wire.Subprotocol {
		t.Errorf("the answer is %v", response.Header)
	}
	for _, want := range []string{`"one"`, `"two"`} {
		if _, got, err := page.Read(t.Context()); err != nil || string(got) != want {
			t.Errorf("read %q, %v, want %q", got, err, want)
		}
	}
	if n := counter.writes.Load(); n != 1 {
		t.Errorf("%d writes, want one", n)
	}
}
