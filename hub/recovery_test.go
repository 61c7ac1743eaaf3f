package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

func TestRestoringTheEndOfASessionThatTheStoreHasForgottenIsNoError(t *testing.T) {
	hub := startHub(t, standard)
	end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
	if err := (local{hub.Hub}).RestoreEnd(t.Context(), session.NewToken().ID(), end); err != nil {
		t.Errorf("RestoreEnd = %v", err)
	}
	ada := hub.signIn("ada")
	if err := (local{hub.Hub}).RestoreEnd(t.Context(), ada.token.ID(), end); err != nil {
		t.Errorf("RestoreEnd of one that lives = %v", err)
	}
	if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
		t.Errorf("the store has the end %+v, %v", r.End, err)
	}
}

func TestClockThatIsSetBackMakesNobodyStayForLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		clock := skewed(5 * time.Hour) // ahead
		hub := startHubWith(t, store, Options{Store: store, Clock: clock, Policies: session.Policies{Global: standard}, Node: "a"})
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
				tab.ack(m)
			}
		}
		if !told {
			t.Error("the tab was not told")
		}
	})
}

// signInAt is signIn by another clock than the real one.
func (r *rig) signInAt(name string, now time.Time) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	now = session.Millis(now)
	rec := session.Record{ID: u.token.ID(), User: name, Login: name, Address: "192.0.2.1", Policy: r.Policies().For(nil), CreatedAt: now, LastActiveAt: now}
	if err := r.Create(r.t.Context(), rec); err != nil {
		r.t.Fatal(err)
	}
	return u
}
