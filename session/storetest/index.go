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

// auditOutOfOrder: an end is dated by its deadline, which a downtime of any length lets lie far
// before the lines beside it; and a clock that was ahead was set back.
func auditOutOfOrder(t *testing.T, s session.Store) {
	for _, e := range []session.Event{
		{At: start, Kind: session.EventSignIn, User: "early"},
		{At: start.Add(-100 * time.Hour), Kind: session.EventSignIn, User: "late-carried"},
		{At: start.Add(5 * time.Hour), Kind: session.EventSignIn, User: "ahead"},
		{At: start.Add(time.Hour), Kind: session.EventSignIn, User: "ada"},
		{At: start.Add(-3 * time.Hour), Kind: session.EventSessionEnd, User: "old"},
		{At: start.Add(-200 * time.Hour), Kind: session.EventSessionEnd, User: "older"},
		{At: start.Add(time.Hour + time.Second), Kind: session.EventSignIn, User: "grace"},
	} {
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	for _, tt := range []struct {
		name  string
		since time.Duration
		want  []string
	}{
		{"an hour after", time.Hour, []string{"grace", "ada", "ahead"}},
		{"from the first line", 0, []string{"grace", "ada", "ahead", "early"}},
		{"from before all", -200 * time.Hour,
			[]string{"grace", "older", "old", "ada", "ahead", "late-carried", "early"}},
		{"from the latest date", 5 * time.Hour, []string{"ahead"}},
		{"from after all", 6 * time.Hour, nil},
	} {
		events, err := s.Events(t.Context(), session.EventQuery{Since: start.Add(tt.since), Limit: 10})
		var got []string
		for _, e := range events {
			got = append(got, e.User)
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, %v, want %v", tt.name, got, err, tt.want)
		}
	}
}

func cancelled(t *testing.T, s session.Store) {
	live := create(t, s, Record("ada"))
	f := addRevocation(t, s, revocation("x", session.Scope{User: "grace"}))
	if _, err := s.Secret(t.Context(), "csrf"); err != nil {
		t.Fatal(err)
	}
	before := countLines(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	id := live.ID
	calls := map[string]func() error{
		"SetRules": func() error { _, err := s.SetRules(ctx, id, live.Revision, session.Rules{}); return err },
		"Create":   func() error { _, err := s.Create(ctx, Record("ada"), 1); return err },
		"Get":      func() error { _, err := s.Get(ctx, id); return err },
		"Save":     func() error { return s.Save(ctx, id, 0, []byte("x")) },
		"Touch": func() error {
			_, err := s.Touch(ctx, []session.Activity{{ID: id, At: start.Add(time.Minute)}})
			return err
		},
		"Leave":  func() error { _, err := s.Leave(ctx, id, session.TabTimes{ClosedAt: start}); return err },
		"End":    func() error { _, err := s.End(ctx, id, end(session.ReasonLogout, 0), time.Time{}); return err },
		"OfUser": func() error { _, err := s.OfUser(ctx, "ada"); return err },
		"AddRevocation": func() error {
			_, err := s.AddRevocation(ctx, revocation("y", session.Scope{Everyone: true}))
			return err
		},
		"CancelRevocation": func() error { _, err := s.CancelRevocation(ctx, f.ID, start, "ada"); return err },
		"Revocations":      func() error { _, err := s.Revocations(ctx); return err },
		"LastRevocation":   func() error { _, err := s.LastRevocation(ctx); return err },
		"Append":           func() error { return s.Append(ctx, session.Event{At: start, Kind: session.EventNotice}) },
		"Events":           func() error { _, err := s.Events(ctx, session.EventQuery{Limit: 1}); return err },
		"Failures":         func() error { _, err := s.Failures(ctx, "ada", "192.0.2.1", start); return err },
		"Secret":           func() error { _, err := s.Secret(ctx, "another"); return err },
		"Prune":            func() error { return s.Prune(ctx, start.Add(1000*time.Hour), time.Hour) },
		"Ping":             func() error { return s.Ping(ctx) },
		"Reset":            func() error { return s.Reset(ctx) },
		"Live": func() error {
			for _, err := range s.Live(ctx) {
				return err
			}
			return nil
		},
	}
	for m := range reflect.TypeFor[session.Store]().Methods() {
		if calls[m.Name] == nil && m.Name != "Close" {
			t.Errorf("%s is not tried", m.Name)
		}
	}
	for name, call := range calls {
		for range 20 { // none may toss a coin
			if err := call(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s = %v, want the context's error", name, err)
				break
			}
		}
	}
	got := get(t, s, id)
	if got.End != nil || got.Version != 0 || !got.LeftAt.IsZero() || !got.LastActiveAt.Equal(live.LastActiveAt) {
		t.Errorf("calls that failed have changed the session: %+v", got)
	}
	if last, err := s.LastRevocation(t.Context()); err != nil || last != f.Number {
		t.Errorf("the last revocation is %d, %v, want %d", last, err, f.Number)
	}
	if after := countLines(t, s); after != before {
		t.Errorf("%d audit lines, want the %d of before", after, before)
	}
	wantIndexed(t, s, "ada", 1)
}

// countLines counts all audit lines.
func countLines(t *testing.T, s session.Store) int {
	t.Helper()
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 10000})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}
