package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

// Node is one node's handle on a store that several nodes share.
type Node interface {
	session.Store
	session.SharedStore
	session.Outbox
}

// RunShared proves that a store serves several nodes at once. Run proves it for each of them. open
// is called once for each case and must return that many handles on one empty store, as separate
// processes would have them; it may use t.Cleanup to close them and t.Parallel. Two cases wait
// until a lease runs out.
func RunShared(t *testing.T, open func(t *testing.T, nodes int) []Node) {
	cases := []struct {
		name  string
		nodes int
		run   func(*testing.T, []Node)
	}{
		{"a message reaches all nodes, its sender included", 3, messageReachesAll},
		{"messages of one node arrive in their order, byte for byte", 2, messagesInOrder},
		{"a subscription ends with its context and hears nothing afterwards", 2, subscriptionEnds},
		{"nodes that pulse see each other", 3, nodesSeeEachOther},
		{"a node that stops is listed as long as its lease runs, and no longer", 2, leaseRunsOut},
		{"a node that is removed goes at once, with what it has published", 2, removedNode},
		{"a node is fresh until the store knows it", 1, freshNode},
		{"a pulse tells the sign-ins and ends after a number, in their order", 2, pulseTellsLines},
		{"pulses tell every line once, however many there are", 2, pulseTellsAll},
		{"a pulse tells the number of the last forced logout", 2, pulseTellsRevocations},
		{"all nodes are in one epoch while no server changes", 2, epoch},
		{"what a node tells of its tabs is read by others", 2, tabsAreRead},
		{"tabs of thousands of sessions are told at once", 2, tabsOfMany},
		{"many sessions are read at once, those that are known", 2, getMany},
		{"a session is read together with the number of the last revocation", 2, getWithRevocation},
		{"a session is missing that the store does not know", 2, missing},
		{"a lost session is ended with tombstone and audit line, a known one is not", 2, endLost},
		{"of many who end a lost session exactly one is told", 3, endLostRace},
		{"changes of forced logouts are read after a number, or all of them", 2, revocationsAfter},
		{"forced logouts are restored under their own numbers, and cancelled again", 2, restoreRevocations},
		{"numbers that sign-ins have read are not given to later forced logouts", 2, restoreLast},
		{"a transient text is read by others until its time is over", 2, transientsExpire},
		{"transient texts of many names and kinds are kept apart", 2, transientsOfMany},
		{"test clocks are moved together", 2, movedClocks},
		{"the store's clock holds back a node whose clock is ahead", 2, storeClockDecides},
		{"what one node has done, another finds at once", 2, sharedSessions},
		{"of ends on several nodes exactly one is the first", 3, sharedEndRace},
		{"sign-ins on several nodes never exceed the limit", 3, sharedLimitRace},
		{"one of several nodes sends what is in the outbox", 2, outboxLease},
		{"a cancelled context is an error, not an answer", 2, sharedCancelled},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t, c.nodes)) })
	}
}

// eventually waits for what comes true by itself, and looks every so often.
func eventually(t *testing.T, limit, every time.Duration, what string, ok func() bool) {
	t.Helper()
	over := time.After(limit)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-over:
			t.Fatalf("not within %s: %s", limit, what)
		case <-ticker.C:
		}
	}
}

// soon is how long a test waits for what should take milliseconds.
const soon = 10 * time.Second

// signedIn creates a session that is alive now, by the store's clock as well.
func signedIn(t *testing.T, s session.Store, user string) session.Record {
	t.Helper()
	r := Record(user)
	r.CreatedAt = session.Millis(time.Now())
	r.LastActiveAt = r.CreatedAt
	return create(t, s, r)
}

// wantIDs wants the same IDs, in any order.
func wantIDs(t *testing.T, what string, got []session.ID, want ...session.ID) {
	t.Helper()
	compare := func(a, b session.ID) int { return slices.Compare(a[:], b[:]) }
	got, want = slices.Clone(got), slices.Clone(want)
	slices.SortFunc(got, compare)
	slices.SortFunc(want, compare)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d sessions %v, want %d: %v", what, len(got), got, len(want), want)
	}
}

// sharedSessions: every node writes to the one store and reads from it.
func sharedSessions(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	want := create(t, one, Record("ada"))
	if got := get(t, two, want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if err := two.Save(ctx, want.ID, 0, []byte("values")); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Save of the version before", one.Save(ctx, want.ID, 0, []byte("lost update")), session.ErrConflict)
	mustEnd(t, two, want.ID, end(session.ReasonAdmin, 0))
	if got := get(t, one, want.ID); got.End == nil || got.End.Reason != session.ReasonAdmin {
		t.Errorf("the end that another node has written = %+v", got.End)
	}
	secret, err1 := one.Secret(ctx, "csrf")
	same, err2 := two.Secret(ctx, "csrf")
	if err := errors.Join(err1, err2); err != nil || !slices.Equal(secret, same) {
		t.Errorf("secrets %x and %x, %v, want one for all nodes", secret, same, err)
	}
}

func sharedEndRace(t *testing.T, nodes []Node) {
	r := create(t, nodes[0], Record("ada"))
	firsts := make([]bool, 24)
	var wg sync.WaitGroup
	for i := range firsts {
		wg.Go(func() {
			var err error
			firsts[i], err = nodes[i%len(nodes)].End(t.Context(), r.ID, end(session.ReasonAdmin, 0), time.Time{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winner := slices.Index(firsts, true)
	if winner < 0 || slices.Index(firsts[winner+1:], true) >= 0 {
		t.Errorf("first = %v, want exactly one true", firsts)
	}
	for i, n := range nodes {
		if lines := len(eventsOf(t, n, session.EventSessionEnd)); lines != 1 {
			t.Errorf("node %d reads %d session-end lines, want 1", i, lines)
		}
	}
}

func sharedLimitRace(t *testing.T, nodes []Node) {
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			if _, err := nodes[i%len(nodes)].Create(t.Context(), Record("ada"), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, n := range nodes {
		wantIndexed(t, n, "ada", 3)
	}
	if n := len(eventsOf(t, nodes[0], session.EventSessionEnd)); n != 9 {
		t.Errorf("%d session-end lines, want 9", n)
	}
}

func movedClocks(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	for _, move := range []struct{ by, ahead time.Duration }{
		{0, 0},
		{10 * time.Minute, 10 * time.Minute},
		{1500 * time.Millisecond, 10*time.Minute + 1500*time.Millisecond},
		{0, 10*time.Minute + 1500*time.Millisecond},
		{-(10*time.Minute + 1500*time.Millisecond), 0},
	} {
		ahead, err := one.MoveClock(ctx, move.by)
		if err != nil || ahead != move.ahead {
			t.Errorf("MoveClock(%s) = %s, %v, want %s", move.by, ahead, err, move.ahead)
		}
		if p, err := two.Pulse(ctx, "two/1", 0); err != nil || p.Offset != move.ahead {
			t.Errorf("after %s another node's pulse says %s, %v, want %s", move.by, p.Offset, err, move.ahead)
		}
	}
}

func storeClockDecides(t *testing.T, nodes []Node) {
	s, other, ctx := nodes[0], nodes[1], t.Context()
	r := signedIn(t, s, "ada")
	ahead := r.CreatedAt.Add(r.Policy.ExpireAfter) // the caller's clock is ten minutes ahead
	idle := session.End{Reason: session.ReasonIdle, At: ahead}
	_, err := s.End(ctx, r.ID, idle, ahead)
	wantError(t, "End by a clock that is ahead", err, session.ErrNotDue)
	if _, err := s.Touch(ctx, []session.Activity{{ID: r.ID, At: time.Now().Add(5 * time.Minute)}}); err != nil {
		t.Fatal(err)
	}
	if got := get(t, s, r.ID); got.LastActiveAt.After(time.Now().Add(time.Second)) {
		t.Errorf("an act of the future counts from %s, want from now at most", got.LastActiveAt)
	}
	s.SetOffset(r.Policy.ExpireAfter + time.Minute)
	_, err = other.End(ctx, r.ID, idle, ahead.Add(time.Minute))
	wantError(t, "End by a node whose test clock was not moved", err, session.ErrNotDue)
	if ended, err := s.End(ctx, r.ID, idle, ahead.Add(time.Minute)); !ended || err != nil {
		t.Errorf("End with the test clock moved = %v, %v, want the first end", ended, err)
	}
}

func getWithRevocation(t *testing.T, nodes []Node) {
	one, two := nodes[0], nodes[1]
	r := Record("ada")
	r.Version, r.Values = 1, []byte("blue")
	create(t, one, r)
	wants := func(what string, last int64) {
		t.Helper()
		got, number, err := two.GetWithRevocation(t.Context(), r.ID)
		if want := get(t, two, r.ID); err != nil || !reflect.DeepEqual(got, want) || number != last {
			t.Errorf("%s: %+v, %d, %v, want %+v, %d", what, got, number, err, want, last)
		}
	}
	wants("at first", 0)
	f := addRevocation(t, one, timely("a"))
	wants("after a forced logout", f.Number)
	mustEnd(t, one, r.ID, end(session.ReasonLogout, 0))
	wants("after its end", f.Number)
	_, _, err := two.GetWithRevocation(t.Context(), session.NewToken().ID())
	wantError(t, "an unknown session", err, session.ErrNotFound)
}

func sharedCancelled(t *testing.T, nodes []Node) {
	one, two := nodes[0], nodes[1]
	lost, id := Record("ada"), session.NewToken().ID()
	if err := two.SetTabs(t.Context(), "two/1", map[session.ID]string{id: "tabs"}, true); err != nil {
		t.Fatal(err)
	}
	before, err := two.Pulse(t.Context(), "two/1", 0)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCancelled(t, reflect.TypeFor[session.SharedStore](), map[string]func() error{
		"Publish": func() error { return one.Publish(ctx, []byte("x")) },
		"Subscribe": func() error {
			return one.Subscribe(ctx, func() { t.Error("it has begun") }, func([]byte) { t.Error("it has heard") })
		},
		"Pulse":      func() error { _, err := one.Pulse(ctx, "one/1", 0); return err },
		"LastLine":   func() error { _, err := one.LastLine(ctx); return err },
		"RemoveNode": func() error { return one.RemoveNode(ctx, "two/1") },
		"SetTabs":    func() error { return one.SetTabs(ctx, "two/1", nil, true) },
		"Tabs":       func() error { _, err := one.Tabs(ctx, "two/1"); return err },
		"GetMany":    func() error { _, err := one.GetMany(ctx, []session.ID{id}); return err },
		"Missing":    func() error { _, err := one.Missing(ctx, []session.ID{id}); return err },
		"GetWithRevocation": func() error {
			_, _, err := one.GetWithRevocation(ctx, id)
			return err
		},
		"EndLost": func() error {
			_, err := one.EndLost(ctx, []session.Record{lost}, end(session.ReasonAdmin, 0))
			return err
		},
		"RevocationsAfter": func() error { _, _, _, err := one.RevocationsAfter(ctx, 1); return err },
		"RestoreRevocations": func() error {
			return one.RestoreRevocations(ctx, []session.Revocation{revocation("x", session.Scope{Everyone: true})}, 9)
		},
		"PutTransient": func() error { return one.PutTransient(ctx, "notices", "name", "text", time.Hour) },
		"Transients":   func() error { _, err := one.Transients(ctx, "notices"); return err },
		"MoveClock":    func() error { _, err := one.MoveClock(ctx, time.Hour); return err },
	}, "Epoch", "SetOffset") // neither has an error
	if name := one.Epoch(ctx); name != "" {
		t.Errorf("Epoch = %q, want none that nobody was asked for", name)
	}
	after, err := two.Pulse(t.Context(), "two/1", 0)
	if err != nil || !slices.Equal(after.Nodes, []string{"two/1"}) || after.Fresh || after.Offset != 0 ||
		after.Last != before.Last || after.LastRevocation != 0 {
		t.Errorf("calls that failed have changed what the pulse tells: %+v, %v", after, err)
	}
	if tabs, err := two.Tabs(t.Context(), "two/1"); err != nil || tabs[id] != "tabs" {
		t.Errorf("calls that failed have changed tabs: %q, %v", tabs, err)
	}
	if kept, err := two.Transients(t.Context(), "notices"); err != nil || len(kept) != 0 {
		t.Errorf("calls that failed have left %q, %v", kept, err)
	}
	_, err = two.Get(t.Context(), lost.ID)
	wantError(t, "Get of a lost session that was not ended", err, session.ErrNotFound)
}
