package storetest

import (
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// What nodes read of forced logouts that they may have missed, and write again after a fail-over.

// timely is a forced logout of this moment that takes effect in an hour.
func timely(id string) session.Revocation { return graced(id, time.Hour, 0) }

// cancelNow cancels a forced logout.
func cancelNow(t *testing.T, s session.Store, id string) session.Revocation {
	t.Helper()
	f, err := s.CancelRevocation(t.Context(), id, session.Millis(time.Now()), "root")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func revocationsAfter(t *testing.T, nodes []Node) {
	one, two, ctx := nodes[0], nodes[1], t.Context()
	wants := func(after int64, whole bool, want ...string) {
		t.Helper()
		revocations, last, all, err := two.RevocationsAfter(ctx, after)
		var ids []string
		for _, f := range revocations {
			ids = append(ids, f.ID)
		}
		if stored, _ := two.LastRevocation(ctx); err != nil || all != whole || last != stored ||
			!slices.Equal(ids, want) {
			t.Errorf("after %d: %q (all %v) up to %d, %v, want %q (all %v) up to %d", after, ids, all, last, err, want,
				whole, stored)
		}
	}
	wants(0, false)
	for _, id := range []string{"a", "b", "c"} {
		addRevocation(t, one, timely(id))
	}
	wants(0, false, "a", "b", "c")
	wants(1, false, "b", "c")
	wants(2, false, "c")
	wants(3, false)
	cancelNow(t, one, "a") // the fourth change
	wants(3, false, "a")
	wants(2, false, "a", "c")
	wants(9, true, "a", "b", "c") // the store has forgotten numbers
	d := timely("d")
	d.Number = 2
	if err := one.RestoreRevocations(ctx, []session.Revocation{d}, 4); err != nil {
		t.Fatal(err)
	}
	// whoever never knew it learns of it; both have number 2
	revocations, _, all, err := two.RevocationsAfter(ctx, 4)
	if err != nil || all || len(revocations) != 1 || revocations[0].ID != "d" || revocations[0].Number != 2 {
		t.Errorf("restored: %+v (all %v), %v, want that one", revocations, all, err)
	}
	for _, leap := range []int64{100, 1_000_000} { // of most of these numbers nobody knows what they were
		if err := one.RestoreRevocations(ctx, nil, leap); err != nil {
			t.Fatal(err)
		}
		list, last, all, err := two.RevocationsAfter(ctx, 5)
		if err != nil || !all || len(list) != 4 || last != leap {
			t.Errorf("numbers have leapt: %d forced logouts (all %v) up to %d, %v, want all 4 up to %d", len(list), all,
				last, err, leap)
		}
	}
}

// restoreRevocations: a master that is started anew has lost a forced logout, and that another one
// was cancelled.
func restoreRevocations(t *testing.T, nodes []Node) {
	stays := addRevocation(t, nodes[0], timely("stays"))
	inTime, lost, late := stays, timely("lost"), timely("late")
	lost.Number = stays.Number + 1
	for _, f := range []*session.Revocation{&inTime, &lost} {
		f.CancelledAt = f.At.Add(time.Minute)
	}
	late.Number = stays.Number + 2 // its block was cancelled when it had taken effect
	late.EffectiveAt, late.BlockUntil, late.CancelledAt = late.At, late.At.Add(time.Hour), late.At.Add(time.Minute)
	want := []session.Revocation{inTime, lost, late}
	for _, n := range nodes { // each knows what was lost
		if err := n.RestoreRevocations(t.Context(), want, 5); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := nodes[1].Revocations(t.Context())
	if err != nil || len(kept) != len(want) {
		t.Fatalf("Revocations = %+v, %v, want %d", kept, err, len(want))
	}
	for i, f := range kept {
		if f != want[i] {
			t.Errorf("restored %+v\nwant     %+v", f, want[i])
		}
	}
	if next := addRevocation(t, nodes[0], timely("next")); next.Number <= 5 {
		t.Errorf("the next forced logout has number %d, want more than 5, which a sign-in has read", next.Number)
	}
}

func restoreLast(t *testing.T, nodes []Node) {
	for range 2 { // of any lower number nothing comes
		for _, last := range []int64{70, 3} {
			if err := nodes[0].RestoreRevocations(t.Context(), nil, last); err != nil {
				t.Fatal(err)
			}
		}
		if last, err := nodes[1].LastRevocation(t.Context()); last != 70 || err != nil {
			t.Errorf("LastRevocation = %d, %v, want 70", last, err)
		}
	}
	if f := addRevocation(t, nodes[1], timely("next")); f.Number <= 70 {
		t.Errorf("number %d, and a sign-in has read 70", f.Number)
	}
}
