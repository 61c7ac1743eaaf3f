package views

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Throttling begins after so many failed sign-ins within throttleWindow.
const (
	throttleWindow  = time.Minute
	maxPairFails    = 5  // of one name from one address
	maxAddressFails = 50 // from one address, by names that have not signed in from there
	maxNameFails    = 30 // of one name, from addresses where it has not signed in
)

// maxUnderWay bounds the sign-ins of one name or one address that are under way or wait for others.
// Those beyond it are asked to come back in a moment.
const maxUnderWay = 200

var (
	// errCrowded says that too many sign-ins are under way.
	errCrowded = errors.New("too many sign-ins of this name or address are under way")
	// errMustWait says that others are ahead of a sign-in that does not wait for its turn.
	errMustWait = errors.New("other sign-ins of this name or address are ahead")
)

// failureReader is the part of the store that the throttle reads.
type failureReader interface {
	Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error)
}

// throttle slows down guessing. It counts failures only, and those from elsewhere never keep
// anybody out of an address that they have signed in from. A name is the directory's entry where
// one is found: see [Server.authenticate].
//
// Sign-ins that are under way count as failures to be, so that guesses sent at once win nothing;
// they wait for each other then, in the order in which they came, and are not refused. Each looks
// at what was counted after it has taken its turn: whatever is not counted by then is still under
// way, ahead of it.
type throttle struct {
	failures failureReader
	clock    session.Clock

	mu    sync.Mutex
	lines map[string][]*turn // of a pair, an address or a name: the sign-ins under way, oldest first
}

// turn is a sign-in that is under way.
type turn struct {
	moved chan struct{} // holds something where one ahead has gone
}

// delay is why a sign-in is refused.
type delay struct {
	wait time.Duration // for so long, a minute at most; 0: it is not refused
	own  bool          // by failures of this name at this address
}

// enter waits for its turn, where it may. Unless it is refused, leave must be called after the
// sign-in, and after its failure was counted. errCrowded, errMustWait; any other error means that
// the failures cannot be read.
func (t *throttle) enter(ctx context.Context, login, address string, mayWait bool) (leave func(), refused delay,
	err error) {
	network := session.Network(address)
	login = session.FoldName(login)
	pair, rest := "pair\x00"+login+"\x00"+network, []string{"address\x00" + network, "name\x00" + login}
	mine, crowded := t.join(pair, rest)
	if mine == nil {
		return nil, delay{}, errCrowded
	}
	done := func() { t.leave(mine, append(rest, pair)...) }
	defer func() {
		if refused.wait > 0 || err != nil {
			done()
		}
	}()
	stranger := false // the name has not signed in from the address
	for {
		// before failures are read
		inPair, byAddress, byName := t.ahead(mine, pair), t.ahead(mine, rest[0]), t.ahead(mine, rest[1])
		if inPair < maxPairFails && !(stranger && (byAddress >= maxAddressFails || byName >= maxNameFails)) {
			now := t.clock.Now()
			f, err := t.failures.Failures(ctx, login, address, now.Add(-throttleWindow))
			if err != nil {
				return nil, delay{}, err
			}
			if refused := throttled(f, now); refused.wait > 0 {
				return nil, refused, nil
			}
			switch stranger = !f.Known; {
			case f.Known:
				t.leave(mine, rest...) // it does not count there
			case crowded:
				return nil, delay{}, errCrowded
			}
			if len(f.Pair)+inPair < maxPairFails && (f.Known || len(f.Address)+byAddress < maxAddressFails &&
				len(f.Name)+byName < maxNameFails) {
				return done, delay{}, nil
			}
		}
		if !mayWait {
			return nil, delay{}, errMustWait
		}
		select {
		case <-mine.moved:
		case <-ctx.Done():
			return nil, delay{}, ctx.Err()
		}
	}
}

// join lines up in all of the lines; nil if that of the pair is full. crowded: another one is, and
// it has lined up in none of those. Whoever has signed in from the address is not concerned by
// them.
func (t *throttle) join(pair string, rest []string) (mine *turn, crowded bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines = make(map[string][]*turn)
	}
	if len(t.lines[pair]) >= maxUnderWay {
		return nil, true
	}
	crowded = slices.ContainsFunc(rest, func(k string) bool { return len(t.lines[k]) >= maxUnderWay })
	keys := []string{pair}
	if !crowded {
		keys = append(keys, rest...)
	}
	mine = &turn{make(chan struct{}, 1)}
	for _, k := range keys {
		t.lines[k] = append(t.lines[k], mine)
	}
	return mine, crowded
}

// ahead is how many stand before mine in a line; 0 where it stands there no more.
func (t *throttle) ahead(mine *turn, key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(0, slices.Index(t.lines[key], mine))
}

// leave leaves lines and lets those behind know.
func (t *throttle) leave(mine *turn, keys ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		i := slices.Index(t.lines[k], mine)
		if i < 0 {
			continue
		}
		t.lines[k] = slices.Delete(t.lines[k], i, i+1)
		for _, behind := range t.lines[k][i:] {
			select {
			case behind.moved <- struct{}{}:
			default: // it knows
			}
		}
		if len(t.lines[k]) == 0 {
			delete(t.lines, k)
		}
	}
}

// throttled is how long a sign-in has to wait.
func throttled(f session.Failures, now time.Time) delay {
	wait := until(f.Pair, maxPairFails, now)
	if own := wait > 0; own || f.Known {
		return delay{wait, own}
	}
	return delay{max(until(f.Address, maxAddressFails, now), until(f.Name, maxNameFails, now)), false}
}

// until is the time until fewer than limit failures lie within the window, and no more than that:
// nodes that date them have clocks of their own.
func until(failures []time.Time, limit int, now time.Time) time.Duration {
	if len(failures) < limit {
		return 0
	}
	return min(throttleWindow, failures[len(failures)-limit].Add(throttleWindow).Sub(now))
}
