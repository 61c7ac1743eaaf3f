package front_test

import (
	"bufio"
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"curfew/front"
)

// site is an application behind a front and a proxy. Its requests all belong to one session of ada,
// but for those of public paths and preflights.
type site struct {
	*httptest.Server
	t      *testing.T
	rules  *front.Front
	end    context.CancelFunc // of the session
	byTime atomic.Bool        // it ends by time
}

// setup says how a site differs from a plain one.
type setup struct {
	front.Options
	timeout time.Duration
	http2   bool
	ca      *x509.CertPool
	late    time.Duration // how long answers may go on after the end; 0: as in earnest
	limit   time.Duration // of the server, for reading a request of its own pages; 0: long
}

func newQuietLog() *log.Logger { return slog.NewLogLogger(slog.DiscardHandler, 0) }

// newSite starts a site in front of an application.
func newSite(t *testing.T, app http.HandlerFunc, setups ...func(*setup)) *site {
	t.Helper()
	upstream := httptest.NewUnstartedServer(app)
	upstream.Config.ErrorLog = newQuietLog()
	upstream.Start()
	t.Cleanup(func() {
		upstream.CloseClientConnections()
		upstream.Close()
	})
	return newSiteAt(t, upstream.URL, setups...)
}

// newRawSite starts a site in front of an application that speaks for itself on each connection.
// The connection is closed once it returns.
func newRawSite(t *testing.T, app func(conn net.Conn, r *bufio.Reader), setups ...func(*setup)) *site {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go func() {
				defer conn.Close()
				app(conn, bufio.NewReader(conn))
			}()
		}
	}()
	return newSiteAt(t, "http://"+listener.Addr().String(), setups...)
}

func newSiteAt(t *testing.T, upstream string, setups ...func(*setup)) *site {
	t.Helper()
	address, err := front.ParseUpstream(upstream)
	if err != nil {
		t.Fatal(err)
	}
	o := setup{Options: front.Options{
		Public: &url.URL{Scheme: "https", Host: "app.example"},
		Base:   "/.curfew",
		Fail:   fail,
	}}
	if inner := address.URL(); inner != nil {
		o.Inner = []*url.URL{inner}
	}
	for _, change := range setups {
		change(&o)
	}
	address.CA = o.ca
	s := &site{t: t, rules: front.New(o.Options)}
	if o.late > 0 {
		s.rules.SetLate(o.late)
	}
	proxy := front.NewProxy(front.ProxyOptions{
		Upstream: address,
		Timeout:  o.timeout,
		Log:      slog.New(slog.DiscardHandler),
		Fail:     fail,
	})
	t.Cleanup(proxy.Close)
	life, end := newLife(t)
	s.end = end
	session := &front.Session{
		Identity: front.Identity{User: "ada", Groups: []string{"staff", "admins"}, Session: "ref"},
		Life:     life,
		ByTime:   s.byTime.Load,
	}
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.rules.Refuse(r) != front.NotRefused:
			w.WriteHeader(http.StatusForbidden)
		case s.rules.NeedsNoSession(r):
			s.rules.Serve(w, r, nil, proxy)
		default:
			s.rules.Serve(w, r, session, proxy)
		}
	}))
	s.Config.ErrorLog, s.Config.DisableGeneralOptionsHandler = newQuietLog(), true
	s.Config.ReadTimeout, s.Config.WriteTimeout = cmp.Or(o.limit, 30*time.Second), time.Minute
	if o.http2 {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s
}

// fail answers as a page of Curfew's own would.
func fail(w http.ResponseWriter, _ *http.Request, err error) {
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, front.ErrUpstreamTimeout):
		status = http.StatusGatewayTimeout
	case errors.Is(err, front.ErrBrokenRequest):
		status = http.StatusBadRequest
	case errors.Is(err, front.ErrSessionEnded):
		status = http.StatusUnauthorized
	}
	http.Error(w, err.Error(), status)
}

// patience is how long a test waits for what must come, on a busy machine.
const patience = time.Minute

// browser is a connection to a site that sends bytes as they are.
type browser struct {
	net.Conn
	*bufio.Reader
	t *testing.T
}

// dial opens a connection to the site.
func (s *site) dial() *browser {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &browser{conn, bufio.NewReader(conn), s.t}
}

// Read reads what was not read ahead first.
func (b *browser) Read(p []byte) (int, error) { return b.Reader.Read(p) }

// send sends the lines of a request's head, and what follows it.
func (b *browser) send(body string, lines ...string) {
	b.t.Helper()
	if _, err := io.WriteString(b.Conn, strings.Join(lines, "\r\n")+"\r\n\r\n"+body); err != nil {
		b.t.Fatal(err)
	}
}

// answer reads an answer to a request of this method; its body is read by the caller.
func (b *browser) answer(method string) *http.Response {
	b.t.Helper()
	response, err := http.ReadResponse(b.Reader, &http.Request{Method: method})
	if err != nil {
		b.t.Fatal("no answer: ", err)
	}
	return response
}

// wants reads an answer and compares its status.
func (b *browser) wants(status int) *http.Response {
	b.t.Helper()
	response := b.answer("GET")
	if response.StatusCode != status {
		body, _ := io.ReadAll(response.Body)
		b.t.Fatalf("status %d, want %d: %s", response.StatusCode, status, body)
	}
	return response
}

// text reads the body of an answer.
func text(t *testing.T, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatalf("answer breaks off after %d bytes: %v", len(body), err)
	}
	return string(body)
}

// wantsEnd waits until the connection is closed.
func (b *browser) wantsEnd() {
	b.t.Helper()
	if _, err := io.Copy(io.Discard, b); errors.Is(err, context.DeadlineExceeded) || isTimeout(err) {
		b.t.Fatal("the connection stays open")
	}
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// within waits for what a channel brings.
func within[T any](t *testing.T, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s does not come", what)
		panic("unreachable")
	}
}

// head reads the head of a request, line by line as it came.
func head(r *bufio.Reader) (lines []string, err error) {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return lines, fmt.Errorf("read head: %w", err)
		}
		if line = strings.TrimRight(line, "\r\n"); line == "" {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

const emptyAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"

// lines makes the head of an answer of its lines.
func lines(all ...string) string { return strings.Join(all, "\r\n") + "\r\n\r\n" }

// fine is the first line of most answers.
const fine = "HTTP/1.1 200 OK"

// withBody is an answer.
func withBody(status, body string) string {
	return lines("HTTP/1.1 "+status, fmt.Sprintf("Content-Length: %d", len(body))) + body
}

// newLife is the life of a session.
func newLife(t *testing.T) (context.Context, context.CancelFunc) {
	life, end := context.WithCancel(context.Background())
	t.Cleanup(end)
	return life, end
}

func contextCause(r *http.Request) error { return context.Cause(r.Context()) }

// onlyAtOnce has nothing cut later that is not cut at once. How soon that is, the benchmark
// measures.
func onlyAtOnce(o *setup) { o.late = time.Hour }
