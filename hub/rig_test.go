package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

const origin = "https://app.example"

var standard = session.Policy{
	WarnAfter: 9 * time.Minute, ExpireAfter: 10 * time.Minute, MaxLifetime: 2 * time.Hour, CloseGrace: 20 * time.Second, ExtendOn: session.ExtendOnActivity,
}

// pipes is a listener in memory, so that a bubble's time may stand.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), closed: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}
func (p *pipes) Close() error   { p.once.Do(func() { close(p.closed) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "memory"} }
func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	server, client := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// rig is a hub with a real store behind a real HTTP server.
type rig struct {
	*Hub
	t      testing.TB
	store  session.Store
	client *http.Client
	stop   func()
}

func startHub(t testing.TB, p session.Policy) *rig {
	t.Helper()
	return startHubIn(t, t.TempDir(), p)
}

func startHubIn(t testing.TB, folder string, p session.Policy) *rig {
	t.Helper()
	return startHubOver(t, folder, p, func(s *bolt.Store) session.Store { return s })
}

// startHubOver starts a hub over what wrap makes of the store.
func startHubOver(t testing.TB, folder string, p session.Policy, wrap func(*bolt.Store) session.Store) *rig {
	t.Helper()
	store, err := bolt.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	return startHubWith(t, store, Options{Store: wrap(store), Policies: session.Policies{Global: p}, Node: "node-1"})
}

// racedStore has something happen once, before it stores a sign-in or new rules.
type racedStore struct {
	session.Store
	before func()
}

func (s *racedStore) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	s.happen()
	return s.Store.Create(ctx, r, limit)
}

func (s *racedStore) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	s.happen()
	return s.Store.SetRules(ctx, id, revision, rules)
}

func (s *racedStore) happen() {
	if f := s.before; f != nil {
		s.before = nil
		f()
	}
}

func startHubRaced(t *testing.T) (*rig, *racedStore) {
	t.Helper()
	store := &racedStore{}
	return startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	}), store
}

// startHubWith starts a hub with what is usual, and a server for its tabs. It closes the store in
// the end.
func startHubWith(t testing.TB, store session.Store, o Options) *rig {
	t.Helper()
	if o.Clock == nil {
		o.Clock = session.RealClock{}
	}
	o.Origins, o.SignIn, o.Admins, o.Presence = []string{origin}, "/login", []string{"admins"}, PresenceAdmins
	h, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	l := newPipes()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := session.ParseToken(r.Header.Get("X-Session"))
		if err == nil {
			err = h.Accept(w, r, token.ID(), "192.0.2.1")
		}
		switch {
		case err == nil:
		case errors.Is(err, ErrOrigin):
			http.Error(w, err.Error(), http.StatusForbidden)
		case errors.Is(err, ErrSubprotocol):
			http.Error(w, err.Error(), http.StatusBadRequest)
		default:
			http.Error(w, err.Error(), http.StatusUnauthorized)
		}
	})}
	go server.Serve(l)
	transport := &http.Transport{DialContext: l.dial}
	r := &rig{Hub: h, t: t, store: store, client: &http.Client{Transport: transport}}
	r.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		transport.CloseIdleConnections()
		store.Close()
	})
	t.Cleanup(r.stop)
	return r
}

// user is a signed-in browser.
type user struct {
	*rig
	token session.Token
	agent string // the browser's User-Agent
}

func (r *rig) signIn(name string, groups ...string) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	now := session.Millis(time.Now())
	last, err := r.store.LastRevocation(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	rec := session.Record{ID: u.token.ID(), User: name, Login: name, Address: "192.0.2.1", Policy: r.Policies().For(groups), SeenRevocation: last, CreatedAt: now, LastActiveAt: now}
	for _, g := range groups {
		rec.Groups = append(rec.Groups, session.Group{Name: g, SeenRevocation: last})
	}
	if err := r.Create(r.t.Context(), rec); err != nil {
		r.t.Fatal(err)
	}
	return u
}

// page is the other end of a tab.
type page struct {
	*user
	conn     *websocket.Conn
	start    time.Time
	messages chan map[string]any
	closed   chan websocket.CloseError
}

func (u *user) dial() (*websocket.Conn, *http.Response, error) {
	return websocket.Dial(u.t.Context(), "ws://app.example/session/ws", &websocket.DialOptions{
		HTTPClient: u.client, Subprotocols: []string{wire.Subprotocol},
		HTTPHeader: http.Header{"Origin": {origin}, "X-Session": {u.token.Text()}, "User-Agent": {u.agent}},
	})
}

func (u *user) openTab() *page {
	u.t.Helper()
	c, _, err := u.dial()
	if err != nil {
		u.t.Fatal(err)
	}
	p := &page{u, c, time.Now(), make(chan map[string]any, 1000), make(chan websocket.CloseError, 1)}
	go func() {
		defer close(p.messages)
		for {
			_, data, err := c.Read(context.Background())
			if err != nil {
				var ce websocket.CloseError
				if !errors.As(err, &ce) {
					ce = websocket.CloseError{Code: -1, Reason: err.Error()}
				}
				p.closed <- ce
				return
			}
			var m map[string]any
			if err := json.Unmarshal(data, &m); err != nil {
				panic(err)
			}
			if m["type"] == string(wire.KindTick) {
				p.ack(m)
				continue
			}
			p.messages <- m
		}
	}()
	u.t.Cleanup(func() { c.CloseNow() })
	p.next(wire.KindHello)
	return p
}

func (p *page) send(text string) {
	p.t.Helper()
	if err := p.conn.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *page) ack(m map[string]any) {
	data, _ := json.Marshal(map[string]any{"type": "ack", "seq": m["seq"]})
	p.conn.Write(context.Background(), websocket.MessageText, data)
}

// next waits for the next message, which must be of this kind.
func (p *page) next(kind wire.Kind) map[string]any {
	p.t.Helper()
	m, ok := <-p.messages
	if !ok {
		p.t.Fatalf("socket closed (%v) after %s, want %s", <-p.closed, time.Since(p.start), kind)
	}
	if m["type"] != string(kind) {
		p.t.Fatalf("got %v after %s, want %s", m, time.Since(p.start), kind)
	}
	return m
}

// wants waits for the next message, which must come at that time after the tab was opened.
func (p *page) wants(kind wire.Kind, after time.Duration) map[string]any {
	p.t.Helper()
	m := p.next(kind)
	if got := time.Since(p.start); (got-after).Abs() > 20*time.Millisecond || got < after-time.Millisecond {
		p.t.Errorf("%s came after %s, want %s", kind, got, after)
	}
	return m
}

func (p *page) silent() {
	p.t.Helper()
	synctest.Wait()
	select {
	case m := <-p.messages:
		p.t.Errorf("got %v after %s, want silence", m, time.Since(p.start))
	default:
	}
}

func (p *page) wantsClose(code websocket.StatusCode, reason string) {
	p.t.Helper()
	for m := range p.messages {
		p.t.Errorf("got %v before the close", m)
	}
	if ce := <-p.closed; ce.Code != code || ce.Reason != reason {
		p.t.Errorf("closed with %d %q, want %d %q", ce.Code, ce.Reason, code, reason)
	}
}

func (p *page) wantsEnd(reason session.Reason, after time.Duration) {
	p.t.Helper()
	m := p.wants(wire.KindExpire, after)
	if m["reason"] != string(reason) || m["location"] != "/login" || m["message"] == "" {
		p.t.Errorf("got %v, want the reason %s", m, reason)
	}
	p.ack(m)
	p.wantsClose(wire.StatusExpired, string(reason))
}

// pass lets time pass in a bubble, where that takes none.
func pass(d time.Duration) { time.Sleep(d) }

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func (u *user) scope() session.Scope { return session.Scope{Session: u.token.ID().Ref()} }
