package hub

import (
	"cmp"
	"context"
	"time"

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

// Ended tells how the session of a record stands that has ended. The error is that of a store that
// cannot be asked.
func (h *Hub) Ended(ctx context.Context, r *session.Record) (Ended, error) {
	if !h.cluster.Alone() {
		last, err := h.store.LastRevocation(ctx)
		if err == nil {
			err = h.syncRevocations(ctx, last)
		}
		if err != nil {
			return Ended{}, err
		}
	}
	revoked, err := h.isRevoked(ctx, r)
	if err != nil {
		return Ended{}, err
	}
	now := h.clock.Now()
	e := Ended{Record: *r, Keep: r.Keep(now), Since: now.Sub(r.End.At), Revoked: revoked}
	if e.Revoked {
		e.Keep = 0
	}
	return e, nil
}

// maxBefore is how many sessions of a browser are followed back. More than that in a day are no
// person's.
const maxBefore = 1000

// endKeepBefore has the pages wait no longer of the sessions that the same user had in the browser
// before, since the user signs out of the session id. Others may have used the browser in between.
// It is durable when it returns. After an error the next call does what is left. The sessions are
// noted at once, so that a sign-out takes about as long whether they are one or fifty.
func (h *Hub) endKeepBefore(ctx context.Context, id session.ID) error {
	before, err := h.keptBefore(ctx, id)
	if err != nil {
		return err
	}
	results := make(chan error, len(before))
	for _, id := range before {
		go func() { results <- h.store.EndKeep(ctx, id) }()
	}
	for range before {
		err = cmp.Or(err, <-results)
	}
	return err
}

// keptBefore lists the sessions whose pages wait and that the user of the session id had in its
// browser before it.
func (h *Hub) keptBefore(ctx context.Context, id session.ID) (list []session.ID, err error) {
	now := h.clock.Now()
	own, err := h.store.Get(ctx, id)
	r := own
	for n := 0; err == nil && r.Before != (session.ID{}) && n < maxBefore; n++ {
		r, err = h.store.Get(ctx, r.Before)
		if err == nil && r.End != nil && r.Keep(now) > 0 && session.SameUser(&own, &r) {
			list = append(list, r.ID)
		}
	}
	if isUnknown(err) { // it has ended over a day ago, and those before it earlier
		err = nil
	}
	return list, err
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
