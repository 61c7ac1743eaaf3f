package storetest

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

// Indexer is what a store offers its own test: how many entries the index of a user's sessions has.
// The outside sees only those that live; entries of others would make each sign-in slower, or take
// a place.
type Indexer interface {
	Indexed(ctx context.Context, user string) (int, error)
}

// wantIndexed wants the index of a user's sessions to hold those that live and no others, once all
// that follows from what was done is done.
func wantIndexed(t *testing.T, s session.Store, user string, want int) {
	t.Helper()
	indexer, ok := s.(Indexer)
	if !ok {
		t.Fatalf("%T does not tell what its index holds", s)
	}
	for limit := time.Now().Add(5 * time.Second); ; {
		eventsOf(t, s, session.EventSessionEnd) // what was done is in the trail
		got, err := indexer.Indexed(t.Context(), user)
		if err != nil {
			t.Fatal(err)
		}
		if got == want {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the index of %s holds %d, want %d", user, got, want)
		}
	}
	if rs, err := s.OfUser(t.Context(), user); len(rs) != want || err != nil {
		t.Errorf("%d live sessions of %s, %v, want %d", len(rs), user, err, want)
	}
}

func indexRace(t *testing.T, s session.Store) {
	// stays: an index that is not found under its spelled name would count as empty
	create(t, s, Record("  Ada Lovelace"))
	for range 20 {
		records := []session.Record{Record("ada"), Record("ada"), Record("ada")}
		var wg sync.WaitGroup
		for i, r := range records {
			wg.Go(func() {
				if _, err := s.Create(t.Context(), r, 2); err != nil {
					t.Error(err)
				}
			})
			if i > 0 {
				wg.Go(func() {
					_, err := s.End(t.Context(), r.ID, end(session.ReasonAdmin, 0), time.Time{})
					if err != nil && !errors.Is(err, session.ErrNotFound) {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		for _, r := range records {
			if _, err := s.End(t.Context(), r.ID, end(session.ReasonAdmin, 0), time.Time{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantIndexed(t, s, "ada", 0)
	wantIndexed(t, s, " ADA ", 0)
	wantIndexed(t, s, "Ada  LOVELACE ", 1)
	if n := len(eventsOf(t, s, session.EventSessionEnd)); n != 60 {
		t.Errorf("%d session-end lines, want 60", n)
	}
}

func limit(t *testing.T, s session.Store) {
	var ids []session.ID
	for i := range 3 {
		r := Record("ada")
		r.CreatedAt = start.Add(time.Duration(i) * time.Second)
		if i == 2 {
			r.Before, r.Continues = ids[0], true // its browser goes on
		}
		ids = append(ids, r.ID)
		displaced, err := s.Create(t.Context(), r, 2)
		if err != nil {
			t.Fatal(err)
		}
		if i < 2 && len(displaced) > 0 || i == 2 && !slices.Equal(displaced, ids[:1]) {
			t.Fatalf("sign-in %d displaced %v", i+1, displaced)
		}
	}
	create(t, s, Record("grace"))
	if e := get(t, s, ids[0]).End; e == nil || e.Reason != session.ReasonReplaced || !e.Continued ||
		e.Message != "" || e.Data["device"] != "an unknown browser" || e.Data["address"] != "192.0.2.1" {
		t.Errorf("end of the oldest = %+v, want replaced from there, and continued in its browser", e)
	}
	if lines := eventsOf(t, s, session.EventSessionEnd); len(lines) != 1 || lines[0].Data["address"] != "192.0.2.1" {
		t.Errorf("lines of the end = %+v, want one that tells from where", lines)
	}
	rs, err := s.OfUser(t.Context(), "ada")
	if err != nil || len(rs) != 2 || rs[0].ID != ids[1] || rs[1].ID != ids[2] {
		t.Errorf("OfUser = %v, %v, want the two newer ones, oldest first", rs, err)
	}
	elsewhere := Record("ada")
	elsewhere.CreatedAt = start.Add(3 * time.Second)
	if displaced, err := s.Create(t.Context(), elsewhere, 2); err != nil || !slices.Equal(displaced, ids[1:2]) {
		t.Fatalf("a sign-in elsewhere displaced %v, %v", displaced, err)
	}
	if e := get(t, s, ids[1]).End; e == nil || e.Continued {
		t.Errorf("end by a sign-in elsewhere = %+v, want one that is not continued", e)
	}
}

// spellings: a directory that compares names without case may come to write one in another way.
func spellings(t *testing.T, s session.Store) {
	first := create(t, s, Record("Ada Lovelace"))
	second := create(t, s, Record("ada  lovelace"))
	create(t, s, Record("ada"))
	for _, name := range []string{"Ada Lovelace", "ada lovelace", " ADA\u00a0LOVELACE"} {
		if rs, err := s.OfUser(t.Context(), name); err != nil || len(rs) != 2 {
			t.Errorf("OfUser(%q) = %d sessions, %v, want 2", name, len(rs), err)
		}
	}
	third := Record("ADA Lovelace")
	displaced, err := s.Create(t.Context(), third, 2)
	if err != nil || len(displaced) != 1 || displaced[0] != first.ID && displaced[0] != second.ID {
		t.Errorf("one more than the limit displaces %v, %v, want one of the two", displaced, err)
	}
	if got := get(t, s, third.ID); got.User != "ADA Lovelace" {
		t.Errorf("user = %q, want it as it was written", got.User)
	}
	for _, name := range []string{"Ada Lovelace", " ADA\u00a0LOVELACE", "ada   lovelace  "} {
		wantIndexed(t, s, name, 2)
	}
	if err := s.Append(t.Context(),
		session.Event{At: start, Kind: session.EventNotice, User: "ADA Lovelace"}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10, User: "ada LOVELACE", Kind: session.EventNotice})
	if err != nil || len(events) != 1 {
		t.Errorf("audit lines of the user: %v, %v, want one", events, err)
	}
}

func limitRace(t *testing.T, s session.Store) {
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			if _, err := s.Create(t.Context(), Record("ada"), 3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if rs, err := s.OfUser(t.Context(), "ada"); len(rs) != 3 || err != nil {
		t.Errorf("%d live sessions, %v, want 3", len(rs), err)
	}
	if n := len(eventsOf(t, s, session.EventSessionEnd)); n != 9 {
		t.Errorf("%d session-end lines, want 9", n)
	}
	wantIndexed(t, s, "ada", 3)
	wantIndexed(t, s, " ADA ", 3)
}
