package hub

import (
	"testing"
	"time"

	"curfew/session"
	"curfew/session/faulty"
)

// after signs a user in where the browser had another session before.
func (u *user) after(name string) *user {
	u.t.Helper()
	next := &user{rig: u.rig, token: session.NewToken()}
	now := session.Millis(time.Now())
	record := session.Record{
		ID:           next.token.ID(),
		User:         name,
		Login:        name,
		Policy:       u.Policies().Global,
		Before:       u.token.ID(),
		CreatedAt:    now,
		LastActiveAt: now,
	}
	if err := u.Create(u.t.Context(), record); err != nil {
		u.t.Fatal(err)
	}
	return next
}

func (u *user) ends(reason session.Reason) {
	u.t.Helper()
	end := session.End{Reason: reason, At: session.Millis(time.Now())}
	if _, err := u.End(u.t.Context(), u.token.ID(), end); err != nil {
		u.t.Fatal(err)
	}
}

func (u *user) wantsKept(what string, want bool) {
	u.t.Helper()
	r, err := u.store.Get(u.t.Context(), u.token.ID())
	if err != nil {
		u.t.Fatal(err)
	}
	if e, err := u.Ended(u.t.Context(), &r); err != nil || (e.Keep > 0) != want {
		u.t.Errorf("%s: pages wait %s, %v, want that they wait: %v", what, e.Keep, err, want)
	}
}

func TestASignOutEndsTheWaitOfItsUsersPagesInItsBrowser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, keeping(standard))
		first := r.signIn("ada")
		first.ends(session.ReasonIdle)
		failed := first.after("ada")
		r.EndOrphan(failed.token.ID())
		pass(3 * time.Second)
		failed.wantsEnded(session.ReasonLogout)
		first.wantsKept("after a sign-in that has failed", true)

		second := first.after("grace")
		second.ends(session.ReasonIdle)
		third := second.after("ADA")
		third.ends(session.ReasonReplaced)
		fourth := third.after("ada")
		first.wantsKept("before the sign-out", true)
		fourth.ends(session.ReasonLogout)
		first.wantsKept("ada's first, after the sign-out", false)
		second.wantsKept("grace's between", true)

		// What was found over is not looked at again, and what lies before somebody else's is.
		fifth := fourth.after("grace")
		fifth.ends(session.ReasonLogout)
		second.wantsKept("grace's, after her own sign-out", false)
	})
}

func TestASignOutWhoseWaitIsNotEndedIsNoSignOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		one := startAgingMember(t, shared, "one")
		if _, err := one.Reload(t.Context(), session.Policies{Global: keeping(standard)}); err != nil {
			t.Fatal(err)
		}
		first := one.signIn("ada")
		first.ends(session.ReasonIdle)
		second := first.after("ada")
		second.ends(session.ReasonLifetime)
		third := second.after("ada")
		// Half of it may have been done: each try goes on from where the one before failed.
		for _, fault := range []faulty.Rule{{Before: 1}, {After: 1, Times: 1}} {
			one.store.(*member).Faults.Set("EndKeep", fault)
			end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
			if first, err := one.End(t.Context(), third.token.ID(), end); err == nil || first {
				t.Errorf("End = %v, %v, want an error", first, err)
			}
			third.wantsAlive()
		}
		one.store.(*member).Faults.Heal()
		third.ends(session.ReasonLogout)
		first.wantsKept("the first, after the last try", false)
		second.wantsKept("the second, after the last try", false)
	})
}
