package hub

import (
	"bytes"
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
)

// The application's values, as memory and the store have them.

// wantsValues wants a session to have values.
func (u *user) wantsValues(want string, version int64) {
	u.t.Helper()
	values, got, err := u.Values(u.t.Context(), u.token.ID())
	if err != nil || string(values) != want || got != version {
		u.t.Errorf("Values = %q of version %d, %v, want %q of version %d", values, got, err, want, version)
	}
}

func (u *user) save(version int64, values string) error {
	return u.Save(u.t.Context(), u.token.ID(), version, []byte(values))
}

func TestValuesAreReadOnceUntilTheyAreReplaced(t *testing.T) {
	hub, store := startHubReading(t, t.TempDir())
	ada := hub.signIn("ada")
	reads := int64(0)
	wants := func(more int64, values string, version int64) {
		t.Helper()
		for range 3 {
			ada.wantsValues(values, version)
		}
		if reads += more; store.reads.Load() != reads {
			t.Errorf("%q: the session was read %d times, want %d", values, store.reads.Load(), reads)
		}
	}
	reads = store.reads.Load()
	wants(1, "", 0)
	for version, values := range []string{"blue", "red"} {
		if err := ada.save(int64(version), values); err != nil {
			t.Fatal(err)
		}
		wants(1, values, int64(version)+1)
	}
	if err := ada.save(0, "green"); !errors.Is(err, session.ErrConflict) {
		t.Errorf("Save of an old version = %v", err)
	}
	wants(1, "red", 2)
	large := string(bytes.Repeat([]byte{'x'}, maxKeptValues+1))
	if err := ada.save(2, large); err != nil {
		t.Fatal(err)
	}
	wants(3, large, 3) // 100,000 of these would be too many
}

func TestValuesOfASessionThatHasEndedAreNone(t *testing.T) {
	hub, _ := startHubReading(t, t.TempDir())
	ada := hub.signIn("ada")
	ada.save(0, "blue")
	ada.wantsValues("blue", 1)
	if _, err := hub.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout}); err != nil {
		t.Fatal(err)
	}
	if values, _, err := hub.Values(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) || values != nil {
		t.Errorf("Values = %q, %v, want that it has ended", values, err)
	}
	if err := ada.save(1, "red"); !errors.Is(err, session.ErrEnded) {
		t.Errorf("Save = %v, want that it has ended", err)
	}
}

func TestValuesThatTheStoreHasButDidNotAcknowledgeAreSeen(t *testing.T) {
	hub, faults := startHubFaulty(t)
	ada := hub.signIn("ada")
	ada.wantsValues("", 0)
	faults.Set("Save", faulty.Rule{After: 1, Times: 1})
	if err := ada.save(0, "blue"); err == nil {
		t.Fatal("Save has not failed: the test proves nothing")
	}
	ada.wantsValues("blue", 1)
}

// TestValuesThatWereReadBeforeASaveAreNotKept has a slow request read values that another request
// replaces before the slow one has returned.
func TestValuesThatWereReadBeforeASaveAreNotKept(t *testing.T) {
	store := &pausing{read: make(chan struct{}), resume: make(chan struct{})}
	hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		store.Store = s
		return store
	})
	ada := hub.signIn("ada")
	store.on.Store(true)
	slow := make(chan error)
	go func() {
		_, _, err := hub.Values(context.Background(), ada.token.ID())
		slow <- err
	}()
	<-store.read
	if err := ada.save(0, "blue"); err != nil {
		t.Fatal(err)
	}
	store.resume <- struct{}{}
	if err := <-slow; err != nil {
		t.Fatal(err)
	}
	ada.wantsValues("blue", 1)
}

func TestNoRequestSeesOlderValuesThanWereSavedBeforeIt(t *testing.T) {
	hub, _ := startHubReading(t, t.TempDir())
	ada := hub.signIn("ada")
	const last = 100
	var saved atomic.Int64 // the version that was acknowledged
	var asked sync.WaitGroup
	for range 4 {
		asked.Go(func() {
			for least := int64(0); least < last; {
				least = saved.Load()
				values, version, err := hub.Values(t.Context(), ada.token.ID())
				if err != nil || version < least ||
					version > 0 && string(values) != strconv.FormatInt(version, 10) {
					t.Errorf("Values = %q of version %d, %v, want version %d or a later", values, version, err, least)
					return
				}
			}
		})
	}
	for version := range int64(last) {
		if err := ada.save(version, strconv.FormatInt(version+1, 10)); err != nil {
			t.Error(err)
		}
		saved.Store(version + 1)
	}
	asked.Wait()
}
