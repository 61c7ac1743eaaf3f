package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// relay is a name that leads to one server or another. A connection stays where it led when it was
// made.
type relay struct {
	listener net.Listener
	to       atomic.Pointer[string]
}

func startRelay(t *testing.T, to string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{listener: l}
	r.to.Store(&to)
	var running sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			running.Go(func() { r.pass(ctx, from) })
		}
	})
	t.Cleanup(func() {
		cancel()
		l.Close()
		running.Wait()
	})
	return r
}

func (r *relay) pass(ctx context.Context, from net.Conn) {
	defer from.Close()
	to, err := net.Dial("tcp", *r.to.Load())
	if err != nil {
		return
	}
	defer to.Close()
	defer context.AfterFunc(ctx, func() { from.Close(); to.Close() })()
	go func() {
		io.Copy(to, from)
		to.Close()
	}()
	io.Copy(from, to)
}

func TestADemotedServerBehindOneNameIsLeft(t *testing.T) {
	t.Parallel()
	old, promoted := redistest.Start(t), redistest.Start(t)
	name := startRelay(t, old.Address)
	s := openWith(t, "redis://"+name.listener.Addr().String(), "demoted:")
	signIn(t, s, "ada")
	heard, began := make(chan string, 100), make(chan struct{}, 100)
	ctx, cancel := context.WithCancel(t.Context())
	var listening sync.WaitGroup
	listening.Go(func() {
		for ctx.Err() == nil {
			s.Subscribe(ctx, func() { began <- struct{}{} }, func(m []byte) { heard <- string(m) })
		}
	})
	defer listening.Wait()
	defer cancel()
	<-began

	name.to.Store(&promoted.Address) // the connections stay
	if answer, err := old.Command("REPLICAOF " + strings.Replace(promoted.Address, ":", " ", 1)); err != nil ||
		!strings.HasPrefix(answer, "+OK") {
		t.Fatal(answer, err)
	}
	within(t, 5*time.Second, "the store writes to the server that the name leads to",
		func() bool { return s.Ping(t.Context()) == nil })
	var r session.Record
	within(t, 5*time.Second, "people sign in", func() bool { // what was under way over the old connections fails once
		r = recordNow("grace")
		_, err := s.Create(t.Context(), r, 0)
		return err == nil
	})
	if n := count(t, promoted, "EXISTS demoted:{"+fmt.Sprintf("%x", r.ID[:1])+"}:t:"+redis.Name(r.ID)); n != 1 {
		t.Error("the sign-in is not on the new master")
	}
	<-began
	if err := s.Publish(t.Context(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	select {
	case m := <-heard:
		if m != "hello" {
			t.Errorf("heard %q", m)
		}
	case <-time.After(5 * time.Second):
		t.Error("nothing is heard over the new server")
	}
}

// A Redis that takes nothing more still ends sessions, tells nodes of each other, and keeps people
// signed in who act.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	replica, _ := startReplica(t, server)
	const prefix = "full:"
	s := openWith(t, server.URL(), prefix)
	ctx := t.Context()
	if _, err := s.Secret(ctx, "csrf"); err != nil {
		t.Fatal(err)
	}
	one, two := signIn(t, s, "ada"), signIn(t, s, "ada")
	called, err := s.AddRevocation(ctx, session.Revocation{
		ID:          "called",
		Scope:       session.Scope{User: "x"},
		At:          time.Now(),
		EffectiveAt: time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	memory := func(limit string) {
		t.Helper()
		answer, err := server.Command("CONFIG SET maxmemory " + limit)
		if err != nil || !strings.HasPrefix(answer, "+OK") {
			t.Fatal(answer, err)
		}
	}
	memory("1mb")
	endsAndKeepsPeople(t, s, one, two, called)
	again := openWith(t, server.URL(), prefix) // as a node that starts now
	_, err = again.Secret(ctx, "csrf")
	works(t, "Secret", err)

	_, err = s.Create(ctx, recordNow("grace"), 1)
	refused(t, "Create", err)
	refused(t, "Save", s.Save(ctx, two.ID, 0, []byte("values")))
	refused(t, "Ping", s.Ping(ctx))
	refused(t, "Append", s.Append(ctx, session.Event{
		At:      time.Now(),
		Kind:    session.EventSignInFailed,
		User:    "linus",
		Address: "192.0.2.1",
	}))

	memory("0")
	if n := count(t, replica, "EXISTS "+prefix+"{u:Z3JhY2U}"); n != 0 {
		t.Error("a sign-in that was refused has an entry")
	}
	signIn(t, s, "grace")
	wantIndex(t, s, "grace", 1)
	wantIndex(t, s, "ada", 1)
	works(t, "Ping afterwards", s.Ping(ctx))
}

// works wants something done although the memory is full.
func works(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%s with full memory = %v", what, err)
	}
}

func refused(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) ||
		errors.Is(err, session.ErrExists) || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("%s with full memory = %v, want it refused", what, err)
	}
}

func endsAndKeepsPeople(t *testing.T, s *redis.Store, one, two session.Record, called session.Revocation) {
	t.Helper()
	ctx := t.Context()
	ended, err := s.End(ctx, one.ID, logout, time.Time{})
	works(t, "End", err)
	if !ended {
		t.Error("it was not the first end")
	}
	_, err = s.AddRevocation(ctx, session.Revocation{
		ID:          "forced",
		Scope:       session.Scope{Everyone: true},
		At:          time.Now(),
		EffectiveAt: time.Now().Add(time.Hour),
	})
	works(t, "AddRevocation", err)
	_, err = s.CancelRevocation(ctx, called.ID, time.Now(), "root")
	works(t, "CancelRevocation", err)
	works(t, "RestoreRevocations", s.RestoreRevocations(ctx, nil, 99))
	_, err = s.Pulse(ctx, "node/1", 0)
	works(t, "Pulse", err)
	works(t, "Publish", s.Publish(ctx, []byte("hello")))
	_, err = s.Touch(ctx, []session.Activity{{ID: two.ID, At: two.CreatedAt.Add(time.Millisecond)}})
	works(t, "Touch", err)
	if got, err := s.Get(ctx, two.ID); err != nil || !got.LastActiveAt.After(two.LastActiveAt) {
		t.Errorf("an act is not kept: %+v, %v", got.LastActiveAt, err)
	}
	_, err = s.Leave(ctx, two.ID, session.TabTimes{ClosedAt: two.CreatedAt})
	works(t, "Leave", err)
	works(t, "Prune", s.Prune(ctx, time.Now(), time.Hour))
	events, err := s.Events(ctx, session.EventQuery{Limit: 10, Kind: session.EventSessionEnd})
	works(t, "Events", err)
	if len(events) != 1 {
		t.Errorf("%d lines tell of the end, want one", len(events))
	}
}

// slotOf tells the number of a slot of the cluster.
func slotOf(t *testing.T, server *redistest.Server, key string) int {
	t.Helper()
	return count(t, server, "CLUSTER KEYSLOT "+key)
}

// holding tells who holds a slot, and another server.
func holding(t *testing.T, servers []*redistest.Server, key string) (from, to *redistest.Server) {
	t.Helper()
	for _, s := range servers {
		answer, err := s.Command("EXISTS " + key)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(answer, "-MOVED") {
			to = s
		} else {
			from = s
		}
	}
	return from, to
}

func nodeID(t *testing.T, s *redistest.Server) string {
	t.Helper()
	answer, err := s.Command("CLUSTER MYID")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(answer, "\r\n")[1]
}

// While a slot is on its way, a script of several keys can run nowhere.
func TestWhatASlotOnItsWayRefusesIsDoneWhenItHasArrived(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 3)
	s := openWith(t, servers[0].URL(), "moving:")
	live, fresh := signIn(t, s, "ada"), recordNow("grace")
	fresh.ID[0] = live.ID[0] // in the same slot
	key := fmt.Sprintf("moving:{%x}:live", live.ID[:1])
	slot := slotOf(t, servers[0], key)
	from, to := holding(t, servers, key)
	set := func(on *redistest.Server, how string) {
		t.Helper()
		answer, err := on.Command(fmt.Sprintf("CLUSTER SETSLOT %d %s", slot, how))
		if err != nil || !strings.HasPrefix(answer, "+OK") {
			t.Fatal(how, answer, err)
		}
	}
	set(to, "IMPORTING "+nodeID(t, from))
	set(from, "MIGRATING "+nodeID(t, to))
	var done sync.WaitGroup
	refused := make(chan struct{})
	done.Go(func() {
		defer close(refused)
		within(t, time.Second, "the servers refuse something", func() bool {
			for _, server := range servers {
				answer, err := server.Command("INFO errorstats")
				if err == nil && strings.Contains(answer, "errorstat_TRYAGAIN") {
					return true
				}
			}
			return false
		})
		set(from, "STABLE")
		set(to, "STABLE")
	})
	if _, err := s.Create(t.Context(), fresh, 0); err != nil {
		t.Errorf("Create while the slot is on its way = %v", err)
	}
	done.Wait()
	select {
	case <-refused:
	default:
		t.Error("nothing was on its way")
	}
	if got, err := s.Get(t.Context(), fresh.ID); err != nil || got.End != nil {
		t.Errorf("the session = %+v, %v, want it alive", got.End, err)
	}
}

func signInAndOut(t *testing.T, s *redis.Store, user string) bool {
	r := recordNow(user)
	if _, err := s.Create(t.Context(), r, 2); err != nil {
		t.Errorf("Create: %v", err)
		return false
	}
	if got, err := s.Get(t.Context(), r.ID); err != nil || got.End != nil {
		t.Errorf("Get: %+v, %v", got.End, err)
	}
	if ended, err := s.End(t.Context(), r.ID, logout, time.Time{}); err != nil || !ended {
		t.Errorf("End: %v, %v", ended, err)
	}
	if _, err := s.Pulse(t.Context(), "node/1", 0); err != nil {
		t.Errorf("Pulse: %v", err)
	}
	return true
}

// A cluster is resharded while people sign in and out.
func TestReshardingUnderSignIns(t *testing.T) {
	t.Parallel()
	servers := redistest.Cluster(t, 3)
	s := openWith(t, servers[0].URL(), "resharding:")
	for i := range 300 {
		signIn(t, s, fmt.Sprintf("user%d", i))
	}
	stop := make(chan struct{})
	var working sync.WaitGroup
	var signedIn atomic.Int64
	for i := range 4 {
		working.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if !signInAndOut(t, s, fmt.Sprintf("user%d", i)) {
					return
				}
				signedIn.Add(1)
			}
		})
	}
	within(t, 10*time.Second, "people sign in", func() bool { return signedIn.Load() > 20 || t.Failed() })
	before := signedIn.Load()
	for _, way := range [][2]*redistest.Server{{servers[0], servers[1]}, {servers[1], servers[2]}} {
		out, err := exec.Command("redis-cli", "--cluster", "reshard", servers[0].Address, "--cluster-from",
			nodeID(t, way[0]), "--cluster-to", nodeID(t, way[1]), "--cluster-slots", "1500",
			"--cluster-yes").CombinedOutput()
		if err != nil {
			t.Errorf("redis-cli: %v\n%.2000s", err, out)
		}
	}
	close(stop)
	working.Wait()
	if n := signedIn.Load() - before; n < 10 {
		t.Errorf("%d sign-ins while slots were on their way, want more", n)
	}
	ends := 0
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 1_000_000, Kind: session.EventSessionEnd})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Reason == session.ReasonLogout {
			ends++
		}
	}
	if int64(ends) != signedIn.Load() {
		t.Errorf("%d lines tell of %d ends", ends, signedIn.Load())
	}
}
