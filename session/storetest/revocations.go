package storetest

import (
	"fmt"
	"reflect"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

// Forced logouts, and what else an administrator does.

func revocation(id string, scope session.Scope) session.Revocation {
	return session.Revocation{
		ID:          id,
		Scope:       scope,
		Actor:       "grace",
		Message:     "Maintenance <b>\nnow</b>",
		At:          start,
		EffectiveAt: start.Add(time.Minute),
		BlockUntil:  start.Add(time.Hour),
		Except:      "aaaa",
		Sessions:    3,
		Tabs:        5,
	}
}

func addRevocation(t *testing.T, s session.Store, f session.Revocation) session.Revocation {
	t.Helper()
	stored, err := s.AddRevocation(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func revocations(t *testing.T, s session.Store) {
	if n, err := s.LastRevocation(t.Context()); n != 0 || err != nil {
		t.Fatalf("LastRevocation of an empty store = %d, %v, want 0", n, err)
	}
	scopes := []session.Scope{{User: "ada"}, {Group: "staff, with comma"}, {Session: "abcd"}, {Everyone: true}}
	var want []session.Revocation
	for i, scope := range scopes {
		f := revocation(string(rune('a'+i)), scope)
		got := addRevocation(t, s, f)
		f.Number = int64(i + 1)
		if !reflect.DeepEqual(got, f) {
			t.Errorf("AddRevocation = %+v, want %+v", got, f)
		}
		want = append(want, f)
	}
	got, err := s.Revocations(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Revocations = %+v, %v\nwant %+v", got, err, want)
	}
	if n, err := s.LastRevocation(t.Context()); n != 4 || err != nil {
		t.Errorf("LastRevocation = %d, %v, want 4", n, err)
	}
	lines := eventsOf(t, s, session.EventLogout)
	if len(lines) != 4 || lines[0].Actor != "grace" || lines[0].Detail == "" {
		t.Errorf("audit lines %+v, want one for each", lines)
	}
	for i, line := range lines {
		if f := want[len(want)-1-i]; !reflect.DeepEqual(line.Data, session.RevocationEvent(f).Data) {
			t.Errorf("the line of %+v has the data %v", f, line.Data)
		}
	}
}

func covers(f session.Revocation, r session.Record) bool { return f.Ends(&r) }

func revocationRace(t *testing.T, s session.Store) {
	const n = 20
	var mu sync.Mutex
	seen := make(map[int64]bool)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			f, err := s.AddRevocation(t.Context(), revocation(fmt.Sprint(i), session.Scope{Everyone: true}))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[f.Number] {
				t.Errorf("AddRevocation = number %d, %v, want one of its own", f.Number, err)
			}
			seen[f.Number] = true
		})
	}
	wg.Wait()
	if last, _ := s.LastRevocation(t.Context()); last != n {
		t.Errorf("LastRevocation = %d, want %d", last, n)
	}
}

// revocationKnown: whoever adds a revocation may know of numbers that a fail-over has taken from
// the store.
func revocationKnown(t *testing.T, s session.Store) {
	f := revocation("a", session.Scope{User: "ada"})
	f.Number = 7
	if got := addRevocation(t, s, f); got.Number != 8 {
		t.Errorf("number %d where 7 is known, want 8", got.Number)
	}
	f = revocation("b", session.Scope{User: "ada"})
	f.Number = 3
	if got := addRevocation(t, s, f); got.Number != 9 {
		t.Errorf("number %d after 8, want 9", got.Number)
	}
	if n, err := s.LastRevocation(t.Context()); n != 9 || err != nil {
		t.Errorf("LastRevocation = %d, %v, want 9", n, err)
	}
}

// graced is a revocation of this minute, since stores decide by their own time whether it can be
// cancelled.
func graced(id string, grace, block time.Duration) session.Revocation {
	f := revocation(id, session.Scope{User: "ada"})
	f.At = session.Millis(time.Now())
	f.EffectiveAt, f.BlockUntil = f.At.Add(grace), time.Time{}
	if block > 0 {
		f.BlockUntil = f.EffectiveAt.Add(block)
	}
	return f
}

func cancelRevocation(t *testing.T, s session.Store) {
	x := addRevocation(t, s, graced("x", time.Minute, time.Hour))
	for range 2 {
		f, err := s.CancelRevocation(t.Context(), "x", x.At, "linus")
		if err != nil || f.CancelledAt.IsZero() || !f.Cancelled() {
			t.Fatalf("CancelRevocation = %+v, %v", f, err)
		}
	}
	kept, err := s.Revocations(t.Context())
	if err != nil || len(kept) != 1 || !kept[0].Cancelled() || covers(kept[0], Record("ada")) {
		t.Errorf("Revocations = %+v, %v, want one that covers nobody", kept, err)
	}
	if lines := eventsOf(t, s, session.EventLogout); len(lines) != 2 {
		t.Errorf("%d audit lines, want that of the logout and one of calling it off", len(lines))
	}
}

// cancelLate: whoever cancels has read another clock, earlier, than the one that decides.
func cancelLate(t *testing.T, s session.Store) {
	r := Record("ada")
	r.SeenRevocation = 0
	past := graced("past", time.Minute, time.Hour)
	past.At, past.EffectiveAt = past.At.Add(-2*time.Minute), past.EffectiveAt.Add(-2*time.Minute)
	ahead := graced("at once, by a clock that is ahead", 0, time.Hour)
	ahead.At, ahead.EffectiveAt = ahead.At.Add(time.Minute), ahead.EffectiveAt.Add(time.Minute)
	seen := graced("seen to take effect", time.Minute, time.Hour)
	for _, tt := range []struct {
		revocation session.Revocation
		at         time.Time // as the caller has it
	}{
		{past, past.At}, {graced("at once", 0, time.Hour), past.At}, {ahead, past.At}, {seen, seen.EffectiveAt},
	} {
		addRevocation(t, s, tt.revocation)
		f, err := s.CancelRevocation(t.Context(), tt.revocation.ID, tt.at, "linus")
		if err != nil || f.Cancelled() || !covers(f, r) || f.Blocks("ada", nil, nil, f.EffectiveAt) {
			t.Errorf("%s: CancelRevocation = %+v, %v, want only its block cancelled", tt.revocation.ID, f, err)
		}
	}
	lines := len(eventsOf(t, s, session.EventLogout))
	past = graced("past without a block", time.Minute, 0)
	past.At, past.EffectiveAt = past.At.Add(-2*time.Minute), past.EffectiveAt.Add(-2*time.Minute)
	for _, f := range []session.Revocation{past, graced("at once without a block", 0, 0)} {
		addRevocation(t, s, f)
		lines++
		_, err := s.CancelRevocation(t.Context(), f.ID, past.At, "linus")
		wantError(t, f.ID, err, session.ErrTooLate)
	}
	if n := len(eventsOf(t, s, session.EventLogout)); n != lines {
		t.Errorf("%d audit lines, want %d: nothing was cancelled", n, lines)
	}
}

func pruneRevocations(t *testing.T, s session.Store) {
	old := Record("ada") // has seen revocation 42
	old.SeenRevocation = 0
	create(t, s, old)
	addRevocation(t, s, revocation("x", session.Scope{User: "grace"}))
	young := Record("grace")
	young.SeenRevocation = 1
	create(t, s, young)
	left := func(now time.Time) int {
		t.Helper()
		if err := s.Prune(t.Context(), now, 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		kept, err := s.Revocations(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(kept)
	}
	if n := left(start.Add(48 * time.Hour)); n != 1 {
		t.Errorf("%d revocations are kept while an older session lives, want 1", n)
	}
	mustEnd(t, s, old.ID, end(session.ReasonLogout, 0))
	if n := left(start.Add(time.Minute + session.RevocationKeptFor)); n != 1 { // its grace is a minute
		t.Errorf("%d revocations are kept for a day, want 1", n)
	}
	if n := left(start.Add(time.Minute + session.RevocationKeptFor + time.Second)); n != 0 {
		t.Errorf("%d revocations are kept without an older session, want 0", n)
	}
	if f := addRevocation(t, s, revocation("y", session.Scope{User: "ada"})); f.Number != 2 {
		t.Errorf("a forgotten revocation's number was given again: %d, want 2", f.Number)
	}
}

// pruneGraced: a session may end just before a long grace does, and its pages wait for a day.
func pruneGraced(t *testing.T, s session.Store) {
	const grace = 48 * time.Hour
	f := revocation("x", session.Scope{User: "ada"})
	f.EffectiveAt, f.BlockUntil = f.At.Add(grace), time.Time{}
	addRevocation(t, s, f)
	for _, tt := range []struct {
		at   time.Duration
		want int
	}{
		{grace + time.Millisecond, 1},
		{grace + session.MaxKeepPage, 1},
		{grace + session.MaxKeepPage + time.Millisecond, 0},
	} {
		if err := s.Prune(t.Context(), start.Add(tt.at), 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if kept, err := s.Revocations(t.Context()); err != nil || len(kept) != tt.want {
			t.Errorf("after %v: %d are kept, %v, want %d", tt.at, len(kept), err, tt.want)
		}
	}
}

// revocationOfMany: the sessions that it lists are stored with it in one step.
func revocationOfMany(t *testing.T, s session.Store) {
	const n = 10_000
	list := make([]string, n)
	for i := range list {
		list[i] = session.NewToken().ID().Ref()
	}
	refs, _ := session.NewRefs(list)
	f := graced("x", time.Hour, 0)
	f.Scope = session.Scope{Refs: refs}
	if got := addRevocation(t, s, f); got.Refs != refs || got.Number != 1 {
		t.Errorf("AddRevocation = number %d with %d sessions, want 1 with %d", got.Number, got.Refs.Len(), n)
	}
	off, err := s.CancelRevocation(t.Context(), "x", f.At, "linus")
	if err != nil || off.Refs != refs {
		t.Errorf("CancelRevocation = %d sessions, %v, want all", off.Refs.Len(), err)
	}
	kept, err := s.Revocations(t.Context())
	if err != nil || len(kept) != 1 || kept[0].Refs != refs || !kept[0].Cancelled() {
		t.Errorf("Revocations = %d, %v, want one of all sessions, cancelled", len(kept), err)
	}
	for _, line := range eventsOf(t, s, session.EventLogout) {
		if len(line.Detail) > 300 {
			t.Errorf("an audit line of %d characters", len(line.Detail))
		}
	}
}
