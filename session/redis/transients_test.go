package redis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

// within waits for what must come true.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	limit := time.After(d)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("not within %s: %s", d, what)
		case <-ticker.C:
		}
	}
}

// count asks the server for a number.
func count(t *testing.T, server *redistest.Server, command string) (n int) {
	t.Helper()
	answer, err := server.Command(command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(answer, ":%d", &n); err != nil {
		t.Fatalf("%s: %q", command, answer)
	}
	return n
}

func TestKeptTextsAreForgottenOneByOne(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "kept:")
	keep := func(name string, forHowLong time.Duration) {
		t.Helper()
		if err := s.PutTransient(t.Context(), "notices", name, "text of "+name, forHowLong); err != nil {
			t.Fatal(err)
		}
	}
	keep("long", time.Hour)
	for i := range 20 {
		keep(fmt.Sprintf("short%d", i), 50*time.Millisecond)
	}
	within(t, 5*time.Second, "two texts lie there: that for an hour and that for a minute", func() bool {
		keep("another", time.Minute)
		return count(t, server, "HLEN kept:{facts}:notices") == 2
	})
	if n := count(t, server, "PTTL kept:{facts}:notices"); n < 50*60*1000 {
		t.Errorf("all are gone in %d ms, want an hour at least", n)
	}
	// A node of an earlier version writes the text alone.
	if n := count(t, server, `HSET kept:{facts}:notices early "text of early"`); n != 1 {
		t.Fatal(n)
	}
	if kept, err := s.Transients(t.Context(), "notices"); err != nil || kept["early"] != "text of early" {
		t.Errorf("kept %v, %v, want that of an earlier version, too", kept, err)
	}
	keep("brief", time.Millisecond) // it takes in early, for as long
	within(t, 5*time.Second, "that of an earlier version is forgotten", func() bool {
		keep("last", time.Minute)
		return count(t, server, "HEXISTS kept:{facts}:notices early") == 0
	})
}

func TestKeptTextsAreBounded(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "many:")
	// As if 5,000 had been left within the last minute.
	answer, err := server.Command(
		`EVAL "local t = redis.call('TIME') for i = 1, 5000 do redis.call('HSET', KEYS[1], 'n' .. i, 'x') ` +
			`redis.call('ZADD', KEYS[2], string.format('%d', t[1] * 1000 + 60000 + i), 'n' .. i) end return 1" ` +
			`2 many:{facts}:notices many:{facts}:notices:until`)
	if err != nil || !strings.HasPrefix(answer, ":1") {
		t.Fatal(answer, err)
	}
	if err := s.PutTransient(t.Context(), "notices", "newest", "x", time.Hour); err != nil {
		t.Fatal(err)
	}
	kept, err := s.Transients(t.Context(), "notices")
	if err != nil || len(kept) != 4096 || kept["newest"] == "" || kept["n5000"] == "" || kept["n1"] != "" {
		t.Errorf("%d are kept, %v, want the 4,096 that would be kept for longest", len(kept), err)
	}
	if n := count(t, server, "ZCARD many:{facts}:notices:until"); n != 4096 {
		t.Errorf("the times of %d are kept", n)
	}
}

func TestAddressesOfANameAreForgottenOneByOne(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := openWith(t, server.URL(), "known:")
	ctx := t.Context()
	now := session.Millis(time.Now())
	from := func(address string, at time.Time) {
		t.Helper()
		r := storetest.Record("ada")
		r.Address, r.CreatedAt, r.LastActiveAt = address, at, at
		if _, err := s.Create(ctx, r, 0); err != nil {
			t.Fatal(err)
		}
	}
	known := func(address string) bool {
		t.Helper()
		f, err := s.Failures(ctx, "ada", address, now)
		if err != nil {
			t.Fatal(err)
		}
		return f.Known
	}
	from("192.0.2.1", now.Add(-session.KnownFor-time.Hour))
	from("192.0.2.2", now.Add(-session.KnownFor+time.Hour))
	from("192.0.2.3", now)
	if known("192.0.2.1") || !known("192.0.2.2") || !known("192.0.2.3") {
		t.Error("an address is known for 30 days, no longer and no shorter")
	}
	if n := count(t, server, "ZCARD known:{l:YWRh}:from"); n != 2 {
		t.Errorf("%d addresses are kept, want the two that count", n)
	}
	// What earlier versions have kept still counts.
	if n := count(t, server, fmt.Sprintf("HSET known:{l:YWRh}:known 192.0.2.4 %d", now.UnixMilli())); n != 1 {
		t.Fatal(n)
	}
	if !known("192.0.2.4") {
		t.Error("an address that an earlier version has noted is not known")
	}
	answer, err := server.Command(fmt.Sprintf(
		`EVAL "for i = 1, 2000 do redis.call('ZADD', KEYS[1], ARGV[1] + i, 'a' .. i) end return 1" `+
			`1 known:{l:YWRh}:from %d`,
		now.UnixMilli()))
	if err != nil || !strings.HasPrefix(answer, ":1") {
		t.Fatal(answer, err)
	}
	from("192.0.2.5", now.Add(time.Hour))
	if n := count(t, server, "ZCARD known:{l:YWRh}:from"); n != 1024 || !known("192.0.2.5") {
		t.Errorf("%d addresses are kept, want the 1,024 of the last sign-ins", n)
	}
}
