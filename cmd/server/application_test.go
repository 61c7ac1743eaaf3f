package main

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session/redis/redistest"
)

// application is one behind Curfew, as tests have it.
//
//	/events   an event stream that never ends
//	/socket   a WebSocket that never ends
//	/slow     answers when it is cancelled
//	/inner    redirects to its own address
//
// All else is answered with who asked for what.
func application(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/events":
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: hello\n\n")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	case "/socket":
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		c.Write(r.Context(), websocket.MessageText, []byte(r.Header.Get("Remote-User")))
		c.Read(r.Context())
		c.CloseNow()
	case "/slow":
		<-r.Context().Done()
	case "/inner":
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		address := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		w.Header().Set("Location", fmt.Sprintf("%s://%s/led?x=1", scheme, address))
		w.WriteHeader(http.StatusFound)
	default:
		user, cookies := r.Header.Get("Remote-User"), r.Header.Get("Cookie")
		fmt.Fprintf(w, "%s %s %s cookies:%s", r.Method, r.RequestURI, user, cookies)
	}
}

func startApplication(t *testing.T) *httptest.Server {
	app := httptest.NewServer(http.HandlerFunc(application))
	t.Cleanup(func() {
		app.CloseClientConnections()
		app.Close()
	})
	return app
}

// visitor makes a session of a server for testing, and returns its cookie.
func (p *process) visitor(user string) string {
	p.t.Helper()
	response, err := client.Post(p.url+"/.curfew/testing/session", "application/json",
		strings.NewReader(`{"user":"`+user+`"}`))
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	var made struct{ Cookie string }
	if err := json.NewDecoder(response.Body).Decode(&made); err != nil || made.Cookie == "" {
		p.t.Fatalf("no session: %s %v", response.Status, err)
	}
	return made.Cookie
}

func TestApplicationsAreBehindEachKindOfAddress(t *testing.T) {
	t.Parallel()
	plain := startApplication(t)
	secure := httptest.NewTLSServer(http.HandlerFunc(application))
	t.Cleanup(secure.Close)
	folder := t.TempDir()
	ca := filepath.Join(folder, "ca.pem")
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(folder, "app.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: http.HandlerFunc(application)}
	go local.Serve(listener)
	t.Cleanup(func() { local.Close() })
	for name, args := range map[string][]string{
		"plain":  {"--upstream", plain.URL},
		"TLS":    {"--upstream", secure.URL, "--upstream-ca-file", ca},
		"socket": {"--upstream", "unix:" + socket},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, append(args, "--testing")...)
			cookie := p.visitor("ada")
			response, body := p.do("/a%2Fb//c;d?", nil, "Cookie", cookie+"; a=b")
			if response.StatusCode != 200 || body != "GET /a%2Fb//c;d? ada cookies:a=b" {
				t.Errorf("answer %s %q", response.Status, body)
			}
			if response, _ := p.do("/a", nil); response.StatusCode != http.StatusUnauthorized {
				t.Errorf("a stranger gets %s", response.Status)
			}
			response, _ = p.do("/inner", nil, "Cookie", cookie)
			if location := response.Header.Get("Location"); name != "socket" && location != p.url+"/led?x=1" {
				t.Errorf("the browser is led to %q", location)
			}
			if response, _ := p.do("/.curfew/login", nil); response.StatusCode != 200 {
				t.Errorf("the sign-in page answers %s", response.Status)
			}
		})
	}
}

func TestACertificateOfNobodyWeKnowIsABadGateway(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(application))
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	p := start(t, "--upstream", secure.URL, "--testing")
	cookie := p.visitor("ada")
	response, body := p.do("/a", nil, "Cookie", cookie, "Accept", "text/html")
	if response.StatusCode != 502 || !strings.Contains(body, "<html") ||
		response.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("a page is %s %q", response.Status, body)
	}
	response, body = p.do("/a", nil, "Cookie", cookie)
	if response.StatusCode != 502 || !strings.Contains(body, `{"error":"upstream","message":`) {
		t.Errorf("a script gets %s %q", response.Status, body)
	}
	if response, _ := p.do("/.curfew/session/status", nil, "Cookie", cookie); response.StatusCode != 200 {
		t.Errorf("the session is %s", response.Status)
	}
}

func TestASilentApplicationIsAGatewayTimeout(t *testing.T) {
	t.Parallel()
	p := start(t, "--upstream", startApplication(t).URL, "--upstream-timeout", "200ms", "--testing")
	response, body := p.do("/slow", nil, "Cookie", p.visitor("ada"))
	if response.StatusCode != 504 || !strings.Contains(body, `"error":"upstream"`) {
		t.Errorf("answer %s %q", response.Status, body)
	}
}

func TestWhatAnApplicationSendsUnaskedStaysOutOfTheLog(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\nsecret of the application")
		io.Copy(io.Discard, conn)
	}))
	t.Cleanup(app.Close)
	p := start(t, "--upstream", app.URL, "--testing")
	cookie := p.visitor("ada")
	for range 3 {
		if response, _ := p.do("/", nil, "Cookie", cookie); response.StatusCode != 204 {
			t.Errorf("answer %s", response.Status)
		}
	}
	if log := p.log.String(); strings.Contains(log, "secret") {
		t.Errorf("the log has it:\n%s", log)
	}
}

func TestMethodsThatNoApplicationGets(t *testing.T) {
	t.Parallel()
	p := start(t, "--upstream", startApplication(t).URL, "--testing")
	cookie := p.visitor("ada")
	for _, line := range []string{"TRACE / HTTP/1.1", "CONNECT example.org:443 HTTP/1.1", "TRACE /public HTTP/1.1"} {
		response := p.raw(line, "Cookie: "+cookie)
		if response.StatusCode != 405 || !strings.Contains(response.Header.Get("Allow"), "GET") {
			t.Errorf("%s: %s, Allow %q", line, response.Status, response.Header.Get("Allow"))
		}
	}
	if response := p.raw("OPTIONS * HTTP/1.1", "Cookie: "+cookie); response.StatusCode != 200 {
		t.Errorf("OPTIONS *: %s", response.Status)
	}
	if response := p.raw("OPTIONS * HTTP/1.1"); response.StatusCode != 401 {
		t.Errorf("OPTIONS * of a stranger: %s", response.Status)
	}
	evil := p.raw("POST / HTTP/1.1", "Origin: https://evil.example", "Content-Length: 0")
	if evil.StatusCode != 403 { // before the 401
		t.Errorf("another site's POST: %s", evil.Status)
	}
}

// raw sends the lines of a head, and reads that of the answer.
func (p *process) raw(lines ...string) *http.Response {
	p.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.url, "http://"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	all := strings.Join(append(lines, "Host: "+strings.TrimPrefix(p.url, "http://")), "\r\n")
	io.WriteString(conn, all+"\r\n\r\n")
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		p.t.Fatal(err)
	}
	return response
}

func TestSeveralApplicationsSideBySide(t *testing.T) {
	t.Parallel()
	answering := func(name string) *httptest.Server {
		app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, name+" "+r.RequestURI)
		}))
		t.Cleanup(app.Close)
		return app
	}
	one, two := answering("one"), answering("two")
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	text := "upstreams:\n  - {path: /api, url: '" + one.URL + "'}\n  - path: /api/v2/\n    url: " + two.URL + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, "--config", file, "--testing")
	cookie := p.visitor("ada")
	for path, want := range map[string]string{
		"/api":      "one /api",
		"/api/x":    "one /api/x",
		"/api/v2/y": "two /api/v2/y",
	} {
		if _, body := p.do(path, nil, "Cookie", cookie); body != want {
			t.Errorf("%s is answered by %q", path, body)
		}
	}
	if response, body := p.do("/other", nil, "Cookie", cookie); response.StatusCode != 404 {
		t.Errorf("nobody's path is answered with %s %q", response.Status, body)
	}
	if response, _ := p.do("/other", nil); response.StatusCode != 401 {
		t.Errorf("nobody's path is answered to a stranger with %s", response.Status)
	}
}

// stream opens an event stream of the application, and returns what waits for its end.
func (p *process) stream(cookie string) (ended <-chan time.Time) {
	p.t.Helper()
	return p.open(cookie, "/events")
}

// socket opens a WebSocket of the application.
func (p *process) socket(cookie string) (ended <-chan time.Time) {
	p.t.Helper()
	return p.open(cookie, "/socket", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
}

// open asks for what never ends, waits until it has begun, and tells when it is over.
func (p *process) open(cookie, path string, more ...string) (ended <-chan time.Time) {
	p.t.Helper()
	host, secure := strings.CutPrefix(p.url, "https://")
	host = strings.TrimPrefix(host, "http://")
	conn, err := net.Dial("tcp", host)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { conn.Close() })
	if secure {
		conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	}
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	lines := append([]string{"GET " + path + " HTTP/1.1", "Host: " + host, "Cookie: " + cookie}, more...)
	io.WriteString(conn, strings.Join(lines, "\r\n")+"\r\n\r\n")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, nil)
	if err != nil || response.StatusCode != 200 && response.StatusCode != 101 {
		p.t.Fatalf("%s is not opened: %v %v", path, response, err)
	}
	c := make(chan time.Time, 1)
	go func() {
		io.Copy(io.Discard, reader)
		c <- time.Now()
	}()
	return c
}

// endsWithin waits for the end of what was opened, which something at that time has brought about.
func endsWithin(t *testing.T, ended <-chan time.Time, at time.Time, limit time.Duration) {
	t.Helper()
	select {
	case when := <-ended:
		if took := when.Sub(at); took > limit {
			t.Errorf("it ends after %v", took)
		}
	case <-time.After(15 * time.Second):
		t.Error("it does not end")
	}
}

// soon is what tests allow for what is cut at once, on a busy machine: less than the 10 s after
// which other answers are cut. The benchmark measures how soon that is.
const soon = 8 * time.Second

func TestOpenStreamsDoNotHoldUpAStop(t *testing.T) {
	t.Parallel()
	p := start(t, "--upstream", startApplication(t).URL, "--public-paths", "/events", "--testing")
	cookie := p.visitor("ada")
	all := []<-chan time.Time{p.stream(cookie), p.socket(cookie), p.stream("none=x")}
	at := time.Now()
	p.cmd.Process.Signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Error(err)
	}
	if took := time.Since(at); took > stopLimit {
		t.Errorf("it stops after %v", took)
	}
	for _, ended := range all {
		endsWithin(t, ended, at, stopLimit)
	}
}

func TestASignOutCutsStreamsOnBothNodes(t *testing.T) {
	t.Parallel()
	redis, app := redistest.Start(t), startApplication(t)
	a := start(t, "--testing", "--upstream", app.URL, "--redis-url", redis.URL(), "--node-name", "a")
	b := start(t, "--testing", "--upstream", app.URL, "--redis-url", redis.URL(), "--node-name", "b",
		"--public-url", a.url)
	cookie := a.visitor("ada")
	other := b.visitor("grace")
	ended := []<-chan time.Time{b.stream(cookie), b.socket(cookie), a.stream(cookie), a.socket(cookie)}
	stays := []<-chan time.Time{b.stream(other), a.socket(other)}
	_, text := a.do("/.curfew/session/status", nil, "Cookie", cookie)
	var status struct{ CSRF string }
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	response, body := a.do("/.curfew/logout", url.Values{"csrf": {status.CSRF}}, "Cookie", cookie)
	if response.StatusCode != 303 {
		t.Fatalf("sign-out: %s %s", response.Status, body)
	}
	for _, one := range ended {
		endsWithin(t, one, at, soon)
	}
	for _, p := range []*process{a, b} {
		if response, _ := p.do("/x", nil, "Cookie", cookie); response.StatusCode != 401 {
			t.Errorf("a later request gets %s", response.Status)
		}
		if response, _ := p.do("/x", nil, "Cookie", other); response.StatusCode != 200 {
			t.Errorf("another's request gets %s", response.Status)
		}
	}
	for _, one := range stays {
		select {
		case <-one:
			t.Error("another's stream ends")
		default:
		}
	}
}

func TestBrowsersMaySpeakHTTP2(t *testing.T) {
	t.Parallel()
	args := append(certified(t), "--upstream", startApplication(t).URL, "--testing")
	p := start(t, args...)
	cookie := p.visitor("ada")
	modern := &http.Client{Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true,
	}}
	defer modern.CloseIdleConnections()
	for path, want := range map[string]string{
		"/a%2Fb//c;d?":            "GET /a%2Fb//c;d? ada cookies:a=b; c=d",
		"/.curfew/session/status": `"user":"ada"`,
	} {
		r, err := http.NewRequest("GET", p.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header["Cookie"] = []string{"a=b", cookie, "c=d"} // a line each, as browsers split them
		response, err := modern.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.ProtoMajor != 2 || !strings.Contains(string(body), want) {
			t.Errorf("%s is answered by %s with %s %q", path, response.Proto, response.Status, body)
		}
	}
	// Browsers open WebSockets over HTTP/1.1, both of the application and of Curfew.
	ended := p.socket(cookie)
	page := hubtest.Open(t, hubtest.Options{
		URL:    p.url + "/.curfew/session/ws",
		Header: http.Header{"Origin": {p.url}, "Cookie": {cookie}},
		Client: sockets,
		AckAll: true,
	})
	page.Send(`{"type":"sync"}`)
	page.Next(wire.KindActive)
	at := time.Now()
	response, err := client.Post(p.url+"/.curfew/testing/reset", "application/json", nil)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	endsWithin(t, ended, at, soon)
}
