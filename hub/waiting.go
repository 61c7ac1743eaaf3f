package hub

import (
	"context"
	"errors"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Pages that wait: a page whose session ended by time is blank, and comes back when its user signs
// in again. The hub tells how long it may wait, and whether it may come back.

// keepAfter is how long the pages of s wait after end.
func (h *Hub) keepAfter(s *liveSession, end session.End) time.Duration {
	r := session.Record{Policy: *s.policy.Load(), End: &end}
	return r.Keep(h.clock.Now())
}

// Ended is what a page is told of the end of its own session.
type Ended struct {
	Record  session.Record // with its end
	Keep    time.Duration  // how long pages may still wait
	Since   time.Duration  // since the end
	Revoked bool           // a forced logout covers it: its pages never come back
}

// maxSignOns is how many sessions of a browser are followed back. More than that in a day are no
// person's.
const maxSignOns = 1000

// Ended tells how the session of a record stands that has ended. latest is the session that the
// browser had last, which has ended as well; the zero ID if it has a live one, or none. The error
// is that of a store that cannot be asked.
func (h *Hub) Ended(ctx context.Context, r *session.Record, latest session.ID) (Ended, error) {
	if !h.cluster.Alone() {
		last, err := h.store.LastRevocation(ctx)
		if err == nil {
			err = h.syncRevocations(ctx, last)
		}
		if err != nil {
			return Ended{}, err
		}
	}
	now := h.clock.Now()
	e := Ended{Record: *r, Keep: r.Keep(now), Since: now.Sub(r.End.At), Revoked: h.isRevoked(r, now)}
	if e.Revoked {
		e.Keep = 0
	}
	if e.Keep > 0 && latest != (session.ID{}) {
		out, err := h.signedOutSince(ctx, r.ID, latest)
		if err != nil {
			return Ended{}, err
		}
		if out {
			e.Keep = 0
		}
	}
	return e, nil
}

// isRevoked reports whether a forced logout covers the session of r, which has ended, and has taken
// effect.
func (h *Hub) isRevoked(r *session.Record, now time.Time) bool {
	if r.End.Reason == session.ReasonAdmin {
		return true
	}
	var first *revocation.Entry
	h.revocations.View(func(v revocation.View) { first = v.First(r) })
	return first != nil && first.Judged().InEffect(now)
}

// signedOutSince reports whether the user of the session id has signed out of a session that
// followed it in its browser. latest is the last one of the browser.
func (h *Hub) signedOutSince(ctx context.Context, id, latest session.ID) (bool, error) {
	for range maxSignOns {
		if latest == id || latest == (session.ID{}) {
			return false, nil
		}
		r, err := h.store.Get(ctx, latest)
		switch {
		case errors.Is(err, session.ErrNotFound):
			return false, nil
		case err != nil:
			return false, err
		case !r.Continues:
			return false, nil
		case r.End != nil && r.End.Reason == session.ReasonLogout:
			return h.follows(ctx, id, r.Before)
		}
		latest = r.Before
	}
	return true, nil
}

// follows reports whether the browser's sessions lead from later back to id.
func (h *Hub) follows(ctx context.Context, id, later session.ID) (bool, error) {
	for range maxSignOns {
		if later == id || later == (session.ID{}) {
			return later == id, nil
		}
		r, err := h.store.Get(ctx, later)
		switch {
		case errors.Is(err, session.ErrNotFound), err == nil && !r.Continues:
			return false, nil
		case err != nil:
			return false, err
		}
		later = r.Before
	}
	return true, nil
}

// OfHandle returns the session that a page asks about by a handle; see [session.Marks.OfHandle].
// The errors are those of [Hub.Lookup].
func (h *Hub) OfHandle(ctx context.Context, handle string) (r session.Record, err error) {
	id, ok := h.marks.OfHandle(handle)
	if !ok {
		return r, session.ErrNotFound
	}
	return h.Lookup(ctx, id)
}
