package hub

import (
	"context"
	"math"
	"sync"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Forced logouts of sessions that have ended, and whose pages may wait. Nothing is marked and nobody
// is told: a page asks before it comes back, and the answer follows from the revocations.

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

// impact is what a forced logout does beside the live sessions that it ends.
type impact struct {
	skipped int
	waiting func() (int, error) // waits until they are counted
	counted <-chan struct{}     // closed by then
}

// auditWait is how long a forced logout waits, in real time, for the number of sessions whose pages
// wait, before it is stored. It is a figure of its audit line. Its answer waits for as long as it
// takes.
const auditWait = 50 * time.Millisecond

// waitingSoon is the number of sessions whose pages wait, or 0 if it takes too long to count them.
func (i impact) waitingSoon() int {
	timer := time.NewTimer(auditWait)
	defer timer.Stop()
	select {
	case <-i.counted:
	case <-timer.C:
		return 0
	}
	n, _ := i.waiting() // an error is reported where it is asked again
	return n
}

// startImpact checks whether q can be carried out, and begins to count the sessions whose pages
// wait. Where the scope names sessions one by one, it counts them at once: those that live are no
// longer told apart from those that have ended once q is carried out. The errors are those of
// [Hub.ForceLogout] from before it stores anything.
func (h *Hub) startImpact(ctx context.Context, q LogoutRequest) (i impact, err error) {
	if !q.Everyone && (h.revocations.Count() >= maxLogouts || h.revocations.Listed()+q.Refs.Len() > maxListed) {
		return i, ErrTooManyLogouts
	}
	upTo := h.revocations.Highest()
	count := sync.OnceValues(func() (int, error) { return h.countWaiting(ctx, q.Scope, q.Except, upTo) })
	counted := make(chan struct{})
	i.counted, i.waiting = counted, count
	if !q.OfSessions() {
		h.goTracked(func() {
			defer close(counted)
			count()
		})
		return i, nil
	}
	defer close(counted)
	given := 1
	if q.Refs != "" {
		given = q.Refs.Len()
	}
	live, _ := h.Count(q.Scope, "")
	if live < given {
		if err := h.findInStore(ctx); err != nil {
			return i, err
		}
		live, _ = h.Count(q.Scope, "")
	}
	waiting := 0
	if live < given {
		if waiting, err = count(); err != nil {
			return i, err
		}
	}
	i.waiting = func() (int, error) { return waiting, nil }
	if q.Session != "" && live+waiting == 0 {
		return i, session.ErrNotFound
	}
	i.skipped = q.Strange + max(0, given-live-waiting)
	return i, nil
}

// countWaiting counts the sessions in a scope that have ended and whose pages may wait, without
// those of which a forced logout up to a number has taken the pages away. It reads only sessions
// whose pages wait.
func (h *Hub) countWaiting(ctx context.Context, scope session.Scope, except string, upTo int64) (int, error) {
	now := h.clock.Now()
	target := scope.Target()
	waiting := make(map[session.ID]bool)
	take := func(r *session.Record) {
		n := r.Names()
		if r.Keep(now) <= 0 || !target.Matches(&n) || except != "" && except == n.Ref {
			return
		}
		if revoked, _ := h.coveredBy(&n, upTo, now); !revoked {
			waiting[r.ID] = true
		}
	}
	for _, s := range h.refs.findAll(scope) {
		if r, ended := s.endingRecord(); ended { // its end may not be stored yet
			take(&r)
		}
	}
	for r, err := range h.store.Waiting(ctx, now, scope.User) {
		if err != nil {
			return 0, err
		}
		take(&r)
	}
	return len(waiting), nil
}

// endingRecord returns the record of s with its end, if its tabs were told that it has ended.
func (s *liveSession) endingRecord() (r session.Record, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end == nil {
		return r, false
	}
	r = *s.record.Load()
	r.Policy, r.End = *s.policy.Load(), s.end
	return r, true
}
