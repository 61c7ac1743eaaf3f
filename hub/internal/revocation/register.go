package revocation

import (
	"cmp"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Register holds the forced logouts that may still matter. There may be thousands: what a request,
// a sign-in or another forced logout costs does not grow with them. The zero value is empty and
// ready to use. Its methods may be called concurrently.
type Register struct {
	// Shared says that there are other nodes, which are told of outcomes; see [Register.Reports].
	// It is set before the first use.
	Shared bool

	mu      sync.RWMutex               // held during a View
	entries []*Entry                   // by number
	byID    map[string]*Entry          // the same
	byScope map[session.Scope][]*Entry // the same by folded scope, each list by number

	last    atomic.Int64 // number of the store's last revocation when they were read
	highest atomic.Int64 // the highest that is known of, ever; see Highest
	reads   reads
	news    news
}

// Add makes f known. isNew is false where it is known already; e is what is known then. Whoever
// adds an entry marks the sessions that it ends, and then calls [Entry.SetMarked].
func (r *Register) Add(f session.Revocation) (e *Entry, isNew bool) {
	e = newEntry(f)
	if r.Shared {
		e.Outcomes.news = &r.news
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byID[f.ID]; known != nil {
		return known, false
	}
	r.addLocked(e)
	return e, true
}

// addLocked keeps the order of the numbers.
func (r *Register) addLocked(e *Entry) {
	if r.byID == nil {
		r.byID, r.byScope = make(map[string]*Entry), make(map[session.Scope][]*Entry)
	}
	number, scope := e.Revocation.Number, e.target.Scope()
	insert := func(list []*Entry) []*Entry { return slices.Insert(list, firstFrom(list, number), e) }
	r.byID[e.Revocation.ID] = e
	r.entries = insert(r.entries)
	r.byScope[scope] = insert(r.byScope[scope])
	r.raise(number)
}

// firstFrom is the index of the first entry of a list whose number is not lower.
func firstFrom(list []*Entry, number int64) int {
	at, _ := slices.BinarySearchFunc(list, number, func(e *Entry, number int64) int {
		return cmp.Compare(e.Revocation.Number, number)
	})
	return at
}

// Replace takes over another state of a known revocation: it was cancelled, or its block was. What
// is not known is not added.
func (r *Register) Replace(f session.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.byID[f.ID]
	if old == nil {
		return
	}
	e := old.with(f)
	r.byID[f.ID] = e
	for _, list := range [][]*Entry{r.entries, r.byScope[e.target.Scope()]} {
		// after a fail-over, several may have the same number
		from := firstFrom(list, old.Revocation.Number)
		if at := slices.Index(list[from:], old); at >= 0 {
			list[from+at] = e
		}
	}
}

// Find returns the entry of the revocation with that ID, or nil.
func (r *Register) Find(id string) *Entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byID[id]
}

// List lists all entries by number, the oldest first.
func (r *Register) List() []*Entry {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Clone(r.entries)
}

// Count counts the entries.
func (r *Register) Count() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.entries)
}

// View calls f. While f runs no revocation is added: what f registers is seen by the next one. f
// may lock users and sessions, and must not call any method of the register itself.
func (r *Register) View(f func(v View)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(View{r})
}

// View is a register in which nothing changes. It must not be used after the call of
// [Register.View] that gave it.
type View struct{ register *Register }

// First returns the forced logout that ends s first; nil if none does.
func (v View) First(s *session.Record) (first *Entry) {
	n := s.Names()
	for scope, seen := range scopesOf(&n) {
		list := v.register.byScope[scope]
		for _, e := range list[firstFrom(list, seen+1):] {
			if e.Ends(&n) && (first == nil || e.Before(first)) {
				first = e
			}
		}
	}
	return first
}

// scopesOf goes through the scopes that n is in or has left, with folded names, and tells the
// number of the last revocation in each that does not concern n.
func scopesOf(n *session.Names) iter.Seq2[session.Scope, int64] {
	return func(yield func(session.Scope, int64) bool) {
		for _, scope := range [...]session.Scope{{Everyone: true}, {User: n.User}, {Session: n.Ref}} {
			if !yield(scope, n.SeenRevocation) {
				return
			}
		}
		for _, g := range n.Groups {
			if !yield(session.Scope{Group: g.Name}, g.SeenRevocation) {
				return
			}
		}
		for _, g := range n.Former {
			if !yield(session.Scope{Group: g.Name}, g.SeenRevocation) {
				return
			}
		}
	}
}

// Blocking returns the forced logout that refuses a sign-in of a member of these groups at now; ok
// is false where none does. A block for everyone spares members of exempt.
func (r *Register) Blocking(user string, groups, exempt []string, now time.Time) (f session.Revocation, ok bool) {
	record := session.Record{User: user}
	for _, name := range groups {
		record.Groups = append(record.Groups, session.Group{Name: name})
	}
	n := record.Names()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for scope := range scopesOf(&n) {
		for _, e := range r.byScope[scope] {
			if e.Revocation.Blocks(user, groups, exempt, now) {
				return e.Revocation, true
			}
		}
	}
	return session.Revocation{}, false
}

// OfFormer reports whether a forced logout of the group was written while somebody was the member
// of it that g tells of, and was not cancelled.
func (r *Register) OfFormer(g session.FormerGroup) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := r.byScope[session.Scope{Group: g.Name}.Target().Scope()]
	return slices.ContainsFunc(list, func(e *Entry) bool {
		f := &e.Revocation
		return g.SeenRevocation < f.Number && f.Number <= g.Until && !f.Cancelled()
	})
}

// Forget forgets the revocations that no session can be older than. stored are those that the store
// keeps, which has numbered them up to last. What the store does not keep is forgotten once it is
// older than [session.RevocationKeptFor]; until then the store may have lost it.
func (r *Register) Forget(stored []session.Revocation, last int64, now time.Time) {
	isStored := make(map[string]bool, len(stored))
	for _, f := range stored {
		isStored[f.ID] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(r.entries), func(e *Entry) bool {
		f := &e.Revocation
		return !isStored[f.ID] && f.Number <= last && now.Sub(f.At) > session.RevocationKeptFor
	})
	if len(kept) == len(r.entries) {
		return
	}
	r.entries, r.byID, r.byScope = nil, nil, nil
	for _, e := range kept {
		r.addLocked(e)
	}
}

// listedFor is how long after a forced logout its tabs are listed one by one.
const listedFor = time.Hour

// ForgetTabs forgets the tabs of old forced logouts, and keeps how many there were.
func (r *Register) ForgetTabs(now time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.entries {
		if now.Sub(e.Revocation.EffectiveAt) > listedFor {
			e.Outcomes.forgetTabs()
		}
	}
}

// Reset forgets everything, for tests.
func (r *Register) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries, r.byID, r.byScope = nil, nil, nil
	r.last.Store(0)
	r.highest.Store(0)
	r.news.reset()
}
