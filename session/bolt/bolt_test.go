package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

func open(t *testing.T, folder string) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) session.Store {
		t.Parallel()
		return open(t, t.TempDir())
	})
}

func TestOutbox(t *testing.T) {
	t.Parallel()
	storetest.RunOutbox(t, func(t *testing.T) storetest.OutboxStore {
		t.Parallel()
		return open(t, t.TempDir())
	})
}

func TestAReceiverStandsWhereItStoodAfterARestart(t *testing.T) {
	folder := t.TempDir()
	s := open(t, folder)
	claim := func() session.OutboxClaimed {
		t.Helper()
		c, err := s.Claim(t.Context(), session.OutboxClaim{Receiver: "webhook", Node: "a", Limit: 10, Keep: 10})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if err := s.Follow(t.Context(), "webhook"); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ada", "grace"} {
		e := session.Event{At: time.Now(), Kind: session.EventNotice, User: user}
		if err := s.Append(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	before := claim()
	if err := s.Accept(t.Context(), "webhook", before.Epoch, []uint64{before.Lines[0].Number}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, folder)
	if c := claim(); len(c.Lines) != 1 || c.Lines[0].ID != before.Lines[1].ID || c.Epoch != before.Epoch {
		t.Errorf("after the restart: %+v, want the second line of %+v", c, before)
	}
}

// patience is a context that is over once it has been asked so often.
type patience struct {
	context.Context
	left int
}

func (p *patience) Err() error {
	if p.left--; p.left < 0 {
		return context.DeadlineExceeded
	}
	return nil
}

func TestALongSearchOfTheTrailEndsWithItsContext(t *testing.T) {
	s := open(t, t.TempDir())
	for range 10 {
		if err := s.Append(t.Context(), session.Event{At: time.Now(), Kind: session.EventNotice}); err != nil {
			t.Fatal(err)
		}
	}
	q := session.EventQuery{Session: "nowhere", Limit: 1}
	if _, err := s.Events(&patience{t.Context(), 5}, q); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the error of the context", err)
	}
	if events, err := s.Events(&patience{t.Context(), 100}, q); err != nil || len(events) != 0 {
		t.Errorf("in time: %v, %v, want nothing", events, err)
	}
}

func TestFolderIsLocked(t *testing.T) {
	folder := t.TempDir()
	open(t, folder)
	_, err := bolt.Open(folder)
	if err == nil || !strings.Contains(err.Error(), folder) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("second Open = %v, want an error that names the folder and process %d", err, os.Getpid())
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	folder := t.TempDir()
	if err := open(t, folder).Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(folder, "curfew.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 0, 99})
	})
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
	if _, err := bolt.Open(folder); err == nil || !strings.Contains(err.Error(), "newer version") {
		t.Errorf("Open = %v, want a newer file refused", err)
	}
}

// TestKilledProcessKeepsWhatItAcknowledged runs this test again as a process that signs in, ends,
// says so and is killed.
func TestKilledProcessKeepsWhatItAcknowledged(t *testing.T) {
	if folder := os.Getenv("CURFEW_TEST_FOLDER"); folder != "" {
		acknowledgeForever(t, folder)
	}
	folder := t.TempDir()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "CURFEW_TEST_FOLDER="+folder)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	type pair struct{ live, ended session.ID }
	var acknowledged []pair
	for len(acknowledged) < 50 && lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) != 3 || words[0] != "acknowledged" {
			continue
		}
		live, err1 := session.ParseToken(words[1])
		ended, err2 := session.ParseToken(words[2])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		acknowledged = append(acknowledged, pair{live.ID(), ended.ID()})
	}
	cmd.Process.Kill()
	cmd.Wait()
	if len(acknowledged) < 50 {
		t.Fatalf("only %d pairs before the process died", len(acknowledged))
	}
	s := open(t, folder)
	for _, p := range acknowledged {
		if r, err := s.Get(t.Context(), p.live); err != nil || r.End != nil {
			t.Fatalf("an acknowledged sign-in is lost: %+v, %v", r.End, err)
		}
		if r, err := s.Get(t.Context(), p.ended); err != nil || r.End == nil || r.End.Reason != session.ReasonLogout {
			t.Fatalf("an acknowledged end is lost: %+v, %v", r.End, err)
		}
	}
	ends := map[string]int{}
	events, err := s.Events(t.Context(), session.EventQuery{Limit: 100000})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == session.EventSessionEnd {
			ends[e.Session]++
		}
	}
	for _, p := range acknowledged {
		if n := ends[p.ended.Ref()]; n != 1 {
			t.Errorf("%d audit lines tell of one end", n)
		}
	}
}

func acknowledgeForever(t *testing.T, folder string) {
	s, err := bolt.Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	for {
		live, ended := session.NewToken(), session.NewToken()
		for _, token := range []session.Token{live, ended} {
			r := storetest.Record("ada")
			r.ID = token.ID()
			if _, err := s.Create(t.Context(), r, 0); err != nil {
				t.Fatal(err)
			}
		}
		why := session.End{Reason: session.ReasonLogout, At: time.Now()}
		if _, err := s.End(t.Context(), ended.ID(), why, time.Time{}); err != nil {
			t.Fatal(err)
		}
		fmt.Println("acknowledged", live.Text(), ended.Text())
	}
}
