package revocation

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestNumbersThatAreKnownNeedNotBeRead(t *testing.T) {
	r := register(revocation(5, everyone, 0))
	r.SetLast(5)
	for _, tt := range []struct {
		name          string
		do            func()
		last, highest int64
	}{
		{"the next one is followed", func() { r.Follow(6) }, 6, 5},
		{"one is missing in between", func() { r.Follow(8) }, 6, 5},
		{"an old one", func() { r.Follow(3) }, 6, 5},
		{"all were read", func() { r.SetLast(9) }, 9, 9},
		{"a fail-over has lost some", func() { r.SetLast(4) }, 4, 9},
	} {
		tt.do()
		if r.Last() != tt.last || r.Highest() != tt.highest {
			t.Errorf("%s: Last = %d, Highest = %d, want %d and %d", tt.name, r.Last(), r.Highest(), tt.last, tt.highest)
		}
	}
}

// slowStore answers after a second.
type slowStore struct {
	register *Register
	last     int64
	err      error
	reads    int
}

func (s *slowStore) read(ctx context.Context) (int64, error) {
	s.reads++
	last, err := s.last, s.err
	time.Sleep(time.Second) // of the bubble
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err != nil {
		return 0, err
	}
	s.register.SetLast(last)
	return last, nil
}

func TestManyShareOneReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Register{}
		store := &slowStore{register: r, last: 7}
		results := make(chan error, 50)
		for range cap(results) {
			go func() { results <- r.Sync(t.Context(), 7, store.read) }()
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		if err := r.Sync(t.Context(), 7, store.read); err != nil || store.reads != 1 {
			t.Errorf("Sync = %v; it was read %d times, want once", err, store.reads)
		}
	})
}

func TestWhoeverKnowsOfALaterRevocationThanWasReadReadsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Register{}
		store := &slowStore{register: r, last: 7}
		go r.Sync(t.Context(), 7, store.read)
		synctest.Wait()
		store.last = 8 // written while the other one reads
		if err := r.Sync(t.Context(), 8, store.read); err != nil || r.Last() != 8 || store.reads != 2 {
			t.Errorf("Sync = %v; Last = %d after %d reads, want 8 after two", err, r.Last(), store.reads)
		}
	})
}

func TestAnErrorOfReadingGoesToAllThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Register{}
		away := errors.New("the store is away")
		store := &slowStore{register: r, err: away}
		results := make(chan error, 3)
		for range cap(results) {
			go func() { results <- r.Sync(t.Context(), 7, store.read) }()
		}
		for range cap(results) {
			if err := <-results; !errors.Is(err, away) {
				t.Errorf("Sync = %v, want that the store is away", err)
			}
		}
		store.last, store.err = 7, nil
		if err := r.Sync(t.Context(), 7, store.read); err != nil || store.reads != 2 {
			t.Errorf("the next one: %v; %d reads, want two", err, store.reads)
		}
	})
}

func TestWhoeverHasGoneWaitsForNoReadingAndEndsNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &Register{}
		store := &slowStore{register: r, last: 7}
		reader, cancelReader := context.WithCancel(t.Context())
		reads, waits := make(chan error, 1), make(chan error, 2)
		go func() { reads <- r.Sync(reader, 7, store.read) }()
		synctest.Wait()
		waiter, cancelWaiter := context.WithCancel(t.Context())
		go func() { waits <- r.Sync(waiter, 7, store.read) }()
		synctest.Wait()
		cancelWaiter()
		cancelReader()
		began := time.Now()
		if err := <-waits; !errors.Is(err, context.Canceled) || time.Since(began) != 0 {
			t.Errorf("whoever has gone waits on: %v after %v", err, time.Since(began))
		}
		if err := <-reads; err != nil || r.Last() != 7 {
			t.Errorf("the reading ended with its caller: %v", err)
		}
	})
}
