package views

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"curfew/directory"
	"curfew/session"
)

// Throttling begins after so many failed sign-ins within throttleWindow.
const (
	throttleWindow  = time.Minute
	maxPairFails    = 5  // of one name from one address
	maxAddressFails = 50 // from one address, by names that have not signed in from there
	maxNameFails    = 30 // of one name, from addresses where it has not signed in
)

// maxUnderWay bounds the sign-ins of one name or one address that are under way or wait for others. Those beyond it are refused for a moment.
const maxUnderWay = 200

// throttle slows down guessing. It counts failures only, and those from elsewhere never keep anybody out of an address that
// they have signed in from. A name is the directory's entry where one is found: see [Server.authenticate].
//
// Sign-ins that are under way count as failures to be, so that guesses sent at once win nothing; they wait for each other
// then, in the order in which they came, and are not refused. Each looks at what was counted after it has taken its turn:
// whatever is not counted by then is still under way, ahead of it.
type throttle struct {
	failures interface {
		Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error)
	}
	clock session.Clock

	mu    sync.Mutex
	lines map[string][]*turn // of a pair, an address or a name: the sign-ins under way, oldest first
}

// turn is a sign-in that is under way.
type turn struct {
	moved chan struct{} // holds something where one ahead has gone
}

// full says that too many sign-ins are under way.
const full = time.Second

// enter waits for its turn. If wait is not zero, the sign-in is refused for that long; else leave must be called after it,
// and after its failure was counted.
func (t *throttle) enter(ctx context.Context, login, address string) (leave func(), wait time.Duration, err error) {
	network := session.Network(address)
	login = session.FoldName(login)
	pair, rest := "pair\x00"+login+"\x00"+network, []string{"address\x00" + network, "name\x00" + login}
	mine := t.join(pair, rest)
	if mine == nil {
		return nil, full, nil
	}
	done := func() { t.leave(mine, append(rest, pair)...) }
	defer func() {
		if wait > 0 || err != nil {
			done()
		}
	}()
	for {
		inPair, byAddress, byName := t.ahead(mine, pair), t.ahead(mine, rest[0]), t.ahead(mine, rest[1]) // before failures are read
		if inPair < maxPairFails {
			now := t.clock.Now()
			f, err := t.failures.Failures(ctx, login, address, now.Add(-throttleWindow))
			if err != nil {
				return nil, 0, err
			}
			if wait := throttled(f, now); wait > 0 {
				return nil, wait, nil
			}
			if f.Known {
				t.leave(mine, rest...) // it does not count there
			}
			if len(f.Pair)+inPair < maxPairFails && (f.Known || len(f.Address)+byAddress < maxAddressFails && len(f.Name)+byName < maxNameFails) {
				return done, 0, nil
			}
		}
		select {
		case <-mine.moved:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// join lines up in all of the lines; nil if one is full.
func (t *throttle) join(pair string, rest []string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.lines == nil {
		t.lines = make(map[string][]*turn)
	}
	keys := append([]string{pair}, rest...)
	for _, k := range keys {
		if len(t.lines[k]) >= maxUnderWay {
			return nil
		}
	}
	mine := &turn{make(chan struct{}, 1)}
	for _, k := range keys {
		t.lines[k] = append(t.lines[k], mine)
	}
	return mine
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

// errOtherEntry ends a sign-in whose name leads to another entry than the one that it is counted for.
var errOtherEntry = errors.New("the name leads to another entry")

// resolversAtOnce bounds the look-ups for names that are refused by what others do.
const resolversAtOnce = 8

// attempt is a try to sign in.
type attempt struct {
	typed, password, address string

	name  string        // that it is counted for: the entry's, else what was typed
	leave func()        // to be called after a failure was counted; nil where the sign-in was refused
	wait  time.Duration // refused for so long; 0 if it was not
}

// authenticate asks the directory once the attempt has its turn. Failures count for the entry that the name leads to, however it is
// typed; only what leads to none counts as it was typed. So the directory is asked whose name it is where it is not the entry's own:
// before the password is tried, and before somebody is refused for what others did who may have signed in from there by another name.
func (s *Server) authenticate(ctx context.Context, a *attempt) (entry directory.Entry, err error) {
	a.name = session.FoldName(a.typed)
	err = s.takeTurn(ctx, a)
	if err == nil && a.wait > 0 && s.resolve(ctx, a) {
		err = s.takeTurn(ctx, a)
	}
	for range maxEntries {
		if err != nil || a.wait > 0 {
			return directory.Entry{}, err
		}
		entry, err = s.authenticator.Authenticate(ctx, a.typed, a.password, a.found)
		if !errors.Is(err, errOtherEntry) {
			return entry, err
		}
		a.leave()
		err = s.takeTurn(ctx, a)
	}
	return directory.Entry{}, fmt.Errorf("%w: the name leads to another entry each time", directory.ErrUnavailable)
}

// maxEntries is how often a name may lead to another entry than before: once, unless it is given away at that moment.
const maxEntries = 3

func (s *Server) takeTurn(ctx context.Context, a *attempt) (err error) {
	a.leave, a.wait, err = s.throttle.enter(ctx, a.name, a.address)
	if err != nil {
		return storeError{err}
	}
	return nil
}

// found is told whose name was typed.
func (a *attempt) found(canonical string) error {
	if session.SameName(canonical, a.name) {
		a.name = canonical
		return nil
	}
	a.name = canonical
	return errOtherEntry
}

// resolve finds out whose name was typed where that may be somebody whom the refusal does not concern. other: it is another name's.
func (s *Server) resolve(ctx context.Context, a *attempt) (other bool) {
	select {
	case s.resolving <- struct{}{}:
		defer func() { <-s.resolving }()
	default:
		return false
	}
	s.authenticator.Authenticate(ctx, a.typed, a.password, func(canonical string) error {
		other = !session.SameName(canonical, a.name)
		a.name = canonical
		return errOtherEntry // the password is not tried
	})
	return other
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
