package storetest

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// OutboxStore is a store that hands its audit trail on.
type OutboxStore interface {
	session.Store
	session.Outbox
}

// RunOutbox proves the outbox of a store. open is as that of [Run].
func RunOutbox(t *testing.T, open func(t *testing.T) OutboxStore) {
	cases := []struct {
		name string
		run  func(*testing.T, OutboxStore)
	}{
		{"a receiver gets what is written once it is known, until it has accepted that", outboxHandsOn},
		{"what was accepted out of order is not handed on again", outboxOutOfOrder},
		{"lines are read in parts", outboxParts},
		{"receivers are independent of each other", outboxReceivers},
		{"beyond the bound the oldest lines are given up, and stay in the trail", outboxBound},
		{"lines that housekeeping has deleted are given up", outboxPruned},
		{"after a reset numbers mean other lines", outboxReset},
		{"each line has an ID, and of what happens once it is the same", outboxIDs},
		{"a cancelled context is an error, not an answer", outboxCancelled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

const receiver = "webhook"

func follow(t *testing.T, s session.Outbox, receiver string) {
	t.Helper()
	if err := s.Follow(t.Context(), receiver); err != nil {
		t.Fatal(err)
	}
}

// claim asks for all lines, as one node alone.
func claim(t *testing.T, s session.Outbox, change func(*session.OutboxClaim)) session.OutboxClaimed {
	t.Helper()
	c := session.OutboxClaim{Receiver: receiver, Node: "a", Limit: 1000, Keep: 1000}
	if change != nil {
		change(&c)
	}
	claimed, err := s.Claim(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return claimed
}

func accept(t *testing.T, s session.Outbox, c session.OutboxClaimed, lines ...session.Event) {
	t.Helper()
	var numbers []uint64
	for _, l := range lines {
		numbers = append(numbers, l.Number)
	}
	if err := s.Accept(t.Context(), receiver, c.Epoch, numbers); err != nil {
		t.Fatal(err)
	}
}

// write appends lines of users.
func write(t *testing.T, s session.Store, users ...string) {
	t.Helper()
	for i, user := range users {
		e := session.Event{At: start.Add(time.Duration(i) * time.Second), Kind: session.EventNotice, User: user}
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
}

// wantLines wants lines of users, and how many wait.
func wantLines(t *testing.T, what string, c session.OutboxClaimed, waiting int, users ...string) {
	t.Helper()
	var got []string
	for _, l := range c.Lines {
		got = append(got, l.User)
	}
	if !slices.Equal(got, users) || c.Waiting != waiting || !c.Held {
		t.Errorf("%s: lines of %q, %d wait, held %v, want those of %q, %d, true", what, got, c.Waiting, c.Held, users,
			waiting)
	}
}

func outboxHandsOn(t *testing.T, s OutboxStore) {
	write(t, s, "before")
	follow(t, s, receiver)
	if c := claim(t, s, nil); len(c.Lines) != 0 || c.Waiting != 0 || !c.Oldest.IsZero() || !c.Held {
		t.Errorf("at first: %+v, want nothing", c)
	}
	r := create(t, s, Record("ada"))
	mustEnd(t, s, r.ID, end(session.ReasonAdmin, time.Hour))
	write(t, s, "grace")
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 3}) // a shared store has relayed them by then
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(events)
	c := claim(t, s, nil)
	wantLines(t, "all", c, 3, "ada", "ada", "grace")
	if !reflect.DeepEqual(c.Lines, events) || !c.Oldest.Equal(start) || c.More {
		t.Errorf("got %+v, oldest %s, want the lines as the trail has them: %+v", c.Lines, c.Oldest, events)
	}
	wantLines(t, "again, as after a crash", claim(t, s, nil), 3, "ada", "ada", "grace")
	wantLines(t, "after those", claim(t, s, func(q *session.OutboxClaim) { q.After = c.Next }), 3)
	follow(t, s, receiver) // a restart
	accept(t, s, c, c.Lines[0])
	after := claim(t, s, nil)
	wantLines(t, "one is accepted", after, 2, "ada", "grace")
	if after.Epoch != c.Epoch {
		t.Errorf("epoch %q, want that of before: %q", after.Epoch, c.Epoch)
	}
	accept(t, s, c, c.Lines...)
	if c := claim(t, s, nil); len(c.Lines) != 0 || c.Waiting != 0 || !c.Oldest.IsZero() {
		t.Errorf("all are accepted: %+v, want nothing", c)
	}
}

func outboxOutOfOrder(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a", "b", "c", "d", "e")
	c := claim(t, s, nil)
	accept(t, s, c, c.Lines[3], c.Lines[1])
	accept(t, s, c, c.Lines[1]) // twice
	before := claim(t, s, nil)
	wantLines(t, "two of five", before, 3, "a", "c", "e")
	accept(t, s, c, c.Lines[0])
	after := claim(t, s, nil)
	wantLines(t, "the first as well", after, 2, "c", "e")
	if before.Settled != c.Lines[0].Number-1 || after.Settled != c.Lines[1].Number {
		t.Errorf("settled up to %d and %d, want %d and %d", before.Settled, after.Settled, c.Lines[0].Number-1,
			c.Lines[1].Number)
	}
	one := claim(t, s, func(q *session.OutboxClaim) { q.After, q.Limit = c.Lines[2].Number-1, 1 })
	wantLines(t, "one line once more, by its number", one, 2, "c")
	if !after.Oldest.Equal(start.Add(2 * time.Second)) {
		t.Errorf("the oldest is of %s, want that of c", after.Oldest)
	}
	accept(t, s, c, c.Lines[2])
	write(t, s, "f")
	wantLines(t, "all but the last, and one more", claim(t, s, nil), 2, "e", "f")
}

func outboxParts(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	var want []string
	for i := range 250 { // more than a store reads in one piece
		want = append(want, fmt.Sprint(i))
	}
	write(t, s, want...)
	all := claim(t, s, nil)
	wantLines(t, "at once", all, 250, want...)
	accept(t, s, all, all.Lines[100:220]...)
	var got []string
	after, more := uint64(0), true
	for i := 0; more && i < 300; i++ {
		c := claim(t, s, func(q *session.OutboxClaim) { q.After, q.Limit = after, 7 })
		for _, l := range c.Lines {
			got = append(got, l.User)
		}
		after, more = c.Next, c.More
	}
	if want := slices.Concat(want[:100], want[220:]); !slices.Equal(got, want) || after != all.Lines[249].Number {
		t.Errorf("in parts: %q, up to %d, want %q", got, after, want)
	}
	c := claim(t, s, func(q *session.OutboxClaim) { q.Limit = 0 })
	if len(c.Lines) != 0 || c.Waiting != 130 || !c.Held {
		t.Errorf("with no room: %+v, want no lines, 130 wait", c)
	}
}

func outboxReceivers(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a")
	follow(t, s, "syslog")
	write(t, s, "b")
	other := func(q *session.OutboxClaim) { q.Receiver = "syslog" }
	c := claim(t, s, nil)
	wantLines(t, "one", c, 2, "a", "b")
	wantLines(t, "the other", claim(t, s, other), 1, "b")
	accept(t, s, c, c.Lines...)
	wantLines(t, "the other still", claim(t, s, other), 1, "b")
}

func outboxBound(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a", "b", "c", "d", "e", "f")
	c := claim(t, s, nil)
	accept(t, s, c, c.Lines[1], c.Lines[4])
	three := func(q *session.OutboxClaim) { q.Keep = 3 }
	got := claim(t, s, three)
	wantLines(t, "the newest three, one of which is accepted", got, 2, "d", "f")
	if got.Dropped != 2 || got.Settled != c.Lines[2].Number {
		t.Errorf("%d were given up, up to %d, want a and c", got.Dropped, got.Settled)
	}
	if again := claim(t, s, three); again.Dropped != 0 {
		t.Errorf("%d were given up again", again.Dropped)
	}
	write(t, s, "g")
	got = claim(t, s, three)
	wantLines(t, "one more", got, 2, "f", "g")
	if n := countLines(t, s); got.Dropped != 1 || n != 7 {
		t.Errorf("%d were given up, the trail has %d lines, want 1 and 7", got.Dropped, n)
	}
}

func outboxPruned(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a", "b", "c")
	c := claim(t, s, nil)
	accept(t, s, c, c.Lines[0])
	if err := s.Prune(t.Context(), start.Add(time.Hour+1500*time.Millisecond), time.Hour); err != nil {
		t.Fatal(err)
	}
	got := claim(t, s, nil)
	wantLines(t, "what is left", got, 1, "c")
	if got.Dropped != 1 {
		t.Errorf("%d were given up, want b", got.Dropped)
	}
}

func outboxReset(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a", "b")
	before := claim(t, s, nil)
	if err := s.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	write(t, s, "c", "d")
	after := claim(t, s, nil)
	wantLines(t, "after the reset", after, 2, "c", "d")
	if after.Epoch == before.Epoch {
		t.Errorf("the epoch is %q as before", after.Epoch)
	}
	accept(t, s, before, before.Lines...)
	wantLines(t, "what was accepted before is another line", claim(t, s, nil), 2, "c", "d")
}

func outboxIDs(t *testing.T, s OutboxStore) {
	r := create(t, s, Record("ada"))
	mustEnd(t, s, r.ID, end(session.ReasonAdmin, 0))
	write(t, s, "grace", "grace")
	if _, err := s.AddRevocation(t.Context(), revocation("x", session.Scope{User: "ada"})); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10})
	if err != nil || len(events) != 5 {
		t.Fatal(events, err)
	}
	known := make(map[string]bool)
	for _, e := range events {
		if e.ID == "" || known[e.ID] {
			t.Errorf("ID %q of %+v: want one of its own", e.ID, e)
		}
		known[e.ID] = true
	}
	for _, id := range []string{"in-" + r.ID.Ref(), "end-" + r.ID.Ref(), "logout-x"} {
		if !known[id] {
			t.Errorf("IDs %v, want %s among them", known, id)
		}
	}
}

func outboxCancelled(t *testing.T, s OutboxStore) {
	follow(t, s, receiver)
	write(t, s, "a")
	before := claim(t, s, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	numbers := []uint64{before.Lines[0].Number}
	if s.Follow(ctx, "other") == nil || s.Accept(ctx, receiver, before.Epoch, numbers) == nil {
		t.Error("Follow or Accept has no error")
	}
	if c, err := s.Claim(ctx, session.OutboxClaim{Receiver: receiver, Node: "a", Limit: 1, Keep: 1}); err == nil {
		t.Errorf("Claim = %+v and no error", c)
	}
	wantLines(t, "afterwards", claim(t, s, nil), 1, "a")
}

// outboxLease: one of several nodes sends, and another when that one has gone or says nothing more.
func outboxLease(t *testing.T, nodes []Node) {
	one, two := nodes[0], nodes[1]
	follow(t, one, receiver)
	write(t, two, "ada")
	asTwo := func(q *session.OutboxClaim) { q.Node = "b" }
	wantLines(t, "the first", claim(t, one, nil), 1, "ada")
	if c := claim(t, two, asTwo); c.Held || len(c.Lines) != 0 || c.Waiting != 1 {
		t.Errorf("the second gets %+v, want nothing but how many wait", c)
	}
	if err := two.Release(t.Context(), receiver, "b"); err != nil {
		t.Fatal(err)
	}
	if claim(t, two, asTwo).Held {
		t.Error("the second has given up the lease of the first")
	}
	if err := one.Release(t.Context(), receiver, "a"); err != nil {
		t.Fatal(err)
	}
	c := claim(t, two, asTwo)
	wantLines(t, "the second, once the first has gone", c, 1, "ada")
	accept(t, two, c, c.Lines...)
	eventually(t, soon+session.OutboxLease, 50*time.Millisecond, "the first has it when the second is silent",
		func() bool { return claim(t, one, nil).Held })
}
