package redis_test

import (
	"context"
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

// TestMain lets more tests run at once than there are processors, where the command line does not
// say how many: they wait for servers and their fail-overs most of their time.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "6")
	m.Run()
}

var prefixes atomic.Int64

// open opens a store of its own on a server.
func open(t *testing.T, server *redistest.Server) *redis.Store {
	t.Helper()
	return openWith(t, server.URL(), fmt.Sprintf("test%d:", prefixes.Add(1)))
}

func openWith(t *testing.T, url, prefix string) *redis.Store {
	t.Helper()
	s, err := redis.Open(t.Context(), url, prefix, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.Run(t, func(t *testing.T) session.Store { return open(t, server) })
}

func TestASessionIsReadWithTheLastRevocationInOneRoundTrip(t *testing.T) {
	t.Parallel()
	way := redistest.Start(t).Count(t)
	s := openWith(t, way.URL(), "trips:")
	r := signIn(t, s, "ada")
	read := func() {
		if _, _, err := s.GetWithRevocation(t.Context(), r.ID); err != nil {
			t.Fatal(err)
		}
	}
	read() // the script is sent
	within(t, 5*time.Second, "the sign-in has reached the trail, and nothing else is asked", func() bool {
		before := way.Trips()
		for range 10 {
			read()
		}
		return way.Trips() == before+10
	})
}

func TestAResetLeavesWhatBeginsOtherwise(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	mine, other := openWith(t, server.URL(), "a*:"), openWith(t, server.URL(), "ab:")
	gone, stays := signIn(t, mine, "ada"), signIn(t, other, "ada")
	if err := mine.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Get(t.Context(), gone.ID); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("after the reset: %v, want ErrNotFound", err)
	}
	if _, err := other.Get(t.Context(), stays.ID); err != nil {
		t.Errorf("another's session: %v, want it untouched", err)
	}
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	storetest.RunOutbox(t, func(t *testing.T) storetest.OutboxStore { return open(t, server) })
}

// Whoever empties a trail by hand leaves receivers that have accepted more than there is.
func TestAReceiverBeginsAnewWhereTheTrailIsGone(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server)
	claim := func(after uint64) session.OutboxClaimed {
		t.Helper()
		c, err := s.Claim(t.Context(), session.OutboxClaim{Receiver: "x", Node: "a", After: after, Limit: 10, Keep: 10})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	write := func(users ...string) {
		t.Helper()
		for _, user := range users {
			e := session.Event{At: time.Now(), Kind: session.EventNotice, User: user}
			if err := s.Append(t.Context(), e); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Follow(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	write("a", "b", "c", "d")
	before := claim(0)
	if len(before.Lines) != 4 {
		t.Fatalf("%+v, want four lines", before)
	}
	var numbers []uint64
	for _, l := range before.Lines[:3] {
		numbers = append(numbers, l.Number)
	}
	if err := s.Accept(t.Context(), "x", before.Epoch, numbers); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Command("DEL " + strings.Join(s.TrailKeys(), " ")); err != nil {
		t.Fatal(err)
	}
	write("e")
	after := claim(before.Next)
	if len(after.Lines) != 1 || after.Lines[0].User != "e" || after.Waiting != 1 || after.Settled != 0 ||
		after.Dropped != 0 || after.Epoch == before.Epoch {
		t.Fatalf("then: %+v, want the line of e in another epoch than %q", after, before.Epoch)
	}
	if err := s.Accept(t.Context(), "x", before.Epoch, []uint64{after.Lines[0].Number}); err != nil {
		t.Fatal(err)
	}
	if again := claim(0); again.Waiting != 1 {
		t.Errorf("what was accepted before is another line: %+v", again)
	}
}

// A restart may lose the last lines, and what was accepted with them: numbers mean other lines
// then.
func TestAReceiverStandsWhereItStoodAfterARestartOfRedisAndItsEpochIsAnother(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server)
	if err := s.Follow(t.Context(), "webhook"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ada", "grace"} {
		e := session.Event{At: time.Now(), Kind: session.EventNotice, User: user}
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	claim := session.OutboxClaim{Receiver: "webhook", Node: "a", Limit: 10, Keep: 10}
	before, err := s.Claim(t.Context(), claim)
	if err != nil || len(before.Lines) != 2 {
		t.Fatal(before, err)
	}
	if err := s.Accept(t.Context(), "webhook", before.Epoch, []uint64{before.Lines[0].Number}); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	server.Run()
	// There are several connections, and each tells once that it was cut.
	claimAgain := func() (c session.OutboxClaimed) {
		t.Helper()
		within(t, 10*time.Second, "the store answers", func() bool {
			c, err = s.Claim(t.Context(), claim)
			return err == nil
		})
		return c
	}
	after := claimAgain()
	if len(after.Lines) != 1 || after.Lines[0].ID != before.Lines[1].ID || after.Epoch == before.Epoch {
		t.Errorf("after the restart: %+v, want the second line of %+v, in another epoch", after, before)
	}
	within(t, 10*time.Second, "the store answers", func() bool {
		return s.Accept(t.Context(), "webhook", before.Epoch, []uint64{before.Lines[1].Number}) == nil
	})
	if after := claimAgain(); after.Waiting != 1 {
		t.Errorf("what was accepted before the restart is believed: %+v", after)
	}
}

// signIn creates a session that is alive now.
func signIn(t *testing.T, s session.Store, user string) session.Record {
	t.Helper()
	r := storetest.Record(user)
	r.CreatedAt = session.Millis(time.Now())
	r.LastActiveAt = r.CreatedAt
	if _, err := s.Create(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	return r
}

var logout = session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}

func TestWhatIsAcknowledgedIsOnEveryReplica(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica, inStep := startReplica(t, master)
	const prefix = "replicated:"
	s := openWith(t, master.URL(), prefix)
	r := signIn(t, s, "ada")
	if ended, err := s.End(t.Context(), r.ID, logout, time.Time{}); !ended || err != nil {
		t.Fatal(ended, err)
	}
	other, third := signIn(t, s, "ada"), signIn(t, s, "grace")
	replica.Signal(syscall.SIGSTOP)
	if _, err := s.End(t.Context(), other.ID, logout, time.Time{}); !errors.Is(err, redis.ErrNotReplicated) {
		t.Errorf("End while a replica stands still = %v, want ErrNotReplicated", err)
	}
	if _, err := s.AddRevocation(t.Context(), session.Revocation{
		ID:          "x",
		Scope:       session.Scope{Everyone: true},
		At:          time.Now(),
		EffectiveAt: time.Now(),
	}); !errors.Is(err, redis.ErrNotReplicated) {
		t.Errorf("AddRevocation while a replica stands still = %v, want ErrNotReplicated", err)
	}
	if _, err := s.SetRules(t.Context(), third.ID, 0,
		session.Rules{Policy: third.Policy}); !errors.Is(err, redis.ErrNotReplicated) {
		t.Errorf("SetRules while a replica stands still = %v, want ErrNotReplicated", err)
	}
	replica.Signal(syscall.SIGCONT)
	for limit := time.Now().Add(10 * time.Second); !inStep(); {
		if time.Now().After(limit) {
			t.Fatal("the replica did not come back")
		}
	}
	if ended, err := s.End(t.Context(), other.ID, logout, time.Time{}); ended || err != nil {
		t.Errorf("End once more = %v, %v, want that it had ended, acknowledged now", ended, err)
	}
	master.Kill()
	if answer, err := replica.Command("REPLICAOF NO ONE"); err != nil {
		t.Fatal(answer, err)
	}
	after := openWith(t, replica.URL(), prefix)
	for _, id := range []session.ID{r.ID, other.ID} {
		if got, err := after.Get(t.Context(), id); err != nil || got.End == nil {
			t.Errorf("after the master's death: %+v, %v, want the acknowledged end", got.End, err)
		}
	}
}

// startReplica starts a replica that is in step. inStep reports whether it is.
func startReplica(t *testing.T, master *redistest.Server) (replica *redistest.Server, inStep func() bool) {
	t.Helper()
	replica = redistest.Start(t, "--replicaof", strings.Replace(master.Address, ":", " ", 1))
	inStep = func() bool {
		answer, err := master.Command("WAIT 1 100")
		return err == nil && strings.HasPrefix(answer, ":1")
	}
	within(t, 10*time.Second, "the replica is in step", inStep)
	return replica, inStep
}

// Each would be a connection of its own at Redis else, which stays open.
func TestManyWhoWaitForReplicasShareFewConnections(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica, inStep := startReplica(t, master)
	s := openWith(t, master.URL(), "many:")
	list := make([]session.Record, 200)
	for i := range list {
		list[i] = signIn(t, s, "ada")
	}
	endAll := func(want error) {
		t.Helper()
		var calls sync.WaitGroup
		for _, r := range list {
			calls.Go(func() {
				if _, err := s.End(t.Context(), r.ID, logout, time.Time{}); !errors.Is(err, want) {
					t.Errorf("End = %v, want %v", err, want)
				}
			})
		}
		calls.Wait()
	}
	replica.Signal(syscall.SIGSTOP)
	endAll(redis.ErrNotReplicated)
	replica.Signal(syscall.SIGCONT)
	within(t, 10*time.Second, "the replica is in step again", inStep)
	endAll(nil) // those at the end of the queue too
	info, err := master.Command("INFO clients")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "connected_clients:")
	text, _, _ := strings.Cut(after, "\r\n")
	if n, err := strconv.Atoi(text); err != nil || n > 30 {
		t.Errorf("%d connections (%v), want few", n, err)
	}
}

// A fail-over of the trail's master may lose lines that were carried there: until its replicas have
// them they stay in the outbox.
func TestALineThatAFailOverOfTheTrailLosesIsWrittenAgain(t *testing.T) {
	t.Parallel()
	master := redistest.Start(t)
	replica, _ := startReplica(t, master)
	s := openWith(t, master.URL(), "lost:")
	ends := func() int {
		t.Helper()
		events, err := s.Events(t.Context(), session.EventQuery{Limit: 10, Kind: session.EventSessionEnd})
		if err != nil {
			t.Fatal(err)
		}
		return len(events)
	}
	r := signIn(t, s, "ada")
	ends()
	replica.Signal(syscall.SIGSTOP)
	if _, err := s.End(t.Context(), r.ID, logout, time.Time{}); !errors.Is(err, redis.ErrNotReplicated) {
		t.Fatalf("End while a replica stands still = %v, want ErrNotReplicated", err)
	}
	if n := ends(); n != 1 {
		t.Errorf("%d lines tell of the end, want one that can be read at once", n)
	}
	outbox := fmt.Sprintf("LLEN lost:{%x}:outbox", r.ID[:1])
	if n := count(t, master, outbox); n != 1 {
		t.Errorf("the outbox has %d lines, want the one that no replica has in its trail", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// as on a replica that had nothing of it
	for _, key := range []string{"events", "last", "highest", "k:x" + redis.Name(r.ID)} {
		if n := count(t, master, "DEL lost:{trail}:"+key); n != 1 {
			t.Errorf("the trail had no %s", key)
		}
	}
	replica.Signal(syscall.SIGCONT)
	s = openWith(t, master.URL(), "lost:")
	within(t, 10*time.Second, "the line is in the trail for good", func() bool { return count(t, master, outbox) == 0 })
	if n := ends(); n != 1 {
		t.Errorf("%d lines tell of the end, want one", n)
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, server)
	r := signIn(t, s, "ada")
	away := func(what string) {
		t.Helper()
		began := time.Now()
		_, err := s.Get(t.Context(), r.ID)
		if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
			t.Errorf("%s: Get = %v, want that the store is out of reach", what, err)
		}
		if took := time.Since(began); took > 4*time.Second {
			t.Errorf("%s: Get took %s", what, took)
		}
		if s.Ping(t.Context()) == nil {
			t.Errorf("%s: Ping = nil", what)
		}
	}
	back := func(what string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		// There are several connections, and each tells once that it was cut.
		for {
			got, err := s.Get(ctx, r.ID)
			if err == nil && got.End == nil && s.Ping(ctx) == nil {
				return
			}
			if got.End != nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
				t.Fatalf("%s: Get = %+v, %v, want the session alive", what, got.End, err)
			}
			if ctx.Err() != nil {
				t.Fatalf("%s: not back within 5 s: %v", what, err)
			}
		}
	}
	server.Signal(syscall.SIGSTOP)
	away("stopped")
	server.Signal(syscall.SIGCONT)
	back("continued")
	server.Kill()
	away("killed")
	server.Run()
	back("restarted")
}

func TestAReservationWithoutASessionIsVoid(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "void:")
	// A node that died between reserving and creating, eleven seconds ago, and one that did so just
	// now.
	now := time.Now().UnixMilli()
	for id, at := range map[string]int64{
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": now - 11_000,
		"BAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA": now,
	} {
		answer, err := server.Command(fmt.Sprintf("HSET void:{u:YWRh} %s r|%d|%d", id, at, at))
		if err != nil || answer != ":1\r\n" {
			t.Fatal(answer, err)
		}
	}
	one, two := signIn(t, s, "ada"), storetest.Record("ada")
	two.CreatedAt = one.CreatedAt.Add(time.Second)
	displaced, err := s.Create(t.Context(), two, 3) // the void one, the young reservation, one, two
	if err != nil || len(displaced) != 0 {
		t.Errorf("displaced %v, %v, want nobody: a void reservation counts for nothing", displaced, err)
	}
}

func TestALineThatANodeLeftBehindIsCarriedOnce(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := openWith(t, server.URL(), "left:"), openWith(t, server.URL(), "left:")
	r := signIn(t, one, "ada")
	if _, err := one.Events(t.Context(), session.EventQuery{Limit: 10}); err != nil {
		t.Fatal(err)
	}
	// As if a node had died between writing the line to the trail and removing it from the outbox.
	key := fmt.Sprintf("left:{%x}:outbox", r.ID[:1])
	answer, err := server.Command(fmt.Sprintf(
		`RPUSH %s "{\"k\":\"s%s\",\"e\":{\"event\":\"sign-in\",\"at\":\"2026-01-01T00:00:00Z\"}}"`,
		key, base64.RawURLEncoding.EncodeToString(r.ID[:])))
	if err != nil || !strings.HasPrefix(answer, ":") {
		t.Fatal(answer, err)
	}
	events, err := two.Events(t.Context(), session.EventQuery{Limit: 10})
	if err != nil || len(events) != 1 {
		t.Errorf("events %+v, %v, want one sign-in", events, err)
	}
	if answer, err := server.Command("LLEN " + key); err != nil || answer != ":0\r\n" {
		t.Errorf("the outbox holds %q, %v, want nothing", answer, err)
	}
}

// An earlier version kept the sessions of a user under the name as the directory writes it.
func TestSessionsOfAnEarlierVersionCountUnderAnySpelling(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	prefix := fmt.Sprintf("test%d:", prefixes.Add(1))
	s := openWith(t, server.URL(), prefix)
	first := signIn(t, s, "Ada")
	if answer, err := server.Command("RENAME " + prefix + "{u:YWRh} " + prefix + "{u:QWRh}"); err != nil ||
		answer != "+OK\r\n" {
		t.Fatalf("rename: %q, %v", answer, err)
	}
	r := storetest.Record("Ada")
	r.CreatedAt = session.Millis(time.Now())
	r.LastActiveAt = r.CreatedAt
	displaced, err := s.Create(t.Context(), r, 1)
	if err != nil || len(displaced) != 1 || displaced[0] != first.ID {
		t.Errorf("a sign-in with a limit of one displaces %v, %v, want the one before", displaced, err)
	}
	if list, err := s.OfUser(t.Context(), "ADA"); err != nil || len(list) != 1 || list[0].ID != r.ID {
		t.Errorf("OfUser = %v, %v, want the second", list, err)
	}
	if answer, err := server.Command("EXISTS " + prefix + "{u:QWRh}"); err != nil || answer != ":0\r\n" {
		t.Errorf("the index of the earlier version: %q, %v, want none", answer, err)
	}
}
