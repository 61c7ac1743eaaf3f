package storetest

import (
	"testing"
	"time"

	"curfew/session"
)

func fail(t *testing.T, s session.Store, login, address string, after time.Duration) {
	t.Helper()
	e := session.Event{At: start.Add(after), Kind: session.EventSignInFailed, User: login, Address: address}
	if err := s.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func wantFailures(t *testing.T, s session.Store, login, address string, pair, byAddress, byName int, known bool) {
	t.Helper()
	f, err := s.Failures(t.Context(), login, address, start.Add(-time.Second))
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Pair) != pair || len(f.Address) != byAddress || len(f.Name) != byName || f.Known != known {
		t.Errorf("%s from %s: %d, %d, %d, known %v, want %d, %d, %d, known %v",
			login, address, len(f.Pair), len(f.Address), len(f.Name), f.Known, pair, byAddress, byName, known)
	}
}

func failures(t *testing.T, s session.Store) {
	create(t, s, Record("ada")) // known from 192.0.2.1
	fail(t, s, "ada", "192.0.2.1", 0)
	fail(t, s, "ada", "192.0.2.9", time.Second)
	fail(t, s, "grace", "192.0.2.9", 2*time.Second)
	fail(t, s, "grace", "192.0.2.9", -time.Minute)
	wantFailures(t, s, "ada", "192.0.2.1", 1, 0, 1, true)
	wantFailures(t, s, "ada", "192.0.2.9", 1, 2, 1, false)
	wantFailures(t, s, "grace", "192.0.2.9", 1, 2, 1, false)
	wantFailures(t, s, "linus", "192.0.2.8", 0, 0, 0, false)
	wantFailures(t, s, "ａDA ", "192.0.2.1", 1, 0, 1, true) // a name is one, however it is spelled
	if n := len(eventsOf(t, s, session.EventSignInFailed)); n != 4 {
		t.Errorf("%d audit lines, want 4", n)
	}
}

func failuresIPv6(t *testing.T, s session.Store) {
	fail(t, s, "ada", "2001:db8:1:2::1", 0)
	wantFailures(t, s, "ada", "2001:db8:1:2:ffff::2", 1, 1, 1, false)
	wantFailures(t, s, "ada", "2001:db8:1:3::1", 0, 0, 1, false)
}
