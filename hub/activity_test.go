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
	"curfew/session/faulty"
)

func TestActivityInOneTabWithdrawsTheWarningInAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, bystander := hub.signIn("ada"), hub.signIn("grace").openTab()
		one, two := ada.openTab(), ada.openTab()
		one.Wants(wire.KindWarn, 9*time.Minute)
		two.Wants(wire.KindWarn, 9*time.Minute)
		bystander.Wants(wire.KindWarn, 9*time.Minute)
		one.Send(`{"type":"activity","idle_ms":0}`)
		for _, tab := range []*page{one, two} {
			m := tab.Wants(wire.KindActive, 9*time.Minute)
			if ms := m["expire_in_ms"].(float64); ms < 599_900 || ms > 600_000 {
				t.Errorf("active = %v, want 10 minutes left", m)
			}
		}
		r, err := hub.store.Get(t.Context(), ada.token.ID())
		if err != nil || time.Since(r.LastActiveAt) > time.Second {
			t.Errorf("the extension was told before it was stored: %v, %v", r.LastActiveAt, err)
		}
		bystander.Silent()
		bystander.WantsEnd(session.ReasonIdle, 10*time.Minute)
		one.Wants(wire.KindWarn, 18*time.Minute)
	})
}

func TestActivityIsJudgedByItsAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		pass(8 * time.Minute)
		tab.Send(`{"type":"activity","idle_ms":240000}`) // acted at 4 min
		synctest.Wait()
		tab.Next(wire.KindActive)
		tab.Send(`{"type":"activity","idle_ms":400000}`) // older: changes nothing
		tab.Send(`{"type":"activity","idle_ms":99999999999}`)
		tab.Silent()
		tab.Wants(wire.KindWarn, 13*time.Minute)
		// acted at 11:30, before the warning began, and so it withdraws it
		tab.Send(`{"type":"activity","idle_ms":90000}`)
		tab.Wants(wire.KindActive, 13*time.Minute)
		tab.Wants(wire.KindWarn, 13*time.Minute+9*time.Minute-90*time.Second)
	})
}

func TestConfirmPolicyIsWithdrawnByTheButtonOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.ExtendOn = session.ExtendOnConfirm
		hub := startHub(t, p)
		ada := hub.signIn("ada")
		one, two := ada.openTab(), ada.openTab()
		pass(5 * time.Minute)
		one.Send(`{"type":"activity","idle_ms":0}`) // before the warning acts extend
		one.Next(wire.KindActive)
		two.Next(wire.KindActive)
		one.Wants(wire.KindWarn, 14*time.Minute)
		two.Next(wire.KindWarn)
		one.Send(`{"type":"activity","idle_ms":0}`)
		one.Send(`{"type":"activity","idle_ms":30000}`)
		one.Silent()
		one.Send(`{"type":"sync"}`)
		one.Next(wire.KindWarn)
		one.Send(`{"type":"confirm"}`)
		one.Next(wire.KindActive)
		two.Next(wire.KindActive)
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
		hub := startHubWith(t, m, Options{
			Store:    m,
			Shared:   m,
			Policies: session.Policies{Global: standard},
			Node:     "a",
		})
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.Next(wire.KindWarn)
		f.Set("Touch", faulty.Rule{Before: 1, Times: 3})
		if err := hub.Act(t.Context(), ada.token.ID(), 0, true); !errors.Is(err, faulty.ErrInjected) {
			t.Errorf("an act that was not stored is answered with %v", err)
		}
		tab.Silent()
		acted := time.Now()
		tab.Next(wire.KindActive)
		if waited := time.Since(acted); waited < actRetryPause || waited > 10*actRetryPause {
			t.Errorf("told after %s", waited)
		}
		if r, err := store.Get(t.Context(), ada.token.ID()); err != nil ||
			!r.LastActiveAt.Equal(session.Millis(acted)) {
			t.Errorf("told before it was stored: %s, %v", r.LastActiveAt, err)
		}
	})
}

// TestActivityRacingTheDeadline sends activity at the very moment of the end: either it counts and
// the session lives on, or the session has ended and stays so.
func TestActivityRacingTheDeadline(t *testing.T) {
	p := session.Policy{
		WarnAfter:   30 * time.Millisecond,
		ExpireAfter: 60 * time.Millisecond,
		ExtendOn:    session.ExtendOnActivity,
	}
	hub := startHub(t, p)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ada := hub.signIn("ada")
			timer := time.NewTimer(55*time.Millisecond + time.Duration(i)*200*time.Microsecond)
			<-timer.C
			err := hub.Act(t.Context(), ada.token.ID(), 0, false)
			status, checked := hub.Check(t.Context(), ada.token.ID())
			if err == nil && checked != nil && time.Since(status.Record.LastActiveAt) < 20*time.Millisecond {
				t.Errorf("activity was accepted and the session ended: %v", checked)
			}
			if errors.Is(err, session.ErrEnded) && checked == nil {
				t.Error("a session that had ended came back")
			}
		})
	}
	wg.Wait()
}
