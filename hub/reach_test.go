package hub

import (
	"context"
	"errors"
	"log/slog"
	"strings"
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

func openRedis(t *testing.T, server *redistest.Server) *redis.Store {
	t.Helper()
	store, err := redis.Open(t.Context(), server.URL(), "curfew:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// A partition leaves a node with the old master, which takes reads and no writes any more.
func TestNodeLeftWithTheOldMasterAnswersNobody(t *testing.T) {
	t.Parallel()
	old := redistest.Start(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
	replica := redistest.Start(t, "--replicaof", strings.Replace(old.Address, ":", " ", 1))
	within(t, 10*time.Second, "the replica is in step", func() bool {
		answer, err := old.Command("WAIT 1 100")
		return err == nil && strings.HasPrefix(answer, ":1")
	})
	same := func(p session.SharedStore) session.SharedStore { return p }
	a := startNode(t, old, "a", standard, same)
	ada := a.signIn("ada")
	if _, err := replica.Command("REPLICAOF NO ONE"); err != nil { // the other side makes it the master
		t.Fatal(err)
	}
	b := startNode(t, replica, "b", standard, same)
	if _, err := b.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "ada"}, Actor: "root"}); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "a's pulses fail", func() bool { return a.Stats().Away })
	within(t, redis.LeaseFor+time.Second, "a refuses to answer", func() bool {
		_, err := a.Check(t.Context(), ada.token.ID())
		return err != nil
	})
	if _, err := a.LastRevocation(t.Context()); err == nil {
		t.Error("a lets people sign in, though its store takes no writes")
	}
	if _, response, err := ada.dial(); err == nil || response == nil || response.StatusCode < 400 {
		t.Errorf("a opens a socket: %v", err)
	}
	old.Command("CONFIG SET min-replicas-to-write 0") // so that the node can say goodbye
}

// brokenPulse fails so many times.
type brokenPulse struct {
	session.SharedStore
	left *atomic.Int64
}

func (p brokenPulse) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	if p.left.Add(-1) >= 0 {
		return session.Heartbeat{}, context.DeadlineExceeded
	}
	return p.SharedStore.Pulse(ctx, node, after)
}

func TestOnePulseThatFailedRefusesNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	left := refusals(0)
	a := startHubWith(t, store, Options{Store: store, Shared: brokenPulse{store, left}, Policies: session.Policies{Global: standard}, Node: "a"})
	ada := a.signIn("ada")
	left.Store(1)
	within(t, 5*time.Second, "a pulse fails, and the next does not", func() bool {
		if _, err := a.Check(t.Context(), ada.token.ID()); err != nil {
			t.Fatalf("Check = %v", err)
		}
		return left.Load() < 0
	})
}

// unreadable fails to read sessions, after so many were read.
type unreadable struct {
	session.Store
	on    atomic.Bool
	after atomic.Int64
}

func (s *unreadable) Get(ctx context.Context, id session.ID) (session.Record, error) {
	if s.on.Load() && s.after.Add(-1) < 0 {
		return session.Record{}, errors.New("disk trouble")
	}
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
		store.on.Store(true)
		tab := ada.openTab()
		if _, err := store.Store.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}, time.Time{}); err != nil {
			t.Fatal(err)
		}
		pass(5 * time.Second)
		tab.silent()
		store.on.Store(false)
		pass(tryAgainAfter)
		synctest.Wait()
		if m := tab.next(wire.KindExpire); m["reason"] != string(session.ReasonLogout) {
			t.Errorf("told %v, want the end that came meanwhile", m)
		}
	})
}

// slowPulse takes its time before and after the store is asked for the time, as a Redis that forks
// or a member that cannot be dialled.
type slowPulse struct{ session.SharedStore }

func (s slowPulse) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	<-time.After(400 * time.Millisecond)
	p, err := s.SharedStore.Pulse(ctx, node, after)
	<-time.After(100 * time.Millisecond)
	return p, err
}

func TestSlowPulsesDoNotMoveTheClock(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	clock := skewed(2 * time.Second)
	steered := &session.SyncedClock{Clock: clock, Wall: clock.Wall}
	startHubWith(t, store, Options{Store: store, Shared: slowPulse{store}, Clock: steered, SyncedClock: steered, Policies: session.Policies{Global: standard}, Node: "a"})
	right := func() bool { return time.Until(steered.Now()).Abs() < 20*time.Millisecond }
	if !right() {
		t.Errorf("at the start the clock is %s off", time.Until(steered.Now()))
	}
	for _, step := range []time.Duration{-2 * time.Second, 300 * time.Millisecond} {
		clock.SetSkew(step)
		within(t, 5*time.Second, "a clock that was stepped is right again", right)
	}
}
