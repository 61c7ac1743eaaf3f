package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

// Forced logouts of sessions that have ended, and whose pages wait.

// waitFor is the standard policy, with pages that wait for so long.
func waitFor(d time.Duration) session.Policy {
	p := standard
	p.KeepPage = d
	return p
}

// ended is what a page of u is told of its own session, which has ended.
func (u *user) ended() Ended {
	u.t.Helper()
	r, err := u.Lookup(context.Background(), u.token.ID())
	if !errors.Is(err, session.ErrEnded) {
		u.t.Fatalf("%s: Lookup = %v, want it ended", r.User, err)
	}
	e, err := u.Ended(context.Background(), &r)
	if err != nil {
		u.t.Fatalf("%s: Ended: %v", r.User, err)
	}
	return e
}

func (u *user) wantsWaiting(when string) {
	u.t.Helper()
	if e := u.ended(); e.Revoked || e.Keep <= 0 {
		u.t.Errorf("%s: keep %v, revoked %v, want that pages wait", when, e.Keep, e.Revoked)
	}
}

func (u *user) wantsRevoked(when string) {
	u.t.Helper()
	if e := u.ended(); !e.Revoked || e.Keep != 0 {
		u.t.Errorf("%s: keep %v, revoked %v, want that no page comes back", when, e.Keep, e.Revoked)
	}
}

func (u *user) ref() string { return u.token.ID().Ref() }

// listing is a scope of sessions that are named one by one.
func listing(refs ...string) session.Scope {
	set, _ := session.NewRefs(refs)
	return session.Scope{Refs: set}
}

func TestForcedLogoutTakesWaitingPagesAway(t *testing.T) {
	for _, tt := range []struct {
		name   string
		scope  func(ada *user) session.Scope
		except bool // her session
		covers bool
	}{
		{"their session", func(ada *user) session.Scope { return ada.scope() }, false, true},
		{"sessions, theirs among them", func(ada *user) session.Scope {
			return listing(session.NewToken().ID().Ref(), ada.ref())
		}, false, true},
		{"their name, in other letters", func(*user) session.Scope {
			return session.Scope{User: " ADA"}
		}, false, true},
		{"a group of theirs", func(*user) session.Scope { return session.Scope{Group: "Staff"} }, false, true},
		{"everyone", func(*user) session.Scope { return everyone }, false, true},
		{"everyone else", func(*user) session.Scope { return everyone }, true, false},
		{"another user", func(*user) session.Scope { return session.Scope{User: "grace"} }, false, false},
		{"a group that they have joined in another session", func(*user) session.Scope {
			return session.Scope{Group: "guests"}
		}, false, false},
		{"sessions of others", func(*user) session.Scope {
			return listing(session.NewToken().ID().Ref())
		}, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { takesWaitingPagesAway(t, tt.scope, tt.except, tt.covers) })
		})
	}
}

func takesWaitingPagesAway(t *testing.T, scope func(*user) session.Scope, except, covers bool) {
	folder := t.TempDir()
	hub := startHubIn(t, folder, waitFor(4*time.Hour))
	ada := hub.signIn("ada", "staff")
	pass(standard.ExpireAfter)
	synctest.Wait() // until the end is stored
	hub.signIn("ada", "guests")
	q := LogoutRequest{Scope: scope(ada), Grace: time.Minute}
	if except {
		q.Except = ada.ref()
	}
	want, wants := 0, (*user).wantsWaiting
	if covers {
		want, wants = 1, (*user).wantsRevoked
	}
	dry, err := hub.DryRun(t.Context(), q)
	if l := hub.logout(q); err != nil || dry.Waiting != want || l.Waiting != want ||
		dry.Sessions != l.Sessions || dry.Skipped != l.Skipped {
		t.Errorf("%d wait, %d by a dry run (%v), want %d; skipped %d and %d", l.Waiting, dry.Waiting, err, want,
			l.Skipped, dry.Skipped)
	}
	pass(time.Minute - time.Millisecond)
	ada.wantsWaiting("in the grace")
	pass(time.Millisecond)
	wants(ada, "when the grace is over")
	dry, err = hub.DryRun(t.Context(), q)
	if dry.Waiting != 0 && covers || err != nil && (q.Session == "" || !errors.Is(err, session.ErrNotFound)) {
		t.Errorf("%d wait, %v, though a logout has taken them away", dry.Waiting, err)
	}
	hub.stop()
	hub = startHubIn(t, folder, waitFor(4*time.Hour))
	wants(ada.on(hub), "after a restart")
	if err := hub.Prune(t.Context(), time.Hour); err != nil {
		t.Error(err)
	}
	wants(ada.on(hub), "after the housekeeping")
}

func TestForcedLogoutFromBeforeTheSignInTakesNoPageAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, waitFor(4*time.Hour))
		hub.logout(LogoutRequest{Scope: everyone})
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: standard.ExpireAfter + time.Minute})
		ada := hub.signIn("ada", "staff")
		pass(standard.ExpireAfter + 2*time.Minute)
		ada.wantsWaiting("after logouts that they knew of")
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
		ada.wantsRevoked("after the next one")
	})
}

// TestForcedLogoutFromBeforeTheEnd: the session was to end by it, and has ended by time before.
func TestForcedLogoutFromBeforeTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, waitFor(4*time.Hour))
		ada, grace := hub.signIn("ada", "staff"), hub.signIn("grace")
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: standard.ExpireAfter + time.Minute})
		off := hub.logout(LogoutRequest{Scope: everyone, Grace: standard.ExpireAfter + time.Minute})
		pass(standard.ExpireAfter)
		ada.wantsWaiting("in the grace")
		grace.wantsWaiting("in the grace")
		if _, err := hub.CancelForcedLogout(t.Context(), off.ID, "root"); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		ada.wantsRevoked("when the grace is over")
		grace.wantsWaiting("after it was cancelled in its grace")
	})
}

func TestForcedLogoutOfAGroupThatTheUserHasLeft(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, waitFor(4*time.Hour))
		ada := hub.signIn("ada", "staff", "guests")
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: standard.ExpireAfter + time.Minute})
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{}); err != nil {
			t.Fatal(err)
		}
		pass(standard.ExpireAfter)
		if l := hub.logout(LogoutRequest{Scope: session.Scope{Group: "guests"}}); l.Waiting != 0 {
			t.Errorf("%d wait of a group that they had left", l.Waiting)
		}
		ada.wantsWaiting("after a logout of a group that they had left before")
		pass(time.Minute)
		ada.wantsRevoked("after one from while they were a member")
	})
}

// TestForcedLogoutIsKeptAsLongAsAPageWaits: its grace is over before the session could wait no
// longer, and a day after it was asked for the housekeeping comes.
func TestForcedLogoutIsKeptAsLongAsAPageWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, waitFor(session.MaxKeepPage))
		ada := hub.signIn("ada")
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: 23 * time.Hour})
		pass(24 * time.Hour)
		for range 9 {
			if err := hub.Prune(t.Context(), time.Hour); err != nil {
				t.Fatal(err)
			}
			ada.wantsRevoked("after the housekeeping")
			pass(time.Minute)
		}
		pass(24 * time.Hour)
		if err := hub.Prune(t.Context(), time.Hour); err != nil || hub.revocations.Count() != 0 {
			t.Errorf("%d logouts are kept that take no page away any more, %v", hub.revocations.Count(), err)
		}
	})
}

func TestAPageAsksWhileALogoutIsBeingCancelled(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after time.Duration // how long the store takes
		revoked       bool
	}{
		{"it took effect before that was stored", 2 * time.Second, 0, true},
		{"it was stored before, and answered after", 0, 2 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				store, err := bolt.Open(t.TempDir())
				if err != nil {
					t.Fatal(err)
				}
				hub := startHubWith(t, store, Options{
					Store:    slowCancel{store, tt.before, tt.after},
					Policies: session.Policies{Global: waitFor(time.Hour)},
					Node:     "node-1",
				})
				ada := hub.signIn("ada")
				pass(standard.ExpireAfter)
				l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: 10 * time.Second})
				pass(9 * time.Second)
				asked := make(chan Ended, 1)
				go func() {
					pass(1500 * time.Millisecond) // past the end of the grace, while that is undecided
					asked <- ada.ended()
				}()
				_, err = hub.CancelForcedLogout(t.Context(), l.ID, "admin")
				if got := <-asked; got.Revoked != tt.revoked || errors.Is(err, session.ErrTooLate) != tt.revoked {
					t.Errorf("CancelForcedLogout = %v; a page at 10.5 s: %+v, want revoked: %v", err, got, tt.revoked)
				}
				hung, cancel := context.WithCancel(t.Context())
				cancel()
				r, _ := hub.Lookup(t.Context(), ada.token.ID())
				if _, err := hub.Ended(hung, &r); err != nil {
					t.Errorf("what is decided needs no waiting: %v", err)
				}
			})
		})
	}
}

// TestPagesAskWhileTheyAreBeingSignedOut: whoever asks after the answer to a forced logout is told
// of it, and nobody is told that it was taken back.
func TestPagesAskWhileTheyAreBeingSignedOut(t *testing.T) {
	hub := startHub(t, session.Policy{
		WarnAfter:   20 * time.Millisecond,
		ExpireAfter: 40 * time.Millisecond,
		ExtendOn:    session.ExtendOnActivity,
		KeepPage:    time.Hour,
	})
	users := make([]*user, 20)
	for i := range users {
		users[i] = hub.signIn(fmt.Sprint("user ", i))
	}
	for _, u := range users {
		within(t, 5*time.Second, "the session ends", func() bool {
			r, err := hub.Lookup(t.Context(), u.token.ID())
			return errors.Is(err, session.ErrEnded) && r.End != nil
		})
	}
	answered := make(chan struct{})
	var wg sync.WaitGroup
	for _, u := range users {
		wg.Go(func() {
			revoked, last := false, false
			for !last {
				select {
				case <-answered:
					last = true
				default:
				}
				e := u.ended()
				if revoked && !e.Revoked || last && !e.Revoked || e.Revoked != (e.Keep == 0) {
					t.Errorf("%+v; revoked before: %v, the logout is answered: %v", e, revoked, last)
					return
				}
				revoked = e.Revoked
			}
		})
	}
	l := hub.logout(LogoutRequest{Scope: everyone})
	close(answered)
	wg.Wait()
	if l.Waiting != len(users) || l.Sessions != 0 {
		t.Errorf("%d wait and %d live, want %d and none", l.Waiting, l.Sessions, len(users))
	}
}

func TestLogoutOfASessionThatOnlyWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, waitFor(time.Hour))
		ada, gone, late := hub.signIn("ada"), hub.signIn("gone"), hub.signIn("late")
		over := hub.signIn("over")
		if _, err := hub.End(t.Context(), gone.token.ID(), session.End{
			Reason: session.ReasonLogout,
			At:     session.Millis(time.Now()),
		}); err != nil {
			t.Fatal(err)
		}
		pass(standard.ExpireAfter)
		live := hub.signIn("live")
		synctest.Wait()
		if err := hub.store.EndKeep(t.Context(), over.token.ID()); err != nil {
			t.Fatal(err)
		}
		for name, u := range map[string]*user{
			"signed out": gone,
			"unknown":    {rig: hub},
			"they have signed out since, in that browser": over,
		} {
			for _, ask := range []func(LogoutRequest) error{
				func(q LogoutRequest) error { _, err := hub.DryRun(t.Context(), q); return err },
				func(q LogoutRequest) error { _, err := hub.ForceLogout(t.Context(), q); return err },
			} {
				if err := ask(LogoutRequest{Scope: u.scope()}); !errors.Is(err, session.ErrNotFound) {
					t.Errorf("%s: %v, want that there is none", name, err)
				}
			}
		}
		if l := hub.logout(LogoutRequest{Scope: ada.scope()}); l.Waiting != 1 || l.Sessions != 0 {
			t.Errorf("%d wait and %d live, want one and none", l.Waiting, l.Sessions)
		}
		ada.wantsRevoked("at once")
		all := listing(ada.ref(), gone.ref(), late.ref(), live.ref(), session.NewToken().ID().Ref())
		q := LogoutRequest{Scope: all, Strange: 1, Except: live.ref()}
		dry, err := hub.DryRun(t.Context(), q)
		if err != nil || dry.Sessions != 0 || dry.Waiting != 1 || dry.Skipped != 4 {
			t.Errorf("dry run but for one's own session: %+v, %v, want 0 live, 1 waiting, 4 skipped", dry, err)
		}
		q.Except = ""
		if l := hub.logout(q); l.Sessions != 1 || l.Waiting != 1 || l.Skipped != 4 {
			t.Errorf("%d live, %d wait, %d skipped, want 1, 1 and 4", l.Sessions, l.Waiting, l.Skipped)
		}
		late.wantsRevoked("by the list")
		live.wantsOver(session.ReasonAdmin.Message())
		none := LogoutRequest{Scope: listing("unknown"), Strange: 1}
		if l := hub.logout(none); l.Sessions+l.Waiting != 0 || l.Skipped != 1 || hub.revocations.Find(l.ID) == nil {
			t.Errorf("a list of nobody: %+v, want it kept, with one skipped", l)
		}
		pass(time.Hour)
		_, err = hub.ForceLogout(t.Context(), LogoutRequest{Scope: late.scope()})
		if !errors.Is(err, session.ErrNotFound) {
			t.Errorf("when no page waits any more: %v, want that there is none", err)
		}
	})
}

func TestAListOfSessionsEndsAllOfThemOrNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubOver(t, folder, standard, func(s *bolt.Store) session.Store { return noEnds{s} })
		var users []*user
		var refs []string
		for i := range 300 {
			u := hub.signIn(fmt.Sprint("user ", i))
			users, refs = append(users, u), append(refs, u.ref())
		}
		spared := hub.signIn("spared")
		tab := users[7].openTab()
		if l := hub.logout(LogoutRequest{Scope: listing(refs...)}); l.Sessions != len(users) || l.Revocation.Tabs != 1 {
			t.Errorf("%d sessions and %d tabs, want %d and 1", l.Sessions, l.Revocation.Tabs, len(users))
		}
		tab.WantsEnd(session.ReasonAdmin, 0)
		synctest.Wait()
		hub.stop() // killed before a single end is stored
		hub = startHubIn(t, folder, standard)
		for _, u := range users {
			u.on(hub).wantsOver(session.ReasonAdmin.Message())
		}
		spared.on(hub).wantsAlive()
	})
}

// noEnds is a store that stores no end.
type noEnds struct{ session.Store }

func (noEnds) End(context.Context, session.ID, session.End, time.Time) (bool, error) {
	return false, errors.New("the disk is full")
}

func (s noEnds) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func TestSoManySessionsAreListedInAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		refs := make([]string, maxListed/10)
		for i := range 10 {
			for k := range refs {
				refs[k] = session.ID{byte(i), byte(k), byte(k >> 8)}.Ref()
			}
			hub.revocations.Add(session.Revocation{Number: int64(i + 1), ID: fmt.Sprint(i), Scope: listing(refs...)})
		}
		_, err := hub.ForceLogout(t.Context(), LogoutRequest{Scope: listing(ada.ref())})
		if !errors.Is(err, ErrTooManyLogouts) {
			t.Errorf("one more of a list: %v", err)
		}
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
	})
}

// TestAllNodesTakeWaitingPagesAway: over a Redis, of sessions that another node has signed in, by a
// node that hears no message of others, and after a fail-over.
func TestAllNodesTakeWaitingPagesAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := session.Policy{
		WarnAfter:   200 * time.Millisecond,
		ExpireAfter: 400 * time.Millisecond,
		ExtendOn:    session.ExtendOnActivity,
		KeepPage:    time.Hour,
	}
	a := startNode(t, server, "a", p, nil)
	b := startNode(t, server, "b", p, func(p session.SharedStore) session.SharedStore { return hearsNobody{p} })
	var users []*user
	for _, name := range []string{"ada", "grace", "eve"} {
		users = append(users, a.signIn(name, "staff"))
	}
	for _, u := range users {
		within(t, 10*time.Second, "the session ends", func() bool {
			r, err := b.Lookup(t.Context(), u.token.ID())
			return errors.Is(err, session.ErrEnded) && r.End != nil
		})
		u.wantsWaiting("at a")
		u.on(b).wantsWaiting("at b")
	}
	ada, grace, eve := users[0], users[1], users[2]
	if l := a.logout(LogoutRequest{Scope: listing(ada.ref())}); l.Waiting != 1 || l.Skipped != 0 {
		t.Errorf("a: %d wait and %d are skipped, want one and none", l.Waiting, l.Skipped)
	}
	ada.on(b).wantsRevoked("at b, which has heard nothing")
	grace.on(b).wantsWaiting("at b, by a logout of another")
	l := b.logout(LogoutRequest{Scope: session.Scope{User: "Grace"}, Grace: time.Hour})
	if l.Waiting != 1 {
		t.Errorf("b: %d wait, want one", l.Waiting)
	}
	grace.wantsWaiting("at a, in the grace")
	if _, err := a.CancelForcedLogout(t.Context(), l.ID, "root"); err != nil {
		t.Fatal(err)
	}
	grace.on(b).wantsWaiting("at b, after it was cancelled")
	if l := b.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Except: eve.ref()}); l.Waiting != 1 {
		t.Errorf("%d wait, want grace alone: ada's are away, and eve is spared", l.Waiting)
	}
	grace.wantsRevoked("at a")
	eve.wantsWaiting("at a, spared")
	for _, n := range []*rig{a, b} {
		if err := n.Prune(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		grace.on(n).wantsRevoked("after the housekeeping")
	}
	c := startNode(t, server, "c", p, nil)
	ada.on(c).wantsRevoked("at a node that has just started")
	eve.on(c).wantsWaiting("at a node that has just started")
	takeWaitingPagesAwayAfterAFailOver(t, server, []*rig{a, b, c}, grace, eve)
}

// takeWaitingPagesAwayAfterAFailOver: nodes know that gone was signed out, and the store has lost
// it. waits waits.
func takeWaitingPagesAwayAfterAFailOver(t *testing.T, server *redistest.Server, nodes []*rig, gone, waits *user) {
	t.Helper()
	for _, lost := range []string{"DEL curfew:{facts}:all", "SET curfew:{facts}:last 0"} { // by a fail-over
		if _, err := server.Command(lost); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		gone.on(n).wantsRevoked("after a fail-over has lost the logout")
		if err := n.Prune(t.Context(), time.Hour); err != nil {
			t.Fatal(err)
		}
		gone.on(n).wantsRevoked("after the housekeeping of what was lost")
	}
	if l := nodes[1].logout(LogoutRequest{Scope: everyone}); l.Waiting != 1 {
		t.Errorf("%d wait after the fail-over, want one alone", l.Waiting)
	}
	waits.wantsRevoked("by a logout after the fail-over")
}
