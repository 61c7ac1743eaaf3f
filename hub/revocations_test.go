package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

func TestLogoutInEffectStaysSoWhenTheClockIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		clock := skewed(0)
		store.SetClock(clock)
		hub := startHubWith(t, store, Options{
			Store:    store,
			Clock:    clock,
			Policies: session.Policies{Global: standard},
			Node:     "node-1",
		})
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		atOnce := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
		graced := hub.logout(LogoutRequest{Scope: session.Scope{User: "grace"}, Grace: time.Minute, Block: time.Minute})
		pass(time.Minute)
		synctest.Wait()
		clock.SetSkew(-time.Hour)
		for _, u := range []*user{ada, grace, hub.late("ada"), hub.late("grace")} {
			u.wantsOver(session.ReasonAdmin.Message())
		}
		if _, err := hub.CancelForcedLogout(t.Context(), atOnce.ID, "root"); !errors.Is(err, session.ErrTooLate) {
			t.Errorf("calling off what had no grace: %v", err)
		}
		if l, err := hub.CancelForcedLogout(t.Context(), graced.ID, "root"); err != nil || l.State != LogoutEffective {
			t.Errorf("calling off its block: %+v, %v", l, err)
		}
		if _, blocked := hub.Blocked("grace", nil); blocked {
			t.Error("the block was not called off")
		}
		hub.late("grace").wantsOver(session.ReasonAdmin.Message())
	})
}

func TestLogoutWithoutAGraceHoldsAfterARestartThoughTheClockWasSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		store, err := bolt.Open(folder)
		if err != nil {
			t.Fatal(err)
		}
		now := session.Millis(time.Now()) // the process is killed before the single end is written
		token := session.NewToken()
		r := session.Record{
			ID:           token.ID(),
			User:         "ada",
			Login:        "ada",
			Policy:       standard,
			CreatedAt:    now,
			LastActiveAt: now,
		}
		if _, err := store.Create(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := store.AddRevocation(t.Context(), session.Revocation{
			ID:          "x",
			Scope:       session.Scope{User: "ada"},
			At:          now,
			EffectiveAt: now,
		}); err != nil {
			t.Fatal(err)
		}
		if err := store.Close(); err != nil {
			t.Fatal(err)
		}
		if store, err = bolt.Open(folder); err != nil {
			t.Fatal(err)
		}
		hub := startHubWith(t, store, Options{
			Store:    store,
			Clock:    skewed(-time.Hour),
			Policies: session.Policies{Global: standard},
			Node:     "node-1",
		})
		(&user{rig: hub, token: token}).wantsOver(session.ReasonAdmin.Message())
	})
}

func TestLogoutHoldsAtANodeWhoseClockIsBehind(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{15 * time.Millisecond, 400 * time.Millisecond} {
		server := redistest.Start(t)
		a := startNode(t, server, "a", standard, nil)
		store := openRedis(t, server)
		b := startHubWith(t, store, Options{
			Store:    store,
			Shared:   store,
			Clock:    skewed(-behind),
			Policies: session.Policies{Global: standard},
			Node:     "b",
		})
		for range 5 {
			ada := a.signIn("ada")
			within(t, 2*time.Second, "b knows her", func() bool { return len(b.sessionsOf("ada")) == 1 })
			tab := ada.on(b).openTab()
			a.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Actor: "root"})
			ada.on(b).wantsOver(session.ReasonAdmin.Message())
			tab.EndsWithin(2*time.Second, session.ReasonAdmin) // and no warning before it
			within(t, 2*time.Second, "it is over", func() bool { return len(b.sessionsOf("ada")) == 0 })
		}
	}
}

func TestLogoutRightAfterAFailOverOfTheRevocationsCoversAll(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	a.logout(LogoutRequest{Scope: session.Scope{User: "grace"}, Actor: "root"})
	ada := a.signIn("ada") // has seen the first
	for _, c := range []string{"DEL curfew:{facts}:all", "SET curfew:{facts}:last 0"} {
		if _, err := server.Command(c); err != nil {
			t.Fatal(err)
		}
	}
	a.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Actor: "root"})
	ada.wantsOver(session.ReasonAdmin.Message())
}

// countingShared counts how often revocations are read, and has readers wait.
type countingShared struct {
	session.SharedStore
	reads *atomic.Int64
	hold  chan struct{}
}

func (c countingShared) RevocationsAfter(ctx context.Context, after int64) ([]session.Revocation, int64, bool, error) {
	c.reads.Add(1)
	if c.hold != nil {
		<-c.hold
	}
	return c.SharedStore.RevocationsAfter(ctx, after)
}

func TestRevocationsOfOtherNodesAreReadOnceForAllThatNeedThem(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	reads, hold := new(atomic.Int64), make(chan struct{})
	a := startNode(t, server, "a", standard,
		func(p session.SharedStore) session.SharedStore { return countingShared{p, reads, hold} })
	ada := a.signIn("ada")
	store := openRedis(t, server)
	t.Cleanup(func() { store.Close() })
	now := session.Millis(time.Now())
	f, err := store.AddRevocation(t.Context(), session.Revocation{
		ID:          "from a node that is not heard",
		Scope:       session.Scope{User: "ada"},
		At:          now,
		EffectiveAt: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := a.syncRevocations(t.Context(), f.Number); err != nil {
				t.Error(err)
			}
		})
	}
	within(t, 2*time.Second, "one reads", func() bool { return reads.Load() == 1 })
	given := make(chan error)
	short, cancel := context.WithCancel(t.Context())
	go func() { given <- a.syncRevocations(short, f.Number) }()
	cancel()
	if err := <-given; !errors.Is(err, context.Canceled) {
		t.Errorf("whoever has gone waits on: %v", err)
	}
	close(hold)
	wg.Wait()
	if n := reads.Load(); n != 1 {
		t.Errorf("revocations were read %d times, want once", n)
	}
	ada.wantsOver(session.ReasonAdmin.Message())
	reads.Store(0)
	for range 3 { // what a node writes itself it need not read
		grace := a.signIn("grace")
		a.logout(LogoutRequest{Scope: session.Scope{User: "grace"}})
		grace.wantsOver(session.ReasonAdmin.Message())
	}
	if n := reads.Load(); n != 0 {
		t.Errorf("revocations of this node were read %d times", n)
	}
}

func TestRevocationsAreForgottenWhenNobodyIsOlder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		tab := ada.openTab()
		l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
		tab.WantsEnd(session.ReasonAdmin, 0)
		prune := func() {
			t.Helper()
			if err := hub.Prune(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		pass(2 * time.Hour)
		prune()
		if got, err := hub.ForcedLogout(l.ID); err != nil || got.Acked != 1 || len(got.Tabs) != 0 {
			t.Errorf("after two hours: %+v, %v, want the count without the tabs", got, err)
		}
		pass(session.RevocationKeptFor)
		prune()
		if _, err := hub.ForcedLogout(l.ID); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("after a day: %v, want ErrNotFound", err)
		}
		if l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}}); l.Number != 2 {
			t.Errorf("the next revocation has number %d, want 2", l.Number)
		}
	})
}

func TestUsersAndGroupsAreKnownHoweverTheirNamesAreWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada", "ADMINS"), hub.signIn("Grace Höpper", "Staff  Members")
		tab := grace.openTab()
		watcher := ada.openTab()
		watcher.Send(`{"type":"watch","users":["grace HÖPPER","Grace Höpper"]}`)
		users := watcher.Next(wire.KindPresence)["users"].(map[string]any)
		if len(users) != 2 || users["grace HÖPPER"] != "active" || users["Grace Höpper"] != "active" {
			t.Errorf("presence = %v, want each name as it was asked for", users)
		}
		got := hub.Sessions(Filter{User: "GRACE Ho\u0308pper", Group: "staff members", Query: "HÖP"})
		if len(got) != 1 || got[0].Record.User != "Grace Höpper" {
			t.Errorf("sessions = %+v", got)
		}
		for _, f := range []Filter{{User: "\u00ad"}, {Group: " "}} {
			if got := hub.Sessions(f); len(got) != 0 {
				t.Errorf("%d sessions of a name of which nothing is left to compare", len(got))
			}
		}
		for _, scope := range []session.Scope{{User: "grace höpper"}, {Group: "STAFF members"}} {
			if n, err := hub.Notify(t.Context(), scope, "root", "Hello"); n.Sessions != 1 || err != nil {
				t.Errorf("Notify %s = %+v, %v", scope, n, err)
			}
			tab.Next(wire.KindNotice)
		}
		late := grace.openTab()
		late.Next(wire.KindNotice)
		late.Next(wire.KindNotice)
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "sTaff members"}, Grace: time.Minute})
		tab.Next(wire.KindWarn)
		watcher.Next(wire.KindPresence)
		l := hub.logout(LogoutRequest{Scope: session.Scope{User: "gracE höpper"}, Block: time.Minute})
		if l.Sessions != 1 || l.User != "gracE höpper" {
			t.Errorf("logout = %+v", l)
		}
		grace.wantsOver(session.ReasonAdmin.Message())
		if _, blocked := hub.Blocked("GRACE HÖPPER", nil); !blocked {
			t.Error("she is not blocked")
		}
		m := watcher.Next(wire.KindPresence)
		if users := m["users"].(map[string]any); users["grace HÖPPER"] != "gone" || users["Grace Höpper"] != "gone" {
			t.Errorf("presence = %v", users)
		}
		hub.logout(LogoutRequest{Scope: everyone, Except: ada.token.ID().Ref(), Block: time.Minute})
		if _, blocked := hub.Blocked("ada", []string{"Admins"}); blocked {
			t.Error("an administrator is blocked")
		}
	})
}

// BenchmarkAmongManyForcedLogouts measures what forced logouts of single sessions cost where a
// day's worth of them is kept, as of an integration that signs people out one by one.
func BenchmarkAmongManyForcedLogouts(b *testing.B) {
	for _, n := range []int{6_000, 16_000} {
		hub := startHub(b, standard)
		fillWithRevocations(b, hub, n)
		b.Run(fmt.Sprintf("load/%d", n), func(b *testing.B) {
			for b.Loop() {
				if err := hub.loadRevocations(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(fmt.Sprintf("logout/%d", n), func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				ada := hub.signIn("ada")
				b.StartTimer()
				hub.logout(LogoutRequest{Scope: ada.scope(), Actor: "root"})
			}
		})
	}
}

// fillWithRevocations stores forced logouts of sessions that are over.
func fillWithRevocations(t testing.TB, hub *rig, n int) {
	t.Helper()
	var wg sync.WaitGroup
	slots := make(chan struct{}, 500)
	for range n {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			now := session.Millis(hub.clock.Now())
			f := session.Revocation{
				ID:          newPublicID(),
				Scope:       session.Scope{Session: session.NewToken().ID().Ref()},
				At:          now,
				EffectiveAt: now,
			}
			if _, err := hub.store.AddRevocation(t.Context(), f); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := hub.loadRevocations(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// hearsNobody is a node that hears nothing of what others say.
type hearsNobody struct{ session.SharedStore }

func (n hearsNobody) Subscribe(ctx context.Context, began func(), _ func([]byte)) error {
	return n.SharedStore.Subscribe(ctx, began, func([]byte) {})
}

func TestAGroupThatTwoNodesHearOfKeepsItsLowerNumber(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	b := startNode(t, server, "b", standard, func(p session.SharedStore) session.SharedStore { return hearsNobody{p} })
	ada := a.signIn("ada")
	within(t, 3*time.Second, "b knows her", func() bool { return len(b.sessionsOf("ada")) == 1 })
	if err := a.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
		t.Fatal(err)
	}
	a.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: time.Hour})
	if err := b.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil { // b's comparison took longer
		t.Fatal(err)
	}
	if status, err := b.Check(t.Context(), ada.token.ID()); err != nil || status.Warning != session.ReasonAdmin {
		t.Errorf("b: Check = warning %q, %v, want that of the forced logout", status.Warning, err)
	}
	if r, err := b.store.Get(t.Context(), ada.token.ID()); err != nil || len(r.Groups) != 1 ||
		r.Groups[0].SeenRevocation != 0 {
		t.Errorf("stored groups %+v, %v, want staff with the number of before the logout", r.Groups, err)
	}
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
	within(t, 2*time.Second, "b knows both", func() bool {
		return b.lookup(eve.token.ID()) != nil && b.lookup(ada.token.ID()) != nil
	})
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
	a := startNode(t, server, "a", standard,
		func(p session.SharedStore) session.SharedStore { return allCounting{p, all} })
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
