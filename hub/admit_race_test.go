package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/redis/redistest"
)

// Requests that come while a session ends, and ends that the hub does not hear of.

// endsToRace end a session of ada, where a user may have one session.
var endsToRace = map[string]func(*user) error{
	"sign-out": func(ada *user) error {
		end := session.End{Reason: session.ReasonLogout, At: time.Now()}
		_, err := ada.End(ada.t.Context(), ada.token.ID(), end)
		return err
	},
	"forced logout of the session": func(ada *user) error {
		_, err := ada.ForceLogout(ada.t.Context(), LogoutRequest{Scope: ada.scope()})
		return err
	},
	"forced logout of the user": func(ada *user) error {
		_, err := ada.ForceLogout(ada.t.Context(), LogoutRequest{Scope: session.Scope{User: "ada"}})
		return err
	},
	"forced logout of everyone": func(ada *user) error {
		_, err := ada.ForceLogout(ada.t.Context(), LogoutRequest{Scope: everyone})
		return err
	},
	"one sign-in too many": func(ada *user) error {
		ada.signIn("ada")
		return nil
	},
	"reset": func(ada *user) error { return ada.Reset(ada.t.Context()) },
	"denied by the directory": func(ada *user) error {
		return ada.reconcile(ada.t.Context(), ada.lookup(ada.token.ID()).record.Load(), Standing{Denied: true})
	},
	"aged past its end": func(ada *user) error {
		_, err := ada.Age(ada.t.Context(), ada.token.ID().Ref(), 2*standard.MaxLifetime)
		return err
	},
}

// raceEachEnd has race run against each of endsToRace so many times, side by side.
func raceEachEnd(t *testing.T, times int, race func(*testing.T, *user, func(*user) error, ...*rig)) {
	p := standard
	p.MaxSessions = 1
	for name, end := range endsToRace {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store, err := bolt.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			hub := startHubWith(t, store, Options{
				Store:     store,
				Policies:  session.Policies{Global: p},
				TestClock: &session.TestClock{},
			})
			for range times {
				race(t, hub.signIn("ada"), end)
			}
		})
	}
}

// TestNoRequestIsAdmittedOnceAnEndIsAnswered sends requests while a session is ended: those that
// begin after the answer are refused.
func TestNoRequestIsAdmittedOnceAnEndIsAnswered(t *testing.T) {
	raceEachEnd(t, 8, raceAdmit)
}

// raceAdmit ends a session while requests of it come, at nodes if any are given, or else where it
// has signed in. Meanwhile its values and groups are changed, it is aged, and its user acts.
func raceAdmit(t *testing.T, ada *user, end func(*user) error, nodes ...*rig) {
	t.Helper()
	if len(nodes) == 0 {
		nodes = []*rig{ada.rig}
	}
	var answered atomic.Bool
	var asked sync.WaitGroup
	lives := make(chan context.Context, 12)
	asked.Go(func() { ada.isChanged(&answered) })
	for i := range cap(lives) {
		asked.Go(func() {
			node := nodes[i%len(nodes)]
			ask := ways[i/len(nodes)%len(ways)]
			var last context.Context
			for over := false; !over; {
				over = answered.Load()
				life, err := ask(node, ada.token.ID())
				switch {
				case err == nil && over:
					t.Error("a request is let through that came after the end was answered")
				case err != nil && !errors.Is(err, session.ErrEnded) && !isUnknown(err):
					t.Errorf("a request: %v", err)
				case err == nil:
					last = life
				}
			}
			lives <- last
		})
	}
	if err := end(ada); err != nil {
		t.Error(err)
	}
	answered.Store(true)
	asked.Wait()
	for range cap(lives) {
		if life := <-lives; life != nil {
			select {
			case <-life.Done():
			case <-time.After(10 * time.Second):
				t.Fatal("the life of a session that has ended goes on")
			}
		}
	}
}

// ways are those in which a request asks for its session. The life comes from one of them.
var ways = []func(node *rig, id session.ID) (context.Context, error){
	func(node *rig, id session.ID) (context.Context, error) {
		_, life, err := node.Admit(node.t.Context(), id)
		return life, err
	},
	func(node *rig, id session.ID) (context.Context, error) {
		_, err := node.Check(node.t.Context(), id)
		return nil, err
	},
	func(node *rig, id session.ID) (context.Context, error) {
		_, _, err := node.Values(node.t.Context(), id)
		return nil, err
	},
}

// isChanged changes all that can be changed of a session, until an end of it was answered. Each
// change may come too late.
func (u *user) isChanged(answered *atomic.Bool) {
	id, ctx := u.token.ID(), u.t.Context()
	for i := 0; !answered.Load(); i++ {
		if values, version, err := u.Values(ctx, id); err == nil {
			u.Save(ctx, id, version, append(values[:len(values):len(values)], 'x'))
		}
		u.setGroups(ctx, id, []string{"staff", "sales"}[:1+i%2])
		u.Age(ctx, id.Ref(), time.Millisecond)
		u.Act(ctx, id, 0, i%2 == 0)
	}
}

// pausing is a store that stops once, after it has read a session.
type pausing struct {
	session.Store
	on     atomic.Bool
	read   chan struct{} // it has read, and stops
	resume chan struct{}
}

func (s *pausing) Get(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.Store.Get(ctx, id)
	if s.on.CompareAndSwap(true, false) {
		s.read <- struct{}{}
		<-s.resume
	}
	return r, err
}

// TestASessionThatWasReadBeforeItsEndIsNotAdmitted has a slow request bring a session back into
// memory that it has read before the end.
func TestASessionThatWasReadBeforeItsEndIsNotAdmitted(t *testing.T) {
	store := &pausing{read: make(chan struct{}), resume: make(chan struct{})}
	hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	})
	ada := hub.signIn("ada")
	hub.lookup(ada.token.ID()).doubt() // or else nothing is read
	store.on.Store(true)
	slow := make(chan error)
	go func() {
		_, err := hub.Check(t.Context(), ada.token.ID())
		slow <- err
	}()
	<-store.read
	if _, err := hub.End(t.Context(), ada.token.ID(),
		session.End{Reason: session.ReasonLogout, At: time.Now()}); err != nil {
		t.Fatal(err)
	}
	store.on.Store(true) // it stops again when it has brought the session back, and looks for an end
	store.resume <- struct{}{}
	<-store.read
	if hub.lookup(ada.token.ID()) == nil {
		t.Fatal("the slow request has not brought the session back: the test proves nothing")
	}
	ada.refused(session.ReasonLogout)
	store.resume <- struct{}{}
	if err := <-slow; !errors.Is(err, session.ErrEnded) {
		t.Errorf("the slow request: %v", err)
	}
	ada.refused(session.ReasonLogout)
}

// startHubFaulty starts a hub of one session a user over a store that fails as it is told.
func startHubFaulty(t *testing.T) (*rig, *faulty.Faults) {
	t.Helper()
	faults := faulty.New(1)
	p := standard
	p.MaxSessions = 1
	return startHubOver(t, t.TempDir(), p, func(s *bolt.Store) session.Store {
		return faulty.Store{Store: s, Faults: faults}
	}), faults
}

func TestAnEndThatTheStoreHasButDidNotAcknowledgeRefusesRequests(t *testing.T) {
	t.Run("sign-out", func(t *testing.T) {
		hub, faults := startHubFaulty(t)
		ada := hub.signIn("ada")
		life := ada.admitted()
		faults.Set("End", faulty.Rule{After: 1, Times: 1})
		if _, err := hub.End(t.Context(), ada.token.ID(),
			session.End{Reason: session.ReasonLogout, At: time.Now()}); err == nil {
			t.Fatal("End has not failed: the test proves nothing")
		}
		ada.refused(session.ReasonLogout)
		wantsLifeOver(t, life, session.ReasonLogout)
		ada.refused(session.ReasonLogout)
	})
	t.Run("one sign-in too many", func(t *testing.T) {
		hub, faults := startHubFaulty(t)
		ada := hub.signIn("ada")
		life := ada.admitted()
		faults.Set("Create", faulty.Rule{After: 1, Times: 1})
		r := *hub.lookup(ada.token.ID()).record.Load()
		r.ID = session.NewToken().ID()
		if err := hub.Create(t.Context(), r); err == nil {
			t.Fatal("Create has not failed: the test proves nothing")
		}
		ada.refused(session.ReasonReplaced)
		wantsLifeOver(t, life, session.ReasonReplaced)
	})
}

func TestAStoreThatIsAwayRefusesNobodyWhoIsInMemory(t *testing.T) {
	hub, faults := startHubFaulty(t)
	ada, grace := hub.signIn("ada"), hub.signIn("grace")
	ada.admitted()
	hub.lookup(grace.token.ID()).doubt()
	faults.Set(faulty.All, faulty.Rule{Before: 1})
	ada.admitted()
	if _, _, err := hub.Admit(t.Context(), grace.token.ID()); !errors.Is(err, faulty.ErrInjected) {
		t.Errorf("Admit of a session that may have ended = %v, want that nobody can say", err)
	}
	faults.Heal()
	grace.admitted()
}

func TestAnEndOnOneNodeEndsTheLifeAtAnother(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := standard
	p.MaxSessions = 1
	a, b := startNode(t, server, "a", p, nil), startNode(t, server, "b", p, nil)
	for _, way := range []struct {
		reason session.Reason
		end    func(*user) error
	}{
		{session.ReasonLogout, func(ada *user) error {
			_, err := ada.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
			return err
		}},
		{session.ReasonAdmin, func(ada *user) error {
			_, err := ada.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "ada"}})
			return err
		}},
		{session.ReasonReplaced, func(ada *user) error {
			ada.signIn("ada")
			return nil
		}},
	} {
		ada := a.signIn("ada")
		here, there := ada.admitted(), ada.on(b).admitted()
		if err := way.end(ada); err != nil {
			t.Fatal(err)
		}
		ada.on(b).refused(way.reason)
		within(t, time.Second, "the lives at both nodes are over", func() bool {
			return here.Err() != nil && there.Err() != nil
		})
		wantsLifeOver(t, here, way.reason)
		wantsLifeOver(t, there, way.reason)
		raceAdmit(t, a.signIn("ada"), way.end, a, b)
	}
}
