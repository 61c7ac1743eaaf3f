package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"

	"curfew/front/spoofing"
)

// runProxy is a proxy that tests run as its configuration is printed.
type runProxy struct {
	name    string
	kind    string   // the argument of proxy-config
	flags   []string // of proxy-config
	command func(t *testing.T, folder string) *exec.Cmd
	early   bool // it refuses a request before the body has come; others wait for the beginning of that
}

func runProxies() []runProxy {
	return []runProxy{
		{
			name:    "nginx",
			kind:    "nginx",
			command: nginx,
			early:   true,
		},
		{
			name:    "nginx that injects",
			kind:    "nginx",
			flags:   []string{"--inject"},
			command: nginx,
			early:   true,
		},
		{
			name:    "HAProxy",
			kind:    "haproxy",
			command: haproxy,
		},
		{
			name:    "Caddy 2.6",
			kind:    "caddy",
			command: func(_ *testing.T, folder string) *exec.Cmd { return caddy("caddy", folder) },
		},
		{
			name:    "Caddy 2.11",
			kind:    "caddy",
			command: func(t *testing.T, folder string) *exec.Cmd { return caddy(newCaddy(t), folder) },
		},
	}
}

func nginx(_ *testing.T, folder string) *exec.Cmd {
	return exec.Command("nginx", "-p", folder, "-c", "nginx.conf", "-g", "daemon off;")
}

func haproxy(_ *testing.T, folder string) *exec.Cmd {
	return exec.Command("haproxy", "-f", filepath.Join(folder, "haproxy.cfg"))
}

func caddy(program, folder string) *exec.Cmd {
	cmd := exec.Command(program, "run", "--config", filepath.Join(folder, "Caddyfile"))
	cmd.Env = append(os.Environ(), "HOME="+folder, "XDG_CONFIG_HOME="+folder, "XDG_DATA_HOME="+folder)
	return cmd
}

// buildCaddy builds the Caddy of the module internal/caddy.
var buildCaddy = sync.OnceValues(func() (program string, err error) {
	program, err = filepath.Abs("../../bin/caddy-2.11")
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		return "", err
	}
	out, err := exec.Command("go", "build", "-C", "../../internal/caddy", "-o", program, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("build Caddy: %w\n%s", err, out)
	}
	return program, err
})

func newCaddy(t *testing.T) string {
	t.Helper()
	program, err := buildCaddy()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// site is an application behind a proxy behind which Curfew answers whether a request may pass.
type site struct {
	*process          // requests go to the proxy
	curfew   *process // past the proxy, below the base path
	app      *echoApp
	at       string // HOST:PORT of the proxy
	settings []string
	proxy    runProxy
	token    tokenFiles // of an administrator
}

const siteBase = "/.curfew"

var addresses atomic.Int32

// freeAddress is an address that nobody listens on, with a host of loopback that no other test has:
// until a proxy listens there, nobody else can come upon the port.
func freeAddress(t *testing.T) string {
	t.Helper()
	n := int(addresses.Add(1))
	l, err := net.Listen("tcp", fmt.Sprintf("127.%d.%d.%d:0", 100+os.Getpid()%100, 1+n/200, 1+n%200))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startSite starts an application, Curfew, and the proxy before them.
func startSite(t *testing.T, proxy runProxy) *site {
	t.Helper()
	s := startBehind(t, proxy, "http")
	s.process = s.before(s.at, s.app.URL)
	return s
}

// startBehind starts what stands behind a proxy, which browsers reach by this scheme. The settings
// of Curfew are completed.
func startBehind(t *testing.T, proxy runProxy, scheme string, settings ...string) *site {
	t.Helper()
	s := &site{at: freeAddress(t), app: startEchoApp(t), proxy: proxy, token: newToken(t, "admin")}
	listen := freeAddress(t)
	s.settings = append(settings, "--listen", listen, "--verify-listen", freeAddress(t), "--base-path", siteBase,
		"--public-url", scheme+"://"+s.at, "--trusted-proxies", "127.0.0.1/32", "--testing",
		"--api-tokens-file", s.token.line)
	s.curfew = start(t, s.settings...)
	curfewScheme, _, _ := strings.Cut(s.curfew.url, ":")
	s.curfew.url = curfewScheme + "://" + listen + siteBase
	return s
}

// before starts a proxy at an address, before the application at app. Requests of the process that
// is returned go there.
func (s *site) before(at, app string) *process {
	s.curfew.t.Helper()
	t, folder := s.curfew.t, s.curfew.t.TempDir()
	args := slices.Concat([]string{"proxy-config", s.proxy.kind, "--app", app, "--at", at, "--out", folder},
		s.proxy.flags, s.settings)
	if status, _, errs := curfew(t, args...); status != 0 || errs != "" {
		t.Fatalf("%v: status %d, %s", args, status, errs)
	}
	p := *s.curfew
	p.url, p.log = "http://"+at, &lockedBuffer{}
	startProxy(t, s.proxy.command(t, folder), p.log)
	p.eventually("the proxy accepts connections", func() bool {
		c, err := net.Dial("tcp", at)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	t.Cleanup(func() {
		if log, err := os.ReadFile(filepath.Join(folder, "error.log")); t.Failed() && err == nil {
			t.Logf("error.log of %s:\n%s", s.proxy.name, log)
		}
		if t.Failed() {
			t.Logf("output of %s:\n%s", s.proxy.name, p.log.String())
		}
	})
	return &p
}

// startProxy runs a proxy until the test ends.
func startProxy(t *testing.T, cmd *exec.Cmd, log io.Writer) {
	t.Helper()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM) // nginx and HAProxy take their workers along
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			cmd.Process.Kill()
			<-ended
			t.Errorf("%s did not end", cmd.Path)
		}
	})
}

// session makes a session, and returns its cookie and what the application is to learn of it.
func (s *site) session(user string, groups ...string) (cookie string, verified map[string]string) {
	s.t.Helper()
	body, _ := json.Marshal(map[string]any{"user": user, "groups": groups})
	var made struct{ Cookie, Ref string }
	if err := json.Unmarshal([]byte(s.curfew.testing("session", string(body))), &made); err != nil {
		s.t.Fatal(err)
	}
	return made.Cookie, map[string]string{
		"Remote-User":    user,
		"Remote-Name":    user,
		"Remote-Email":   "",
		"Remote-Groups":  strings.Join(groups, ","),
		"Remote-Session": made.Ref,
	}
}

// below has its requests go to paths below this one.
func (p *process) below(path string) *process {
	other := *p
	other.url += path
	return &other
}

// echoApp is an application that tells what it was asked.
type echoApp struct {
	*httptest.Server
	asked   atomic.Int64  // requests that arrived
	release chan struct{} // what /events and /socket wait for
	begun   chan string   // what /upload was sent first
}

// echoed is what the application was asked.
type echoed struct {
	Method, URI, Host, Body string
	Fields                  []spoofing.Field
}

func (e echoed) get(name string) string {
	for _, f := range e.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

func startEchoApp(t *testing.T) *echoApp {
	a := &echoApp{release: make(chan struct{}), begun: make(chan string, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("/events", a.events)
	mux.HandleFunc("/upload", a.upload)
	mux.HandleFunc("/socket", a.socket)
	mux.HandleFunc("/page", a.page)
	mux.HandleFunc("/redirect", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", a.URL+"/elsewhere?a=1")
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/own/", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "the application's own word", map[string]int{
			"/own/401": 401, "/own/403": 403, "/own/500": 500, "/own/503": 503}[r.URL.Path])
	})
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.asked.Add(1)
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		a.echo(w, r)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *echoApp) echo(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	e := echoed{Method: r.Method, URI: r.RequestURI, Host: r.Host, Body: string(body)}
	for name, values := range r.Header {
		for _, v := range values {
			e.Fields = append(e.Fields, spoofing.Field{Name: name, Value: v})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(e)
}

// events sends an event, and another one once it is released.
func (a *echoApp) events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	io.WriteString(w, "data: one\n\n")
	http.NewResponseController(w).Flush()
	select {
	case <-a.release:
		io.WriteString(w, "data: two\n\n")
	case <-r.Context().Done():
	}
}

// upload tells what it was sent first, and answers with how much there was in all.
func (a *echoApp) upload(w http.ResponseWriter, r *http.Request) {
	first := make([]byte, 5)
	n, _ := io.ReadFull(r.Body, first)
	a.begun <- string(first[:n])
	rest, _ := io.Copy(io.Discard, r.Body)
	fmt.Fprint(w, int64(n)+rest)
}

func (a *echoApp) socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo"}})
	if err != nil {
		return
	}
	defer c.CloseNow()
	for {
		kind, data, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, []byte(r.Header.Get("Remote-User")+": "+string(data))) != nil {
			return
		}
	}
}

// page is a page with a policy of its own.
func (a *echoApp) page(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", r.FormValue("type"))
	h.Set("Content-Security-Policy", r.FormValue("csp"))
	h.Set("Cache-Control", "max-age=60")
	h.Set("ETag", `"1"`)
	if r.Header.Get("If-None-Match") != "" {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("X-Encoding", r.Header.Get("Accept-Encoding"))
	io.WriteString(w, r.FormValue("body"))
}
