package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
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
	args := append([]string{"--listen", "127.0.0.1:0", "--ready-file", ready,
		"--data-dir", filepath.Join(p.folder, "data")}, p.args...)
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
	deadline := time.After(30 * time.Second)
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
	Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
		ForceAttemptHTTP2: true, // as browsers do over TLS
	},
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

func (p *process) advance(d time.Duration) {
	p.t.Helper()
	p.testing("clock", fmt.Sprintf(`{"advance_ms":%d}`, d.Milliseconds()))
}

func (p *process) timeline() string {
	_, body := p.do("/testing/timeline", nil)
	return body
}

// page says where the pages of a cookie are. They acknowledge all that they are told.
func (p *process) page(cookie string) hubtest.Options {
	return hubtest.Options{
		URL:    p.url + "/session/ws",
		Header: http.Header{"Origin": {p.url}, "Cookie": {cookie}},
		Client: sockets,
		AckAll: true,
	}
}

// openTab is a tab of a process.
type openTab struct {
	*hubtest.Page
	process *process
}

func (p *process) openTab(cookie string) *openTab {
	p.t.Helper()
	return &openTab{hubtest.Open(p.t, p.page(cookie)), p}
}

// last is the newest message that says how the session stands.
func (tab *openTab) last() (kind wire.Kind) {
	for _, m := range tab.Received()[1:] { // the first is the hello
		if slices.Contains([]wire.Kind{wire.KindActive, wire.KindWarn, wire.KindExpire}, m.Kind()) {
			kind = m.Kind()
		}
	}
	return kind
}

func (tab *openTab) wants(kind wire.Kind) {
	tab.process.t.Helper()
	tab.process.eventually("the tab is told "+string(kind), func() bool { return tab.last() == kind })
}

func (tab *openTab) wantsEnd(reason string) {
	tab.process.t.Helper()
	tab.process.eventually("the tab is closed", func() bool {
		closed, _ := tab.Closed()
		return closed.Code == wire.StatusExpired
	})
	list := tab.Received()
	if m := list[len(list)-1].Message; m.Kind() != wire.KindExpire || m["reason"] != reason {
		tab.process.t.Errorf("the last message was %v, want the end: %s", m, reason)
	}
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
	folder := filepath.Join(p.folder, "data")
	cmd := exec.Command(os.Args[0], "--listen", "127.0.0.1:0", "--data-dir", folder)
	cmd.Env = append(os.Environ(), "CURFEW_TEST_RUN=1")
	out, _ := cmd.CombinedOutput()
	first := fmt.Sprint(p.cmd.Process.Pid)
	code := cmd.ProcessState.ExitCode()
	if code != 1 || !strings.Contains(string(out), folder) || !strings.Contains(string(out), first) {
		t.Errorf("status %d, output %s: want 1, the folder and process %s", code, out, first)
	}
}

func TestStopSaysRestartAndLeavesNothing(t *testing.T) {
	t.Parallel()
	p := start(t)
	tab := p.openTab(p.signIn("ada"))
	p.cmd.Process.Signal(syscall.SIGTERM)
	tab.WantsClose(wire.StatusRestart, "server restarting")
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v\n%s", err, p.log.String())
	}
	if _, err := os.Stat(filepath.Join(p.folder, "ready")); !os.IsNotExist(err) {
		t.Errorf("the ready-file is still there: %v", err)
	}
}
