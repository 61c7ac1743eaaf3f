package bolt_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

// TestFullDisk runs this test again as a process that may not make a file larger than its store's
// is.
func TestFullDisk(t *testing.T) {
	if folder := os.Getenv("CURFEW_TEST_FULL"); folder != "" {
		fullDisk(t, folder)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), "CURFEW_TEST_FULL="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all is well again") {
		t.Errorf("%v\n%s", err, out)
	}
}

// limitFiles bounds the size of files; 0: not at all.
func limitFiles(t *testing.T, size uint64) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur = limit.Max; size > 0 {
		limit.Cur = size
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
}

func fullDisk(t *testing.T, folder string) {
	s, err := bolt.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	var live []session.Record
	for range 20 {
		r := storetest.Record("ada")
		if _, err := s.Create(ctx, r, 0); err != nil {
			t.Fatal(err)
		}
		live = append(live, r)
	}
	info, err := os.Stat(filepath.Join(folder, "curfew.db"))
	if err != nil {
		t.Fatal(err)
	}
	limitFiles(t, uint64(info.Size()))
	notice := session.Event{At: time.Now(), Kind: session.EventNotice, Detail: strings.Repeat("x", 2000)}
	for size := 2000; size > 0; { // until not even the shortest line fits
		notice.Detail = notice.Detail[:size]
		if s.Append(ctx, notice) != nil {
			size /= 2
		}
	}
	lines := countLines(t, s)
	refusesAll(t, s, live)
	if n := countLines(t, s); n != lines {
		t.Errorf("%d lines of what was not done", n-lines)
	}
	limitFiles(t, 0)
	worksAgain(t, s, live, lines)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder)
	if rs, err := s.OfUser(ctx, "ada"); len(rs) != 10 || err != nil {
		t.Errorf("%d sessions after a restart, %v, want 10", len(rs), err)
	}
	if n := countLines(t, s); n != lines+10 {
		t.Errorf("%d lines after a restart, want %d", n, lines+10)
	}
	if !t.Failed() {
		fmt.Println("all is well again")
	}
}

var signedOut = session.End{Reason: session.ReasonLogout, At: time.Now()}

func unavailable(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) ||
		errors.Is(err, session.ErrExists) {
		t.Errorf("%s on a full disk = %v, want that it could not be written", what, err)
	}
}

// refusesAll tries what cannot be written, and wants nothing of it done.
func refusesAll(t *testing.T, s *bolt.Store, live []session.Record) {
	t.Helper()
	ctx := t.Context()
	var wg sync.WaitGroup
	for _, r := range live[:10] {
		wg.Go(func() {
			first, err := s.End(ctx, r.ID, signedOut, time.Time{})
			unavailable(t, "End", err)
			if again, err := s.EndSoon(ctx, r.ID, signedOut, time.Time{})(); first || again || err == nil {
				t.Errorf("End and EndSoon on a full disk: first %v and %v, %v", first, again, err)
			}
		})
	}
	wg.Wait()
	_, err := s.Create(ctx, storetest.Record("grace"), 0)
	unavailable(t, "Create", err)
	_, err = s.AddRevocation(ctx, session.Revocation{ID: "x", Scope: session.Scope{Everyone: true}, At: time.Now()})
	unavailable(t, "AddRevocation", err)
	for _, r := range live {
		if got, err := s.Get(ctx, r.ID); err != nil || got.End != nil {
			t.Fatalf("an end that was refused counts: %+v, %v", got.End, err)
		}
	}
	unavailable(t, "Ping", s.Ping(ctx))

	failed := session.Event{At: time.Now(), Kind: session.EventSignInFailed, User: "linus", Address: "192.0.2.7"}
	unavailable(t, "Append", s.Append(ctx, failed))
	if f, err := s.Failures(ctx, "linus", "192.0.2.7", failed.At.Add(-time.Second)); err != nil || len(f.Pair) != 1 {
		t.Errorf("%d failed sign-ins count, %v, want the one whose line could not be written", len(f.Pair), err)
	}
}

// worksAgain wants all that was refused to be done once there is space.
func worksAgain(t *testing.T, s *bolt.Store, live []session.Record, lines int) {
	t.Helper()
	ctx := t.Context()
	if err := s.Ping(ctx); err != nil {
		t.Errorf("Ping once there is space = %v", err)
	}
	for _, r := range live[:10] {
		if first, err := s.End(ctx, r.ID, signedOut, time.Time{}); !first || err != nil {
			t.Errorf("End once there is space = %v, %v, want the first end", first, err)
		}
	}
	if n := countLines(t, s); n != lines+10 {
		t.Errorf("%d lines more, want one for each of 10 ends", n-lines)
	}
}

func countLines(t *testing.T, s *bolt.Store) int {
	t.Helper()
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

// Lines of earlier versions do not tell the latest date of those before them.
func TestLinesOfEarlierVersionsAreFoundBySince(t *testing.T) {
	folder := t.TempDir()
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(folder, "curfew.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		audit := tx.Bucket([]byte("audit"))
		for i, line := range []string{
			`{"number":1,"at":"2026-03-29T10:00:00Z","event":"sign-in","user":"early"}`,
			`{"number":2,"at":"2026-03-29T12:00:00Z","event":"sign-in","user":"ada"}`,
			`{"number":3,"at":"2026-03-29T09:00:00Z","event":"session-end","user":"old"}`,
		} {
			if err := audit.Put([]byte{0, 0, 0, 0, 0, 0, 0, byte(i + 1)}, []byte(line)); err != nil {
				return err
			}
		}
		return audit.SetSequence(3)
	})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	s := open(t, folder)
	noon := time.Date(2026, 3, 29, 12, 0, 0, 0, time.UTC)
	if err := s.Append(t.Context(),
		session.Event{At: noon.Add(-2 * time.Hour), Kind: session.EventNotice}); err != nil {
		t.Fatal(err)
	}
	events, err := s.Events(t.Context(), session.EventQuery{Since: noon, Limit: 10})
	if err != nil || len(events) != 1 || events[0].User != "ada" {
		t.Errorf("since noon: %+v, %v, want the sign-in of ada", events, err)
	}
}
