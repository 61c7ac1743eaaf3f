package hub

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

const origin = "https://app.example"

var standard = session.Policy{
	WarnAfter:   9 * time.Minute,
	ExpireAfter: 10 * time.Minute,
	MaxLifetime: 2 * time.Hour,
	CloseGrace:  20 * time.Second,
	ExtendOn:    session.ExtendOnActivity,
}

// TestMain lets more tests run at once than there are processors, where the command line does not
// say how many: the parallel ones wait in real time, above all for a node's lease in its Redis.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8")
	m.Run()
}

// rig is a hub with a real store behind a real HTTP server.
type rig struct {
	*Hub
	t        testing.TB
	store    session.Store
	listener *hubtest.Listener
	client   *http.Client
	stop     func()

	serverLog bytes.Buffer // of the HTTP server; it is written until stop
	upgrading func()       // if set, called between the look at the session of a handshake and its upgrade
}

// upgrade is the answer to a handshake.
type upgrade struct {
	http.ResponseWriter
	rig *rig
}

func (u *upgrade) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if u.rig.upgrading != nil {
		u.rig.upgrading()
	}
	return http.NewResponseController(u.ResponseWriter).Hijack()
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
	o.SignIn, o.Admins, o.Presence = "/login", []string{"admins"}, PresenceAdmins
	h, err := New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	listener := hubtest.Listen()
	r := &rig{
		Hub:      h,
		t:        t,
		store:    store,
		listener: listener,
		client:   listener.Client(),
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		token, err := session.ParseToken(request.Header.Get("X-Session"))
		if err == nil {
			err = h.Accept(&upgrade{w, r}, request, token.ID(), Endpoint{
				Origin:        origin,
				Peer:          "192.0.2.1",
				WithoutAdmins: request.Header.Get("X-Without-Admins") != "",
			})
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
	server.ErrorLog = log.New(&r.serverLog, "", 0)
	go server.Serve(listener)
	r.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		server.Close()
		r.client.CloseIdleConnections()
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
	rec := session.Record{
		ID:             u.token.ID(),
		User:           name,
		Login:          name,
		Address:        "192.0.2.1",
		Policy:         r.Policies().For(groups),
		SeenRevocation: last,
		CreatedAt:      now,
		LastActiveAt:   now,
	}
	for _, g := range groups {
		rec.Groups = append(rec.Groups, session.Group{Name: g, SeenRevocation: last})
	}
	if err := r.Create(r.t.Context(), rec); err != nil {
		r.t.Fatal(err)
	}
	return u
}

// page is the other end of a tab, and the browser that has it open.
type page struct {
	*user
	*hubtest.Page
}

// at says where the user's pages are and who opens them.
func (u *user) at() hubtest.Options {
	return hubtest.Options{
		URL:    "ws://app.example/session/ws",
		Client: u.client,
		Header: http.Header{"Origin": {origin}, "X-Session": {u.token.Text()}, "User-Agent": {u.agent}},
	}
}

// dial opens a socket that the caller reads, or does not.
func (u *user) dial() (*websocket.Conn, *http.Response, error) {
	o := u.at()
	return websocket.Dial(u.t.Context(), o.URL,
		&websocket.DialOptions{HTTPClient: o.Client, HTTPHeader: o.Header, Subprotocols: []string{wire.Subprotocol}})
}

func (u *user) openTab() *page {
	u.t.Helper()
	return &page{u, hubtest.Open(u.t, u.at())}
}

// WantsEnd is that of the page, and wants it sent to the sign-in of this server.
func (p *page) WantsEnd(reason session.Reason, after time.Duration) hubtest.Message {
	p.t.Helper()
	m := p.Page.WantsEnd(reason, after)
	if m["location"] != "/login" {
		p.t.Errorf("got %v, want the location /login", m)
	}
	return m
}

// pass lets time pass in a bubble, where that takes none.
func pass(d time.Duration) { time.Sleep(d) }

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func (u *user) scope() session.Scope { return session.Scope{Session: u.token.ID().Ref()} }

func (u *user) wantsEnded(reason session.Reason) {
	u.t.Helper()
	if r, err := u.store.Get(context.Background(), u.token.ID()); err != nil || r.End == nil || r.End.Reason != reason {
		u.t.Errorf("%s: end %+v, %v, want %s", u.token.ID().Ref(), r.End, err, reason)
	}
}

func (u *user) wantsOver(message string) {
	u.t.Helper()
	status, err := u.Check(u.t.Context(), u.token.ID())
	if !errors.Is(err, session.ErrEnded) || status.Record.End.Reason != session.ReasonAdmin ||
		status.Record.End.Text() != message {
		u.t.Errorf("Check = %+v, %v, want ended by an admin with the message %q", status.Record.End, err, message)
	}
}

func (u *user) wantsAlive() {
	u.t.Helper()
	if _, err := u.Check(u.t.Context(), u.token.ID()); err != nil {
		u.t.Errorf("Check = %v, want it alive", err)
	}
}

// endLines counts the audit lines of a session's end.
func (u *user) endLines() (n int) {
	u.t.Helper()
	events, err := u.store.Events(u.t.Context(), session.EventQuery{Limit: 1000, Kind: session.EventSessionEnd})
	if err != nil {
		u.t.Fatal(err)
	}
	for _, e := range events {
		if e.Session == u.token.ID().Ref() {
			n++
		}
	}
	return n
}

// rawTab is the other end of a tab as bytes. It reads, and answers nothing.
type rawTab struct {
	conn   net.Conn
	closed chan websocket.StatusCode // what the server closed with; -1 without a close frame
	pings  atomic.Int32
}

func (u *user) openRawTab(ctx context.Context) *rawTab {
	u.t.Helper()
	conn, err := u.listener.Dial(ctx, "", "")
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /session/ws HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\n"+
		"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nOrigin: %s\r\n"+
		"X-Session: %s\r\n\r\n", wire.Subprotocol, origin, u.token.Text())
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		u.t.Fatalf("handshake: %+v, %v", response, err)
	}
	tab := &rawTab{conn: conn, closed: make(chan websocket.StatusCode, 1)}
	go tab.read(r)
	return tab
}

func (tab *rawTab) read(r *bufio.Reader) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			tab.closed <- -1
			return
		}
		length := uint16(head[1])
		if length == 126 {
			if err := binary.Read(r, binary.BigEndian, &length); err != nil {
				tab.closed <- -1
				return
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			tab.closed <- -1
			return
		}
		switch head[0] & 0x0f {
		case wire.OpPing:
			tab.pings.Add(1)
		case wire.OpClose:
			tab.closed <- websocket.StatusCode(binary.BigEndian.Uint16(body))
			return
		}
	}
}

// rawFrame is a masked frame of a page. The key is 0, so that the body is its own mask.
func rawFrame(first byte, body string) []byte {
	return append([]byte{first, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
}

// skewed is a node's clock that is so far ahead, and not set right.
func skewed(by time.Duration) *session.SkewedClock {
	c := &session.SkewedClock{Clock: session.RealClock{}}
	c.SetSkew(by)
	return c
}

// quick is a policy that a test in real time can wait for.
var quick = session.Policy{WarnAfter: time.Second, ExpireAfter: 2 * time.Second, ExtendOn: session.ExtendOnActivity}

// late is a sign-in that has read the number of the last forced logout before there was any, and is
// stored only now.
func (r *rig) late(name string) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	now := session.Millis(time.Now())
	record := session.Record{
		ID:           u.token.ID(),
		User:         name,
		Login:        name,
		Policy:       standard,
		CreatedAt:    now,
		LastActiveAt: now,
	}
	if err := r.Create(r.t.Context(), record); err != nil {
		r.t.Fatal(err)
	}
	return u
}

// signInAt is signIn by another clock than the real one.
func (r *rig) signInAt(name string, now time.Time) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	now = session.Millis(now)
	rec := session.Record{
		ID:           u.token.ID(),
		User:         name,
		Login:        name,
		Address:      "192.0.2.1",
		Policy:       r.Policies().For(nil),
		CreatedAt:    now,
		LastActiveAt: now,
	}
	if err := r.Create(r.t.Context(), rec); err != nil {
		r.t.Fatal(err)
	}
	return u
}
