package hub

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
)

// A random crowd in a bubble, over stores that fail, with clocks that are wrong. A simple model
// judges all the time, faults or none, what must never happen.

// randomPolicy has its deadlines come often.
var randomPolicy = session.Policy{
	WarnAfter:   2 * time.Minute,
	ExpireAfter: 3 * time.Minute,
	CloseGrace:  20 * time.Second,
	ExtendOn:    session.ExtendOnActivity,
}

// Bounds of the model while the store fails now and then.
const (
	lateness  = time.Minute // from a deadline, by the store's record, to the end
	untold    = time.Minute // from an end to the last tab that is told
	quietTime = 5 * time.Minute
)

// crowd is the model and what it watches.
type crowd struct {
	t         *testing.T
	random    *rand.Rand
	nodes     []*rig
	faults    []*faulty.Faults
	clocks    []*session.SkewedClock
	truth     session.Store // without faults
	tolerance time.Duration // between what clocks of nodes showed and the store's

	visitors []*visitor
	steps    int
	ends     map[session.Reason]int
	judged   map[session.ID]bool
}

// visitor is a session of the model.
type visitor struct {
	name    string
	token   session.Token
	tabs    []*crowdSocket
	all     []*crowdSocket // those that have gone, too
	lives   []context.Context
	acted   time.Time // when its person last acted, where that must count
	asked   bool      // somebody asked for its end
	over    bool      // that was acknowledged
	refused bool      // a request was told that the session has ended
	lost    bool      // its sign-in was answered with an error
}

// socket is a page that does as it is told.
type crowdSocket struct {
	*hubtest.Page
	shutAt time.Time // when its person or the network began to close it; zero while they have not
}

// shut notes that its person or the network is about to close the socket.
func (s *crowdSocket) shut() { s.shutAt = time.Now() }

// openFrom reports whether the socket was open from one instant to another. It is no more once it
// was told of the end.
func (s *crowdSocket) openFrom(from, to time.Time) bool {
	ends := []time.Time{s.shutAt}
	if closed, gone := s.Closed(); gone {
		ends = append(ends, closed.At)
	}
	if st := s.state(); st.told != "" {
		ends = append(ends, st.toldAt)
	}
	return s.Opened.Before(from) &&
		!slices.ContainsFunc(ends, func(at time.Time) bool { return !at.IsZero() && !at.After(to) })
}

// standing is what a page knows of its session.
type standing struct {
	told   session.Reason // of the end; empty: none
	toldAt time.Time
	gone   bool // the socket is closed
	warned bool
	until  time.Time // the end, as it was last told
}

func (s *crowdSocket) state() (st standing) {
	for _, m := range slices.Backward(s.Received()) {
		switch m.Kind() {
		case wire.KindExpire:
			reason, _ := m.Message["reason"].(string)
			st.told, st.toldAt = session.Reason(reason), m.At
			continue
		case wire.KindHello, wire.KindActive, wire.KindWarn:
			st.until = m.At.Add(time.Duration(m.Message["expire_in_ms"].(float64)) * time.Millisecond)
			st.warned = m.Kind() == wire.KindWarn
		default:
			continue
		}
		break
	}
	_, st.gone = s.Closed()
	return st
}

func newCrowd(t *testing.T, seed uint64, nodes int, skew time.Duration) *crowd {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := &crowd{
		t:         t,
		random:    rand.New(rand.NewPCG(seed, 1)),
		truth:     store,
		ends:      make(map[session.Reason]int),
		judged:    make(map[session.ID]bool),
		tolerance: 50 * time.Millisecond,
	}
	shared := newSharedStore(store)
	for i := range nodes {
		f := faulty.New(seed + uint64(i))
		o := Options{
			Store:    faulty.Store{Store: unclosed{store}, Faults: f},
			Policies: session.Policies{Global: randomPolicy},
			Node:     fmt.Sprint("node-", i),
		}
		clock := &session.SkewedClock{Clock: session.RealClock{}}
		if nodes > 1 {
			clock.SetSkew(time.Duration((2*c.random.Float64() - 1) * float64(skew)))
			o.SyncedClock = &session.SyncedClock{Clock: clock, Wall: clock.Wall}
			m := &member{faulty.Store{Store: unclosed{shared}, Faults: f}, shared}
			o.Clock, o.Store, o.Shared = o.SyncedClock, m, m
		}
		c.nodes, c.faults, c.clocks = append(c.nodes, startHubWith(t, o.Store, o)), append(c.faults, f),
			append(c.clocks, clock)
	}
	t.Cleanup(func() { // before the bubble ends
		for _, f := range c.faults {
			f.Heal()
		}
		for _, n := range c.nodes {
			n.stop()
		}
		store.Close()
	})
	return c
}

// unclosed is a store that several rigs have and none closes.
type unclosed struct{ session.Store }

func (unclosed) Close() error { return nil }

func (c *crowd) chance(p float64) bool { return c.random.Float64() < p }

func (c *crowd) someone() *visitor {
	var alive []*visitor
	for _, v := range c.visitors {
		if !v.over && !v.lost {
			alive = append(alive, v)
		}
	}
	if len(alive) == 0 {
		return nil
	}
	return alive[c.random.IntN(len(alive))]
}

// step does one thing that people or administrators do.
func (c *crowd) step() {
	c.steps++
	i := c.random.IntN(len(c.nodes))
	n, v := c.nodes[i], c.someone()
	ctx := c.t.Context()
	switch what := c.random.IntN(100); {
	case what < 12 || v == nil:
		c.signIn(n)
	case what < 30:
		c.open(n, v)
	case what < 40:
		c.check(n)
		c.admit(n)
	case what < 75:
		c.act(v)
	case what < 82:
		c.close(v)
	case what < 85:
		if len(v.tabs) > 0 {
			v.tabs[0].shut()
			v.tabs[0].Break() // the network broke it
			v.tabs = v.tabs[1:]
		}
	case what < 88:
		v.asked = true
		_, err := n.End(ctx, v.token.ID(),
			session.End{Reason: session.ReasonLogout, At: session.Millis(n.clock.Now()), Actor: v.name})
		v.over = v.over || err == nil
	case what < 90:
		c.logout(n, v)
	}
}

// check asks how anybody's session stands, whether or not it has ended, in one of the two ways.
func (c *crowd) check(n *rig) {
	v := c.visitors[c.random.IntN(len(c.visitors))]
	_, err := n.Check(c.t.Context(), v.token.ID())
	if c.chance(0.3) {
		_, _, err = n.Values(c.t.Context(), v.token.ID())
	}
	switch {
	case err == nil && v.over:
		c.t.Errorf("%s: Check on %s serves a session whose end was acknowledged", v.name, n.node)
	case err == nil && v.refused:
		c.t.Errorf("%s: Check on %s serves a session that it has called ended", v.name, n.node)
	case errors.Is(err, session.ErrEnded):
		v.refused = true
	}
}

// admit sends a request of anybody, whether or not their session has ended.
func (c *crowd) admit(n *rig) {
	v := c.visitors[c.random.IntN(len(c.visitors))]
	_, life, err := n.Admit(c.t.Context(), v.token.ID())
	switch {
	case err == nil && v.over:
		c.t.Errorf("%s: Admit on %s serves a session whose end was acknowledged", v.name, n.node)
	case err == nil && v.refused:
		c.t.Errorf("%s: Admit on %s serves a session that it has called ended", v.name, n.node)
	case err == nil:
		v.lives = append(v.lives, life)
	case errors.Is(err, session.ErrEnded):
		v.refused = true
	}
}

func (c *crowd) signIn(n *rig) {
	last, err := n.LastRevocation(c.t.Context())
	if err != nil {
		return
	}
	v := &visitor{name: fmt.Sprint("user", c.random.IntN(10)), token: session.NewToken(), acted: time.Now()}
	now := session.Millis(n.clock.Now())
	r := session.Record{
		ID:             v.token.ID(),
		User:           v.name,
		Login:          v.name,
		Address:        "192.0.2.1",
		Policy:         randomPolicy,
		SeenRevocation: last,
		CreatedAt:      now,
		LastActiveAt:   now,
	}
	v.lost = n.Create(c.t.Context(), r) != nil
	v.asked = v.lost
	c.visitors = append(c.visitors, v)
}

func (c *crowd) open(n *rig, v *visitor) {
	u := &user{rig: n, token: v.token}
	o := u.at()
	o.AckAll = true
	p, _, err := hubtest.Dial(c.t.Context(), o)
	if err != nil {
		return
	}
	if v.over {
		c.t.Errorf("%s: a socket was opened on %s after the end was acknowledged", v.name, n.node)
	}
	s := &crowdSocket{Page: p}
	v.tabs, v.all = append(v.tabs, s), append(v.all, s)
}

// act has the person of v do something in a tab. Whether an act in a warning comes in time the tab
// is told; any other counts.
func (c *crowd) act(v *visitor) {
	if len(v.tabs) == 0 {
		return
	}
	s := v.tabs[c.random.IntN(len(v.tabs))]
	before := s.state()
	if before.told != "" || before.gone {
		return
	}
	kind := `{"type":"activity","idle_ms":0}`
	if c.chance(0.3) {
		kind = `{"type":"confirm"}`
	}
	if s.Conn.Write(c.t.Context(), websocket.MessageText, []byte(kind)) != nil {
		return
	}
	synctest.Wait()
	if _, gone := s.Closed(); !gone && !before.warned && time.Until(before.until) > randomPolicy.Lead()+c.tolerance {
		v.acted = time.Now()
	}
}

// close closes all tabs of v, or one of several.
func (c *crowd) close(v *visitor) {
	reason := "close"
	if c.chance(0.5) {
		reason = wire.LeftNavigate
	}
	closing := v.tabs
	if len(v.tabs) > 1 && c.chance(0.5) {
		closing = v.tabs[:1]
	}
	for _, s := range closing {
		s.shut()
		go s.Leave(reason)
	}
	v.tabs = v.tabs[len(closing):]
}

func (c *crowd) logout(n *rig, v *visitor) {
	var covered []*visitor
	for _, other := range c.visitors {
		if other.name == v.name {
			other.asked = true
			covered = append(covered, other)
		}
	}
	q := LogoutRequest{Scope: session.Scope{User: v.name}, Actor: "root"}
	if c.chance(0.5) {
		q.Grace = 30 * time.Second
	}
	_, err := n.ForceLogout(c.t.Context(), q)
	for _, other := range covered {
		other.over = other.over || err == nil && q.Grace == 0
	}
}

// slowMethods are never called with a lock held: in a bubble nobody may wait for a lock while time
// is to pass.
var slowMethods = []string{"Create", "Get", "End", "Touch", "AddRevocation", "Pulse", "GetMany"}

// trouble makes stores fail, or heals them, and sets clocks wrong.
func (c *crowd) trouble(skew time.Duration) {
	f := c.faults[c.random.IntN(len(c.faults))]
	switch {
	case c.chance(0.4):
		f.Heal()
	case c.chance(0.5):
		f.Set(faulty.All, faulty.Rule{NotDue: 0.2, Before: 0.15, After: 0.1})
		for _, method := range slowMethods {
			f.Set(method, faulty.Rule{
				NotDue: 0.2,
				Before: 0.15,
				After:  0.1,
				Slow:   0.1,
				By:     2 * time.Second,
			})
		}
	default: // all of one method, for a while
		methods := []string{"Get", "End", "Touch", "Leave", "Pulse", "Publish", "GetMany", "LastRevocation",
			"AddRevocation", "SetTabs"}
		f.Set(methods[c.random.IntN(len(methods))], faulty.Rule{Before: 0.3, After: 0.3, NotDue: 0.3})
	}
	if len(c.nodes) > 1 && skew > time.Second && c.chance(0.3) {
		c.clocks[c.random.IntN(len(c.clocks))].SetSkew(time.Duration((2*c.random.Float64() - 1) * float64(skew)))
	}
}

// run has the crowd live for a while, and then lets all come to rest.
func (c *crowd) run(d, skew time.Duration) {
	end := time.Now().Add(d)
	for next := time.Now(); time.Now().Before(end); {
		c.step()
		pass(time.Duration(c.random.IntN(1500)) * time.Millisecond)
		if time.Now().After(next) {
			c.trouble(skew)
			next = time.Now().Add(time.Duration(5+c.random.IntN(40)) * time.Second)
		}
		c.judge()
	}
	for _, f := range c.faults {
		f.Heal()
	}
	pass(quietTime)
	synctest.Wait()
	c.judge()
	for _, v := range c.visitors {
		for _, n := range c.nodes {
			if n.lookup(v.token.ID()) != nil {
				c.t.Errorf("%s: %s still watches over it when all is quiet", v.name, n.node)
			}
		}
		for _, s := range v.tabs {
			if st := s.state(); st.told == "" && !st.gone {
				c.t.Errorf("%s: a tab is open when all is quiet", v.name)
			}
		}
	}
}

func (c *crowd) report(seed uint64) {
	injected := make(map[string]int)
	for _, f := range c.faults {
		for kind, n := range f.Injected() {
			injected[strings.Split(kind, ",")[0]] += n
		}
	}
	c.t.Logf("seed %d: %d steps, %d sessions, ends %v, faults injected %v", seed, c.steps, len(c.visitors), c.ends,
		injected)
	if len(c.ends) < 4 || len(injected) < 3 {
		c.t.Errorf("seed %d: the crowd saw too little: ends for %v, faults %v", seed, slices.Sorted(maps.Keys(c.ends)),
			injected)
	}
}

// TestRandomCrowdOverFaultyStores may be repeated with CURFEW_SEED. Under one seed the choices are
// the same, the order of what happens at one instant is not.
func TestRandomCrowdOverFaultyStores(t *testing.T) {
	tests := []struct {
		name  string
		nodes int
		skew  time.Duration // of the clocks, either way
		wrong time.Duration // what the model allows them
	}{
		{"one node", 1, 0, 10 * time.Millisecond},
		{"three nodes whose clocks differ by little", 3, 20 * time.Millisecond, 50 * time.Millisecond},
		{"three nodes whose clocks are stepped", 3, 2 * time.Second, 4500 * time.Millisecond},
	}
	seeds := []uint64{1}
	if text := os.Getenv("CURFEW_SEED"); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		seeds = []uint64{seed}
	}
	for _, test := range tests {
		for _, seed := range seeds {
			t.Run(fmt.Sprint(test.name, ", seed ", seed), func(t *testing.T) {
				t.Parallel()
				bubble(t, func(t *testing.T) {
					c := newCrowd(t, seed, test.nodes, test.skew)
					c.tolerance = test.wrong
					c.run(20*time.Minute, test.skew)
					c.report(seed)
				})
			})
		}
	}
}
