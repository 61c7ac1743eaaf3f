package redis_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

// wantIndex waits until the index of a user's sessions holds those that live, and no others.
func wantIndex(t *testing.T, s *redis.Store, user string, live int) {
	t.Helper()
	var entries, pending int64
	limit := time.Now().Add(5 * time.Second)
	for {
		// carries what lies in the outboxes
		if _, err := s.Events(t.Context(), session.EventQuery{Limit: 1}); err != nil {
			t.Fatal(err)
		}
		var err error
		if entries, pending, err = s.IndexedAndPending(t.Context(), user); err != nil {
			t.Fatal(err)
		}
		if entries == int64(live) && pending == 0 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("the index of %s has %d entries, %d of them pending, want the %d who live", user, entries, pending,
				live)
		}
	}
	if list, err := s.OfUser(t.Context(), user); err != nil || len(list) != live {
		t.Errorf("%d sessions of %s, %v, want %d", len(list), user, err, live)
	}
}

func recordNow(user string) session.Record {
	r := storetest.Record(user)
	r.CreatedAt = session.Millis(time.Now())
	r.LastActiveAt = r.CreatedAt
	return r
}

// Two nodes sign one user in at once, again and again: each sign-in displaces others, is displaced,
// or both.
func TestIndexHoldsNobodyWhoHasEnded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for _, limit := range []int{1, 2} {
		prefix := fmt.Sprintf("index%d:", limit)
		nodes := []*redis.Store{openWith(t, server.URL(), prefix), openWith(t, server.URL(), prefix)}
		for range 100 {
			var wg sync.WaitGroup
			for i := range 4 {
				wg.Go(func() {
					if _, err := nodes[i%2].Create(t.Context(), recordNow("ada"), limit); err != nil {
						t.Error(err)
					}
				})
			}
			wg.Wait()
		}
		wantIndex(t, nodes[0], "ada", limit)
	}
}

// Ends by others come between the steps of a sign-in.
func TestIndexHoldsNobodyWhoEndedWhileSigningIn(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	one, two := openWith(t, server.URL(), "ends:"), openWith(t, server.URL(), "ends:")
	for range 200 {
		r := recordNow("ada")
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := one.Create(t.Context(), r, 0); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for {
				_, err := two.End(t.Context(), r.ID, logout, time.Time{})
				if err == nil {
					_, err = two.Events(t.Context(), session.EventQuery{Limit: 1})
				}
				if !errors.Is(err, session.ErrNotFound) {
					if err != nil {
						t.Error(err)
					}
					return
				}
			}
		})
		wg.Wait()
	}
	wantIndex(t, one, "ada", 0)
}

func TestAFailedSignInLeavesNoEntry(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "failed:")
	r := recordNow("ada")
	if _, err := s.Create(t.Context(), r, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create(t.Context(), r, 0); !errors.Is(err, session.ErrExists) {
		t.Errorf("Create again = %v, want ErrExists", err)
	}
	wantIndex(t, s, "ada", 1)
	if _, err := s.End(t.Context(), r.ID, logout, time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantIndex(t, s, "ada", 0)
	if _, err := s.Create(t.Context(), r, 0); !errors.Is(err, session.ErrExists) {
		t.Errorf("Create after the end = %v, want ErrExists", err)
	}
	wantIndex(t, s, "ada", 0)

	// A node that died within a sign-in, eleven seconds ago; nothing limits the user's sessions.
	ago := time.Now().UnixMilli() - 11_000
	dead := strings.Repeat("A", 43)
	for _, command := range []string{
		fmt.Sprintf("HSET failed:{u:YWRh} %s r|%d|%d", dead, ago, ago),
		fmt.Sprintf("ZADD failed:{u:YWRh}:pending %d %s", ago, dead),
	} {
		if n := count(t, server, command); n != 1 {
			t.Fatal(command, n)
		}
	}
	signIn(t, s, "ada")
	wantIndex(t, s, "ada", 1)
}

// A fail-over may lose that an entry was removed, and somebody may delete a session's keys.
func TestADeadEntryTakesNobodysPlace(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "dead:")
	lives := recordNow("ada")
	lives.CreatedAt = lives.CreatedAt.Add(-time.Minute)
	if _, err := s.Create(t.Context(), lives, 2); err != nil {
		t.Fatal(err)
	}
	over := signIn(t, s, "ada")
	if _, err := s.End(t.Context(), over.ID, logout, time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantIndex(t, s, "ada", 1)
	// the one that has ended, younger than the one that lives; and one that nobody knows
	for _, entry := range []string{
		fmt.Sprintf("%s l|%d", redis.Name(over.ID), over.CreatedAt.UnixMilli()),
		fmt.Sprintf("%s l|%d", strings.Repeat("A", 43), over.CreatedAt.UnixMilli()),
	} {
		if n := count(t, server, "HSET dead:{u:YWRh} "+entry); n != 1 {
			t.Fatal(entry, n)
		}
	}
	displaced, err := s.Create(t.Context(), recordNow("ada"), 2)
	if err != nil || len(displaced) != 0 {
		t.Errorf("displaced %v, %v, want nobody: there is one session, and two are allowed", displaced, err)
	}
	wantIndex(t, s, "ada", 2)
	// One that was displaced before it was stored, by a node that died over it.
	if n := count(t, server, fmt.Sprintf(`HSET dead:{u:YWRh} %s "d|%d|{\"reason\":\"replaced\"}"`,
		strings.Repeat("E", 42)+"A", over.CreatedAt.UnixMilli())); n != 1 {
		t.Fatal(n)
	}
	if displaced, err := s.Create(t.Context(), recordNow("ada"), 9); err != nil || len(displaced) != 0 {
		t.Errorf("displaced %v, %v, want nobody", displaced, err)
	}
	wantIndex(t, s, "ada", 3)
}

// A sign-in that took longer than others wait for it is counted by nobody, and so must not live.
func TestASignInWhoseReservationIsVoidFails(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "slow:")
	r := recordNow("ada")
	if err := s.CreateUnreserved(t.Context(), r); err == nil {
		t.Error("it was confirmed without a reservation")
	}
	if got, err := s.Get(t.Context(), r.ID); err != nil || got.End == nil {
		t.Errorf("the session is %+v, %v, want ended", got.End, err)
	}
	wantIndex(t, s, "ada", 0)
}
