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

func fact(id string, scope session.Scope) session.Fact {
	return session.Fact{ID: id, Scope: scope, Actor: "grace", Message: "Maintenance <b>\nnow</b>", At: start, EffectiveAt: start.Add(time.Minute),
		BlockUntil: start.Add(time.Hour), Except: "aaaa", Sessions: 3, Tabs: 5}
}

func addFact(t *testing.T, s session.Store, f session.Fact) session.Fact {
	t.Helper()
	stored, err := s.AddFact(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func facts(t *testing.T, s session.Store) {
	if n, err := s.LastFact(t.Context()); n != 0 || err != nil {
		t.Fatalf("LastFact of an empty store = %d, %v, want 0", n, err)
	}
	scopes := []session.Scope{{User: "ada"}, {Group: "staff, with comma"}, {Session: "abcd"}, {Everyone: true}}
	var want []session.Fact
	for i, scope := range scopes {
		f := fact(string(rune('a'+i)), scope)
		f.Number = int64(i + 1)
		if got := addFact(t, s, f); !reflect.DeepEqual(got, f) {
			t.Errorf("AddFact = %+v, want %+v", got, f)
		}
		want = append(want, f)
	}
	got, err := s.Facts(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("Facts = %+v, %v\nwant %+v", got, err, want)
	}
	if n, err := s.LastFact(t.Context()); n != 4 || err != nil {
		t.Errorf("LastFact = %d, %v, want 4", n, err)
	}
	lines := eventsOf(t, s, session.EventLogout)
	if len(lines) != 4 || lines[0].Actor != "grace" || lines[0].Detail == "" {
		t.Errorf("audit lines %+v, want one for each", lines)
	}
}

func covers(f session.Fact, r session.Record) bool { return f.Covers(&r) }

func factRace(t *testing.T, s session.Store) {
	const n = 20
	var mu sync.Mutex
	seen := make(map[int64]bool)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			f, err := s.AddFact(t.Context(), fact(fmt.Sprint(i), session.Scope{Everyone: true}))
			mu.Lock()
			defer mu.Unlock()
			if err != nil || seen[f.Number] {
				t.Errorf("AddFact = number %d, %v, want one of its own", f.Number, err)
			}
			seen[f.Number] = true
		})
	}
	wg.Wait()
	if last, _ := s.LastFact(t.Context()); last != n {
		t.Errorf("LastFact = %d, want %d", last, n)
	}
}

func cancelFact(t *testing.T, s session.Store) {
	addFact(t, s, fact("x", session.Scope{User: "ada"}))
	for range 2 {
		f, err := s.CancelFact(t.Context(), "x", start.Add(time.Second), "linus")
		if err != nil || !f.Cancelled.Equal(start.Add(time.Second)) || !f.Void() {
			t.Fatalf("CancelFact = %+v, %v", f, err)
		}
	}
	kept, err := s.Facts(t.Context())
	if err != nil || len(kept) != 1 || !kept[0].Void() || covers(kept[0], Record("ada")) {
		t.Errorf("Facts = %+v, %v, want one that covers nobody", kept, err)
	}
	if lines := eventsOf(t, s, session.EventLogout); len(lines) != 2 {
		t.Errorf("%d audit lines, want that of the logout and one of calling it off", len(lines))
	}
}

func pruneFacts(t *testing.T, s session.Store) {
	old := Record("ada") // has seen fact 42
	old.SeenFact = 0
	create(t, s, old)
	addFact(t, s, fact("x", session.Scope{User: "grace"}))
	young := Record("grace")
	young.SeenFact = 1
	create(t, s, young)
	left := func(now time.Time) int {
		t.Helper()
		if err := s.Prune(t.Context(), now, 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		kept, err := s.Facts(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(kept)
	}
	if n := left(start.Add(48 * time.Hour)); n != 1 {
		t.Errorf("%d facts are kept while an older session lives, want 1", n)
	}
	mustEnd(t, s, old.ID, end(session.ReasonLogout, 0))
	if n := left(start.Add(session.FactKeptFor)); n != 1 {
		t.Errorf("%d facts are kept for a day, want 1", n)
	}
	if n := left(start.Add(session.FactKeptFor + time.Second)); n != 0 {
		t.Errorf("%d facts are kept without an older session, want 0", n)
	}
	if f := addFact(t, s, fact("y", session.Scope{User: "ada"})); f.Number != 2 {
		t.Errorf("a forgotten fact's number was given again: %d, want 2", f.Number)
	}
}

func filteredAudit(t *testing.T, s session.Store) {
	for i, user := range []string{"ada", "grace", "ada", "ada"} {
		e := session.Event{At: start.Add(time.Duration(i) * 2 * time.Hour), Kind: session.EventNotice, User: user, Actor: "linus"}
		if i == 3 {
			e.Kind, e.Actor = session.EventPolicy, ""
		}
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name string
		q    session.EventQuery
		want int
	}{
		{"all", session.EventQuery{Limit: 10}, 4},
		{"the newest two", session.EventQuery{Limit: 2}, 2},
		{"of a user", session.EventQuery{Limit: 10, User: "ada"}, 3},
		{"of a user and a kind", session.EventQuery{Limit: 10, User: "ada", Kind: session.EventNotice}, 2},
		{"of an actor", session.EventQuery{Limit: 10, Actor: "linus"}, 3},
		{"since an instant, inclusive", session.EventQuery{Limit: 10, Since: start.Add(2 * time.Hour)}, 3},
		{"limit counts what is picked", session.EventQuery{Limit: 1, User: "grace"}, 1},
	} {
		if got, err := s.Events(t.Context(), tt.q); err != nil || len(got) != tt.want {
			t.Errorf("%s: %d events, %v, want %d", tt.name, len(got), err, tt.want)
		}
	}
}
