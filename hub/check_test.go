package hub

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

func TestCheckEndsNobodyWhomTheStoreCallsNotDue(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	clock := skewed(0)
	node := startHubWith(t, store, Options{
		Store:    store,
		Shared:   store,
		Clock:    clock,
		Policies: session.Policies{Global: standard},
		Node:     "a",
	})
	ada := node.signIn("ada")
	clock.SetSkew(standard.ExpireAfter) // the computer's clock was set
	if status, err := node.Check(t.Context(), ada.token.ID()); err != nil || status.Record.End != nil {
		t.Errorf("Check by a clock that is ahead = %v (%+v), and the store keeps the session", err, status.Record.End)
	}
	clock.SetSkew(0)
	if _, err := node.Check(t.Context(), ada.token.ID()); err != nil {
		t.Errorf("Check by a clock that was set right = %v", err)
	}
}

func TestACheckIsOneRoundTripToRedis(t *testing.T) {
	t.Parallel()
	way := redistest.Start(t).Count(t)
	store, err := redis.Open(t.Context(), way.URL(), "curfew:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	node := startHubWith(t, store, Options{
		Store:    store,
		Shared:   store,
		Policies: session.Policies{Global: standard},
		Node:     "a",
	})
	ada := node.signIn("ada", "staff")
	id := ada.token.ID()
	if err := ada.save(0, "blue"); err != nil {
		t.Fatal(err)
	}
	if _, err := node.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "grace"}}); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() error{
		"Check":  func() error { _, err := node.Check(t.Context(), id); return err },
		"Admit":  func() error { _, _, err := node.Admit(t.Context(), id); return err },
		"Values": func() error { _, _, err := node.Values(t.Context(), id); return err },
	} {
		within(t, 10*time.Second, "while the node asks nothing by itself, "+what+" is one round trip", func() bool {
			before := way.Trips()
			for range 10 {
				if err := ask(); err != nil {
					t.Fatal(err)
				}
			}
			return way.Trips() == before+10
		})
	}
}

func TestCheckConcludesNothingWhereTheEndCannotBeStored(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	over := refusingStore{store, errors.New("connection lost"), refusals(1_000_000)}
	node := startHubWith(t, over, Options{
		Store:    over,
		Shared:   store,
		Policies: session.Policies{Global: quick},
		Node:     "a",
	})
	ada := node.signIn("ada")
	s := node.lookup(ada.token.ID())
	within(t, 2*quick.ExpireAfter, "it is due", func() bool { return node.isDue(s) })
	if _, err := node.Check(t.Context(), ada.token.ID()); err == nil || errors.Is(err, session.ErrEnded) {
		t.Errorf("Check = %v, want that nobody can say", err)
	}
	over.left.Store(0)
	within(t, tryAgainAfter+time.Second, "the end is stored", func() bool {
		_, err := node.Check(t.Context(), ada.token.ID())
		return errors.Is(err, session.ErrEnded)
	})
}

// unreadable reads one session, and fails to read others. A call that could have ended the session
// fails, too.
type unreadable struct {
	session.Store
	on    atomic.Bool
	after atomic.Int64
	doubt func()
}

func (s *unreadable) Get(ctx context.Context, id session.ID) (session.Record, error) {
	if !s.on.Load() {
		return s.Store.Get(ctx, id)
	}
	if s.after.Add(-1) < 0 {
		return session.Record{}, errors.New("disk trouble")
	}
	s.doubt()
	return s.Store.Get(ctx, id)
}

func TestTabWhoseSessionCannotBeReadStaysAndIsToldOnceItCan(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store := &unreadable{}
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
			store.Store = s
			return store
		})
		ada := hub.signIn("ada")
		store.after.Store(1) // the handshake's own look
		store.doubt = hub.lookup(ada.token.ID()).doubt
		store.doubt() // or else there is none
		store.on.Store(true)
		tab := ada.openTab()
		if _, err := store.Store.End(t.Context(), ada.token.ID(),
			session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		tab.Silent()
		store.on.Store(false)
		pass(tryAgainAfter)
		synctest.Wait()
		if m := tab.Next(wire.KindExpire); m["reason"] != string(session.ReasonLogout) {
			t.Errorf("told %v, want the end that came meanwhile", m)
		}
	})
}
