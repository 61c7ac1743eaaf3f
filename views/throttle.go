package views

import (
	"context"
	"strings"
	"sync"
	"time"

	"curfew/session"
)

// Throttling begins after so many failed sign-ins within throttleWindow.
const (
	throttleWindow  = time.Minute
	maxPairFails    = 5  // of one name from one address
	maxAddressFails = 10 // from one address, by names that have not signed in from there
	maxNameFails    = 30 // of one name, from addresses where it has not signed in
)

// throttle slows down guessing. It counts failures only, and those from elsewhere never keep anybody out of an address that
// he has signed in from. Sign-ins that are under way count as failures to be, so that guesses sent at once win nothing;
// they wait for each other then, and are not refused.
type throttle struct {
	failures interface {
		Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error)
	}
	clock session.Clock

	mu       sync.Mutex
	underWay map[string]int
	changed  chan struct{} // closed when a sign-in is done with
	done     int           // sign-ins done with
}

// normalLogin is the name by which failures count, however it was typed.
func normalLogin(typed string) string { return strings.ToLower(strings.TrimSpace(typed)) }

// enter waits for its turn. If wait is not zero, the sign-in is refused for that long; else leave must be called after it,
// and after its failure was counted.
func (t *throttle) enter(ctx context.Context, login, address string) (leave func(), wait time.Duration, err error) {
	network := session.Network(address)
	pair, byAddress, byName := "pair\x00"+login+"\x00"+network, "address\x00"+network, "name\x00"+login
	for {
		t.mu.Lock()
		done := t.done
		t.mu.Unlock()
		now := t.clock.Now()
		f, err := t.failures.Failures(ctx, login, address, now.Add(-throttleWindow))
		if err != nil {
			return nil, 0, err
		}
		if wait := throttled(f, now); wait > 0 {
			return nil, wait, nil
		}
		t.mu.Lock()
		if t.done != done {
			t.mu.Unlock()
			continue // what was read may be older than a failure
		}
		fits := len(f.Pair)+t.underWay[pair] < maxPairFails
		if !f.Known {
			fits = fits && len(f.Address)+t.underWay[byAddress] < maxAddressFails && len(f.Name)+t.underWay[byName] < maxNameFails
		}
		if fits {
			keys := []string{pair}
			if !f.Known {
				keys = append(keys, byAddress, byName)
			}
			t.addLocked(keys, 1)
			t.mu.Unlock()
			return func() { t.leave(keys) }, 0, nil
		}
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

func (t *throttle) leave(keys []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.addLocked(keys, -1)
	t.done++
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

func (t *throttle) addLocked(keys []string, n int) {
	if t.underWay == nil {
		t.underWay = make(map[string]int)
	}
	for _, k := range keys {
		if t.underWay[k] += n; t.underWay[k] == 0 {
			delete(t.underWay, k)
		}
	}
}

// throttled is how long a sign-in has to wait, a minute at most; 0 if it need not.
func throttled(f session.Failures, now time.Time) time.Duration {
	wait := until(f.Pair, maxPairFails, now)
	if !f.Known {
		wait = max(wait, until(f.Address, maxAddressFails, now), until(f.Name, maxNameFails, now))
	}
	return wait
}

// until is the time until fewer than limit failures lie within the window.
func until(failures []time.Time, limit int, now time.Time) time.Duration {
	if len(failures) < limit {
		return 0
	}
	return failures[len(failures)-limit].Add(throttleWindow).Sub(now)
}
