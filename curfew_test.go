package curfew_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"curfew"
	"curfew/directory"
	"curfew/front"
	"curfew/views"
)

// site is a program whose application a guard protects, and a browser that keeps its cookie.
type site struct {
	t      *testing.T
	guard  *curfew.Guard
	url    string
	cookie string
}

// start serves what handler makes of a guard.
func start(t *testing.T, handler func(*curfew.Guard) http.Handler) *site {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	public := "http://localhost:" + fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
	guard, err := curfew.Open(t.Context(), curfew.Options{
		DataDir:     t.TempDir(),
		PublicURL:   public,
		PublicPaths: []string{"/about"},
		Log:         slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler(guard), ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)}
	go server.Serve(l)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := guard.Close(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
	})
	return &site{t: t, guard: guard, url: public}
}

// protect has a guard protect app.
func protect(app http.HandlerFunc) func(*curfew.Guard) http.Handler {
	return func(g *curfew.Guard) http.Handler { return g.Protect(app) }
}

// ask sends a request of a script. Its body, unless it is empty, is a form.
func (s *site) ask(method, path, form string, header ...string) *http.Response {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(form))
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("Cookie", s.cookie)
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { response.Body.Close() })
	return response
}

func (s *site) text(r *http.Response) string {
	s.t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	return string(body)
}

// signIn signs ada in at the demo directory.
func (s *site) signIn() *site {
	s.t.Helper()
	form := url.Values{"username": {"ada"}, "password": {"ada-demo"}}
	r := s.ask("POST", "/.curfew/login", form.Encode())
	for _, c := range r.Cookies() {
		if c.Name == "__Host-curfew" {
			s.cookie = c.Name + "=" + c.Value + "; mine=1"
		}
	}
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/" || s.cookie == "" {
		s.t.Fatalf("sign-in: %s to %q", r.Status, r.Header.Get("Location"))
	}
	return s
}

// signOut ends the session by its own page.
func (s *site) signOut() {
	s.t.Helper()
	status := s.text(s.ask("GET", "/.curfew/session/status", ""))
	_, rest, _ := strings.Cut(status, `"csrf":"`)
	token, _, _ := strings.Cut(rest, `"`)
	if r := s.ask("POST", "/.curfew/logout", "csrf="+url.QueryEscape(token)); r.StatusCode != http.StatusSeeOther {
		s.t.Fatalf("sign-out: %s after %s", r.Status, status)
	}
}

func TestAProgramGuardsItsApplication(t *testing.T) {
	t.Parallel()
	s := start(t, protect(func(w http.ResponseWriter, r *http.Request) {
		user, ok := views.UserFrom(r.Context())
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, "<head></head>%s %v %q %q %q", user.User, ok, user.Groups, r.Header.Get("Remote-User"),
			r.Header.Get("Cookie"))
	}))
	page := []string{"Sec-Fetch-Mode", "navigate", "Remote-User", "root"}
	if r := s.ask("GET", "/a?b=c", "", page...); r.StatusCode != http.StatusSeeOther ||
		r.Header.Get("Location") != "/.curfew/login?next=%2Fa%3Fb%3Dc" {
		t.Errorf("a page without a session: %s to %q", r.Status, r.Header.Get("Location"))
	}
	if r := s.ask("GET", "/a", ""); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a script without a session: %s", r.Status)
	}
	if body := s.text(s.ask("GET", "/about", "", "Remote-User", "root")); !strings.Contains(body, ` false [] "" ""`) {
		t.Errorf("a public path: %s", body)
	}
	s.signIn()
	body := s.text(s.ask("GET", "/a", "", page...))
	if !strings.Contains(body, `ada true ["admins" "staff"] "ada" "mine=1"`) ||
		!strings.Contains(body, "/.curfew/static/curfew.js") {
		t.Errorf("a page with a session: %s", body)
	}
	if r := s.ask("POST", "/a", "x=1", "Sec-Fetch-Site", "cross-site"); r.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another site: %s", r.Status)
	}
	s.signOut()
	if r := s.ask("GET", "/a", ""); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("after the end: %s", r.Status)
	}
}

func TestAProgramWithARouterOfItsOwn(t *testing.T) {
	t.Parallel()
	s := start(t, func(g *curfew.Guard) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/.curfew/", g.Routes())
		mux.Handle("/inside/", g.Require(http.StripPrefix("/inside", http.FileServer(http.Dir(".")))))
		mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "anybody") })
		return mux
	})
	if body := s.text(s.ask("GET", "/outside", "")); body != "anybody" {
		t.Errorf("what is not guarded: %s", body)
	}
	if r := s.ask("GET", "/inside/go.mod", ""); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("what is guarded, without a session: %s", r.Status)
	}
	s.signIn()
	if r := s.ask("GET", "/inside/go.mod", "", "Range", "bytes=0-5"); r.StatusCode != http.StatusPartialContent ||
		s.text(r) != "module" {
		t.Errorf("part of a file: %s", r.Status)
	}
}

// stubborn has handlers that do not look whether anybody is still there. It tells why each has
// returned.
func stubborn(t *testing.T, causes chan<- error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/socket" {
			c, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Errorf("handshake: %v", err)
				return
			}
			defer c.CloseNow()
			_, _, err = c.Read(context.Background())
			causes <- err
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
		if user, ok := views.UserFrom(r.Context()); user.User != "ada" || !ok {
			t.Errorf("after the end the request is of %+v", user)
		}
		causes <- context.Cause(r.Context())
		io.WriteString(w, "data: too late\n\n")
	}
}

func TestTheEndCutsWhatAHandlerHasOpen(t *testing.T) {
	t.Parallel()
	causes := make(chan error, 2)
	s := start(t, protect(stubborn(t, causes))).signIn()
	events := bufio.NewReader(s.ask("GET", "/events", "").Body)
	if line, err := events.ReadString('\n'); line != "data: 1\n" {
		t.Fatalf("the first event: %q, %v", line, err)
	}
	socket, _, err := websocket.Dial(t.Context(), strings.Replace(s.url, "http", "ws", 1)+"/socket",
		&websocket.DialOptions{HTTPHeader: http.Header{"Cookie": {s.cookie}, "Origin": {s.url}}})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.CloseNow()
	s.signOut()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if _, _, err := socket.Read(ctx); err == nil || ctx.Err() != nil {
		t.Errorf("the socket goes on: %v", err)
	}
	rest, err := io.ReadAll(events)
	if err == nil || strings.Contains(string(rest), "too late") {
		t.Errorf("the stream goes on: %q, %v", rest, err)
	}
	var byEnd int
	for range 2 {
		select {
		case cause := <-causes:
			if errors.Is(cause, front.ErrSessionEnded) {
				byEnd++
			}
		case <-ctx.Done():
			t.Fatal("a handler goes on after the end")
		}
	}
	if byEnd != 1 {
		t.Errorf("%d requests are cancelled because of the end, want that of the stream", byEnd)
	}
}

func TestAHandlerThatPanicsHarmsNobodyElse(t *testing.T) {
	t.Parallel()
	s := start(t, protect(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("as bad applications do")
		}
		io.WriteString(w, "well")
	})).signIn()
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/panic", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Cookie", s.cookie)
	if response, err := http.DefaultTransport.RoundTrip(r); err == nil {
		response.Body.Close()
		t.Errorf("a panic is answered with %s", response.Status)
	}
	if body := s.text(s.ask("GET", "/", "")); body != "well" {
		t.Errorf("the next request: %s", body)
	}
}

// TestAllowedOriginsAreMeantAsBrowsersWriteThem has one that is written otherwise.
func TestAllowedOriginsAreMeantAsBrowsersWriteThem(t *testing.T) {
	t.Parallel()
	guard, err := curfew.Open(t.Context(), curfew.Options{
		DataDir:        t.TempDir(),
		PublicURL:      "http://localhost",
		AllowedOrigins: []string{"https://Other.example:443/"},
		Log:            slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close(context.Background())
	site := guard.Protect(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for origin, want := range map[string]int{"https://other.example": 401, "https://evil.example": 403} {
		r := httptest.NewRequest("POST", "http://localhost/", nil)
		r.Header.Set("Origin", origin)
		r.Header.Set("Sec-Fetch-Site", "cross-site")
		w := httptest.NewRecorder()
		if site.ServeHTTP(w, r); w.Code != want {
			t.Errorf("a form of %s: %d, want %d", origin, w.Code, want)
		}
	}
}

func TestOpenRefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	for what, o := range map[string]curfew.Options{
		"no folder":                {PublicURL: "http://localhost"},
		"no origin":                {DataDir: folder, PublicURL: "localhost"},
		"plain http":               {DataDir: folder, PublicURL: "http://app.example.org"},
		"the demo for all":         {DataDir: folder, PublicURL: "https://app.example.org"},
		"a base path that is none": {DataDir: folder, PublicURL: "http://localhost", BasePath: "curfew/"},
		"an allowed origin that is none": {
			DataDir:        folder,
			PublicURL:      "http://localhost",
			AllowedOrigins: []string{"a.example"},
		},
		"all is public": {DataDir: folder, PublicURL: "http://localhost", PublicPaths: []string{"about"}},
		"no selector":   {DataDir: folder, PublicURL: "http://localhost", KeepForms: "form\x00"},
		"a directory without a base": {
			DataDir:   folder,
			PublicURL: "https://app.example.org",
			Directory: directory.Config{URLs: []string{"ldaps://ldap.example.org"}},
		},
	} {
		if guard, err := curfew.Open(t.Context(), o); err == nil {
			guard.Close(t.Context())
			t.Errorf("%s: it opens", what)
		}
	}
	o := curfew.Options{DataDir: folder, PublicURL: "http://localhost", Log: slog.New(slog.DiscardHandler)}
	guard, err := curfew.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("after all that failed: %v", err)
	}
	if second, err := curfew.Open(t.Context(), o); err == nil {
		second.Close(t.Context())
		t.Error("two guards have one store")
	}
	if err := guard.Close(t.Context()); err != nil {
		t.Error(err)
	}
}
