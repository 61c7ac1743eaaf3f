package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
)

func TestRestoringEndsGoesOnWhereItStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		f := faulty.New(1)
		m := &member{faulty.Store{Store: newSharedStore(store), Faults: f}, newSharedStore(store)}
		hub := startHubWith(t, m, Options{Store: m, Shared: m, Policies: session.Policies{Global: standard}, Node: "a"})
		const many = 1000
		for range many { // of sessions that the store has forgotten, which are passed over
			hub.nodes.ended(session.NewToken().ID(), &session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())})
		}
		f.Set("End", faulty.Rule{Slow: 1, By: 2 * time.Second})
		tries := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := hub.nodes.restoreEnds(ctx, "two")
			cancel()
			if tries++; err == nil {
				break
			}
			if tries > 10 {
				t.Fatalf("not restored in %d tries of 5 s: %v", tries, err)
			}
		}
		calls := f.Injected()["slow, End"]
		if tries == 1 || calls > many+64*tries {
			t.Errorf("%d calls in %d tries for %d ends, want each to be written once", calls, tries, many)
		}
		if err := hub.nodes.restoreEnds(t.Context(), "three"); err != nil || f.Injected()["slow, End"] < calls+many {
			t.Errorf("after the next fail-over: %v, %d calls more, want all ends written again", err, f.Injected()["slow, End"]-calls)
		}
	})
}

func TestRevocationsThatAFailOverMustNotLose(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		name       string
		revocation session.Revocation
		want       bool
	}{
		{"made a moment ago", session.Revocation{At: ago(time.Second), EffectiveAt: ago(time.Second)}, true},
		{"made and done with an hour ago", session.Revocation{At: ago(time.Hour), EffectiveAt: ago(time.Hour)}, false},
		{"made an hour ago, and still in its grace", session.Revocation{At: ago(time.Hour), EffectiveAt: now.Add(time.Hour)}, true},
		{"made an hour ago, in effect since a minute", session.Revocation{At: ago(time.Hour), EffectiveAt: ago(time.Minute)}, true},
		{"made an hour ago, called off a minute ago", session.Revocation{At: ago(2 * time.Hour), EffectiveAt: ago(time.Hour), CancelledAt: ago(time.Minute)}, true},
		{"made an hour ago, and still blocking", session.Revocation{At: ago(time.Hour), EffectiveAt: ago(time.Hour), BlockUntil: now.Add(time.Minute)}, true},
	}
	for _, test := range tests {
		if got := mustSurviveFailover(&test.revocation, now); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
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
