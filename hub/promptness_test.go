package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/redis/redistest"
)

// What one node says counts on another as soon as it is said.

// startMember starts a node over a store that others share in memory. wrap may be nil.
func startMember(t *testing.T, shared *sharedStore, name string, wrap func(session.Store) session.Store) *rig {
	t.Helper()
	m := &member{faulty.Store{Store: unclosed{shared}, Faults: faulty.New(1)}, shared}
	o := Options{Store: m, Shared: m, Policies: session.Policies{Global: standard}, Node: name}
	if wrap != nil {
		o.Store = wrap(m)
	}
	return startHubWith(t, o.Store, o)
}

func openShared(t *testing.T) *sharedStore {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return newSharedStore(store)
}

// signInAs signs in with an ID of a kind.
func (r *rig) signInAs(name string, id func(session.ID) bool) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	for !id(u.token.ID()) {
		u.token = session.NewToken()
	}
	now := session.Millis(time.Now())
	if err := r.Create(r.t.Context(), session.Record{ID: u.token.ID(), User: name, Login: name, Policy: standard, CreatedAt: now, LastActiveAt: now}); err != nil {
		r.t.Fatal(err)
	}
	return u
}

func TestARequestWaitsForALogoutThatIsBeingTakenIn(t *testing.T) {
	shared := openShared(t)
	a, b := startMember(t, shared, "a", nil), startMember(t, shared, "b", nil)
	within(t, 5*time.Second, "they know each other", func() bool {
		ok := true
		for _, n := range []*rig{a, b} {
			part := n.cluster.MyPart(0)
			ok = ok && part.Has(session.ID{}) != part.Has(session.ID{1: 1})
		}
		return ok
	})
	eve := a.signInAs("eve", func(id session.ID) bool { return id[0]%shards == 0 && id[1]%2 == 1 })
	ada := a.signInAs("ada", func(id session.ID) bool { return id[0]%shards == shards-1 && id[1]%2 == 1 })
	within(t, 2*time.Second, "b knows both", func() bool { return b.lookup(eve.token.ID()) != nil && b.lookup(ada.token.ID()) != nil })
	e := b.lookup(eve.token.ID())
	e.mu.Lock() // covering takes its time
	l, err := a.Hub.ForceLogout(t.Context(), LogoutRequest{Scope: everyone, Actor: "root"})
	if err != nil {
		t.Fatal(err)
	}
	within(t, 2*time.Second, "b has heard", func() bool { return b.revocations.Find(l.ID) != nil })
	got := make(chan error, 1)
	go func() { _, err := b.Check(t.Context(), ada.token.ID()); got <- err }()
	select {
	case err := <-got:
		t.Errorf("b answered before all were covered: %v", err)
		e.mu.Unlock()
	case <-time.After(300 * time.Millisecond):
		e.mu.Unlock()
		if err := <-got; !errors.Is(err, session.ErrEnded) {
			t.Error(err)
		}
	}
}

// allCounting counts how often all revocations are read.
type allCounting struct {
	session.SharedStore
	all *atomic.Int64
}

func (c allCounting) RevocationsAfter(ctx context.Context, after int64) ([]session.Revocation, int64, bool, error) {
	f, l, all, err := c.SharedStore.RevocationsAfter(ctx, after)
	if all {
		c.all.Add(1)
	}
	return f, l, all, err
}

func TestARequestUnderWayDuringALogoutReadsNotAllRevocations(t *testing.T) {
	server := redistest.Start(t)
	all := new(atomic.Int64)
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return allCounting{p, all} })
	for range 3 {
		g := a.signIn("grace")
		before, _ := a.store.LastRevocation(t.Context()) // what a request has read
		a.logout(LogoutRequest{Scope: g.scope()})
		if err := a.syncRevocations(t.Context(), before); err != nil {
			t.Fatal(err)
		}
	}
	if n := all.Load(); n != 0 {
		t.Errorf("all revocations were read %d times", n)
	}
}

// slowLeave takes its time to refuse what is told of tabs.
type slowLeave struct {
	session.Store
	away *atomic.Bool
}

func (s slowLeave) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	if !s.away.Load() {
		return s.Store.Leave(ctx, id, news)
	}
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return news, errors.New("out of reach")
}

func TestShutdownDoesNotWaitForAStoreThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away := new(atomic.Bool)
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return slowLeave{s, away} })
		for i := range 2000 {
			u := hub.signIn(fmt.Sprint(i))
			hub.unstoredTabTimes.add(hub.lookup(u.token.ID()))
		}
		away.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		hub.Shutdown(ctx)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("Shutdown took %s", took)
		}
		away.Store(false)
	})
}

func TestAnActOfAnotherNodeKeepsASessionByAStricterPolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		hub := startMember(t, shared, "a", nil)
		ada := hub.signIn("ada")
		pass(5 * time.Minute)
		// another node's
		if _, err := shared.Touch(t.Context(), []session.Activity{{ID: ada.token.ID(), At: session.Millis(time.Now())}}); err != nil {
			t.Fatal(err)
		}
		acted := time.Now()
		strict := standard
		strict.WarnAfter, strict.ExpireAfter = 2*time.Minute, 3*time.Minute
		if _, err := hub.Reload(t.Context(), session.Policies{Global: strict}); err != nil {
			t.Fatal(err)
		}
		pass(4 * time.Minute)
		r, err := shared.Get(t.Context(), ada.token.ID())
		if err != nil || r.End == nil {
			t.Fatalf("End = %+v, %v", r.End, err)
		}
		if r.End.Reason != session.ReasonIdle {
			t.Errorf("ended as %s %s after the act", r.End.Reason, r.End.At.Sub(acted))
		}
	})
}

func TestASignInDuringAReloadHasTheNewPolicyOnEveryNode(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		strict := standard
		strict.WarnAfter, strict.ExpireAfter = 2*time.Minute, 3*time.Minute
		raced := &racedStore{}
		a := startMember(t, shared, "a", func(s session.Store) session.Store {
			raced.Store = s
			return raced
		})
		b := startMember(t, shared, "b", nil)
		t.Cleanup(func() { a.stop(); b.stop() })
		pass(3 * time.Second)
		raced.before = func() {
			for _, n := range []*rig{a, b} {
				if _, err := n.Reload(t.Context(), session.Policies{Global: strict}); err != nil {
					t.Error(err)
				}
			}
		}
		ada := a.signIn("ada")
		pass(20 * time.Second)
		if p := *b.lookup(ada.token.ID()).policy.Load(); p != strict {
			t.Errorf("b judges her by %v", p)
		}
		if p := *a.lookup(ada.token.ID()).policy.Load(); p != strict {
			t.Errorf("a judges her by %v", p)
		}
	})
}
