package hub

import (
	"context"
	"errors"
	"time"

	"curfew/session"
)

// A session that is made older for tests, as if the test clock had been moved for it alone. Its
// times are moved back instead: in the store, and on each node that knows it. What tells how old a
// copy of its times is, is when it was signed in.

// Age makes the session of a ref so much older, and returns once what follows is written to the
// sockets of its tabs on this node, and done on the others. It goes from one due time of the
// session to the next, as the clock does, so that its warning is told before its end. Forced
// logouts have the time of all, and do not come nearer. by is in whole milliseconds. The error is
// session.ErrNotFound for a session that is unknown, or ended over 24 hours ago; any other means
// that the store or another node did not answer. Calls at once add up. It serves --testing.
func (h *Hub) Age(ctx context.Context, ref string, by time.Duration) (now time.Time, err error) {
	if err := errors.Join(h.flush(ctx), h.cluster.FlushOthers(ctx)); err != nil {
		return now, err
	}
	r, err := h.store.Age(ctx, ref, 0)
	if err != nil {
		return now, err
	}
	if now = h.clock.Now(); r.End != nil && now.Sub(r.End.At) >= session.TombstoneFor {
		return now, session.ErrNotFound
	}
	for first := true; first || by > 0; first = false {
		step := by
		if r.End == nil {
			step = min(by, h.untilDue(h.ensureLive(ctx, r)))
		}
		if r, err = h.store.Age(ctx, ref, step); err != nil {
			return now, err
		}
		if r.End == nil {
			if r, err = h.ageOnAllNodes(ctx, r); err != nil {
				return now, err
			}
		}
		by -= step
	}
	return h.clock.Now(), nil
}

// untilDue is how long it takes until s is warned or ends, in whole milliseconds.
func (h *Hub) untilDue(s *liveSession) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, r := h.clock.Now(), s.recordLocked()
	r.Revocation = nil
	_, next := s.policy.Load().At(&r, now)
	if next.IsZero() {
		return 0
	}
	const ms = time.Millisecond
	return (next.Sub(now) + ms - 1).Truncate(ms)
}

// ageOnAllNodes makes a session that was aged in the store as old on all nodes, and returns it as
// the store has it then.
func (h *Hub) ageOnAllNodes(ctx context.Context, r session.Record) (session.Record, error) {
	h.ageHere(ctx, r.ID, r.CreatedAt)
	if err := h.cluster.AgeOnOthers(ctx, r.ID, r.CreatedAt); err != nil {
		return r, err
	}
	r, err := h.store.Get(ctx, r.ID)
	if err != nil || r.End != nil { // a request may just have brought it into memory again
		return r, err
	}
	if s := h.lookup(r.ID); s != nil && h.isDue(s) {
		return r, errNotEnded
	}
	return r, nil
}

// ageLimit is how long what follows from the new age of a session is waited for.
const ageLimit = time.Second

// ageHere makes a session as old on this node as it is in the store, and has what is due done.
// created is when it was signed in, by its new age.
func (h *Hub) ageHere(ctx context.Context, id session.ID, created time.Time) {
	s := h.lookup(id)
	if s == nil {
		return // it has ended, or is read when it is asked for
	}
	s.ageTo(created)
	for over := time.Now().Add(ageLimit); h.isDue(s) && time.Now().Before(over); h.wait(notDuePause) {
		if h.expire(ctx, s) == verdictOver {
			break
		}
	}
	h.tell(s, tellState)
	h.settle(ctx)
}

// ageTo moves the times of s back, so that it was signed in at created. It never moves them
// forward.
func (s *liveSession) ageTo(created time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := session.FromUnixMilli(s.created.Load())
	by := old.Sub(created)
	if by <= 0 {
		return
	}
	known := session.Record{CreatedAt: old, LeftAt: s.awayAt.time(), Tabs: s.tabTimes}
	known.Age(by)
	s.created.Store(created.UnixMilli())
	s.active.Add(-by.Milliseconds())
	if at := s.unstoredAct.Load(); at != 0 {
		s.unstoredAct.CompareAndSwap(at, at-by.Milliseconds())
	}
	s.tabTimes, s.awayAt = known.Tabs, momentOf(known.LeftAt)
	r := *s.record.Load()
	r.Age(by)
	s.record.Store(&r)
}

// sameAge makes s and a record of it that was read from the store as old as the older one of them:
// the store is aged first, and a node that has missed it learns of it here.
func (s *liveSession) sameAge(r *session.Record) {
	created := session.FromUnixMilli(s.created.Load())
	switch ahead := r.CreatedAt.Sub(created); {
	case ahead > 0: // it was read before
		r.Age(ahead)
	case ahead < 0:
		s.ageTo(r.CreatedAt)
	}
}
