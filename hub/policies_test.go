package hub

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
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
		tab.WantsEnd(session.ReasonPolicy, 5*time.Minute)
		m := fresh.Next(wire.KindActive)
		if m["extend_on"] != "confirm" || m["heartbeat_ms"] != 15000.0 || m["expire_in_ms"].(float64) > 180_000 {
			t.Errorf("active = %v, want the new rules", m)
		}
		fresh.Wants(wire.KindWarn, 2*time.Minute)
		if _, err := hub.Reload(t.Context(), session.Policies{Global: standard}); err != nil {
			t.Fatal(err)
		}
		fresh.Wants(wire.KindActive, 2*time.Minute) // the warning is called off
		fresh.wantsEndAfterWarn(10 * time.Minute)
	})
}

func (p *page) wantsEndAfterWarn(after time.Duration) {
	p.t.Helper()
	p.Next(wire.KindWarn)
	p.WantsEnd(session.ReasonIdle, after)
}

// laxStore holds a laxer policy than the hub knows yet, as in the middle of a reload.
type laxStore struct{ session.Store }

func (s laxStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if !ifDueBy.IsZero() {
		return false, session.ErrNotDue
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func (s laxStore) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func TestEndThatWasToldIsStoredThoughAReloadComesBetween(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return laxStore{s} })
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.Wants(wire.KindWarn, 9*time.Minute)
		tab.WantsEnd(session.ReasonIdle, 10*time.Minute)
		synctest.Wait() // told first, stored right after
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
			t.Errorf("the tabs were told of an end that the store does not know: %+v, %v", r.End, err)
		}
	})
}

func TestGroupsThatChangeDuringAReloadGetTheNewPolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubRaced(t)
		ada := hub.signIn("ada")
		strict := standard
		strict.WarnAfter, strict.ExpireAfter = time.Minute, 2*time.Minute
		store.before = func() {
			if _, err := hub.Reload(t.Context(), session.Policies{Global: strict}); err != nil {
				t.Error(err)
			}
		}
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
			t.Fatal(err)
		}
		r, err := hub.store.Get(t.Context(), ada.token.ID())
		if err != nil || r.Policy != strict || !slices.Equal(r.GroupNames(), []string{"staff"}) {
			t.Errorf("stored: expire-after %s, groups %q, %v; want %s and staff", r.Policy.ExpireAfter, r.GroupNames(),
				err, strict.ExpireAfter)
		}
	})
}

func TestAReloadDuringAChangeOfGroupsGivesThePolicyOfTheNewOnes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubRaced(t)
		ada := hub.signIn("ada")
		tab := ada.openTab()
		lax, strict := standard, standard
		lax.WarnAfter, lax.ExpireAfter = 20*time.Minute, 21*time.Minute
		strict.WarnAfter, strict.ExpireAfter = time.Minute, 2*time.Minute
		store.before = func() {
			if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"kiosk"}); err != nil {
				t.Error(err)
			}
		}
		if _, err := hub.Reload(t.Context(), session.Policies{
			Global: lax,
			Groups: []session.GroupPolicy{{Group: "kiosk", Policy: strict}},
		}); err != nil {
			t.Fatal(err)
		}
		tab.Next(wire.KindActive)
		tab.Wants(wire.KindWarn, time.Minute)
		tab.WantsEnd(session.ReasonIdle, 2*time.Minute)
	})
}

// mumStore stores rules and does not acknowledge that while it is mum.
type mumStore struct {
	session.Store
	mum atomic.Bool
}

var errMum = errors.New("the store does not answer")

func (s *mumStore) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	revision, err := s.Store.SetRules(ctx, id, revision, rules)
	if s.mum.Load() {
		err = errMum
	}
	return revision, err
}

func startHubOverMum(t *testing.T) (*rig, *mumStore) {
	t.Helper()
	store := &mumStore{}
	return startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	}), store
}

func TestRulesThatWereNotAcknowledgedAreStoredOnceMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubOverMum(t)
		tab := hub.signIn("ada").openTab()
		strict := session.Policies{Global: standard}
		strict.Global.WarnAfter, strict.Global.ExpireAfter = time.Minute, 2*time.Minute
		store.mum.Store(true)
		if _, err := hub.Reload(t.Context(), strict); !errors.Is(err, errMum) {
			t.Fatalf("Reload over a store that does not acknowledge = %v", err)
		}
		store.mum.Store(false)
		if n, err := hub.Reload(t.Context(), strict); n != 1 || err != nil {
			t.Fatalf("Reload once more = %d, %v, want that the session is stored again", n, err)
		}
		tab.Next(wire.KindActive)
		tab.Wants(wire.KindWarn, time.Minute)
	})
}

func TestAnEndByPolicyThatTheStoreRefusesIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &refusesEnds{}
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
			store.Store = s
			return store
		})
		ada := hub.signIn("ada")
		tab := ada.openTab()
		pass(5 * time.Minute)
		store.refuses.Store(true)
		strict := session.Policies{Global: standard}
		strict.Global.WarnAfter, strict.Global.ExpireAfter = time.Minute, 2*time.Minute
		if _, err := hub.Reload(t.Context(), strict); err != nil {
			t.Fatal(err)
		}
		tab.WantsEnd(session.ReasonPolicy, 5*time.Minute)
		pass(3 * time.Second)
		store.refuses.Store(false)
		pass(2 * time.Second)
		synctest.Wait()
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil ||
			r.End.Reason != session.ReasonPolicy {
			t.Errorf("stored end = %+v, %v, want the policy's", r.End, err)
		}
	})
}

type refusesEnds struct {
	session.Store
	refuses atomic.Bool
}

func (s *refusesEnds) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if s.refuses.Load() {
		return false, errMum
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func (s *refusesEnds) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func TestLeavingAGroupIsNoWayRoundItsForcedLogout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubRaced(t)
		ada, grace := hub.signIn("ada", "staff"), hub.signIn("grace", "staff")
		tab := ada.openTab()
		// The directory says that ada has left; before that is stored, the logout of the group is
		// answered.
		store.before = func() {
			hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: time.Minute})
		}
		if err := hub.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
			t.Fatal(err)
		}
		tab.Next(wire.KindWarn)
		tab.WantsEnd(session.ReasonAdmin, time.Minute)
		// grace leaves first: a later logout is none of hers, and nothing is remembered.
		// she ends at this instant
		err := hub.setGroups(t.Context(), grace.token.ID(), nil)
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			t.Fatal(err)
		}
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}})
		if _, err := hub.Check(t.Context(), grace.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("grace: Check = %v, want that the logout of before she left ends her", err)
		}
	})
}

func TestALogoutOfAGroupIsNoneOfThoseWhoHaveLeftIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada", "staff")
		if err := hub.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
			t.Fatal(err)
		}
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}})
		status, err := hub.Check(t.Context(), ada.token.ID())
		if err != nil || len(status.Record.Former) != 0 {
			t.Errorf("Check = %v, former groups %+v, want it alive with none", err, status.Record.Former)
		}
	})
}

// numberStore has its number of the last revocation counted, refused, and overtaken.
type numberStore struct {
	session.Store
	reads atomic.Int64
	away  atomic.Bool
	after atomic.Pointer[func()] // happens once, after the number was read and before it is answered
	rules atomic.Pointer[func()] // happens once, before rules are stored
}

func (s *numberStore) LastRevocation(ctx context.Context) (int64, error) {
	s.reads.Add(1)
	if s.away.Load() {
		return 0, errMum
	}
	last, err := s.Store.LastRevocation(ctx)
	if f := s.after.Swap(nil); f != nil {
		(*f)()
	}
	return last, err
}

func (s *numberStore) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	if f := s.rules.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.SetRules(ctx, id, revision, rules)
}

func startHubOverNumbers(t *testing.T) (*rig, *numberStore) {
	t.Helper()
	store := &numberStore{}
	return startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	}), store
}

// leaveUnsettled has the user be a member of these groups only, while nobody can say when they have
// left the others.
func (s *numberStore) leaveUnsettled(u *user, groups ...string) {
	u.t.Helper()
	away := func() { s.away.Store(true) }
	s.away.Store(false)
	s.rules.Store(&away)
	if err := u.setGroups(u.t.Context(), u.token.ID(), groups); err != nil {
		u.t.Fatal(err)
	}
}

func TestManyWhoLeaveAGroupAskTogetherWhenTheyLeftIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubOverNumbers(t)
		var users []*user
		for i := range 100 {
			users = append(users, hub.signIn(fmt.Sprint("user", i), "staff"))
		}
		before := runtime.NumGoroutine()
		for _, u := range users {
			store.leaveUnsettled(u)
		}
		if n := runtime.NumGoroutine(); n >= before+len(users) {
			t.Errorf("%d goroutines more for %d people", n-before, len(users))
		}
		store.reads.Store(0)
		pass(10 * time.Second)
		synctest.Wait()
		if n := store.reads.Load(); n < 9 || n > 11 {
			t.Errorf("the number of the last revocation was read %d times within 10 s, want once a second", n)
		}
		store.reads.Store(0)
		_, err := hub.Reload(t.Context(), session.Policies{Global: standard})
		if err != nil || store.reads.Load() != 1 {
			t.Errorf("Reload read the number of the last revocation %d times, %v, want once for all",
				store.reads.Load(), err)
		}
		ended := users[0]
		if _, err := hub.End(t.Context(), ended.token.ID(),
			session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}); err != nil {
			t.Fatal(err)
		}
		store.away.Store(false)
		pass(2 * time.Second)
		synctest.Wait()
		for _, u := range users[1:] {
			if r, err := hub.store.Get(t.Context(), u.token.ID()); err != nil || len(r.Former) != 0 {
				t.Fatalf("%s: stored former groups %+v, %v, want none once the store answers", u.token.ID().Ref(),
					r.Former, err)
			}
		}
		if left := hub.former.take(); len(left) != 0 {
			t.Errorf("%d sessions are still waiting", len(left))
		}
	})
}

func TestAGroupThatIsLeftWhileAnotherIsSettledIsNotSettledByAnOlderNumber(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubOverNumbers(t)
		ada := hub.signIn("ada", "staff", "guests")
		tab := ada.openTab()
		store.leaveUnsettled(ada, "staff")
		leaves := func() {
			logout := func() {
				store.away.Store(true)
				hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: time.Minute})
			}
			store.rules.Store(&logout)
			if err := hub.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
				t.Error(err)
			}
		}
		store.after.Store(&leaves)
		store.away.Store(false)
		tab.Wants(wire.KindWarn, time.Second)
		synctest.Wait() // the number is read once more, and refused
		store.away.Store(false)
		tab.WantsEnd(session.ReasonAdmin, time.Minute+time.Second)
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
		tab.Wants(wire.KindWarn, time.Minute)
		tab.WantsEnd(session.ReasonIdle, 2*time.Minute)
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.Policy != strict {
			t.Errorf("stored policy = %+v, %v", r.Policy, err)
		}
	})
}

func TestRulesThatAFailOverHasLostAreThoseOfTheStoreAgain(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	ada := a.signIn("ada", "admins")
	if err := a.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
		t.Fatal(err)
	}
	known := a.lookup(ada.token.ID()).record.Load()
	lost := *known
	lost.Groups, lost.Revision = []session.Group{{Name: "admins"}}, known.Revision-1
	a.reconcileRules(t.Context(), a.lookup(ada.token.ID()), lost) // read before the change was stored
	if got := a.lookup(ada.token.ID()).record.Load().GroupNames(); len(got) != 0 {
		t.Errorf("groups %q, want none: what was read before the change says nothing", got)
	}
	// a change that was lost
	a.lookup(ada.token.ID()).record.Store(&session.Record{
		ID:       ada.token.ID(),
		User:     "ada",
		Revision: known.Revision + 1000,
	})
	a.reconcileRules(t.Context(), a.lookup(ada.token.ID()), *known)
	if got := a.lookup(ada.token.ID()).record.Load().Revision; got != known.Revision {
		t.Errorf("revision %d, want the store's %d", got, known.Revision)
	}
}

func TestAnActOfAnotherNodeKeepsASessionByAStricterPolicy(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		hub := startMember(t, shared, "a", nil)
		ada := hub.signIn("ada")
		pass(5 * time.Minute)
		// another node's
		if _, err := shared.Touch(t.Context(),
			[]session.Activity{{ID: ada.token.ID(), At: session.Millis(time.Now())}}); err != nil {
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
