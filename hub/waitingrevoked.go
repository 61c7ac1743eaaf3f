package hub

import (
	"context"
	"math"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Forced logouts of sessions that have ended, and whose pages may wait. Nothing is marked and
// nobody is told: a page asks before it comes back, and the answer follows from the revocations.

// isRevoked reports whether a forced logout covers the session of r, which has ended, and has taken
// effect. While a cancellation is being stored it waits for the outcome. The error is that of ctx.
func (h *Hub) isRevoked(ctx context.Context, r *session.Record) (bool, error) {
	if r.End.Reason == session.ReasonAdmin {
		return true, nil
	}
	n := r.Names()
	for {
		revoked, undecided := h.coveredBy(&n, math.MaxInt64, h.clock.Now())
		if revoked || undecided == nil {
			return revoked, nil
		}
		select {
		case <-undecided: // as long as a call of the store takes at most
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// coveredBy reports whether a forced logout up to a number covers a session and has taken effect.
// While that is being decided, undecided is not nil: it is closed once it is decided.
func (h *Hub) coveredBy(n *session.Names, upTo int64, now time.Time) (revoked bool, undecided <-chan struct{}) {
	h.revocations.View(func(v revocation.View) {
		for e := range v.Ending(n) {
			if e.Revocation.Number > upTo {
				continue
			}
			if wait := e.TakeEffect(now); wait != nil {
				undecided = wait
			} else if e.Judged().InEffect(now) {
				revoked = true
				return
			}
		}
	})
	return revoked, undecided
}

// impact is what a forced logout ends.
type impact struct {
	sessions, tabs int // that live
	skipped        int
	waiting        func() (int, error) // waits until they are counted
	counted        <-chan struct{}     // closed by then
}

// auditWait is how long a forced logout waits, in real time, for the number of sessions whose pages
// wait, before it is stored. It is a figure of its audit line. Its answer waits for as long as it
// takes.
const auditWait = 50 * time.Millisecond

// waitingSoon is the number of sessions whose pages wait, or session.NotCounted if it takes too
// long to count them.
func (i impact) waitingSoon() int {
	timer := time.NewTimer(auditWait)
	defer timer.Stop()
	select {
	case <-i.counted:
	case <-timer.C:
		return session.NotCounted
	}
	n, err := i.waiting()
	if err != nil { // it is reported where it is asked again
		return session.NotCounted
	}
	return n
}

// startImpact checks whether q can be carried out, and counts what it ends. Sessions whose pages
// wait may be many, and are counted in the background; where the scope names sessions one by one,
// at once: those that live are no longer told apart from those that have ended once q is carried
// out. The errors are those of [Hub.ForceLogout] from before it stores anything.
func (h *Hub) startImpact(ctx context.Context, q LogoutRequest) (i impact, err error) {
	if !q.Everyone && (h.revocations.Count() >= maxLogouts || h.revocations.Listed()+q.Refs.Len() > maxListed) {
		return i, ErrTooManyLogouts
	}
	upTo := h.revocations.Highest()
	if q.OfSessions() {
		return h.impactOfSessions(ctx, q, upTo)
	}
	var ended []*liveSession
	i.sessions, i.tabs, ended = h.count(q.Scope, isIn(q.Scope, q.Except))
	counted := make(chan struct{})
	var waiting int
	var failed error
	i.counted = counted
	i.waiting = func() (int, error) {
		<-counted
		return waiting, failed
	}
	h.goTracked(func() {
		defer close(counted)
		waiting, failed = h.countWaiting(ctx, q, ended, upTo)
	})
	return i, nil
}

// impactOfSessions is startImpact where the scope names sessions one by one. Those that this node
// does not know, and whose pages do not wait, may have been signed in by another node a moment ago.
func (h *Hub) impactOfSessions(ctx context.Context, q LogoutRequest, upTo int64) (i impact, err error) {
	given := 1
	if q.Refs != "" {
		given = q.Refs.Len()
	}
	live, tabs, waiting := 0, 0, 0
	for again := range 2 {
		if again == 1 {
			if err := h.findInStore(ctx); err != nil {
				return i, err
			}
		}
		var ended []*liveSession
		live, tabs, ended = h.count(q.Scope, isIn(q.Scope, ""))
		if live < given {
			if waiting, err = h.countWaiting(ctx, q, ended, upTo); err != nil {
				return i, err
			}
		}
		if live+waiting >= given || h.cluster.Alone() {
			break
		}
	}
	if q.Session != "" && live+waiting == 0 {
		return i, session.ErrNotFound
	}
	counted := make(chan struct{})
	close(counted)
	i.counted, i.waiting = counted, func() (int, error) { return waiting, nil }
	i.sessions, i.tabs = live, tabs // one that has ended since counts as it was then
	if q.Except != "" {
		i.sessions, i.tabs = h.Count(q.Scope, q.Except)
	}
	i.skipped = q.Strange + max(0, given-live-waiting)
	return i, nil
}

// countWaiting counts the sessions in the scope of q that have ended and whose pages may wait,
// without those of which a forced logout up to a number has taken the pages away. It reads only
// sessions whose pages wait. ended are those whose ends may not be stored yet.
func (h *Hub) countWaiting(ctx context.Context, q LogoutRequest, ended []*liveSession, upTo int64) (int, error) {
	now := h.clock.Now()
	matches := isIn(q.Scope, q.Except)
	waiting := make(map[session.ID]bool)
	take := func(r *session.Record) {
		n := r.Names()
		if r.Keep(now) <= 0 || !matches(&n) {
			return
		}
		if revoked, _ := h.coveredBy(&n, upTo, now); !revoked {
			waiting[r.ID] = true
		}
	}
	for _, s := range ended {
		if r, ok := s.endedRecord(); ok {
			take(&r)
		}
	}
	for r, err := range h.store.Waiting(ctx, now, q.Scope) {
		if err != nil {
			return 0, err
		}
		take(&r)
	}
	return len(waiting), nil
}

// endedRecord returns the record of s with its end, if its tabs were told that it has ended.
func (s *liveSession) endedRecord() (r session.Record, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		return r, false
	}
	r = *s.record.Load()
	r.Policy, r.End = *s.policy.Load(), s.end
	return r, true
}
