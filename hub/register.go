package hub

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// The revocations that a node knows, found by what they are about.

// register are the forced logouts that may still matter. There may be thousands: what a request, a
// sign-in or another forced logout costs does not grow with them.
type register struct {
	mu      sync.RWMutex               // held while a session is adopted, so that no revocation misses it
	entries []*entry                   // by number
	byID    map[string]*entry          // the same
	byScope map[session.Scope][]*entry // the same by folded scope, each list by number
	last    atomic.Int64               // number of the store's last revocation when they were read
	// the highest that last ever was: a fail-over may have lost the newest revocations
	highest atomic.Int64

	reads   sync.Mutex
	reading *revocationRead // under way; nil: none

	newsMu sync.Mutex
	news   map[*outcomes]struct{} // with news for other nodes
}

// entry is a forced logout with what has come of it. Its revocation is never changed: a logout that
// is called off is replaced.
type entry struct {
	revocation session.Revocation
	target     session.Target
	outcomes   *outcomes
	effect     *effect
	marked     chan struct{} // closed once every session that it covers is noted
}

// effect decides on this node between the effect of a forced logout after its grace and a
// calling-off that is being stored.
type effect struct {
	// the revocation, once it was seen to take effect here; a clock that is set back changes
	// nothing
	took       atomic.Pointer[session.Revocation]
	mu         sync.Mutex
	cancelling int           // callings-off that are being stored
	settled    chan struct{} // closed when none is any more
}

// judged is the revocation of l as it is judged here.
func (l *entry) judged() *session.Revocation {
	if f := l.effect.took.Load(); f != nil {
		return f
	}
	return &l.revocation
}

// takeEffect notes that l is in effect if it is by now. wait is not nil where that is open until it
// is closed, since the logout is being called off.
func (l *entry) takeEffect(now time.Time) (wait <-chan struct{}) {
	if l.revocation.AtOnce() || l.revocation.Cancelled() || l.effect.took.Load() != nil || !l.revocation.InEffect(now) {
		return nil
	}
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.cancelling > 0 {
		return l.effect.settled
	}
	took := l.revocation
	took.Took = true
	l.effect.took.Store(&took)
	return nil
}

// beginCancel keeps l from taking effect here until endCancel, unless it has.
func (l *entry) beginCancel(now time.Time) (inEffect bool) {
	l.takeEffect(now)
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.cancelling++; l.effect.cancelling == 1 {
		l.effect.settled = make(chan struct{})
	}
	return l.judged().InEffect(now)
}

func (l *entry) endCancel() {
	l.effect.mu.Lock()
	defer l.effect.mu.Unlock()
	if l.effect.cancelling--; l.effect.cancelling == 0 {
		close(l.effect.settled)
	}
}

func (f *register) count() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.entries)
}

func byNumber(l *entry, n int64) int { return cmp.Compare(l.revocation.Number, n) }

// addLocked keeps the order of the numbers.
func (f *register) addLocked(l *entry) {
	if f.byID == nil {
		f.byID, f.byScope = make(map[string]*entry), make(map[session.Scope][]*entry)
	}
	insert := func(list []*entry) []*entry {
		at, _ := slices.BinarySearchFunc(list, l.revocation.Number, byNumber)
		return slices.Insert(list, at, l)
	}
	scope := l.target.Scope()
	f.byID[l.revocation.ID] = l
	f.entries = insert(f.entries)
	f.byScope[scope] = insert(f.byScope[scope])
	f.raise(l.revocation.Number)
}

// replaceLocked has l take the place of another state of the same logout.
func (f *register) replaceLocked(old, l *entry) {
	f.byID[l.revocation.ID] = l
	for _, list := range [][]*entry{f.entries, f.byScope[l.target.Scope()]} {
		at, _ := slices.BinarySearchFunc(list, old.revocation.Number, byNumber)
		for ; at < len(list) && list[at].revocation.Number == old.revocation.Number; at++ {
			if list[at] == old {
				list[at] = l
			}
		}
	}
}

// keepLocked forgets the logouts that keeps does not keep.
func (f *register) keepLocked(keeps func(*entry) bool) {
	kept := slices.DeleteFunc(slices.Clone(f.entries), func(l *entry) bool { return !keeps(l) })
	if len(kept) == len(f.entries) {
		return
	}
	f.entries, f.byID, f.byScope = nil, nil, nil
	for _, l := range kept {
		f.addLocked(l)
	}
}

func (f *register) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.entries, f.byID, f.byScope = nil, nil, nil
	f.last.Store(0)
	f.highest.Store(0)
	f.newsMu.Lock()
	defer f.newsMu.Unlock()
	f.news = nil
}

func (f *register) raise(number int64) {
	for {
		old := f.highest.Load()
		if number <= old || f.highest.CompareAndSwap(old, number) {
			return
		}
	}
}

// follow notes that the revocation of this number is known. Where it is the one after the last that
// was read, none is missing.
func (f *register) follow(number int64) { f.last.CompareAndSwap(number-1, number) }

// aboutLocked goes through the logouts whose scope n is in, whatever has become of them.
func (f *register) aboutLocked(n *session.Names) iter.Seq[*entry] { return f.newerLocked(n, false) }

// newerLocked is aboutLocked, without those that n has seen where unseen is set.
func (f *register) newerLocked(n *session.Names, unseen bool) iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
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
		if !each(session.Scope{Everyone: true}, n.SeenRevocation) || !each(session.Scope{User: n.User}, n.SeenRevocation) || !each(session.Scope{Session: n.Ref}, n.SeenRevocation) {
			return
		}
		for _, g := range n.Groups {
			if !each(session.Scope{Group: g.Name}, g.SeenRevocation) {
				return
			}
		}
		for _, g := range n.Former {
			if !each(session.Scope{Group: g.Name}, g.SeenRevocation) {
				return
			}
		}
	}
}

// firstLocked is the forced logout that ends r first; nil if none does.
func (f *register) firstLocked(r *session.Record) (first *entry) {
	n := r.Names()
	for l := range f.newerLocked(&n, true) {
		if l.revocation.EndsNames(l.target, &n) && (first == nil || l.revocation.Before(&first.revocation)) {
			first = l
		}
	}
	return first
}
