package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

func (r *rig) logout(q LogoutRequest) ForcedLogout {
	r.t.Helper()
	l, err := r.ForceLogout(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return l
}

func TestForcedLogoutEndsItsScopeAtOnce(t *testing.T) {
	tests := []struct {
		name  string
		scope func(ada *user) session.Scope
		ends  []string
	}{
		{"a session", func(ada *user) session.Scope {
			return session.Scope{Session: ada.token.ID().Ref()}
		}, []string{"ada"}},
		{"a user", func(*user) session.Scope { return session.Scope{User: "ada"} }, []string{"ada", "ada again"}},
		{"a group", func(*user) session.Scope { return session.Scope{Group: "staff"} },
			[]string{"ada", "ada again", "grace"}},
		{"everyone", func(*user) session.Scope { return session.Scope{Everyone: true} },
			[]string{"ada", "ada again", "grace", "linus"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				hub := startHub(t, standard)
				users := map[string]*user{
					"ada":       hub.signIn("ada", "staff"),
					"ada again": hub.signIn("ada", "staff"),
					"grace":     hub.signIn("grace", "staff"),
					"linus":     hub.signIn("linus"),
				}
				tabs := map[string]*page{}
				for name, u := range users {
					tabs[name] = u.openTab()
				}
				l := hub.logout(LogoutRequest{Scope: tt.scope(users["ada"]), Actor: "admin", Message: "Go home <b>"})
				if l.Sessions != len(tt.ends) || l.Revocation.Tabs != len(tt.ends) {
					t.Errorf("%d sessions and %d tabs, want %d each", l.Sessions, l.Revocation.Tabs, len(tt.ends))
				}
				for _, name := range tt.ends {
					users[name].wantsOver("Go home <b>")
					tabs[name].WantsEnd(session.ReasonAdmin, 0)
				}
				synctest.Wait()
				for name, u := range users {
					want := 1
					if !slices.Contains(tt.ends, name) {
						want = 0
						u.wantsAlive()
						tabs[name].Silent()
					}
					if n := u.endLines(); n != want {
						t.Errorf("%s: %d audit lines of the end, want %d", name, n, want)
					}
				}
				got, err := hub.ForcedLogout(l.ID)
				if err != nil || got.Acked != len(tt.ends) || got.Unconfirmed+got.Gone+got.Open != 0 ||
					got.State != LogoutEffective {
					t.Errorf("progress = %+v, %v, want all acked", got, err)
				}
			})
		})
	}
}

func TestForcedLogoutSparesTheCallerAndLaterSignIns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		admin, grace := hub.signIn("ada", "admins"), hub.signIn("grace")
		hub.logout(LogoutRequest{Scope: session.Scope{Everyone: true}, Except: admin.token.ID().Ref()})
		later := hub.signIn("grace")
		admin.wantsAlive()
		later.wantsAlive()
		grace.wantsOver(session.ReasonAdmin.Message())
	})
}

func TestForcedLogoutWithGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		tab := ada.openTab()
		pass(time.Minute)
		l := hub.logout(LogoutRequest{
			Scope:   session.Scope{User: "ada"},
			Message: "Maintenance",
			Grace:   30 * time.Second,
		})
		m := tab.Wants(wire.KindWarn, time.Minute)
		if m["reason"] != "admin" || m["message"] != "Maintenance" || m["expire_in_ms"] != 30000. {
			t.Errorf("warn = %v", m)
		}
		tab.Send(`{"type":"activity","idle_ms":0}`)
		tab.Send(`{"type":"confirm"}`)
		if m := tab.Next(wire.KindWarn); m["reason"] != "admin" {
			t.Errorf("confirm was answered with %v, want the warning", m)
		}
		pass(10 * time.Second)
		late := ada.openTab()
		if m := late.Next(wire.KindWarn); m["reason"] != "admin" || m["expire_in_ms"] != 20000. {
			t.Errorf("a late tab was told %v", m)
		}
		hub.signIn("ada").openTab() // later than the logout, and none of its business
		if got, _ := hub.ForcedLogout(l.ID); got.State != LogoutPending || got.Open != 2 || got.Sessions != 1 {
			t.Errorf("progress = %+v, want two tabs to be told", got)
		}
		tab.WantsEnd(session.ReasonAdmin, 90*time.Second)
		late.Next(wire.KindExpire) // and no ack
		pass(2 * time.Second)
		synctest.Wait()
		if got, _ := hub.ForcedLogout(l.ID); got.Acked != 1 || got.Unconfirmed != 1 {
			t.Errorf("progress = %+v, want one acked, one unconfirmed", got)
		}
		ada.wantsOver("Maintenance")
		if n := ada.endLines(); n != 1 {
			t.Errorf("%d audit lines of the end, want 1", n)
		}
	})
}

func TestForcedLogoutIsCalledOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada", "staff")
		tab := ada.openTab()
		sooner := hub.logout(LogoutRequest{
			Scope:   session.Scope{User: "ada"},
			Message: "sooner",
			Grace:   time.Minute,
			Block:   time.Hour,
		})
		if m := tab.Next(wire.KindWarn); m["message"] != "sooner" {
			t.Errorf("warn = %v", m)
		}
		later := hub.logout(LogoutRequest{
			Scope:   session.Scope{Group: "staff"},
			Message: "later",
			Grace:   2 * time.Minute,
		})
		tab.Silent() // the earlier end is told
		if _, blocked := hub.Blocked("ada", nil); !blocked {
			t.Error("a sign-in is not blocked")
		}
		pass(10 * time.Second)
		if _, err := hub.CancelForcedLogout(t.Context(), sooner.ID, "admin"); err != nil {
			t.Fatal(err)
		}
		if m := tab.Next(wire.KindWarn); m["message"] != "later" || m["expire_in_ms"] != 110000. {
			t.Errorf("after the first was called off: %v, want the other warning", m)
		}
		if _, blocked := hub.Blocked("ada", nil); blocked {
			t.Error("the block was not called off")
		}
		if got, err := hub.CancelForcedLogout(t.Context(), later.ID, "admin"); err != nil ||
			got.State != LogoutCancelled {
			t.Fatalf("CancelForcedLogout = %+v, %v", got, err)
		}
		tab.Next(wire.KindActive)
		pass(5 * time.Minute)
		ada.wantsAlive()
		if _, err := hub.CancelForcedLogout(t.Context(), "unknown", "admin"); !errors.Is(err, session.ErrNotFound) {
			t.Errorf("CancelForcedLogout of an unknown one = %v", err)
		}
	})
}

func TestForcedLogoutHoldsAcrossARestartInItsGrace(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		ada, grace, linus := hub.signIn("ada"), hub.signIn("grace"), hub.signIn("linus")
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: time.Minute})
		off := hub.logout(LogoutRequest{Scope: session.Scope{User: "grace"}, Grace: time.Minute})
		soon := hub.logout(LogoutRequest{Scope: session.Scope{User: "linus"}, Grace: 5 * time.Second})
		if _, err := hub.CancelForcedLogout(t.Context(), off.ID, "admin"); err != nil {
			t.Fatal(err)
		}
		hub.stop()
		pass(20 * time.Second)
		again := startHubIn(t, folder, standard)
		ada.rig, grace.rig, linus.rig = again, again, again
		tab := ada.openTab()
		if m := tab.Next(wire.KindWarn); m["reason"] != "admin" || m["expire_in_ms"] != 40000. {
			t.Errorf("after the restart: %v", m)
		}
		linus.wantsOver(session.ReasonAdmin.Message())
		tab.WantsEnd(session.ReasonAdmin, 40*time.Second)
		synctest.Wait()
		grace.wantsAlive()
		for _, u := range []*user{ada, linus} {
			if n := u.endLines(); n != 1 {
				t.Errorf("%d audit lines of the end, want 1", n)
			}
		}
		if got, err := again.ForcedLogout(soon.ID); err != nil || got.State != LogoutEffective {
			t.Errorf("ForcedLogout = %+v, %v after the restart", got, err)
		}
	})
}

func TestForcedLogoutOfMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		var users []*user
		var tabs []*page
		for i := range 2*manyEnds + 7 { // more than are written while tabs are told
			users = append(users, hub.signIn(fmt.Sprint("user", i)))
			tabs = append(tabs, users[i].openTab())
		}
		l := hub.logout(LogoutRequest{Scope: session.Scope{Everyone: true}})
		for _, u := range users {
			u.wantsOver(session.ReasonAdmin.Message()) // at once
		}
		for _, tab := range tabs {
			tab.WantsEnd(session.ReasonAdmin, 0)
		}
		pass(5 * time.Second)
		synctest.Wait()
		for _, u := range users {
			if n := u.endLines(); n != 1 {
				t.Fatalf("%d audit lines of an end, want 1", n)
			}
		}
		if got, _ := hub.ForcedLogout(l.ID); got.Acked != len(users) {
			t.Errorf("%d acked, want %d", got.Acked, len(users))
		}
		if st := hub.Stats(); st.Sessions != 0 || st.Ends[session.ReasonAdmin] != len(users) {
			t.Errorf("stats = %+v", st)
		}
	})
}

// TestForcedLogoutRacesSignInsAndActs starts sign-ins, acts and forced logouts at once: whoever
// read the number before a logout was answered is over, and nobody comes back.
func TestForcedLogoutRacesSignInsAndActs(t *testing.T) {
	hub := startHub(t, standard)
	var mu sync.Mutex
	var users []*user
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 25 {
				u := hub.signIn("ada", "staff")
				mu.Lock()
				users = append(users, u)
				mu.Unlock()
				hub.Act(t.Context(), u.token.ID(), 0, true) // too late is no error here
			}
		})
	}
	for range 5 {
		hub.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}})
	}
	wg.Wait()
	hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
	for _, u := range users {
		u.wantsOver(session.ReasonAdmin.Message())
		if err := hub.Act(t.Context(), u.token.ID(), 0, true); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Act after the end = %v", err)
		}
	}
	within(t, 5*time.Second, "nobody is watched over any more", func() bool { return len(hub.allSessions()) == 0 })
}

func TestForcedLogoutOfAGroupRacesJoiningIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, store := startHubRaced(t)
		ada := hub.signIn("ada")
		tab := ada.openTab()
		staff := LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: time.Minute}
		store.before = func() { hub.logout(staff) }
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
			t.Fatal(err)
		}
		tab.Wants(wire.KindWarn, 0) // she joined at the number before
		if err := hub.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
			t.Fatal(err)
		}
		tab.Silent() // she was a member when it was answered
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
			t.Fatal(err)
		}
		tab.Silent()
		store.before = func() { hub.logout(LogoutRequest{Scope: session.Scope{Group: "guests"}}) }
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff", "guests"}); err != nil {
			t.Fatal(err)
		}
		tab.WantsEnd(session.ReasonAdmin, 0)
		synctest.Wait()
		ada.wantsOver(session.ReasonAdmin.Message())
	})
}

// slowCancel takes its time before a calling-off is stored, and after.
type slowCancel struct {
	session.Store
	before, after time.Duration
}

func (s slowCancel) CancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor string,
) (session.Revocation, error) {
	pass(s.before)
	defer pass(s.after)
	return s.Store.CancelRevocation(ctx, id, at, actor)
}

func TestWhetherALogoutWasCalledOffInTimeIsWhatTheStoreSays(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after time.Duration
		late          bool
	}{
		{"it took effect before it was stored", 2 * time.Second, 0, true},
		{"it was stored before, and answered after", 0, 2 * time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				hub := startHubOver(t, t.TempDir(), standard,
					func(s *bolt.Store) session.Store { return slowCancel{s, tt.before, tt.after} })
				ada := hub.signIn("ada")
				tab := ada.openTab()
				l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Grace: 10 * time.Second})
				tab.Next(wire.KindWarn)
				pass(9 * time.Second)
				asked := make(chan error, 1)
				go func() {
					pass(1500 * time.Millisecond) // past the end of the grace, while that is undecided
					_, err := hub.Check(t.Context(), ada.token.ID())
					asked <- err
				}()
				got, err := hub.CancelForcedLogout(t.Context(), l.ID, "admin")
				synctest.Wait()
				switch over := <-asked; {
				case tt.late && (!errors.Is(err, session.ErrTooLate) || !errors.Is(over, session.ErrEnded)):
					t.Errorf("CancelForcedLogout = %+v, %v; a request at 10.5 s: %v, want too late, and ended",
						got, err, over)
				case !tt.late && (err != nil || got.State != LogoutCancelled || over != nil):
					t.Errorf("CancelForcedLogout = %+v, %v; a request at 10.5 s: %v, want called off, and alive",
						got, err, over)
				}
				if tt.late {
					tab.WantsEnd(session.ReasonAdmin, 11*time.Second)
					ada.wantsOver(session.ReasonAdmin.Message())
				} else {
					tab.Next(wire.KindActive)
					ada.wantsAlive()
				}
			})
		})
	}
}

func TestOnlyTheBlockOfALogoutWithoutAGraceCanBeCalledOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		l := hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}, Block: time.Hour})
		if got, err := hub.CancelForcedLogout(t.Context(), l.ID, "root"); err != nil || got.State != LogoutEffective {
			t.Errorf("CancelForcedLogout = %+v, %v", got, err)
		}
		if _, blocked := hub.Blocked("ada", nil); blocked {
			t.Error("the block stands")
		}
		ada.wantsOver(session.ReasonAdmin.Message())
		hub.late("ada").wantsOver(session.ReasonAdmin.Message())
	})
}

func TestLogoutOfASessionThatDoesNotLiveIsNone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		hub.logout(LogoutRequest{Scope: ada.scope()})
		synctest.Wait()
		for _, ref := range []string{ada.token.ID().Ref(), "unknown", " "} {
			_, err := hub.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{Session: ref}})
			if !errors.Is(err, session.ErrNotFound) {
				t.Errorf("%q: %v, want that there is none", ref, err)
			}
		}
		if l := hub.logout(LogoutRequest{Scope: session.Scope{User: "nobody"}}); l.Sessions != 0 {
			t.Errorf("nobody has %d sessions", l.Sessions)
		}
	})
}

func TestSoManyLogoutsAreKeptAndEveryoneCanAlwaysBeSignedOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		for i := range maxLogouts {
			hub.revocations.Add(session.Revocation{
				Number: int64(i + 1),
				ID:     fmt.Sprint(i),
				Scope:  session.Scope{User: "grace"},
			})
		}
		_, err := hub.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "ada"}})
		if !errors.Is(err, ErrTooManyLogouts) {
			t.Errorf("one more: %v", err)
		}
		ada.wantsAlive()
		hub.logout(LogoutRequest{Scope: everyone})
		ada.wantsOver(session.ReasonAdmin.Message())
	})
}

func TestALogoutOfASessionThatThisNodeHasNotHeardOfYet(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	b := startNode(t, server, "b", standard, func(p session.SharedStore) session.SharedStore { return hearsNobody{p} })
	for range 5 { // none is found by a pulse first
		ada := a.signIn("ada")
		if l, err := b.ForceLogout(t.Context(),
			LogoutRequest{Scope: session.Scope{Session: ada.token.ID().Ref()}}); err != nil || l.Sessions != 1 {
			t.Fatalf("ForceLogout = %d sessions, %v, want the one of a moment ago", l.Sessions, err)
		}
		if _, err := a.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check = %v, want that she is signed out", err)
		}
	}
	_, err := b.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{Session: session.NewToken().ID().Ref()}})
	if !errors.Is(err, session.ErrNotFound) {
		t.Errorf("ForceLogout of a session that nobody has = %v", err)
	}
}

func TestASecondForcedLogoutCountsNobodyTwice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		hub.signIn("ada").openTab()
		now := session.Millis(time.Now())
		enter := func(number int64, id string, grace time.Duration) *revocation.Entry {
			l, isNew := hub.revocations.Add(session.Revocation{
				Number:      number,
				ID:          id,
				Scope:       session.Scope{User: "ada"},
				At:          now,
				EffectiveAt: now.Add(grace),
			})
			if !isNew {
				t.Fatalf("%s is known", id)
			}
			return l
		}
		for _, tt := range []struct {
			name  string
			entry *revocation.Entry
			want  int
		}{
			{"one with a grace", enter(1, "grace", time.Minute), 1},
			{"one at once, before it", enter(2, "first", 0), 1},
			{"another at once, before the tabs are told of the first", enter(3, "second", 0), 0},
		} {
			sessions, tabs := hub.mark(tt.entry, hub.allSessions(), nil)
			if len(sessions) != tt.want || tabs != tt.want {
				t.Errorf("%s: %d sessions and %d tabs, want %d each", tt.name, len(sessions), tabs, tt.want)
			}
			tt.entry.SetMarked()
		}
		if sessions, tabs := hub.Count(session.Scope{User: "ada"}, ""); sessions != 0 || tabs != 0 {
			t.Errorf("Count = %d, %d: the session is over", sessions, tabs)
		}
	})
}
