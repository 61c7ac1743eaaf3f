package views

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/hub/hubtest"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/gorilla"
	"curfew/views/apitest"
)

// site is a server over a real hub and a real store. Users ada (staff, admins) and grace (staff)
// have the password pw.
type site struct {
	*Server
	t           *testing.T
	store       *flaky
	directory   *people
	description *apitest.Description // of the API
}

// people are a directory.
type people struct {
	away  atomic.Bool
	asked atomic.Int64
	mu    sync.Mutex // held by a test to keep a sign-in waiting
	list  []directory.Entry
	mail  map[string]string // users by another name with which they sign in
	entry string            // identity of whoever signs in

	refusal error // of whoever has the right password
	warning *directory.PasswordWarning
}

func (p *people) Authenticate(ctx context.Context, username, password string,
	found func(string) error) (directory.Entry, error) {
	p.asked.Add(1)
	p.mu.Lock()
	defer p.mu.Unlock()
	groups := map[string][]string{"ada": {"admins", "staff"}, "grace": {"staff"}, "Jürgen GROß": {"staff"}}[username]
	switch {
	case p.away.Load():
		return directory.Entry{}, fmt.Errorf("%w: connection refused", directory.ErrUnavailable)
	case groups == nil:
		return directory.Entry{}, directory.ErrBadCredentials
	}
	if found != nil {
		if err := found(username); err != nil {
			return directory.Entry{}, err
		}
	}
	if password != "pw" {
		return directory.Entry{}, directory.ErrBadCredentials
	}
	if p.refusal != nil {
		return directory.Entry{}, p.refusal
	}
	return directory.Entry{
		User:            username,
		Name:            strings.ToUpper(username),
		Groups:          groups,
		Identity:        p.entry,
		PasswordWarning: p.warning,
	}, ctx.Err()
}

func (p *people) People(_ context.Context, limit int) ([]directory.Entry, error) {
	if p.away.Load() {
		return nil, directory.ErrUnavailable
	}
	return p.list[:min(len(p.list), limit)], nil
}

func (p *people) Find(_ context.Context, name string) (directory.Entry, error) {
	if p.away.Load() {
		return directory.Entry{}, directory.ErrUnavailable
	}
	for _, e := range p.list {
		if session.SameName(e.User, cmp.Or(p.mail[name], name)) {
			return e, nil
		}
	}
	return directory.Entry{}, directory.ErrBadCredentials
}

const siteOrigin = "https://site.example"

func startSite(t *testing.T, base string) *site {
	t.Helper()
	return startSiteOn(t, base, new(flaky))
}

// startSiteOn starts a site on a store that is empty but for what it is said to remember.
func startSiteOn(t *testing.T, base string, store *flaky) *site {
	t.Helper()
	inner, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	store.Store = inner
	log := slog.New(slog.DiscardHandler)
	tabs, err := hub.New(t.Context(), hub.Options{
		Presence: hub.PresenceAdmins,
		Store:    store,
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: session.Profiles()[0].Policy},
		Admins:   []string{"admins"},
		SignIn:   base + "/login",
		Log:      log,
	})
	if err != nil {
		t.Fatal(err)
	}
	public, err := ParseOrigin(siteOrigin)
	if err != nil {
		t.Fatal(err)
	}
	who := &people{}
	ready := NewReadiness(store.Ping, func(context.Context) error { return nil }, log)
	s := New(Options{
		Hub:           tabs,
		Sessions:      gorilla.New(tabs, session.RealClock{}),
		Trail:         store,
		Authenticator: who,
		People:        who,
		Metrics:       http.HandlerFunc(healthz),
		Ready:         ready,
		Clock:         session.RealClock{},
		Secret:        make([]byte, 32),
		PublicURL:     public,
		BasePath:      base,
		Proxies:       NewProxies(nil),
		Log:           log,
	})
	t.Cleanup(func() {
		store.away.Store(false)
		s.Shutdown()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := errors.Join(tabs.Shutdown(ctx), inner.Close()); err != nil {
			t.Error(err)
		}
	})
	one := &site{Server: s, t: t, store: store, directory: who}
	one.description = apitest.Read(t, []byte((&browser{site: one}).get(base+"/api/v1/openapi.json").text))
	return one
}

// browser keeps a cookie. A program has a token of the API instead.
type browser struct {
	*site
	cookie string
	token  string
}

// answer is what a request was answered with.
type answer struct {
	*http.Response
	text string
}

func (a answer) String() string {
	return fmt.Sprintf("%d to %q: %.300s", a.StatusCode, a.Header.Get("Location"), a.text)
}

// json is the answer as JSON.
func (a answer) json(name string) any {
	var fields map[string]any
	json.Unmarshal([]byte(a.text), &fields)
	return fields[name]
}

// send sends a request. Whatever the API answers must be described.
func (s *site) send(r *http.Request) answer {
	w := httptest.NewRecorder()
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	s.ServeHTTP(w, r)
	if strings.HasPrefix(r.URL.Path, s.base+"/api/v1/") && s.description != nil {
		s.description.Check(s.t, r, sent, w.Code, w.Result().Header, w.Body.Bytes())
	}
	return answer{w.Result(), w.Body.String()}
}

// request makes a request of a page of this site. Headers come in pairs; a form has the csrf token
// in it.
func (b *browser) request(method, path string, form url.Values, header ...string) *http.Request {
	body := ""
	if form != nil {
		if id, err := session.ParseToken(strings.TrimPrefix(b.cookie, gorilla.CookieName+"=")); err == nil &&
			!form.Has("csrf") {
			form.Set("csrf", b.csrf(id.ID()))
		}
		body = form.Encode()
	}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Host = "site.example"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func (b *browser) get(path string, header ...string) answer {
	return b.send(b.request("GET", path, nil, append([]string{"Sec-Fetch-Mode", "navigate"}, header...)...))
}

func (b *browser) post(path string, form url.Values, header ...string) answer {
	return b.send(b.request("POST", path, form, append([]string{"Sec-Fetch-Mode", "navigate"}, header...)...))
}

// call uses the API with the cookie and the csrf token that goes with it, or with the token.
// Headers come in pairs.
func (b *browser) call(method, path, body string, header ...string) answer {
	r := b.request(method, path, nil)
	if token, err := session.ParseToken(strings.TrimPrefix(b.cookie, gorilla.CookieName+"=")); err == nil {
		r.Header.Set("X-CSRF-Token", b.csrf(token.ID()))
	}
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	r.Body = io.NopCloser(strings.NewReader(body))
	return b.send(r)
}

// api makes a call of the API that must be answered with a status, and returns the answer.
func (b *browser) api(method, path, body string, status int, header ...string) map[string]any {
	b.t.Helper()
	a := b.call(method, b.base+"/api/v1"+path, body, header...)
	var fields map[string]any
	if err := json.Unmarshal([]byte(a.text), &fields); err != nil || a.StatusCode != status {
		b.t.Fatalf("%s %s %s: %s, %v, want %d", method, path, body, a, err, status)
	}
	return fields
}

func items(answer map[string]any) []any { return answer["items"].([]any) }

// dig is the object within an object of JSON that these names lead to.
func dig(v any, names ...string) map[string]any {
	for _, name := range names {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	m, _ := v.(map[string]any)
	return m
}

// status asks how the session stands.
func (b *browser) status() (code int, status map[string]any) {
	b.t.Helper()
	a := b.get(b.base+"/session/status", "Sec-Fetch-Mode", "cors")
	if err := json.Unmarshal([]byte(a.text), &status); err != nil {
		b.t.Fatalf("status: %s, %v", a, err)
	}
	return a.StatusCode, status
}

// openTab opens a tab that acknowledges whatever it is told.
func (b *browser) openTab() *hubtest.Page {
	b.t.Helper()
	server := httptest.NewServer(b.Server)
	b.t.Cleanup(server.Close)
	return hubtest.Open(b.t, hubtest.Options{
		URL:    server.URL + b.base + "/session/ws",
		Header: http.Header{"Origin": {siteOrigin}, "Cookie": {b.cookie}},
		AckAll: true,
	})
}

// startAPI starts a site and two programs that use its API.
func startAPI(t *testing.T) (s *site, reader, admin *browser) {
	t.Helper()
	s = startSite(t, "")
	return s, s.program(ScopeRead), s.program(ScopeAdmin)
}

// program is a program that uses the API with a token of its own.
func (s *site) program(scope TokenScope) *browser {
	s.t.Helper()
	secret, line, err := NewAPIToken("robot-"+string(scope), scope)
	if err != nil {
		s.t.Fatal(err)
	}
	tokens, err := ParseAPITokens(line)
	if err != nil {
		s.t.Fatal(err)
	}
	s.SetTokens(append(*s.tokens.Load(), tokens...))
	return &browser{site: s, token: secret}
}

// signIn signs a user in in a new browser.
func (s *site) signIn(user string) *browser {
	s.t.Helper()
	b := &browser{site: s}
	a := b.post(s.base+"/login", url.Values{"username": {user}, "password": {"pw"}})
	if b.take(a); b.cookie == "" {
		s.t.Fatalf("sign-in of %s: %s", user, a)
	}
	return b
}

// session makes a session without the directory, and returns the browser that has it.
func (s *site) session(user string, groups ...string) *browser {
	s.t.Helper()
	r := session.Record{User: user, Policy: session.Profiles()[0].Policy}
	for _, g := range groups {
		r.Groups = append(r.Groups, session.Group{Name: g})
	}
	b := &browser{site: s}
	w := httptest.NewRecorder()
	if _, err := s.sessions.SignIn(w, b.request("POST", s.base+"/login", nil), r); err != nil {
		s.t.Fatal(err)
	}
	b.take(answer{Response: w.Result()})
	return b
}

// take keeps the cookie of an answer, as browsers do.
func (b *browser) take(a answer) {
	for _, c := range a.Cookies() {
		if c.Name == gorilla.CookieName {
			b.cookie = c.Name + "=" + c.Value
		}
	}
}

func (b *browser) ref() string {
	token, err := session.ParseToken(strings.TrimPrefix(b.cookie, gorilla.CookieName+"="))
	if err != nil {
		b.t.Fatal(err)
	}
	return token.ID().Ref()
}

// events lists the audit trail of a kind.
func (s *site) events(kind session.EventKind) []session.Event {
	s.t.Helper()
	list, err := s.store.Events(s.t.Context(), session.EventQuery{Limit: 100, Kind: kind})
	if err != nil {
		s.t.Fatal(err)
	}
	return list
}
