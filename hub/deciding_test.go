package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/redis/redistest"
)

// refusingStore answers so many conditional ends with an error instead of doing them.
type refusingStore struct {
	session.Store
	answer error
	left   *atomic.Int64
}

func (s refusingStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if !ifDueBy.IsZero() && s.left.Add(-1) >= 0 {
		return false, s.answer
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func refusals(n int64) *atomic.Int64 {
	left := new(atomic.Int64)
	left.Store(n)
	return left
}

// skewed is a node's clock that is so far ahead, and not set right.
func skewed(by time.Duration) *session.SkewedClock {
	c := &session.SkewedClock{Clock: session.RealClock{}}
	c.SetSkew(by)
	return c
}

// quick is a policy that a test in real time can wait for.
var quick = session.Policy{WarnAfter: time.Second, ExpireAfter: 2 * time.Second, ExtendOn: session.ExtendOnActivity}

func TestSessionThatTheStoreCallsNotDueIsLookedAtAgain(t *testing.T) {
	for _, times := range []int64{1, 7} {
		bubble(t, func(t *testing.T) {
			hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return refusingStore{s, session.ErrNotDue, refusals(times)} })
			ada := hub.signIn("ada")
			ada.openTab().conn.Close(wire.StatusLeft, "close")
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
		node := startHubWith(t, store, Options{Store: store, Shared: store, Clock: clock, Policies: session.Policies{Global: quick}, Node: "a"})
		ada := node.signIn("ada")
		tab := ada.openTab()
		tab.nextWithin(quick.WarnAfter+time.Second, wire.KindWarn)
		tab.endsWithin(quick.Lead()+ahead+time.Second, session.ReasonIdle)
		if r, err := store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("%s ahead: the store has the end %+v, %v", ahead, r.End, err)
		}
	}
}

func TestCheckEndsNobodyWhomTheStoreCallsNotDue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	clock := skewed(0)
	node := startHubWith(t, store, Options{Store: store, Shared: store, Clock: clock, Policies: session.Policies{Global: standard}, Node: "a"})
	ada := node.signIn("ada")
	clock.SetSkew(standard.ExpireAfter) // the computer's clock was set
	if status, err := node.Check(t.Context(), ada.token.ID()); err != nil || status.Record.End != nil {
		t.Errorf("Check by a clock that is ahead = %v (%+v), and the store keeps the session", err, status.Record.End)
	}
	clock.SetSkew(0)
	if _, err := node.Check(t.Context(), ada.token.ID()); err != nil {
		t.Errorf("Check by a clock that was set right = %v", err)
	}
}

func TestCheckConcludesNothingWhereTheEndCannotBeStored(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	over := refusingStore{store, errors.New("connection lost"), refusals(1_000_000)}
	node := startHubWith(t, over, Options{Store: over, Shared: store, Policies: session.Policies{Global: quick}, Node: "a"})
	ada := node.signIn("ada")
	s := node.lookup(ada.token.ID())
	within(t, 2*quick.ExpireAfter, "it is due", func() bool { return node.isDue(s) })
	if _, err := node.Check(t.Context(), ada.token.ID()); err == nil || errors.Is(err, session.ErrEnded) {
		t.Errorf("Check = %v, want that nobody can say", err)
	}
	over.left.Store(0)
	within(t, tryAgainAfter+time.Second, "the end is stored", func() bool {
		_, err := node.Check(t.Context(), ada.token.ID())
		return errors.Is(err, session.ErrEnded)
	})
}

func TestSessionWhoseEndFailedAndThatIsAliveElsewhereTakesActs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	over := refusingStore{store, errors.New("connection lost"), refusals(1)}
	p := session.Policy{WarnAfter: 2 * time.Second, ExpireAfter: 4 * time.Second, ExtendOn: session.ExtendOnActivity}
	node := startHubWith(t, over, Options{Store: over, Shared: store, Policies: session.Policies{Global: p}, Node: "a"})
	ada := node.signIn("ada")
	tab := ada.openTab()
	tab.nextWithin(p.WarnAfter+time.Second, wire.KindWarn)
	within(t, p.Lead()+time.Second, "the end fails", func() bool { return over.left.Load() == 0 })

	s := node.lookup(ada.token.ID())
	acted := time.Now().Add(-200 * time.Millisecond) // on another node, a moment before the deadline
	if _, err := store.Touch(t.Context(), []session.Activity{{ID: s.id, At: acted}}); err != nil {
		t.Fatal(err)
	}
	node.actedElsewhere(s, acted)
	tab.nextWithin(time.Second, wire.KindActive)
	tab.nextWithin(p.WarnAfter+time.Second, wire.KindWarn)
	tab.send(`{"type":"confirm"}`)
	tab.nextWithin(time.Second, wire.KindActive)
	if r, err := store.Get(t.Context(), s.id); err != nil || r.End != nil || time.Since(r.LastActiveAt) > time.Second {
		t.Errorf("after 'Stay signed in': last active %s ago, end %+v, %v", time.Since(r.LastActiveAt), r.End, err)
	}
}

func TestEndThatFailedWhileTheDeadlineMovedTakesActs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return refusingStore{s, errors.New("disk full"), refusals(1)} })
		ada := hub.signIn("ada")
		ada.openTab().conn.Close(wire.StatusLeft, "close")
		pass(standard.CloseGrace + time.Millisecond)
		synctest.Wait()
		s := hub.lookup(ada.token.ID())
		s.mu.Lock()
		s.tabTimes.OpenedAt = s.tabTimes.ClosedAt // as word of a tab elsewhere has it
		s.mu.Unlock()
		pass(tryAgainAfter)
		tab := ada.openTab()
		tab.next(wire.KindWarn)
		tab.send(`{"type":"confirm"}`)
		tab.next(wire.KindActive)
	})
}

// Where another node may end a session by what is stored, a page is told that an act in its warning
// counts once it is stored, and that is tried until it is.
func TestActInAWarningIsToldOnceItIsStored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f, shared := faulty.New(1), newSharedStore(store)
		m := &member{faulty.Store{Store: shared, Faults: f}, shared}
		hub := startHubWith(t, m, Options{Store: m, Shared: m, Policies: session.Policies{Global: standard}, Node: "a"})
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.next(wire.KindWarn)
		f.Set("Touch", faulty.Rule{Before: 1, Times: 3})
		if err := hub.Act(t.Context(), ada.token.ID(), 0, true); !errors.Is(err, faulty.ErrInjected) {
			t.Errorf("an act that was not stored is answered with %v", err)
		}
		tab.silent()
		acted := time.Now()
		tab.next(wire.KindActive)
		if waited := time.Since(acted); waited < actRetryPause || waited > 10*actRetryPause {
			t.Errorf("told after %s", waited)
		}
		if r, err := store.Get(t.Context(), ada.token.ID()); err != nil || !r.LastActiveAt.Equal(session.Millis(acted)) {
			t.Errorf("told before it was stored: %s, %v", r.LastActiveAt, err)
		}
	})
}
