package views

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

// guesser tries to sign in against a throttle over a real store.
type guesser struct {
	t     *testing.T
	store *bolt.Store
	throttle
}

func newGuesser(t *testing.T) *guesser {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &guesser{t, store, throttle{failures: store, clock: session.RealClock{}}}
}

// try reports how long a sign-in has to wait; 0 if it was made. takes is how long the directory takes.
func (g *guesser) try(login, address string, right bool, takes time.Duration) time.Duration {
	leave, wait, err := g.enter(context.Background(), login, address)
	if err != nil {
		g.t.Error(err)
	}
	if wait > 0 {
		return wait
	}
	defer leave()
	pass(takes)
	if !right {
		if err := g.store.Append(context.Background(), session.Event{At: time.Now(), Kind: session.EventSignInFailed, User: login, Address: address}); err != nil {
			g.t.Error(err)
		}
	}
	return 0
}

// pass lets time pass in a bubble, where that takes none.
func pass(d time.Duration) { time.Sleep(d) }

// known has the login sign in from the address.
func (g *guesser) known(login, address string) {
	g.t.Helper()
	r := storetest.Record(login)
	r.Address, r.CreatedAt = address, time.Now()
	if _, err := g.store.Create(g.t.Context(), r, 0); err != nil {
		g.t.Fatal(err)
	}
}

func TestThrottleOfOneNameFromOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		for i := range 5 {
			if wait := g.try("ada", "192.0.2.1", false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
			pass(time.Second)
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 55*time.Second {
			t.Errorf("the right password waits %s, want until the first failure is a minute old", wait)
		}
		if wait := g.try("ada", "192.0.2.2", true, 0); wait != 0 {
			t.Errorf("from elsewhere it waits %s", wait)
		}
		if wait := g.try("grace", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("another name waits %s", wait)
		}
		pass(55 * time.Second)
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("a minute after the first failure it waits %s", wait)
		}
	})
}

func TestThrottleOfOneAddressAndOfOneName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		g.known("ada", "192.0.2.1")
		for i := range 10 {
			if wait := g.try(fmt.Sprint("user", i), "192.0.2.1", false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
		}
		if wait := g.try("stranger", "192.0.2.1", true, 0); wait == 0 {
			t.Error("after ten failures from an address a name new to it need not wait")
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("ada has signed in from there and waits %s", wait)
		}
		for i := range 30 {
			if wait := g.try("ada", fmt.Sprintf("198.51.100.%d", i), false, 0); wait != 0 {
				t.Fatalf("failure %d had to wait", i+1)
			}
		}
		if wait := g.try("ada", "203.0.113.1", true, 0); wait == 0 {
			t.Error("after thirty failures of a name an address new to it need not wait")
		}
		if wait := g.try("ada", "192.0.2.1", true, 0); wait != 0 {
			t.Errorf("failures elsewhere keep ada out of her own address for %s", wait)
		}
	})
}

func TestGuessesAtOnceWinNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		made := 0
		var mu sync.Mutex
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if g.try("ada", "192.0.2.1", false, time.Second) == 0 {
					mu.Lock()
					made++
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if made != 5 {
			t.Errorf("%d guesses at once were made, want 5", made)
		}
	})
}

func TestManyRightPasswordsAtOnceAllPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGuesser(t)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if wait := g.try("shared", "192.0.2.1", true, time.Second); wait != 0 {
					t.Errorf("a right password was refused for %s", wait)
				}
			})
		}
		wg.Wait()
	})
}
