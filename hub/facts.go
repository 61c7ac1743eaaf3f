package hub

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// The forced logouts that a node knows, found by what they are about, and how it learns of those of other nodes.

// forced are the forced logouts that may still matter. There may be thousands: what a request, a sign-in or another forced
// logout costs does not grow with them.
type forced struct {
	mu      sync.RWMutex                // held while a session is adopted, so that no fact misses it
	logouts []*logout                   // by number
	byID    map[string]*logout          // the same
	byScope map[session.Scope][]*logout // the same by folded scope, each list by number
	last    atomic.Int64                // number of the store's last fact when they were read
	highest atomic.Int64                // the highest that last ever was: a fail-over may have lost the newest facts

	reads   sync.Mutex
	reading *factsRead // under way; nil: none

	stirs   sync.Mutex
	stirred map[*progress]struct{} // with news for other nodes
}

// factsRead is one reading of facts, which all wait for who need it.
type factsRead struct {
	done chan struct{}
	last int64 // that the store had
	err  error
}

// logout is a forced logout with what has come of it. Its fact is never changed: a logout that is called off is replaced.
type logout struct {
	fact     session.Fact
	target   session.Target
	progress *progress
	effect   *effect
	covered  chan struct{} // closed once every session that it covers is noted
}

func (h *Hub) newLogout(f session.Fact) *logout {
	l := &logout{fact: f, target: f.Scope.Target(), progress: &progress{logout: f.ID}, effect: &effect{}, covered: make(chan struct{})}
	if h.nodes != nil {
		l.progress.forced = &h.forced
	}
	return l
}

// effect decides on this node between the effect of a forced logout after its grace and a calling-off that is being stored.
type effect struct {
	took    atomic.Pointer[session.Fact] // the fact, once it was seen to take effect here; a clock that is set back changes nothing
	mu      sync.Mutex
	calling int           // callings-off that are being stored
	settled chan struct{} // closed when none is any more
}

// judged is the fact of l as it is judged here.
func (l *logout) judged() *session.Fact {
	if f := l.effect.took.Load(); f != nil {
		return f
	}
	return &l.fact
}

// takeEffect notes that l is in effect if it is by now. wait is not nil where that is open until it is closed, since the logout is
// being called off.
func (l *logout) takeEffect(now time.Time) (wait <-chan struct{}) {
	if l.fact.AtOnce() || l.fact.Void() || l.effect.took.Load() != nil || !l.fact.InEffect(now) {
		return nil
	}
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.calling > 0 {
		return l.effect.settled
	}
	took := l.fact
	took.Took = true
	l.effect.took.Store(&took)
	return nil
}

// beginCancel keeps l from taking effect here until endCancel, unless it has.
func (l *logout) beginCancel(now time.Time) (inEffect bool) {
	l.takeEffect(now)
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.calling++; l.effect.calling == 1 {
		l.effect.settled = make(chan struct{})
	}
	return l.judged().InEffect(now)
}

func (l *logout) endCancel() {
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.calling--; l.effect.calling == 0 {
		close(l.effect.settled)
	}
}

// awaitEffect returns when it is certain whether the forced logout that ends s first has taken effect.
func (h *Hub) awaitEffect(s *live) {
	for {
		s.mu.Lock()
		l := s.forced
		s.mu.Unlock()
		if l == nil {
			return
		}
		wait := l.takeEffect(h.clock.Now())
		if wait == nil {
			return
		}
		<-wait // a call of the store has its limit
	}
}

func (f *forced) count() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.logouts)
}

func byNumber(l *logout, n int64) int { return cmp.Compare(l.fact.Number, n) }

// addLocked keeps the order of the numbers.
func (f *forced) addLocked(l *logout) {
	if f.byID == nil {
		f.byID, f.byScope = make(map[string]*logout), make(map[session.Scope][]*logout)
	}
	insert := func(list []*logout) []*logout {
		at, _ := slices.BinarySearchFunc(list, l.fact.Number, byNumber)
		return slices.Insert(list, at, l)
	}
	scope := l.target.Scope()
	f.byID[l.fact.ID] = l
	f.logouts = insert(f.logouts)
	f.byScope[scope] = insert(f.byScope[scope])
	f.raise(l.fact.Number)
}

// replaceLocked has l take the place of another state of the same logout.
func (f *forced) replaceLocked(old, l *logout) {
	f.byID[l.fact.ID] = l
	for _, list := range [][]*logout{f.logouts, f.byScope[l.target.Scope()]} {
		at, _ := slices.BinarySearchFunc(list, old.fact.Number, byNumber)
		for ; at < len(list) && list[at].fact.Number == old.fact.Number; at++ {
			if list[at] == old {
				list[at] = l
			}
		}
	}
}

// keepLocked forgets the logouts that keeps does not keep.
func (f *forced) keepLocked(keeps func(*logout) bool) {
	kept := slices.DeleteFunc(slices.Clone(f.logouts), func(l *logout) bool { return !keeps(l) })
	if len(kept) == len(f.logouts) {
		return
	}
	f.logouts, f.byID, f.byScope = nil, nil, nil
	for _, l := range kept {
		f.addLocked(l)
	}
}

func (f *forced) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.logouts, f.byID, f.byScope = nil, nil, nil
	f.last.Store(0)
	f.highest.Store(0)
	f.stirs.Lock()
	defer f.stirs.Unlock()
	f.stirred = nil
}

func (f *forced) raise(number int64) {
	for {
		old := f.highest.Load()
		if number <= old || f.highest.CompareAndSwap(old, number) {
			return
		}
	}
}

// follow notes that the fact of this number is known. Where it is the one after the last that was read, none is missing.
func (f *forced) follow(number int64) { f.last.CompareAndSwap(number-1, number) }

// aboutLocked goes through the logouts whose scope n is in, whatever has become of them.
func (f *forced) aboutLocked(n *session.Names) iter.Seq[*logout] { return f.newerLocked(n, false) }

// newerLocked is aboutLocked, without those that n has seen where unseen is set.
func (f *forced) newerLocked(n *session.Names, unseen bool) iter.Seq[*logout] {
	return func(yield func(*logout) bool) {
		each := func(scope session.Scope, seen int64) bool {
			list := f.byScope[scope]
			if unseen {
				at, _ := slices.BinarySearchFunc(list, seen+1, byNumber)
				list = list[at:]
			}
			for _, l := range list {
				if !yield(l) {
					return false
				}
			}
			return true
		}
		if !each(session.Scope{Everyone: true}, n.SeenFact) || !each(session.Scope{User: n.User}, n.SeenFact) || !each(session.Scope{Session: n.Ref}, n.SeenFact) {
			return
		}
		for _, g := range n.Groups {
			if !each(session.Scope{Group: g.Name}, g.SeenFact) {
				return
			}
		}
		for _, g := range n.Former {
			if !each(session.Scope{Group: g.Name}, g.SeenFact) {
				return
			}
		}
	}
}

// coveringLocked is the forced logout that ends r first; nil if none does.
func (f *forced) coveringLocked(r *session.Record) (first *logout) {
	n := r.Names()
	for l := range f.newerLocked(&n, true) {
		if l.fact.CoversNames(l.target, &n) && (first == nil || l.fact.Before(&first.fact)) {
			first = l
		}
	}
	return first
}

func (h *Hub) findLogout(id string) *logout {
	h.forced.mu.RLock()
	defer h.forced.mu.RUnlock()
	return h.forced.byID[id]
}

// syncFacts takes over what other nodes have stored, if the number of the last fact is another than it was. Of many that need it
// at once, one reads.
func (h *Hub) syncFacts(ctx context.Context, last int64) error {
	for h.forced.last.Load() != last {
		h.forced.reads.Lock()
		read, mine := h.forced.reading, false
		if read == nil {
			read, mine = &factsRead{done: make(chan struct{})}, true
			h.forced.reading = read
		}
		h.forced.reads.Unlock()
		if mine { // not by the caller's context alone: others wait, too
			read.last, read.err = h.readFacts(context.WithoutCancel(ctx), false)
			h.forced.reads.Lock()
			h.forced.reading = nil
			h.forced.reads.Unlock()
			close(read.done)
			return read.err
		}
		select {
		case <-read.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if read.err != nil || read.last >= last { // else it began before the fact that this caller knows of
			return read.err
		}
	}
	return nil
}

// loadFacts reads all facts that may still matter, and keeps what is known of those that stay.
func (h *Hub) loadFacts(ctx context.Context) error {
	_, err := h.readFacts(ctx, true)
	return err
}

// readFacts reads all facts, or those that are not known, and returns the number of the store's last one.
func (h *Hub) readFacts(ctx context.Context, all bool) (last int64, err error) {
	var facts []session.Fact
	if h.nodes != nil && !all {
		facts, last, all, err = h.nodes.peers.FactsAfter(ctx, h.forced.last.Load())
	} else if last, err = h.store.LastFact(ctx); err == nil {
		facts, err = h.store.Facts(ctx)
	}
	if err != nil {
		return 0, err
	}
	if all {
		h.forgetFacts(last, facts)
	}
	for _, f := range facts {
		h.takeFact(f)
	}
	h.forced.last.Store(last)
	h.forced.raise(last)
	return last, nil
}

// forgetFacts forgets the old logouts that are not among the facts that the store keeps.
func (h *Hub) forgetFacts(last int64, facts []session.Fact) {
	stored := make(map[string]bool, len(facts))
	for _, f := range facts {
		stored[f.ID] = true
	}
	now := h.clock.Now()
	h.forced.mu.Lock()
	defer h.forced.mu.Unlock()
	h.forced.keepLocked(func(l *logout) bool {
		return stored[l.fact.ID] || l.fact.Number > last || now.Sub(l.fact.At) <= session.FactKeptFor
	})
}
