package revocation

import (
	"slices"
	"sync"
)

// maxTabs is how many tabs all forced logouts of a register list one by one, those of other nodes
// too. Beyond it those of the oldest are only counted, whenever they were told or reported. The
// newest of those that list any lists its own in any case.
const maxTabs = 10_000

// lists are the outcomes that list tabs. Its lock is among the innermost of the package. A nil
// lists counts nothing.
type lists struct {
	mu       sync.Mutex
	outcomes []*Outcomes // by the numbers of the revocations
	tabs     int         // in all of them
}

// set notes that o lists n tabs. It returns the oldest outcomes, for whose tabs there is no room
// any more; o may be among them. The caller holds o.mu, and passes them to forget once it has given
// that back.
func (l *lists) set(o *Outcomes, n int) (oldest []*Outcomes) {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case n == 0:
		l.removeLocked(o)
	case o.listed == 0:
		at, _ := slices.BinarySearchFunc(l.outcomes, o.number, func(other *Outcomes, number int64) int {
			if other.number <= number {
				return -1 // of the same number, which there are after a fail-over, o is the newer one
			}
			return 1
		})
		l.outcomes = slices.Insert(l.outcomes, at, o)
	}
	l.tabs += n - o.listed
	o.listed = n
	for l.tabs > maxTabs && len(l.outcomes) > 1 {
		first := l.outcomes[0]
		l.removeLocked(first)
		oldest = append(oldest, first)
	}
	return oldest
}

func (l *lists) removeLocked(o *Outcomes) {
	if o.listed > 0 {
		at := slices.Index(l.outcomes, o)
		l.outcomes = slices.Delete(l.outcomes, at, at+1)
		l.tabs -= o.listed
		o.listed = 0
	}
}

// forget has outcomes forget their tabs. Unlike the other methods it is called without the lock of
// any outcomes.
func (l *lists) forget(oldest []*Outcomes) {
	for _, o := range oldest {
		o.forgetTabs()
	}
}

// reset drops everything.
func (l *lists) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.outcomes {
		o.listed = 0
	}
	l.outcomes, l.tabs = nil, 0
}
