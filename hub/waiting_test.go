package hub

import (
	"context"
	"errors"
	"iter"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
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
		r.EndOrphan(t.Context(), failed.token.ID())
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

// heldStore lists no sessions that wait before it is released.
type heldStore struct {
	session.Store
	release chan struct{}
	err     error
}

func (s heldStore) Waiting(ctx context.Context, now time.Time, scope session.Scope) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		<-s.release
		if s.err != nil {
			yield(session.Record{}, s.err)
			return
		}
		s.Store.Waiting(ctx, now, scope)(yield)
	}
}

func TestAForcedLogoutDoesNotWaitUntilWaitingPagesAreCounted(t *testing.T) {
	for _, tt := range []struct {
		name string
		err  error
		want int
	}{
		{"counted late", nil, 1},
		{"never counted", errors.New("this call was made to fail"), session.NotCounted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				release := make(chan struct{})
				hub := startHubOver(t, t.TempDir(), waitFor(time.Hour), func(s *bolt.Store) session.Store {
					return heldStore{s, release, tt.err}
				})
				ada := hub.signIn("ada")
				pass(standard.ExpireAfter)
				told := make(chan ForcedLogout, 1)
				go func() { told <- hub.logout(LogoutRequest{Scope: everyone}) }()
				pass(auditWait)
				synctest.Wait()
				ada.wantsRevoked("before they are counted")
				progress := func() ForcedLogout {
					return hub.ForcedLogouts(math.MaxInt64, 1, func(*session.Revocation) bool { return true })[0]
				}
				if n := progress().Waiting; n != session.NotCounted {
					t.Errorf("%d wait, before they are counted", n)
				}
				lines, err := hub.store.Events(t.Context(), session.EventQuery{Kind: session.EventLogout, Limit: 1})
				if err != nil || len(lines) != 1 || !strings.Contains(lines[0].Detail, "waiting: not counted") {
					t.Errorf("audit: %+v, %v, want that they were not counted", lines, err)
				}
				close(release)
				if l := <-told; l.Waiting != tt.want || progress().Waiting != tt.want {
					t.Errorf("%d wait, by its progress %d, want %d", l.Waiting, progress().Waiting, tt.want)
				}
			})
		})
	}
}
