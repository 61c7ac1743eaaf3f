package storetest

import (
	"errors"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

func secrets(t *testing.T, s session.Store) {
	one, err1 := s.Secret(t.Context(), "csrf")
	again, err2 := s.Secret(t.Context(), "csrf")
	other, err3 := s.Secret(t.Context(), "other")
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	if len(one) != 32 || !slices.Equal(one, again) || slices.Equal(one, other) {
		t.Errorf("secrets %x, %x, %x: want 32 bytes, the same for one name, another for another", one, again, other)
	}
}

func prune(t *testing.T, s session.Store) {
	r, keep, ctx := create(t, s, Record("ada")), create(t, s, Record("grace")), t.Context()
	mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
	if err := s.Prune(ctx, start.Add(session.TombstoneFor-time.Millisecond), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	get(t, s, r.ID)
	if err := s.Prune(ctx, start.Add(session.TombstoneFor), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	_, err := s.Get(ctx, r.ID)
	wantError(t, "Get after the tombstone's time", err, session.ErrNotFound)
	get(t, s, keep.ID)
	if n := len(eventsOf(t, s, session.EventSignIn)); n != 2 {
		t.Errorf("%d sign-in lines, want 2", n)
	}
	if err := s.Prune(ctx, start.Add(91*24*time.Hour), 90*24*time.Hour); err != nil {
		t.Fatal(err)
	}
	if events, _ := s.Events(ctx, session.EventQuery{Limit: 10}); len(events) != 0 {
		t.Errorf("audit trail still holds %v", events)
	}
	if f, _ := s.Failures(ctx, "grace", "192.0.2.1", start.Add(91*24*time.Hour)); f.Known {
		t.Error("an address is known for longer than 30 days")
	}
}

func reset(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	secret, err := s.Secret(ctx, "csrf")
	if err != nil {
		t.Fatal(err)
	}
	fail(t, s, "ada", "192.0.2.1", 0)
	if err := s.Reset(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = s.Get(ctx, r.ID)
	wantError(t, "Get", err, session.ErrNotFound)
	wantFailures(t, s, "ada", "192.0.2.1", 0, 0, 0, false)
	if again, _ := s.Secret(ctx, "csrf"); !slices.Equal(secret, again) {
		t.Error("the reset has changed a secret")
	}
}
