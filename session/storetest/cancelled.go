package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

func cancelled(t *testing.T, s session.Store) {
	live := create(t, s, Record("ada"))
	f := addRevocation(t, s, revocation("x", session.Scope{User: "grace"}))
	if _, err := s.Secret(t.Context(), "csrf"); err != nil {
		t.Fatal(err)
	}
	before := countLines(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantCancelled(t, reflect.TypeFor[session.Store](), callsOf(ctx, s, live, f), "Close")
	got := get(t, s, live.ID)
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

// callsOf calls each method of a store but Close, by its name.
func callsOf(
	ctx context.Context,
	s session.Store,
	live session.Record,
	f session.Revocation,
) map[string]func() error {
	id := live.ID
	return map[string]func() error{
		"SetRules": func() error { _, err := s.SetRules(ctx, id, live.Revision, session.Rules{}); return err },
		"Create":   func() error { _, err := s.Create(ctx, Record("ada"), 1); return err },
		"Get":      func() error { _, err := s.Get(ctx, id); return err },
		"Save":     func() error { return s.Save(ctx, id, 0, []byte("x")) },
		"Touch": func() error {
			_, err := s.Touch(ctx, []session.Activity{{ID: id, At: start.Add(time.Minute)}})
			return err
		},
		"Leave": func() error { _, err := s.Leave(ctx, id, session.TabTimes{ClosedAt: start}); return err },
		"End":   func() error { _, err := s.End(ctx, id, end(session.ReasonLogout, 0), time.Time{}); return err },
		"EndSoon": func() error {
			_, err := s.EndSoon(ctx, id, end(session.ReasonLogout, 0), time.Time{})()
			return err
		},
		"EndKeep": func() error { return s.EndKeep(ctx, live.ID) },
		"OfUser":  func() error { _, err := s.OfUser(ctx, "ada"); return err },
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
		"Age":              func() error { _, err := s.Age(ctx, id.Ref(), time.Hour); return err },
		"Reset":            func() error { return s.Reset(ctx) },
		"Waiting": func() error {
			for _, err := range s.Waiting(ctx, start, session.Scope{Everyone: true}) {
				return err
			}
			return nil
		},
		"Live": func() error {
			for _, err := range s.Live(ctx) {
				return err
			}
			return nil
		},
	}
}

// wantCancelled wants each method of an interface to answer a cancelled context with its error.
// calls call them by name; only those of except need no call.
func wantCancelled(t *testing.T, methods reflect.Type, calls map[string]func() error, except ...string) {
	t.Helper()
	for m := range methods.Methods() {
		if calls[m.Name] == nil && !slices.Contains(except, m.Name) {
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
}
