package redis_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// forceLogout adds a forced logout of ada.
func forceLogout(t *testing.T, s *redis.Store, f session.Revocation) session.Revocation {
	t.Helper()
	f.Scope, f.Actor = session.Scope{User: "ada"}, "root"
	f, err := s.AddRevocation(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// tamper changes keys as a fail-over or an earlier version does.
func tamper(t *testing.T, server *redistest.Server, commands ...string) {
	t.Helper()
	for _, c := range commands {
		answer, err := server.Command(c)
		if err != nil || strings.HasPrefix(answer, "-") {
			t.Fatalf("%s: %q, %v", c, answer, err)
		}
	}
}

// A master that is started anew may lack what it wrote last.
func TestWhatAFailOverLostOfForcedLogoutsIsRestored(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "lost:")
	ctx := t.Context()
	now := session.Millis(time.Now())
	add := func(id string) session.Revocation {
		t.Helper()
		return forceLogout(t, s, session.Revocation{ID: id, At: now, EffectiveAt: now.Add(time.Hour)})
	}
	stays := add("stays")
	tamper(t, server, "COPY lost:{facts}:all lost:{facts}:before")
	called, err := s.CancelRevocation(ctx, stays.ID, now, "root")
	if err != nil {
		t.Fatal(err)
	}
	lost := add("lost")
	called2, err := s.CancelRevocation(ctx, lost.ID, now, "root")
	if err != nil {
		t.Fatal(err)
	}
	highest, err := s.LastRevocation(ctx) // a sign-in has read this
	if err != nil || highest <= lost.Number {
		t.Fatalf("last revocation %d, %v", highest, err)
	}
	tamper(t, server, "COPY lost:{facts}:before lost:{facts}:all REPLACE", "SET lost:{facts}:last 1")
	for range 2 { // by two nodes
		if err := s.RestoreRevocations(ctx, []session.Revocation{called, called2}, highest); err != nil {
			t.Fatal(err)
		}
	}
	revocations, err := s.Revocations(ctx)
	if err != nil || len(revocations) != 2 || revocations[0].ID != "stays" || revocations[1].ID != "lost" ||
		revocations[0].Number != stays.Number || revocations[1].Number != lost.Number {
		t.Fatalf("revocations = %+v, %v", revocations, err)
	}
	for _, f := range revocations {
		if !f.CancelledAt.Equal(now) {
			t.Errorf("%s is not called off any more", f.ID)
		}
	}
	if next := add("next"); next.Number <= highest {
		t.Errorf("the next revocation has number %d, want more than %d, which a sign-in has read", next.Number,
			highest)
	}
}

// A fail-over may take back numbers that sign-ins have read, also ones that the node has not heard
// of which adds the next revocation.
func TestNoNumberOfAForcedLogoutIsGivenTwice(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "twice:")
	add := func(known int64) session.Revocation {
		t.Helper()
		now := session.Millis(time.Now())
		return forceLogout(t, s, session.Revocation{
			ID:          fmt.Sprint(time.Now().UnixNano()),
			Number:      known,
			At:          now,
			EffectiveAt: now,
		})
	}
	for range 7 {
		add(0)
	}
	tamper(t, server, "DEL twice:{facts}:all", "SET twice:{facts}:last 0")
	if f := add(7); f.Number <= 7 {
		t.Errorf("number %d, and the node knew of 7", f.Number)
	}
	last := add(0)
	// the new master is another process
	tamper(t, server, "SET twice:{facts}:last 3", "SET twice:{facts}:run anotherserver")
	if f := add(0); f.Number <= last.Number {
		t.Errorf("number %d by a node that knows of none, after %d was given on the master before", f.Number,
			last.Number)
	}
}

// An earlier version counts but notes no changes.
func TestRevocationsAfterANumberOfAnEarlierVersionAreAll(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "early:")
	now := session.Millis(time.Now())
	for _, id := range []string{"a", "b", "c"} {
		forceLogout(t, s, session.Revocation{ID: id, At: now, EffectiveAt: now.Add(time.Hour)})
	}
	tamper(t, server, "INCR early:{facts}:last")
	revocations, last, all, err := s.RevocationsAfter(t.Context(), 3)
	var ids []string
	for _, f := range revocations {
		ids = append(ids, f.ID)
	}
	if err != nil || !all || last != 4 || !slices.Equal(ids, []string{"a", "b", "c"}) {
		t.Errorf("%q (all %v) up to %d, %v, want all three up to 4", ids, all, last, err)
	}
}
