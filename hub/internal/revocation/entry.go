package revocation

import (
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Entry is a forced logout with what has come of it. Entries are made by [Register.Add] alone, and
// are never changed: one whose revocation was cancelled is replaced by another, which shares all
// but the revocation with it.
type Entry struct {
	Revocation session.Revocation // as it is stored; see Judged
	Outcomes   *Outcomes

	target session.Target
	effect *effect
	marked chan struct{} // see SetMarked
}

// effect decides on this node between a forced logout that takes effect after its grace and a
// cancellation that is being stored.
type effect struct {
	// the revocation, once it was seen to take effect here; a clock that is set back changes
	// nothing
	took       atomic.Pointer[session.Revocation]
	mu         sync.Mutex
	cancelling int           // cancellations that are being stored
	settled    chan struct{} // closed when none is any more
}

func newEntry(f session.Revocation) *Entry {
	return &Entry{
		Revocation: f,
		Outcomes:   &Outcomes{logout: f.ID},
		target:     f.Scope.Target(),
		effect:     &effect{},
		marked:     make(chan struct{}),
	}
}

// with is e with another state of its revocation.
func (e *Entry) with(f session.Revocation) *Entry {
	other := *e
	other.Revocation = f
	return &other
}

// Ends reports whether e ends the session of these names, now or after its grace.
func (e *Entry) Ends(n *session.Names) bool { return e.Revocation.EndsNames(e.target, n) }

// Before reports whether e ends a session rather than other does.
func (e *Entry) Before(other *Entry) bool { return e.Revocation.Before(&other.Revocation) }

// SetMarked says that every session that e ends knows of it. It is called once, by whoever has
// added e.
func (e *Entry) SetMarked() { close(e.marked) }

// AwaitMarked returns once every session that e ends knows of it.
func (e *Entry) AwaitMarked() { <-e.marked }

// Judged is the revocation as sessions are judged by it here. It says so where it was seen to take
// effect.
func (e *Entry) Judged() *session.Revocation {
	if f := e.effect.took.Load(); f != nil {
		return f
	}
	return &e.Revocation
}

// TakeEffect notes that e is in effect if it is by now. While a cancellation is being stored, that
// is open: wait is closed once it is decided. wait is nil where there is nothing to wait for.
func (e *Entry) TakeEffect(now time.Time) (wait <-chan struct{}) {
	if e.Revocation.AtOnce() || e.Revocation.Cancelled() || e.effect.took.Load() != nil || !e.Revocation.InEffect(now) {
		return nil
	}
	e.effect.mu.Lock()
	defer e.effect.mu.Unlock()
	if e.effect.cancelling > 0 {
		return e.effect.settled
	}
	took := e.Revocation
	took.Took = true
	e.effect.took.Store(&took)
	return nil
}

// BeginCancel keeps e from taking effect here until EndCancel is called. inEffect says that it has
// taken effect already.
func (e *Entry) BeginCancel(now time.Time) (inEffect bool) {
	e.TakeEffect(now)
	e.effect.mu.Lock()
	defer e.effect.mu.Unlock()
	if e.effect.cancelling++; e.effect.cancelling == 1 {
		e.effect.settled = make(chan struct{})
	}
	return e.Judged().InEffect(now)
}

// EndCancel is called once for each call of BeginCancel, when the store has answered and a
// cancellation has replaced e.
func (e *Entry) EndCancel() {
	e.effect.mu.Lock()
	defer e.effect.mu.Unlock()
	if e.effect.cancelling--; e.effect.cancelling == 0 {
		close(e.effect.settled)
	}
}
