package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

func TestReloadedPolicyAppliesToLiveSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		pass(5 * time.Minute)
		fresh := hub.signIn("grace").openTab()
		strict := standard
		strict.WarnAfter, strict.ExpireAfter, strict.ExtendOn = 2*time.Minute, 3*time.Minute, session.ExtendOnConfirm
		if n, err := hub.Reload(t.Context(), session.Policies{Global: strict}); n != 2 || err != nil {
			t.Fatalf("Reload = %d, %v", n, err)
		}
		tab.wantsEnd(session.ReasonPolicy, 5*time.Minute)
		if m := fresh.next(KindActive); m["extend_on"] != "confirm" || m["heartbeat_ms"] != 15000.0 || m["expire_in_ms"].(float64) > 180_000 {
			t.Errorf("active = %v, want the new rules", m)
		}
		fresh.wants(KindWarn, 2*time.Minute)
		if _, err := hub.Reload(t.Context(), session.Policies{Global: standard}); err != nil {
			t.Fatal(err)
		}
		fresh.wants(KindActive, 2*time.Minute) // the warning is called off
		fresh.wantsEndAfterWarn(10 * time.Minute)
	})
}

func (p *page) wantsEndAfterWarn(after time.Duration) {
	p.t.Helper()
	p.next(KindWarn)
	p.wantsEnd(session.ReasonIdle, after)
}

// laxStore holds a laxer policy than the hub knows yet, as in the middle of a reload.
type laxStore struct{ session.Store }

func (s laxStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if !ifDueBy.IsZero() {
		return false, session.ErrNotDue
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func TestEndThatWasToldIsStoredThoughAReloadComesBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return laxStore{s} })
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.wants(KindWarn, 9*time.Minute)
		tab.wantsEnd(session.ReasonIdle, 10*time.Minute)
		synctest.Wait() // told first, stored right after
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("the tabs were told of an end that the store does not know: %+v, %v", r.End, err)
		}
	})
}

func TestSignInDuringAReloadGetsTheNewPolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubRaced(t)
		strict := standard
		strict.WarnAfter, strict.ExpireAfter = time.Minute, 2*time.Minute
		store.before = func() {
			if _, err := hub.Reload(t.Context(), session.Policies{Global: strict}); err != nil {
				t.Error(err)
			}
		}
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.wants(KindWarn, time.Minute)
		tab.wantsEnd(session.ReasonIdle, 2*time.Minute)
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.Policy != strict {
			t.Errorf("stored policy = %+v, %v", r.Policy, err)
		}
	})
}
