package delivery_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"curfew/delivery"
	"curfew/session"
)

// logServer is a syslog server. It takes what is of RFC 5424 in the frames of RFC 6587.
type logServer struct {
	t        *testing.T
	listener net.Listener
	pool     *x509.CertPool // has its certificate
	running  sync.WaitGroup

	mu       sync.Mutex
	messages []message
	conns    map[net.Conn]bool
	deaf     bool          // it takes connections and reads nothing
	stalled  chan struct{} // not nil: it reads once this is closed
}

// message is a message of RFC 5424.
type message struct {
	priority, host, app, process, kind string
	event                              session.Event
}

func startLogServer(t *testing.T, address string, secure bool) *logServer {
	t.Helper()
	s := &logServer{t: t, conns: make(map[net.Conn]bool)}
	var err error
	if s.listener, err = net.Listen("tcp", address); err != nil {
		t.Fatal(err)
	}
	if secure {
		lender := httptest.NewTLSServer(nil) // its certificate is for 127.0.0.1
		certificate := lender.TLS.Certificates[0]
		s.pool = x509.NewCertPool()
		s.pool.AddCert(lender.Certificate())
		lender.Close()
		s.listener = tls.NewListener(s.listener, &tls.Config{Certificates: []tls.Certificate{certificate}})
	}
	s.running.Go(func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			s.running.Go(func() { s.serve(conn) })
		}
	})
	t.Cleanup(s.stop)
	return s
}

func (s *logServer) stop() {
	s.listener.Close()
	s.cut()
	s.running.Wait()
}

// cut ends all connections.
func (s *logServer) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

func (s *logServer) turnDeaf(deaf bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deaf = deaf
}

// stall has it read nothing of new connections until resume.
func (s *logServer) stall() (resume func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stalled := make(chan struct{})
	s.stalled = stalled
	return sync.OnceFunc(func() { close(stalled) })
}

func (s *logServer) connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// received is all that has arrived.
func (s *logServer) received() []message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.messages)
}

func (s *logServer) serve(conn net.Conn) {
	s.mu.Lock()
	s.conns[conn] = true
	deaf, stalled := s.deaf, s.stalled
	s.mu.Unlock()
	defer func() {
		conn.Close()
		s.mu.Lock()
		delete(s.conns, conn)
		s.mu.Unlock()
	}()
	if secure, ok := conn.(*tls.Conn); ok && secure.Handshake() != nil {
		return
	}
	if stalled != nil {
		<-stalled
	}
	if deaf {
		return // closed with what was written unread
	}
	reader := bufio.NewReader(conn)
	for {
		m, err := readMessage(reader)
		if err != nil {
			if err != io.EOF && !errors.Is(err, net.ErrClosed) {
				s.t.Errorf("connection ends: %v", err)
			}
			return
		}
		s.mu.Lock()
		s.messages = append(s.messages, m)
		s.mu.Unlock()
	}
}

// header is that of RFC 5424, section 6, without structured data.
var header = regexp.MustCompile(`^<([0-9]{1,3})>1 (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z) ([!-~]{1,255}) ` +
	`([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) - `)

func readMessage(r *bufio.Reader) (m message, err error) {
	size, err := r.ReadString(' ')
	if err != nil {
		return m, err
	}
	n, err := strconv.Atoi(size[:len(size)-1])
	if err != nil || n < 1 || n > 1<<20 || size[0] == '0' {
		return m, fmt.Errorf("length %q", size)
	}
	text := make([]byte, n)
	if _, err := io.ReadFull(r, text); err != nil {
		return m, err
	}
	parts := header.FindSubmatch(text)
	if parts == nil {
		return m, fmt.Errorf("no message of RFC 5424: %q", text)
	}
	m = message{
		priority: string(parts[1]),
		host:     string(parts[3]),
		app:      string(parts[4]),
		process:  string(parts[5]),
		kind:     string(parts[6]),
	}
	if slices.ContainsFunc(text, func(b byte) bool { return b >= utf8.RuneSelf || b < ' ' }) {
		return m, fmt.Errorf("not plain ASCII: %q", text)
	}
	return m, json.Unmarshal(text[len(parts[0]):], &m.event)
}

// texts are the details that have arrived, each once.
func (s *logServer) texts() (texts []string) {
	for _, m := range s.received() {
		if !slices.Contains(texts, m.event.Detail) {
			texts = append(texts, m.event.Detail)
		}
	}
	return texts
}

func (r *rig) syslog(s *logServer) *delivery.Syslog {
	o := delivery.SyslogOptions{Address: s.listener.Addr().String()}
	if s.pool != nil {
		o.TLS = &tls.Config{RootCAs: s.pool, ServerName: "127.0.0.1"}
	}
	return delivery.NewSyslog(r.options(), o)
}

func TestSyslogOverTLSIsOfRFC5424(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", true)
	s := r.syslog(server)
	r.run(s)
	const text = "grüße, 日本 🦉\r\nnew \"line\" \u2028 \x1b"
	r.write("ada " + text)
	for kind, e := range map[session.EventKind]session.Event{
		session.EventSignInFailed: {User: "x"},
		session.EventSessionEnd:   {Reason: session.ReasonAdmin},
		session.EventSignIn:       {User: "ada"},
	} {
		e.Kind, e.At = kind, time.Date(2026, 7, 1, 12, 0, 0, 250e6, time.FixedZone("", 7200))
		if err := r.store.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	s.Wake()
	r.eventually("all is accepted", func() bool { return r.waiting("syslog") == 0 })
	events, err := r.store.Events(t.Context(), session.EventQuery{Limit: 10})
	messages := server.received()
	if err != nil || len(messages) != len(events) {
		t.Fatalf("%d messages, want %d, %v", len(messages), len(events), err)
	}
	slices.Reverse(events)
	priorities := map[session.EventKind]string{
		session.EventNotice:       "85",
		session.EventSignInFailed: "84",
		session.EventSessionEnd:   "85",
		session.EventSignIn:       "86",
	}
	for i, m := range messages {
		want := events[i]
		if m.event.ID != want.ID || m.event.Detail != want.Detail || m.kind != string(want.Kind) ||
			m.app != "curfew" || m.process != strconv.Itoa(os.Getpid()) || m.priority != priorities[want.Kind] {
			t.Errorf("message %d: %+v, want %+v", i, m, want)
		}
	}
	if st := s.Stats(); st.Sent != 4 || st.Failed != 0 {
		t.Errorf("stats %+v, want 4 sent", st)
	}
}

func TestLinesThatABrokenConnectionMayHaveLostAreSentAgain(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", true)
	server.turnDeaf(true)
	s := r.syslog(server)
	r.run(s)
	r.write(numbered("-", 5)...)
	r.eventually("connections break", func() bool { return s.Stats().Failed > 1 })
	if n := r.waiting("syslog"); n != 5 {
		t.Errorf("%d lines wait, want all five: nobody has read one", n)
	}
	server.turnDeaf(false)
	r.eventually("all has arrived", func() bool { return len(server.texts()) == 5 })
	server.cut() // before these lines count as accepted, or after
	r.write("- 5", "- 6")
	r.eventually("all is accepted", func() bool { return r.waiting("syslog") == 0 })
	if got := server.texts(); !slices.Equal(got, []string{"0", "1", "2", "3", "4", "5", "6"}) {
		t.Errorf("arrived: %q", got)
	}
}

func TestALineCountsAsAcceptedOnlyWhenItsConnectionHasLivedOn(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", false)
	s := r.syslog(server)
	s.Settle(time.Hour)
	r.run(s)
	r.write(numbered("-", 5)...)
	r.eventually("all has arrived", func() bool { return len(server.received()) == 5 })
	before := r.claims.Load()
	r.eventually("the sender has looked again", func() bool { return r.claims.Load() > before+3 })
	if n := r.waiting("syslog"); n != 5 {
		t.Errorf("%d lines wait, want all five", n)
	}
	server.cut()
	r.eventually("all has arrived again", func() bool { return len(server.received()) == 10 })
}

func TestASyslogServerThatNobodyHasVouchedForGetsNothing(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", true)
	server.pool = x509.NewCertPool()
	s := r.syslog(server)
	r.run(s)
	r.write("ada 0")
	r.eventually("it is not believed", func() bool { return s.Stats().Failed > 0 })
	if got := server.texts(); len(got) != 0 || r.waiting("syslog") != 1 {
		t.Errorf("arrived: %q, want nothing", got)
	}
}

// What a server does not read waits in the buffers of two kernels, and counts as accepted later.
func TestASyslogServerThatReadsSlowlyLosesNothing(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", false)
	resume := server.stall()
	t.Cleanup(resume)
	s := r.syslog(server)
	if err := s.Follow(t.Context()); err != nil {
		t.Fatal(err)
	}
	filler, want := strings.Repeat("x", 16<<10), []string(nil)
	for i := range 100 {
		want = append(want, fmt.Sprint(i, filler))
		r.write("- " + want[i])
	}
	r.run(s) // now, so that it finds more than the first buffer takes, however slow the disk is
	r.eventually("it has been connected to", func() bool { return server.connections() > 0 })
	before := r.claims.Load()
	r.eventually("the sender has looked again", func() bool { return r.claims.Load() > before+8 })
	if n := r.waiting("syslog"); n != 100 {
		t.Errorf("%d lines wait, want all: nobody has read one", n)
	}
	resume()
	r.eventually("all is accepted", func() bool { return r.waiting("syslog") == 0 })
	if got := server.texts(); !slices.Equal(got, want) {
		t.Errorf("%d lines arrived, in another order or incomplete, want 100", len(got))
	}
}

func TestSyslogOverTCPKeepsTheOrderOfTheTrail(t *testing.T) {
	t.Parallel()
	r, server := newRig(t), startLogServer(t, "127.0.0.1:0", false)
	s := r.syslog(server)
	stop := r.run(s)
	var want []string
	for i := range 300 {
		r.write(fmt.Sprintf("%d %d", i%7, i))
		want = append(want, strconv.Itoa(i))
	}
	r.eventually("all is accepted", func() bool { return r.waiting("syslog") == 0 })
	stop()
	if got := server.texts(); !slices.Equal(got, want) || len(server.received()) != 300 {
		t.Errorf("%d messages, %q", len(server.received()), got)
	}
}
