package bolt_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/storetest"
)

// Whoever signs in while many sessions end comes after those that had ended by then, and before
// those that end later.
func TestEndsThatAreNotWaitedForAreWrittenInTheirOrder(t *testing.T) {
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	const half = 40
	var sessions []session.Record
	for i := range 2 * half {
		r := storetest.Record(fmt.Sprint("user-", i))
		if _, err := store.Create(t.Context(), r, 0); err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, r)
	}
	var waits []func() (bool, error)
	end := func(list []session.Record) {
		for _, r := range list {
			why := session.End{Reason: session.ReasonIdle, At: r.CreatedAt}
			waits = append(waits, store.EndSoon(t.Context(), r.ID, why, time.Time{}))
		}
	}
	end(sessions[:half])
	grace := storetest.Record("grace")
	if _, err := store.Create(t.Context(), grace, 0); err != nil {
		t.Fatal(err)
	}
	end(sessions[half:])
	for i, wait := range waits {
		if first, err := wait(); !first || err != nil {
			t.Errorf("the end of %s: %v, %v", sessions[i].User, first, err)
		}
	}
	if first, err := store.EndSoon(t.Context(), grace.ID, session.End{}, grace.CreatedAt)(); first || err == nil {
		t.Errorf("the end of a session that is not due: %v, %v", first, err)
	}
	lines, err := store.Events(t.Context(), session.EventQuery{Limit: 2*half + 1})
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range lines {
		want := grace.User
		switch place := 2*half - i; {
		case place > half:
			want = sessions[place-1].User
		case place < half:
			want = sessions[place].User
		}
		if line.User != want {
			t.Errorf("line %d from the end is of %s, want %s", i, line.User, want)
		}
	}
}

// openHeld opens a store that stands still after its first transaction, until release is called.
func openHeld(t *testing.T, folder string) (store *bolt.Store, release func()) {
	t.Helper()
	store = open(t, folder)
	held := make(chan struct{})
	release = sync.OnceFunc(func() { close(held) })
	t.Cleanup(release) // before the store is closed
	store.OnEvent(func(session.Event) { <-held })
	go store.Append(t.Context(), session.Event{At: time.Now(), Kind: session.EventNotice})
	synctest.Wait()
	return store, release
}

func TestCloseWritesAllThatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		store, release := openHeld(t, folder)
		const waiting = 3000 // more than a transaction takes
		var writes sync.WaitGroup
		for range waiting {
			writes.Go(func() {
				err := store.Append(t.Context(), session.Event{At: time.Now(), Kind: session.EventNotice})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		closed := make(chan error, 1)
		go func() { closed <- store.Close() }()
		synctest.Wait()
		release()
		writes.Wait()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		if n := countLines(t, open(t, folder)); n != 1+waiting {
			t.Errorf("%d lines were written, want %d", n, 1+waiting)
		}
	})
}

// A session that was told its idle end makes room for a sign-in that is asked for later, though the
// end is one more than may wait.
func TestAnEndThatWaitsForRoomKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		folder := t.TempDir()
		ada, again := storetest.Record("ada"), storetest.Record("ada")
		before := open(t, folder)
		if _, err := before.Create(t.Context(), ada, 0); err != nil {
			t.Fatal(err)
		}
		if err := before.Close(); err != nil {
			t.Fatal(err)
		}
		store, release := openHeld(t, folder)
		why := session.End{Reason: session.ReasonIdle, At: ada.CreatedAt}
		for range 2048 {
			store.EndSoon(t.Context(), session.NewToken().ID(), why, time.Time{})
		}
		var calls sync.WaitGroup
		calls.Go(func() {
			if first, err := store.EndSoon(t.Context(), ada.ID, why, time.Time{})(); !first || err != nil {
				t.Errorf("the end: %v, %v, want it to be the first", first, err)
			}
		})
		synctest.Wait()
		calls.Go(func() {
			if displaced, err := store.Create(t.Context(), again, 1); len(displaced) > 0 || err != nil {
				t.Errorf("the sign-in: %v, %v, want that it displaces nobody", displaced, err)
			}
		})
		synctest.Wait()
		release()
		calls.Wait()
	})
}

// A forced logout that is told to have failed must end nobody who signs in later.
func TestAForcedLogoutThatHasFailedIsNotWrittenLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, release := openHeld(t, t.TempDir())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := store.AddRevocation(ctx, session.Revocation{ID: "late"}); err == nil {
			t.Fatal("a store that stands still has written it")
		}
		release()
		if err := store.Append(t.Context(), session.Event{At: time.Now(), Kind: session.EventNotice}); err != nil {
			t.Fatal(err)
		}
		if list, err := store.Revocations(t.Context()); len(list) > 0 || err != nil {
			t.Errorf("revocations %+v, %v, want none", list, err)
		}
	})
}
