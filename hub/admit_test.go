package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

// admitted wants a request of a session let through, and returns the life of the session.
func (u *user) admitted() context.Context {
	u.t.Helper()
	status, life, err := u.Admit(u.t.Context(), u.token.ID())
	if err != nil || status.Record.ID != u.token.ID() || life == nil {
		u.t.Fatalf("Admit = %+v, %v, %v, want it let through", status.Record, life, err)
	}
	return life
}

// refused wants a request of a session refused because it has ended.
func (u *user) refused(reason session.Reason) {
	u.t.Helper()
	status, _, err := u.Admit(u.t.Context(), u.token.ID())
	if !errors.Is(err, session.ErrEnded) || status.Record.End == nil || status.Record.End.Reason != reason {
		u.t.Errorf("Admit = %+v, %v, want ended (%s)", status.Record.End, err, reason)
	}
}

// wantsLifeOver wants a life done for a reason.
func wantsLifeOver(t *testing.T, life context.Context, reason session.Reason) {
	t.Helper()
	var ended EndedError
	if cause := context.Cause(life); !errors.As(cause, &ended) || ended.End.Reason != reason ||
		!errors.Is(cause, session.ErrEnded) {
		t.Errorf("the life is done for %v, want the end (%s)", cause, reason)
	}
}

// reading is a store that counts how often a session is read from it.
type reading struct {
	session.Store
	reads atomic.Int64
}

func (s *reading) Get(ctx context.Context, id session.ID) (session.Record, error) {
	s.reads.Add(1)
	return s.Store.Get(ctx, id)
}

func startHubReading(t testing.TB, folder string) (*rig, *reading) {
	t.Helper()
	store := &reading{}
	return startHubOver(t, folder, standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	}), store
}

func TestALiveSessionIsJudgedFromMemory(t *testing.T) {
	folder := t.TempDir()
	hub, store := startHubReading(t, folder)
	ada := hub.signIn("ada", "staff")
	before := store.reads.Load()
	life := ada.admitted()
	for range 100 {
		if ada.admitted() != life {
			t.Fatal("a session has more than one life")
		}
		if _, err := hub.Check(t.Context(), ada.token.ID()); err != nil {
			t.Fatal(err)
		}
	}
	status, _, _ := ada.Admit(t.Context(), ada.token.ID())
	if r := status.Record; r.User != "ada" || len(r.Groups) != 1 || status.Ref != ada.token.ID().Ref() ||
		status.ExpireIn <= 0 {
		t.Errorf("Admit = %+v", status)
	}
	if checked, err := hub.Check(t.Context(), ada.token.ID()); err != nil || checked.Record.User != "ada" ||
		checked.State != status.State {
		t.Errorf("Check = %+v, %v, want what Admit has told: %+v", checked, err, status)
	}
	if n := store.reads.Load() - before; n != 0 {
		t.Errorf("requests of a live session have read it %d times", n)
	}
	if _, _, err := hub.Admit(t.Context(), session.NewToken().ID()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Admit of a stranger = %v", err)
	}

	hub.stop()
	if life.Err() != nil {
		t.Errorf("the life ends with the hub: %v", context.Cause(life))
	}
	hub, store = startHubReading(t, folder)
	ada = ada.on(hub)
	ada.admitted()
	if n := store.reads.Load(); n != 0 {
		t.Errorf("after a restart a request has read the session %d times", n)
	}
}

// TestAHubThatShutsDownAsksTheStore is about a hub that may have a successor on the same store.
func TestAHubThatShutsDownAsksTheStore(t *testing.T) {
	hub := startHub(t, standard)
	ada := hub.signIn("ada")
	ada.admitted()
	hub.stop()
	if _, _, err := hub.Admit(t.Context(), ada.token.ID()); err == nil || isUnknown(err) {
		t.Errorf("Admit after Shutdown = %v, want that nobody can say", err)
	}
}

// waysToEnd are all ways in which a session ends, in a bubble. Each returns the reason.
var waysToEnd = []struct {
	reason session.Reason
	end    func(ada *user) error
}{
	{session.ReasonLogout, func(ada *user) error {
		_, err := ada.End(ada.t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
		return err
	}},
	{session.ReasonAdmin, func(ada *user) error {
		_, err := ada.ForceLogout(ada.t.Context(), LogoutRequest{Scope: ada.scope()})
		return err
	}},
	{session.ReasonAdmin, func(ada *user) error {
		_, err := ada.ForceLogout(ada.t.Context(), LogoutRequest{Scope: session.Scope{Group: "staff"}})
		return err
	}},
	{session.ReasonAdmin, func(ada *user) error {
		q := LogoutRequest{Scope: everyone, Grace: time.Minute}
		_, err := ada.ForceLogout(ada.t.Context(), q)
		ada.admitted()
		pass(q.Grace)
		return err
	}},
	{session.ReasonIdle, func(*user) error {
		pass(standard.ExpireAfter)
		return nil
	}},
	{session.ReasonLifetime, func(ada *user) error {
		for range 4 * int(standard.MaxLifetime/standard.ExpireAfter) {
			pass(standard.ExpireAfter / 4)
			ada.Act(ada.t.Context(), ada.token.ID(), 0, false)
		}
		return nil
	}},
	{session.ReasonBrowserClosed, func(ada *user) error {
		ada.openTab().Leave("close")
		synctest.Wait()
		ada.admitted()
		pass(standard.CloseGrace + time.Millisecond) // the closing came after the opening, by its time
		return nil
	}},
	{session.ReasonReplaced, func(ada *user) error {
		p := standard
		p.MaxSessions = 1
		if _, err := ada.Reload(ada.t.Context(), session.Policies{Global: p}); err != nil {
			return err
		}
		ada.signIn("ada")
		return nil
	}},
	{session.ReasonPolicy, func(ada *user) error {
		pass(standard.WarnAfter)
		p := standard
		p.WarnAfter, p.ExpireAfter = time.Minute, 2*time.Minute
		_, err := ada.Reload(ada.t.Context(), session.Policies{Global: p})
		return err
	}},
	{session.ReasonDirectory, func(ada *user) error {
		r := *ada.lookup(ada.token.ID()).record.Load()
		return ada.Reconcile(ada.t.Context(), AccountOf(&r), Standing{Denied: true, Cause: "locked", Why: "locked"})
	}},
}

// signInByDirectory signs ada in as a member of staff whom a directory has let in.
func (r *rig) signInByDirectory() *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	now := session.Millis(time.Now())
	if err := r.Create(r.t.Context(), session.Record{
		ID:           u.token.ID(),
		User:         "ada",
		Login:        "ada",
		DN:           "uid=ada,dc=example",
		Groups:       []session.Group{{Name: "staff"}},
		Policy:       standard,
		CreatedAt:    now,
		LastActiveAt: now,
	}); err != nil {
		r.t.Fatal(err)
	}
	return u
}

func TestEveryEndEndsTheLifeOfTheSessionAndRefusesItsRequests(t *testing.T) {
	for i, way := range waysToEnd {
		t.Run(fmt.Sprint(i, " ", way.reason), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				hub := startHub(t, standard)
				ada, other := hub.signInByDirectory(), hub.signIn("grace")
				life := ada.admitted()
				told := make(chan time.Time, 1)
				context.AfterFunc(life, func() { told <- time.Now() })
				if life.Err() != nil {
					t.Fatalf("the life is done before the end: %v", context.Cause(life))
				}
				if err := way.end(ada); err != nil {
					t.Fatal(err)
				}
				now := time.Now()
				ada.refused(way.reason)
				synctest.Wait()
				wantsLifeOver(t, life, way.reason)
				select {
				case at := <-told:
					if !at.Equal(now) {
						t.Errorf("what was open is closed %s after the end", at.Sub(now))
					}
				default:
				}
				if way.reason == session.ReasonLogout {
					other.admitted()
				}
				pass(2 * time.Second)
				synctest.Wait()
				if hub.lookup(ada.token.ID()) != nil {
					t.Error("the hub keeps the session, and its life")
				}
				ada.refused(way.reason)
			})
		})
	}
}

func TestAnActMovesTheEndOfTheLife(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		life := ada.admitted()
		pass(standard.WarnAfter)
		if err := ada.Act(t.Context(), ada.token.ID(), 0, false); err != nil {
			t.Fatal(err)
		}
		pass(standard.ExpireAfter - time.Millisecond)
		synctest.Wait()
		ada.admitted()
		if life.Err() != nil {
			t.Fatalf("the life is done %v before the end", context.Cause(life))
		}
		pass(time.Millisecond)
		ada.refused(session.ReasonIdle)
		wantsLifeOver(t, life, session.ReasonIdle)
	})
}

func TestACheckOfALiveSessionAllocatesNothing(t *testing.T) {
	hub := startHub(t, standard)
	ada := hub.signIn("ada", "staff", "admins")
	id, ctx := ada.token.ID(), t.Context()
	for what, ask := range map[string]func() error{
		"Check":  func() error { _, err := hub.Check(ctx, id); return err },
		"Admit":  func() error { _, _, err := hub.Admit(ctx, id); return err },
		"Values": func() error { _, _, err := hub.Values(ctx, id); return err },
	} {
		if n := testing.AllocsPerRun(1000, func() {
			if err := ask(); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s makes %v allocations, want none", what, n)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	hub := startHub(b, standard)
	id := hub.signIn("ada", "staff", "admins").token.ID()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := hub.Check(context.Background(), id); err != nil {
			b.Fatal(err)
		}
	}
}
