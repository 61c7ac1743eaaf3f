package bolt_test

import (
	"fmt"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

// Whoever signs in while many sessions end comes after those that had ended by then, and before
// those that end later.
func TestEndsThatAreNotWaitedForAreWrittenInTheirOrder(t *testing.T) {
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	const half = 40
	var sessions []session.Record
	for i := range 2 * half {
		r := storetest.Record(fmt.Sprint("user-", i))
		if _, err := store.Create(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, r)
	}
	var waits []func() (bool, error)
	end := func(list []session.Record) {
		for _, r := range list {
			why := session.End{Reason: session.ReasonIdle, At: r.CreatedAt}
			waits = append(waits, store.EndSoon(t.Context(), r.ID, why, time.Time{}))
		}
	}
	end(sessions[:half])
	grace := storetest.Record("grace")
	if _, err := store.Create(t.Context(), grace, 0); err != nil {
		t.Fatal(err)
	}
	end(sessions[half:])
	for i, wait := range waits {
		if first, err := wait(); !first || err != nil {
			t.Errorf("the end of %s: %v, %v", sessions[i].User, first, err)
		}
	}
	if first, err := store.EndSoon(t.Context(), grace.ID, session.End{}, grace.CreatedAt)(); first || err == nil {
		t.Errorf("the end of a session that is not due: %v, %v", first, err)
	}
	lines, err := store.Events(t.Context(), session.EventQuery{Limit: 2*half + 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		want := grace.User
		switch place := 2*half - i; {
		case place > half:
			want = sessions[place-1].User
		case place < half:
			want = sessions[place].User
		}
		if line.User != want {
			t.Errorf("line %d from the end is of %s, want %s", i, line.User, want)
		}
	}
}
