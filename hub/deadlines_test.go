package hub

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

func TestIdleSessionWarnsThenEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		var tabs []*page
		for range 5 {
			tabs = append(tabs, ada.openTab())
		}
		for _, tab := range tabs {
			m := tab.Wants(wire.KindWarn, 9*time.Minute)
			if m["reason"] != "idle" || m["expire_in_ms"].(float64) < 59900 || m["expire_in_ms"].(float64) > 60000 {
				t.Errorf("warn = %v", m)
			}
		}
		for _, tab := range tabs {
			tab.WantsEnd(session.ReasonIdle, 10*time.Minute)
		}
		if _, err := hub.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check = %v, want ErrEnded", err)
		}
	})
}

func TestLifetimeCannotBeExtended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.MaxLifetime = 12 * time.Minute
		hub := startHub(t, p)
		tab := hub.signIn("ada").openTab()
		pass(5 * time.Minute)
		tab.Send(`{"type":"activity","idle_ms":0}`)
		tab.Next(wire.KindActive)
		if m := tab.Wants(wire.KindWarn, 11*time.Minute); m["reason"] != "lifetime" {
			t.Errorf("warn = %v, want lifetime", m)
		}
		tab.Send(`{"type":"activity","idle_ms":0}`)
		tab.Silent()
		tab.Send(`{"type":"confirm"}`)
		if m := tab.Next(wire.KindWarn); m["reason"] != "lifetime" {
			t.Errorf("confirm was answered by %v, want the lifetime warning", m)
		}
		tab.WantsEnd(session.ReasonLifetime, 12*time.Minute)
	})
}

func TestWithdrawnIdleWarningGivesWayToTheLifetimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.MaxLifetime = 10*time.Minute + 30*time.Second
		hub := startHub(t, p)
		tab := hub.signIn("ada").openTab()
		if m := tab.Wants(wire.KindWarn, 9*time.Minute); m["reason"] != "idle" {
			t.Errorf("warn = %v, want idle", m)
		}
		pass(45 * time.Second) // the lifetime's warning stands as well now, but ends later
		tab.Silent()
		tab.Send(`{"type":"activity","idle_ms":0}`)
		if m := tab.Next(wire.KindWarn); m["reason"] != "lifetime" {
			t.Errorf("got %v, want the lifetime's warning in its place", m)
		}
		tab.WantsEnd(session.ReasonLifetime, 10*time.Minute+30*time.Second)
	})
}

func TestSessionWithoutTabsEndsOnTimeAndOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		hub.signIn("ada")
		late := hub.signIn("grace")
		pass(5 * time.Minute)
		if err := hub.Act(t.Context(), late.token.ID(), 0, false); err != nil {
			t.Fatal(err)
		}
		hub.stop() // flushes
		pass(7 * time.Minute)
		again := startHubIn(t, folder, standard)
		if _, err := again.Check(t.Context(), late.token.ID()); err != nil {
			t.Errorf("activity before the restart is lost: %v", err)
		}
		pass(time.Hour)
		synctest.Wait()
		events, err := again.store.Events(t.Context(), session.EventQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		ends := map[string]int{}
		for _, e := range events {
			if e.Kind == session.EventSessionEnd {
				ends[e.User+" "+string(e.Reason)]++
			}
		}
		if len(ends) != 2 || ends["ada idle"] != 1 || ends["grace idle"] != 1 {
			t.Errorf("ends = %v, want one idle end each", ends)
		}
	})
}

func TestSessionThatTheStoreCallsNotDueIsLookedAtAgain(t *testing.T) {
	for _, times := range []int64{1, 7} {
		bubble(t, func(t *testing.T) {
			hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
				return refusingStore{s, session.ErrNotDue, refusals(times)}
			})
			ada := hub.signIn("ada")
			ada.openTab().Leave("close")
			pass(standard.CloseGrace + time.Second)
			synctest.Wait()
			if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
				t.Errorf("not due %d times: a second after the close grace End = %+v, %v", times, r.End, err)
			}
		})
	}
}

func TestNodeWhoseClockIsAheadTellsTheEnd(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{15 * time.Millisecond, 400 * time.Millisecond} {
		server := redistest.Start(t)
		store := openRedis(t, server)
		clock := skewed(ahead)
		node := startHubWith(t, store, Options{
			Store:    store,
			Shared:   store,
			Clock:    clock,
			Policies: session.Policies{Global: quick},
			Node:     "a",
		})
		ada := node.signIn("ada")
		tab := ada.openTab()
		tab.NextWithin(quick.WarnAfter+time.Second, wire.KindWarn)
		tab.EndsWithin(quick.Lead()+ahead+time.Second, session.ReasonIdle)
		if r, err := store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("%s ahead: the store has the end %+v, %v", ahead, r.End, err)
		}
	}
}

func TestClockThatIsSetBackMakesNobodyStayForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		clock := skewed(5 * time.Hour) // ahead
		hub := startHubWith(t, store, Options{
			Store:    store,
			Clock:    clock,
			Policies: session.Policies{Global: standard},
			Node:     "a",
		})
		ada := hub.signInAt("ada", clock.Now())
		tab := ada.openTab()
		pass(time.Minute)
		clock.SetSkew(0)
		pass(2 * standard.ExpireAfter)
		synctest.Wait()
		if r, err := store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("two idle timeouts after the clock was set back: %+v, %v", r.End, err)
		}
		told := false
		for m, open := tab.Read(); open; m, open = tab.Read() {
			if m["type"] == string(wire.KindExpire) {
				told = true
				tab.Ack(m)
			}
		}
		if !told {
			t.Error("the tab was not told")
		}
	})
}

// A restart would revive the session.
func TestAnEndThatTabsWereToldIsStoredThoughTheClockIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store, clock := &refusesEnds{Store: b}, skewed(0)
		hub := startHubWith(t, store, Options{
			Store:    store,
			Clock:    clock,
			Policies: session.Policies{Global: standard},
			Node:     "a",
		})
		ada := hub.signIn("ada")
		tab := ada.openTab()
		store.refuses.Store(true)
		tab.Wants(wire.KindWarn, standard.WarnAfter)
		tab.WantsEnd(session.ReasonIdle, standard.ExpireAfter)
		clock.SetSkew(-time.Hour)
		store.refuses.Store(false)
		pass(2*flushAtMost + tryAgainAfter)
		synctest.Wait()
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("stored end = %+v, %v, want that which the tab was told", r.End, err)
		}
	})
}

func TestAUserWithoutATabIsAwayThoughTheClockIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := skewed(0)
		hub := startHubOn(t, clock)
		ada := hub.signIn("ada")
		ada.openTab().Conn.CloseNow()
		pass(awayAfter + time.Second)
		clock.SetSkew(-time.Hour)
		pass(2*flushAtMost + awayAfter)
		synctest.Wait()
		s := hub.lookup(ada.token.ID())
		s.mu.Lock()
		state, _ := s.stateLocked(clock.Now())
		s.mu.Unlock()
		if state != StateAway {
			t.Errorf("state = %s, want %s", state, StateAway)
		}
	})
}

func TestALogoutThatIsBeingCalledOffMakesNobodyElseLate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHubOver(t, t.TempDir(), standard,
			func(s *bolt.Store) session.Store { return slowCancel{s, 2 * time.Second, 0} })
		for _, sh := range hub.shards {
			sh.stop() // so that both are woken together, in the order that this test wants
		}
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		tab := grace.openTab()
		l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: standard.ExpireAfter})
		pass(standard.ExpireAfter - time.Second)
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := hub.CancelForcedLogout(t.Context(), l.ID, "admin"); !errors.Is(err, session.ErrTooLate) {
				t.Errorf("CancelForcedLogout = %v, want too late", err)
			}
		})
		pass(time.Second)
		now := time.Now()
		calls.Go(func() {
			hub.runUnlessClosing(func() {
				at := momentOf(now)
				hub.wakeAll([]wake{{at, hub.lookup(ada.token.ID())}, {at, hub.lookup(grace.token.ID())}}, now)
			})
		})
		tab.WantsEnd(session.ReasonIdle, standard.ExpireAfter)
		calls.Wait()
		synctest.Wait()
		ada.wantsOver(session.ReasonAdmin.Message())
	})
}

func TestTheIndexFollowsAClockThatIsSetBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		clock := skewed(0)
		hub := startHubOn(t, clock)
		watcher := hub.signIn("ada", "admins").openTab()
		hub.signIn("grace").openTab()
		watcher.Send(`{"type":"watch","users":["grace"]}`)
		watcher.wantsPresence("grace", StateActive, 0)
		watcher.wantsPresence("grace", StateIdle, activeFor+time.Millisecond)
		pass(time.Second)
		wantOverview(t, hub)
		clock.SetSkew(-time.Hour)
		pass(2 * flushAtMost)
		synctest.Wait()
		wantOverview(t, hub)
		watcher.wantsPresence("grace", StateActive, 13*flushAtMost) // the first look after it
	})
}
