package revocation

import (
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Entry is a forced logout: its revocation, and the outcomes of its tabs. Only [Register.Add] makes
// entries. An entry never changes its revocation: [Register.Replace] replaces the entry by another,
// which shares everything else with it. Tens of thousands are kept, so an entry is small; a test
// holds its size.
type Entry struct {
	Revocation session.Revocation // as it is stored; see Judged
	Outcomes   *Outcomes

	target *session.Target // one for all entries of a scope
	fate   *fate
}

// fate is what has come of a forced logout on this node, but for its tabs. Among that is whether it
// has taken effect after its grace, or a cancellation that is being stored comes first.
type fate struct {
	waiting atomic.Int64   // see Waiting
	marked  sync.WaitGroup // see SetMarked; a channel takes six times as much

	// took is the revocation once it has taken effect here, or nil. A clock that is set back does
	// not undo it.
	took atomic.Pointer[session.Revocation]

	mu         sync.Mutex
	cancelling int           // cancellations that are being stored
	settled    chan struct{} // closed when none is being stored any more
}

func newEntry(added session.Revocation) *Entry {
	target := added.Scope.Target()
	e := &Entry{
		Revocation: added,
		Outcomes:   &Outcomes{logout: added.ID, number: added.Number},
		target:     &target,
		fate:       &fate{},
	}
	e.fate.waiting.Store(int64(added.Waiting))
	e.fate.marked.Add(1)
	return e
}

// with returns a copy of e with another state of its revocation.
func (e *Entry) with(changed session.Revocation) *Entry {
	other := *e
	other.Revocation = changed
	return &other
}

// shareWith has e use the texts of another entry that are the same. Each was read from the store or
// a message on its own.
func (e *Entry) shareWith(other *Entry) {
	mine, theirs := &e.Revocation, &other.Revocation
	if mine.Actor == theirs.Actor {
		mine.Actor = theirs.Actor
	}
	if mine.Message == theirs.Message {
		mine.Message = theirs.Message
	}
	if mine.Scope == theirs.Scope {
		mine.Scope = theirs.Scope
	}
	if e.target.Scope() == other.target.Scope() {
		e.target = other.target
	}
}

// Waiting is Revocation.Waiting, or what was counted since it was stored. Only the node that the
// forced logout was asked of counts.
func (e *Entry) Waiting() int { return int(e.fate.waiting.Load()) }

// Ends reports whether e ends the session of these names, now or after its grace.
func (e *Entry) Ends(n *session.Names) bool { return e.Revocation.EndsNames(*e.target, n) }

// Before reports whether e ends a session before other does, of two that both end it.
func (e *Entry) Before(other *Entry) bool { return e.Revocation.Before(&other.Revocation) }

// SetMarked says that every live session that e ends is marked. The caller that has added e calls
// it once.
func (e *Entry) SetMarked() { e.fate.marked.Done() }

// AwaitMarked returns once SetMarked was called.
func (e *Entry) AwaitMarked() { e.fate.marked.Wait() }

// Judged returns the revocation by which sessions are judged here. Its Took is set if it has taken
// effect here.
func (e *Entry) Judged() *session.Revocation {
	if took := e.fate.took.Load(); took != nil {
		return took
	}
	return &e.Revocation
}

// TakeEffect notes that e has taken effect, if it has by now. While a cancellation is being stored,
// that is undecided: then wait is closed once it is decided. Otherwise wait is nil.
func (e *Entry) TakeEffect(now time.Time) (wait <-chan struct{}) {
	if e.Revocation.AtOnce() || e.Revocation.Cancelled() || e.fate.took.Load() != nil || !e.Revocation.InEffect(now) {
		return nil
	}
	e.fate.mu.Lock()
	defer e.fate.mu.Unlock()
	if e.fate.cancelling > 0 {
		return e.fate.settled
	}
	took := e.Revocation
	took.Took = true
	e.fate.took.Store(&took)
	return nil
}

// BeginCancel keeps e from taking effect here until EndCancel is called. A caller that has a
// cancellation stored calls both. inEffect says that e has taken effect already.
func (e *Entry) BeginCancel(now time.Time) (inEffect bool) {
	e.TakeEffect(now)
	e.fate.mu.Lock()
	defer e.fate.mu.Unlock()
	if e.fate.cancelling++; e.fate.cancelling == 1 {
		e.fate.settled = make(chan struct{})
	}
	return e.Judged().InEffect(now)
}

// EndCancel is called once for each BeginCancel, after the store has answered and e is replaced if
// it was cancelled.
func (e *Entry) EndCancel() {
	e.fate.mu.Lock()
	defer e.fate.mu.Unlock()
	if e.fate.cancelling--; e.fate.cancelling == 0 {
		close(e.fate.settled)
	}
}
