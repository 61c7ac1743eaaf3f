package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// TestMain lets this test binary be the server, so that tests can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("CURFEW_TEST_RUN") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// process is the real program.
type process struct {
	t      *testing.T
	url    string
	folder string
	args   []string
	cmd    *exec.Cmd
	log    *lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}
func (l *lockedBuffer) String() string { l.mu.Lock(); defer l.mu.Unlock(); return l.b.String() }

func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{t: t, folder: t.TempDir(), args: args, log: &lockedBuffer{}}
	p.run()
	t.Cleanup(p.kill)
	return p
}

func (p *process) run() {
	p.t.Helper()
	p.launch()
	p.waitUntilReady()
}

// launch starts the program and does not wait for it.
func (p *process) launch() {
	p.t.Helper()
	ready := filepath.Join(p.folder, "ready")
	os.Remove(ready)
	args := append([]string{"--listen", "127.0.0.1:0", "--data-dir", filepath.Join(p.folder, "data"), "--ready-file", ready}, p.args...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), "CURFEW_TEST_RUN=1")
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *process) waitUntilReady() {
	p.t.Helper()
	p.eventually("the server is ready", func() bool {
		data, err := os.ReadFile(filepath.Join(p.folder, "ready"))
		p.url = string(data)
		return err == nil
	})
}

func (p *process) kill() {
	p.cmd.Process.Kill()
	p.cmd.Wait()
}

// eventually waits for something that the server does by itself.
func (p *process) eventually(what string, ok func() bool) {
	p.t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			p.t.Fatalf("waited in vain until %s; the log:\n%s", what, p.log.String())
		}
	}
}

var client = &http.Client{
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
}

// sockets may keep its connections: a handshake must not ask for the end of its own.
var sockets = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}

// do sends a request. Headers come in pairs; a form makes it a POST.
func (p *process) do(path string, form url.Values, header ...string) (*http.Response, string) {
	p.t.Helper()
	method, body := "GET", io.Reader(nil)
	if form != nil {
		method, body = "POST", strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, body)
	if err != nil {
		p.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
			continue
		}
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return response, string(data)
}

func (p *process) signIn(user string, header ...string) (cookie string) {
	p.t.Helper()
	response, body := p.login(user, user+"-demo", header...)
	for _, c := range response.Cookies() {
		if c.Name == "__Host-curfew" {
			return c.Name + "=" + c.Value
		}
	}
	p.t.Fatalf("sign-in of %s: %s %s", user, response.Status, body)
	return ""
}

func (p *process) login(user, password string, header ...string) (*http.Response, string) {
	p.t.Helper()
	return p.do("/login", url.Values{"username": {user}, "password": {password}}, header...)
}

func (p *process) status(cookie string) (code int, answer map[string]any) {
	p.t.Helper()
	response, body := p.do("/session/status", nil, "Cookie", cookie)
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		p.t.Fatalf("status: %s %q", response.Status, body)
	}
	return response.StatusCode, answer
}

func (p *process) testing(path, body string) string {
	p.t.Helper()
	response, err := client.Post(p.url+"/testing/"+path, "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	data, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusOK {
		p.t.Fatalf("%s: %s %s", path, response.Status, data)
	}
	return string(data)
}

func TestAcknowledgedSignInsAndEndsSurviveAKill(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	stays, goes := p.signIn("ada"), p.signIn("grace")
	_, before := p.status(goes)
	response, _ := p.do("/logout", url.Values{"csrf": {before["csrf"].(string)}}, "Cookie", goes)
	p.kill()
	if response.StatusCode != http.StatusSeeOther {
		t.Fatalf("logout: %s", response.Status)
	}
	p.run()
	if code, answer := p.status(stays); code != 200 || answer["user"] != "ada" {
		t.Errorf("the sign-in is lost: %d %v", code, answer)
	}
	if code, answer := p.status(goes); code != 401 || answer["reason"] != "logout" || answer["location"] != "/login" {
		t.Errorf("the end is lost: %d %v", code, answer)
	}
	_, page := p.do("/login", nil, "Cookie", goes, "Accept", "text/html")
	if !strings.Contains(page, "You have signed out.") {
		t.Errorf("the sign-in page does not know why: %s", page)
	}
}

func TestSecondProcessOnTheDataFolderEndsWithStatus1(t *testing.T) {
	t.Parallel()
	p := start(t)
	cmd := exec.Command(os.Args[0], "--listen", "127.0.0.1:0", "--data-dir", filepath.Join(p.folder, "data"))
	cmd.Env = append(os.Environ(), "CURFEW_TEST_RUN=1")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(string(out), filepath.Join(p.folder, "data")) || !strings.Contains(string(out), fmt.Sprint(p.cmd.Process.Pid)) {
		t.Errorf("status %d, output %s: want 1, the folder and process %d", code, out, p.cmd.Process.Pid)
	}
}

func TestEveryAnswerCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	p := start(t)
	cookie := p.signIn("ada")
	for _, path := range []string{"/", "/login", "/nowhere", "/session/status", "/session/ws", "/healthz", "/readyz", "/static/curfew.js", "/static/nothing"} {
		for _, c := range []string{"", cookie} {
			response, _ := p.do(path, nil, "Cookie", c, "Accept", "text/html")
			h := response.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, h)
			}
			if static := strings.HasPrefix(path, "/static/curfew"); (h.Get("Cache-Control") == "no-store") == static {
				t.Errorf("%s: Cache-Control %q", path, h.Get("Cache-Control"))
			}
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") || strings.Contains(csp, "unsafe-") {
				t.Errorf("%s: CSP %q", path, csp)
			}
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: has %s", path, name)
				}
			}
		}
	}
}

func TestWithoutASession(t *testing.T) {
	t.Parallel()
	p := start(t)
	tests := []struct {
		name, path string
		form       url.Values
		header     []string
		code       int
		location   string
	}{
		{"a page", "/?a=1", nil, []string{"Sec-Fetch-Mode", "navigate"}, 303, "/login?next=%2F%3Fa%3D1"},
		{"a page of an old browser", "/", nil, []string{"Accept", "text/html,*/*"}, 303, "/login?next=%2F"},
		{"a posted form", "/", url.Values{"note": {"x"}}, []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"}, 303, "/login"},
		{"a script's request", "/", nil, []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 401, ""},
		{"a program's request", "/session/status", nil, nil, 401, ""},
		{"a made-up cookie", "/session/status", nil, []string{"Cookie", "__Host-curfew=" + strings.Repeat("A", 43)}, 401, ""},
		{"a malformed cookie", "/session/status", nil, []string{"Cookie", `__Host-curfew="; DROP`}, 401, ""},
		{"an extension", "/session/extend", url.Values{}, nil, 401, ""},
		{"a sign-out", "/logout", url.Values{}, nil, 303, "/login"},
		{"metrics", "/metrics", nil, nil, 401, ""},
	}
	for _, tt := range tests {
		response, body := p.do(tt.path, tt.form, tt.header...)
		if response.StatusCode != tt.code || response.Header.Get("Location") != tt.location {
			t.Errorf("%s: %s to %q, want %d to %q", tt.name, response.Status, response.Header.Get("Location"), tt.code, tt.location)
		}
		if tt.code == 401 && (!strings.Contains(body, `"error":"no-session"`) || strings.Contains(body, "reason")) {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	cookie := p.signIn("ada")
	_, answer := p.status(cookie)
	csrf := url.Values{"csrf": {answer["csrf"].(string)}}
	other := p.signIn("grace")
	_, answer = p.status(other)
	foreign := url.Values{"csrf": {answer["csrf"].(string)}}
	tests := []struct {
		name   string
		path   string
		form   url.Values
		header []string
		code   int
	}{
		{"no token", "/session/extend", url.Values{}, nil, 403},
		{"another session's token", "/session/extend", foreign, nil, 403},
		{"another site", "/session/extend", csrf, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister site", "/session/extend", csrf, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", "/session/extend", csrf, []string{"Origin", "https://evil.example"}, 403},
		{"null origin", "/session/extend", csrf, []string{"Origin", "null"}, 403},
		{"another port", "/session/extend", csrf, []string{"Origin", "http://localhost:1"}, 403},
		{"the right token", "/session/extend", csrf, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"the right token and origin", "/session/activity", csrf, []string{"Origin", p.url}, 200},
		{"the token as a header", "/session/activity", url.Values{}, []string{"X-CSRF-Token", csrf.Get("csrf")}, 200},
		{"a form", "/session/extend", csrf, []string{"Sec-Fetch-Mode", "navigate"}, 303},
		{"a bad age", "/session/activity", url.Values{"csrf": csrf["csrf"], "idle_ms": {"-1"}}, nil, 400},
		{"a note without token", "/", url.Values{"note": {"x"}}, nil, 403},
		{"sign-out without token", "/logout", url.Values{}, nil, 403},
		{"sign-in from another site", "/login", url.Values{"username": {"ada"}, "password": {"ada-demo"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403},
	}
	for _, tt := range tests {
		if response, body := p.do(tt.path, tt.form, append(tt.header, "Cookie", cookie)...); response.StatusCode != tt.code {
			t.Errorf("%s: %s %s, want %d", tt.name, response.Status, body, tt.code)
		}
	}
	if code, _ := p.status(cookie); code != 200 {
		t.Errorf("the session is gone: %d", code)
	}
}

func TestWhatCountsAsActivity(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing", "--passive-paths", "/passive*,/?poll")
	person := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document"}
	tests := []struct {
		name, path string
		header     []string
		counts     bool
	}{
		{"a person's navigation", "/", person, true},
		{"a navigation by script", "/", []string{"Sec-Fetch-Mode", "navigate"}, false},
		{"a request by script", "/", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-User", "?1"}, false},
		{"a prefetch", "/", append([]string{"Sec-Purpose", "prefetch;prerender"}, person...), false},
		{"status", "/session/status", nil, false},
		{"status that a person opens", "/session/status", person, false},
		{"a page that is not there", "/nowhere", nil, false},
		{"an asset", "/static/curfew.js", person, false},
	}
	for _, tt := range tests {
		cookie := p.signIn("ada")
		p.testing("clock", `{"advance_ms":60000}`)
		p.do(tt.path, nil, append(tt.header, "Cookie", cookie)...)
		_, answer := p.status(cookie)
		if got := answer["expire_in_ms"].(float64) > 590_000; got != tt.counts {
			t.Errorf("%s: %v left, want it to count: %v", tt.name, answer["expire_in_ms"], tt.counts)
		}
	}
}

func TestWhatKeepsASessionWhoseLastTabWasClosed(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	person := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document"}
	tests := []struct {
		name, path string
		before     bool // the tab is closed
		header     []string
		keeps      bool
	}{
		{"a page", "/account", false, person, true},
		{"a page before the tab says goodbye", "/account", true, person, true},
		{"status", "/session/status", false, nil, false},
		{"status that a person opens", "/session/status", false, person, false},
		{"status before the tab says goodbye", "/session/status", true, person, false},
		{"a download, which shows that the browser is there", "/admin/audit?format=csv", false, person, true},
		{"a download before the tab says goodbye", "/admin/audit?format=csv", true, person, false},
	}
	for _, tt := range tests {
		cookie := p.signIn("ada")
		tab := p.openTab(cookie)
		ask := func() { p.do(tt.path, nil, append(tt.header, "Cookie", cookie)...) }
		if tt.before {
			ask()
			p.advance(10 * time.Second)
		}
		tab.leave()
		seen := "last tab closed"
		if tt.before && tt.keeps {
			seen = "tab left" // for another page
		}
		p.eventually(tt.name+": "+seen, func() bool { return strings.Contains(p.timeline(), seen) })
		if !tt.before {
			ask()
		}
		p.advance(25 * time.Second)
		code, answer := p.status(cookie)
		if (code == 200) != tt.keeps || code == 401 && answer["reason"] != "browser-closed" {
			t.Errorf("%s: %d %v, want it to keep the session: %v", tt.name, code, answer, tt.keeps)
		}
		p.testing("reset", "")
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	p := start(t, "--base-path", "/guard/")
	root := p.url
	response, _ := p.do("/guard/", nil, "Accept", "text/html")
	if got := response.Header.Get("Location"); got != "/guard/login?next=%2Fguard%2F" {
		t.Errorf("Location = %q", got)
	}
	if response, _ := p.do("/login", nil); response.StatusCode != 404 {
		t.Errorf("outside the base path: %s", response.Status)
	}
	p.url = root + "/guard"
	cookie := p.signIn("ada")
	_, page := p.do("/", nil, "Cookie", cookie, "Accept", "text/html")
	for _, want := range []string{`action="/guard/logout"`, `src="/guard/static/curfew.js"`, `data-socket="/guard/session/ws"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestOriginsInOtherLettersAreComparedAsBrowsersSendThem(t *testing.T) {
	t.Parallel()
	p := start(t, "--public-url", "https://BÜCHER.example:443/", "--allowed-origins", "https://straße.example,http://APP.example:80")
	const public = "https://xn--bcher-kva.example"
	cookie := p.signIn("ada", "Origin", public)
	for origin, code := range map[string]int{public: 426, "https://xn--strae-oqa.example": 426, "http://app.example": 426, "https://xn--bcher-kva.example:444": 403, "https://bücher.example": 403} {
		// An origin that may open the socket is asked for the upgrade, which does not come here.
		if response, body := p.do("/session/ws", nil, "Cookie", cookie, "Origin", origin, "Sec-WebSocket-Protocol", "curfew.v1"); response.StatusCode != code {
			t.Errorf("socket of %s: %s %s, want %d", origin, response.Status, body, code)
		}
	}
	_, answer := p.status(cookie)
	csrf := url.Values{"csrf": {answer["csrf"].(string)}}
	if response, body := p.do("/session/extend", csrf, "Cookie", cookie, "Origin", public); response.StatusCode != 200 {
		t.Errorf("extension: %s %s", response.Status, body)
	}
}

func TestTLSAndReloadedCertificate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	certify := func(name string) {
		out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
			"-subj", "/CN="+name, "-keyout", key, "-out", cert).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl: %v %s", err, out)
		}
	}
	certify("one")
	p := start(t, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://localhost:") {
		t.Fatalf("ready at %q, want https", p.url)
	}
	name := func() string {
		response, _ := p.do("/healthz", nil)
		return response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name() != "one" {
		t.Errorf("certificate %q", name())
	}
	c := p.socket(p.signIn("ada"))
	p.message(c, "hello")
	if err := c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"sync"}`)); err != nil {
		t.Fatal(err)
	}
	p.message(c, "active")
	certify("two")
	p.eventually("the new certificate is served", func() bool { return name() == "two" })
}

func TestHangupReloadsPoliciesOntoLiveSessions(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("policies:\n  - group: kiosk\n    expire-after: 30m\n    warn-after: 20m\n")
	p := start(t, "--config", file)
	cookie := p.signIn("linus")
	if _, answer := p.status(cookie); answer["warn_in_ms"].(float64) < 19*60_000 {
		t.Fatalf("the group's policy does not hold: %v", answer)
	}
	c := p.socket(cookie)
	p.message(c, "hello")
	write("policies:\n  - group: kiosk\n    expire-after: 2m\n    warn-after: 1m\n    extend-on: confirm\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	if m := p.message(c, "active"); m["extend_on"] != "confirm" || m["expire_in_ms"].(float64) > 120_000 {
		t.Errorf("active = %v", m)
	}
	write("policies:\n  - group: kiosk\n    expire-after: soon\n")
	p.cmd.Process.Signal(syscall.SIGHUP)
	p.eventually("the fault is logged", func() bool { return strings.Contains(p.log.String(), "settings not reloaded") })
	if _, answer := p.status(cookie); answer["expire_in_ms"].(float64) > 120_000 {
		t.Errorf("a faulty file changed something: %v", answer)
	}
}

func (p *process) socket(cookie string) *websocket.Conn {
	p.t.Helper()
	c, _, err := websocket.Dial(p.t.Context(), p.url+"/session/ws", &websocket.DialOptions{
		HTTPClient: sockets, Subprotocols: []string{"curfew.v1"}, HTTPHeader: http.Header{"Origin": {p.url}, "Cookie": {cookie}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { c.CloseNow() })
	return c
}

func (p *process) message(c *websocket.Conn, kind string) (m map[string]any) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	_, data, err := c.Read(ctx)
	if err != nil {
		p.t.Fatalf("waiting for %s: %v", kind, err)
	}
	if json.Unmarshal(data, &m); m["type"] != kind {
		p.t.Fatalf("got %s, want %s", data, kind)
	}
	return m
}

func TestStopSaysRestartAndLeavesNothing(t *testing.T) {
	t.Parallel()
	p := start(t)
	c := p.socket(p.signIn("ada"))
	p.message(c, "hello")
	p.cmd.Process.Signal(syscall.SIGTERM)
	_, _, err := c.Read(t.Context())
	if websocket.CloseStatus(err) != 1012 {
		t.Errorf("closed with %v, want 1012", err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log.String())
	}
	if _, err := os.Stat(filepath.Join(p.folder, "ready")); !os.IsNotExist(err) {
		t.Errorf("the ready-file is still there: %v", err)
	}
}

func TestTestingClockMovesEverything(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	var made struct{ Cookie, Ref string }
	if err := json.Unmarshal([]byte(p.testing("session", `{"user":"zoe","groups":["staff"]}`)), &made); err != nil || made.Ref == "" {
		t.Fatal(made, err)
	}
	c := p.socket(made.Cookie)
	p.message(c, "hello")
	p.testing("clock", `{"advance_ms":300000}`)
	if m := p.message(c, "active"); m["expire_in_ms"].(float64) > 300_000 {
		t.Errorf("active = %v", m)
	}
	p.testing("clock", `{"advance_ms":3600000}`)
	p.message(c, "warn")
	if m := p.message(c, "expire"); m["reason"] != "idle" {
		t.Errorf("expire = %v", m)
	}
	p.testing("reset", `{}`)
	if code, answer := p.status(made.Cookie); code != 401 || answer["reason"] != nil {
		t.Errorf("after the reset: %d %v", code, answer)
	}
	for path, body := range map[string]string{"clock": `{"advance_ms":-1}`, "session": `{"user":""}`, "fault": `{"kind":"fire"}`, "session?": `{"name":"x"}`} {
		response, err := client.Post(p.url+"/testing/"+path, "application/json", strings.NewReader(body))
		if err != nil || response.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %v, %v, want 422", path, body, response, err)
		}
		response.Body.Close()
	}
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if response, _ := p.do("/testing/timeline", nil, header...); response.StatusCode != 403 {
			t.Errorf("%v: %s, want 403", header, response.Status)
		}
	}
}

func TestCallsForTestingAreRefusedFromOtherSites(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	for _, tt := range []struct {
		name   string
		header []string
		code   int
	}{
		{"a program", nil, 200},
		{"a page of ours", []string{"Origin", p.url, "Sec-Fetch-Site", "same-origin"}, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister site", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", []string{"Origin", "https://evil.example"}, 403},
		{"another port", []string{"Origin", "http://localhost:1"}, 403},
		{"no origin to speak of", []string{"Origin", "null"}, 403},
	} {
		if response, body := p.do("/testing/timeline", nil, tt.header...); response.StatusCode != tt.code {
			t.Errorf("timeline for %s: %s %.100s, want %d", tt.name, response.Status, body, tt.code)
		}
		if response, body := p.do("/testing/reset", url.Values{}, tt.header...); response.StatusCode != tt.code {
			t.Errorf("reset by %s: %s %.100s, want %d", tt.name, response.Status, body, tt.code)
		}
	}
	for path, body := range map[string]string{
		"clock": `{"advance_ms":1,"ADVANCE_MS":2}`, "session": `{"user":"ada","User":"grace"}`, "fault": `{"kind":"none","kind":"drop"}`,
	} {
		response, err := client.Post(p.url+"/testing/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %s", path, body, response.Status)
		}
	}
}

func TestTestingIsOffByDefault(t *testing.T) {
	t.Parallel()
	p := start(t)
	if response, _ := p.do("/testing/timeline", nil); response.StatusCode != 404 {
		t.Errorf("%s, want 404", response.Status)
	}
}

func TestForwardedHeadersCountFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	trusting, strict := start(t, "--trusted-proxies", "127.0.0.0/8"), start(t)
	for _, p := range []*process{trusting, strict} {
		p.signIn("ada", "X-Forwarded-For", "203.0.113.9, 127.0.0.2")
	}
	trusting.eventually("the log names the browser's address", func() bool { return strings.Contains(trusting.log.String(), "address=203.0.113.9") })
	strict.eventually("the log names the peer's address", func() bool { return strings.Contains(strict.log.String(), "address=127.0.0.1") })
	if _, body := strict.do("/readyz", nil); !strings.Contains(body, `"ignored_forwarded_headers":1`) {
		t.Errorf("readyz = %s", body)
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	p := start(t, "--log-level", "debug", "--log-format", "json")
	cookie := p.signIn("ada")
	p.do("/login", url.Values{"username": {"grace"}, "password": {"Tr0ub4dor"}})
	p.kill()
	_, secret, _ := strings.Cut(cookie, "=")
	for _, s := range []string{secret, "ada-demo\",", "Tr0ub4dor"} {
		if strings.Contains(p.log.String(), s) {
			t.Errorf("the log holds %s", s)
		}
	}
}

func TestMetricsAreForAdmins(t *testing.T) {
	t.Parallel()
	p := start(t, "--metrics-listen", "")
	if response, body := p.do("/metrics", nil, "Cookie", p.signIn("ada")); response.StatusCode != 200 || !strings.Contains(body, "curfew_sessions 1") {
		t.Errorf("an admin: %s %s", response.Status, body)
	}
	if response, _ := p.do("/metrics", nil, "Cookie", p.signIn("grace")); response.StatusCode != 403 {
		t.Errorf("another: %s, want 403", response.Status)
	}
}

func TestEveryAnswerOfTheMetricsAddressIsNeitherSniffedNorStored(t *testing.T) {
	h := metricsRoutes(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "curfew_tabs 0") }))
	for _, tt := range []struct {
		method, path string
		status       int
	}{{"GET", "/metrics", 200}, {"GET", "/", 404}, {"POST", "/metrics", 405}, {"GET", "//metrics", 307}} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(tt.method, "http://node"+tt.path, nil))
		if w.Code != tt.status || w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s: %d with %v, want %d, nosniff and no-store", tt.method, tt.path, w.Code, w.Header(), tt.status)
		}
	}
}

func TestMistakesOfAllSourcesAreToldTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte("lisen: x\nmax-sessions: many\npolicies:\n  - group: a\n    warn-after: 1h\n  - warn-after: 1m\n    colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := command(t.Context(), []string{"--config", file, "--public-url", "http://app.example", "--no-such-flag", "--trusted-proxies", "10.0.0.0", "--redis-url", "http://me:hunter2@db"},
		[]string{"CURFEW_AUDIT_KEEP=forever", "CURFEW_LISTEN=0.0.0.0:80", "CURFEW_TESTING=true"}, &stdout, &stderr)
	if code != 2 || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q, want 2 and nothing", code, stdout.String())
	}
	for _, want := range []string{`"lisen"`, `max-sessions "many"`, "warn-after (1h0m0s)", `"colour"`, "must name its group", `public-url "http://app.example"`, "-no-such-flag",
		`trusted-proxies "10.0.0.0"`, `redis-url "http://…@db"`, `audit-keep "forever"`, `"0.0.0.0:80"`} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("not told: %s\n%s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "hunter2") {
		t.Errorf("a password is shown: %s", stderr.String())
	}
}

func TestPrecedenceOfSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte("profile: kiosk\nlisten: 127.0.0.1:1\nnode-name: file\nadmin-groups: ['a, b', c]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load([]string{"--node-name", "flag", "--warn-after", "1m"}, []string{"CURFEW_CONFIG=" + file, "CURFEW_NODE_NAME=env", "CURFEW_LISTEN=127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.nodeName != "flag" || c.listen != "127.0.0.1:2" || c.policies.Global.WarnAfter != time.Minute || c.policies.Global.ExpireAfter != 2*time.Minute || c.policies.Global.MaxSessions != 1 ||
		len(c.adminGroups) != 2 || c.adminGroups[0] != "a, b" {
		t.Errorf("config = %+v", c)
	}
}

func TestCheckConfigSaysWhatProfilesWouldSay(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := command(t.Context(), []string{"check-config", "--warn-after", "25m", "--expire-after", "30m"}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	for _, want := range []string{`\(everybody\)\s+25m\s+30m\s+22h\s+20s\s+activity\s+none`, `nist-aal2\s+meets it`, `pci\s+is laxer: expire-after 30m instead of 15m, max-lifetime 22h instead of 12h`} {
		if !regexp.MustCompile(want).Match(stdout.Bytes()) {
			t.Errorf("not said: %s\n%s", want, stdout.String())
		}
	}
}

func TestCheckConfigWarnsOfGroupsThatAnybodyMayMake(t *testing.T) {
	for _, tt := range []struct {
		groups string
		warns  bool
	}{{"", true}, {"ou=groups,dc=example,dc=org", false}} {
		var stdout, stderr bytes.Buffer
		args := []string{"check-config", "--ldap-url", "ldaps://ldap.example.org", "--ldap-base-dn", "dc=example,dc=org", "--ldap-group-base-dn", tt.groups}
		if code := command(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("status %d: %s", code, stderr.String())
		}
		if got := strings.Contains(stdout.String(), "warning: ldap-group-base-dn is not set"); got != tt.warns {
			t.Errorf("group base %q: warned %v, want %v\n%s", tt.groups, got, tt.warns, stdout.String())
		}
	}
}

// TestImportsPointRight keeps the arrows of docs/architecture.md honest.
func TestImportsPointRight(t *testing.T) {
	programs := "curfew/directory curfew/directory/demo curfew/hub curfew/session curfew/session/bolt curfew/session/exactjson curfew/session/faulty curfew/session/gorilla curfew/session/redis curfew/views"
	may := map[string]string{ // each package, and what of ours it may import
		"curfew/session":                 "",
		"curfew/session/exactjson":       "",
		"curfew/session/bolt":            "curfew/session",
		"curfew/session/redis":           "curfew/session",
		"curfew/session/gorilla":         "curfew/session",
		"curfew/static":                  "",
		"curfew/directory":               "",
		"curfew/directory/demo":          "curfew/directory",
		"curfew/hub":                     "curfew/session curfew/session/exactjson",
		"curfew/views":                   "curfew/directory curfew/hub curfew/session curfew/session/exactjson curfew/session/gorilla curfew/static",
		"curfew/cmd/server":              programs,
		"curfew/bench":                   programs,
		"curfew/chaos":                   "",               // drives the real program from outside
		"curfew/session/storetest":       "curfew/session", // for tests only, and so are the next two
		"curfew/session/faulty":          "curfew/session",
		"curfew/session/redis/redistest": "",
	}
	out, err := exec.Command("go", "list", "-tags", "chaos", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "curfew/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		allowed, known := may[words[0]]
		if !known {
			t.Errorf("%s is a new package: say here what it may import", words[0])
		}
		delete(may, words[0])
		for _, imported := range words[1:] {
			if strings.HasPrefix(imported, "curfew/") && !slices.Contains(strings.Fields(allowed), imported) {
				t.Errorf("%s imports %s", words[0], imported)
			}
		}
	}
	for name := range may {
		t.Errorf("there is no package %s any more", name)
	}
}
