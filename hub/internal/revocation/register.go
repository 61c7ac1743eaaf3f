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
	// Shared says that there are other nodes, so that [Register.Reports] collects outcomes for
	// them. It is set before the first use.
	Shared bool

	mu      sync.RWMutex          // held for reading during a View
	entries []*Entry              // by number
	byID    map[string]*Entry     // the same
	byScope map[scopeKey][]*Entry // the same by folded scopes (session.Scope.Each), each list by number
	listed  int                   // refs in all scopes

	last    atomic.Int64 // see Last
	highest atomic.Int64 // see Highest
	reads   reads
	news    news
	lists   lists
}

// scopeKey is a folded scope in a third of its bytes: there is one for each session that a forced
// logout lists.
type scopeKey struct {
	kind scopeKind
	name string
}

type scopeKind byte

const (
	kindNone scopeKind = iota
	kindUser
	kindGroup
	kindSession
	kindEveryone
)

// keyOf is the key of a scope that lists no sessions; see [session.Scope.Each].
func keyOf(folded session.Scope) scopeKey {
	switch {
	case folded.User != "":
		return scopeKey{kindUser, folded.User}
	case folded.Group != "":
		return scopeKey{kindGroup, folded.Group}
	case folded.Session != "":
		return scopeKey{kindSession, folded.Session}
	case folded.Everyone:
		return scopeKey{kind: kindEveryone}
	}
	return scopeKey{kind: kindNone}
}

// Add adds a revocation. If it is known already, isNew is false and e is the entry of that. A
// caller that has added an entry marks the sessions that it ends, and then calls [Entry.SetMarked].
func (r *Register) Add(added session.Revocation) (e *Entry, isNew bool) {
	e = newEntry(added)
	e.Outcomes.lists = &r.lists
	if r.Shared {
		e.Outcomes.news = &r.news
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.byID[added.ID]; known != nil {
		return known, false
	}
	if n := len(r.entries); n > 0 { // an administrator who signs out many says the same of each
		e.shareWith(r.entries[n-1])
	}
	if same := r.byScope[keyOf(e.target.Scope())]; len(same) > 0 {
		e.shareWith(same[0])
	}
	r.addLocked(e)
	return e, true
}

// addLocked inserts an entry into each list in the order of the numbers.
func (r *Register) addLocked(e *Entry) {
	if r.byID == nil {
		r.byID, r.byScope = make(map[string]*Entry), make(map[scopeKey][]*Entry)
	}
	number := e.Revocation.Number
	insert := func(list []*Entry) []*Entry { return slices.Insert(list, firstFrom(list, number), e) }
	r.byID[e.Revocation.ID] = e
	r.entries = insert(r.entries)
	for scope := range e.target.Scope().Each() {
		key := keyOf(scope)
		r.byScope[key] = insert(r.byScope[key])
	}
	r.listed += e.target.Scope().Refs.Len()
	r.raise(number)
}

// firstFrom returns the index of the first entry of a list whose number is number or higher.
func firstFrom(list []*Entry, number int64) int {
	at, _ := slices.BinarySearchFunc(list, number, func(e *Entry, number int64) int {
		return cmp.Compare(e.Revocation.Number, number)
	})
	return at
}

// Replace replaces a revocation by its later state: it was cancelled, or its block was. A
// revocation that is not known is not added.
func (r *Register) Replace(changed session.Revocation) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.byID[changed.ID]
	if old == nil {
		return
	}
	e := old.with(changed)
	r.byID[changed.ID] = e
	replace := func(list []*Entry) {
		// after a fail-over, several may have the same number
		from := firstFrom(list, old.Revocation.Number)
		if at := slices.Index(list[from:], old); at >= 0 {
			list[from+at] = e
		}
	}
	replace(r.entries)
	for scope := range e.target.Scope().Each() {
		replace(r.byScope[keyOf(scope)])
	}
}

// NoteWaiting notes how many sessions whose pages waited a forced logout covers, once they are
// counted.
func (r *Register) NoteWaiting(id string, n int) {
	if e := r.Find(id); e != nil {
		e.fate.waiting.Store(int64(n))
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

// Listed counts the refs that the scopes of all entries list.
func (r *Register) Listed() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.listed
}

// View calls f. While f runs no revocation is added or replaced: the next one finds what f has
// registered. f may lock users and sessions, and must not call a method of the register itself.
func (r *Register) View(f func(v View)) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	f(View{r})
}

// View is a register that does not change. It is valid during the call of [Register.View] that
// passes it.
type View struct{ register *Register }

// First returns the forced logout that ends a session first; nil if none does.
func (v View) First(s *session.Record) (first *Entry) {
	n := s.Names()
	for e := range v.Ending(&n) {
		if first == nil || e.Before(first) {
			first = e
		}
	}
	return first
}

// Ending iterates over the forced logouts that end the session of these names, now or after their
// grace, in no order. One may come twice.
func (v View) Ending(n *session.Names) iter.Seq[*Entry] {
	return func(yield func(*Entry) bool) {
		for scope, seen := range scopesOf(n) {
			list := v.register.byScope[keyOf(scope)]
			for _, e := range list[firstFrom(list, seen+1):] {
				if e.Ends(n) && !yield(e) {
					return
				}
			}
		}
	}
}

// scopesOf iterates over the scopes that a session is in or has left, with folded names.
// Revocations in a scope concern the session only if their number is higher than the number beside
// it.
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

// Blocking returns the forced logout that refuses a sign-in of a member of these groups at now. ok
// is false if none does. A block for everyone spares members of exempt.
func (r *Register) Blocking(user string, groups, exempt []string, now time.Time) (_ session.Revocation, ok bool) {
	record := session.Record{User: user}
	for _, name := range groups {
		record.Groups = append(record.Groups, session.Group{Name: name})
	}
	n := record.Names()
	r.mu.RLock()
	defer r.mu.RUnlock()
	for scope := range scopesOf(&n) {
		for _, e := range r.byScope[keyOf(scope)] {
			if e.Revocation.Blocks(user, groups, exempt, now) {
				return e.Revocation, true
			}
		}
	}
	return session.Revocation{}, false
}

// OfFormer reports whether a forced logout of a group was written while the user was a member, and
// was not cancelled.
func (r *Register) OfFormer(g session.FormerGroup) bool {
	r.mu.RLock()
	defer r.mu.RUnlock()
	list := r.byScope[keyOf(session.Scope{Group: g.Name}.Target().Scope())]
	return slices.ContainsFunc(list, func(e *Entry) bool {
		number := e.Revocation.Number
		return g.SeenRevocation < number && number <= g.Until && !e.Revocation.Cancelled()
	})
}

// Forget drops the revocations that no session can be older than. stored are those that the store
// keeps, and last is the number of its last one. A revocation that the store does not keep is
// dropped once it is past, see [session.Revocation.IsPast]; until then a fail-over may have lost
// it.
func (r *Register) Forget(stored []session.Revocation, last int64, now time.Time) {
	isStored := make(map[string]bool, len(stored))
	for i := range stored {
		isStored[stored[i].ID] = true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(r.entries), func(e *Entry) bool {
		known := &e.Revocation
		old := !isStored[known.ID] && known.Number <= last && known.IsPast(now)
		if old {
			e.Outcomes.forgetTabs()
		}
		return old
	})
	if len(kept) == len(r.entries) {
		return
	}
	r.entries, r.byID, r.byScope, r.listed = nil, nil, nil, 0
	for _, e := range kept {
		r.addLocked(e)
	}
}

// listedFor is how long after a forced logout its tabs are listed one by one.
const listedFor = time.Hour

// ForgetTabs drops the list of tabs of forced logouts that are older than listedFor. Their counts
// stay.
func (r *Register) ForgetTabs(now time.Time) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	for _, e := range r.entries {
		if now.Sub(e.Revocation.EffectiveAt) > listedFor {
			e.Outcomes.forgetTabs()
		}
	}
}

// Reset drops everything. It serves --testing.
func (r *Register) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.entries, r.byID, r.byScope, r.listed = nil, nil, nil, 0
	r.last.Store(0)
	r.highest.Store(0)
	r.news.reset()
	r.lists.reset()
}
