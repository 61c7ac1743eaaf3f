package hub

import (
	"context"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Revocations that the store has or another node tells of: how they get here, and what follows from
// them. What this node writes itself is in forcedlogout.go.

// LastRevocation returns the number of the last revocation. A sign-in reads it before it asks the
// directory; see session.Record.SeenRevocation. This node may know of later ones than the store:
// after a fail-over they are yet to be stored again. Any error means that nobody can sign in now.
func (h *Hub) LastRevocation(ctx context.Context) (int64, error) {
	if err := h.cluster.InReach(); err != nil {
		return 0, err
	}
	last, err := h.store.LastRevocation(ctx)
	if err != nil {
		return 0, err
	}
	if !h.cluster.Alone() {
		if err := h.syncRevocations(ctx, last); err != nil {
			return 0, err
		}
		if err := h.cluster.HasRecovered(ctx); err != nil {
			return 0, err
		}
		last = max(last, h.revocations.Newest())
	}
	return last, nil
}

// applyRevocation applies a revocation that another node has stored, or its cancellation. It
// returns once all sessions that it ends are marked.
func (h *Hub) applyRevocation(f session.Revocation) {
	switch known := h.revocations.Find(f.ID); {
	case known == nil:
		h.enforce(f, nil, -1)
	case known.Revocation.CancelledAt.IsZero() && !f.CancelledAt.IsZero():
		h.applyCancellation(f)
	default:
		known.AwaitMarked() // by whoever has added it
	}
}

// applyCancellation applies the cancellation of a revocation, or of what is left of its block.
func (h *Hub) applyCancellation(f session.Revocation) {
	if l := h.revocations.Find(f.ID); l != nil {
		l.AwaitMarked() // else a session could be marked after the warnings are withdrawn
	}
	h.revocations.Replace(f)
	if f.Cancelled() {
		h.liftWarning(f.ID)
	}
}

// liftWarning withdraws the warnings of a forced logout that was cancelled.
func (h *Hub) liftWarning(id string) {
	for _, s := range h.allSessions() {
		mine := false
		h.revocations.View(func(v revocation.View) {
			s.mu.Lock()
			defer s.mu.Unlock()
			if mine = s.revocation != nil && s.revocation.Revocation.ID == id && !s.ending; mine {
				s.revocation = v.First(s.record.Load())
			}
		})
		if mine {
			h.tell(s, tellState)
		}
	}
}

// Prune has the store forget what is too old, and forgets it here, too; see [session.Store]. The
// program calls it from time to time.
func (h *Hub) Prune(ctx context.Context, auditKeep time.Duration) error {
	now := h.clock.Now()
	if err := h.store.Prune(ctx, now, auditKeep); err != nil {
		return err
	}
	h.revocations.ForgetTabs(now)
	return h.loadRevocations(ctx)
}

// syncRevocations takes over what other nodes have stored, if the number of the store's last
// revocation is another than it was. Of many that need it at once, one reads.
func (h *Hub) syncRevocations(ctx context.Context, last int64) error {
	return h.revocations.Sync(ctx, last, func(ctx context.Context) (int64, error) {
		return h.readRevocations(ctx, false)
	})
}

// loadRevocations reads all revocations of the store, and forgets those that it has forgotten. What
// has come of the others stays known.
func (h *Hub) loadRevocations(ctx context.Context) error {
	_, err := h.readRevocations(ctx, true)
	return err
}

// readRevocations reads all revocations, or those that are not known, applies them, and returns the
// number of the store's last one.
func (h *Hub) readRevocations(ctx context.Context, all bool) (last int64, err error) {
	var revocations []session.Revocation
	if !h.cluster.Alone() && !all {
		revocations, last, all, err = h.cluster.RevocationsAfter(ctx, h.revocations.Last())
	} else if last, err = h.store.LastRevocation(ctx); err == nil {
		revocations, err = h.store.Revocations(ctx)
	}
	if err != nil {
		return 0, err
	}
	if all {
		h.revocations.Forget(revocations, last, h.clock.Now())
	}
	for _, f := range revocations {
		h.applyRevocation(f)
	}
	h.revocations.SetLast(last)
	return last, nil
}
