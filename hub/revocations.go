package hub

import (
	"context"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Revocations that other nodes have stored: how this node learns of them, and applies them. Those
// that this node stores itself are in forcedlogout.go.

// LastRevocation returns the number of the last revocation. A sign-in reads it before it asks the
// directory; see session.Record.SeenRevocation. After a fail-over this node may know of later
// revocations than the store has, and returns the number of those. Any error means that nobody can
// sign in now.
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
func (h *Hub) applyRevocation(r session.Revocation) {
	switch known := h.revocations.Find(r.ID); {
	case known == nil:
		h.enforce(r, nil, -1)
	case known.Revocation.CancelledAt.IsZero() && !r.CancelledAt.IsZero():
		h.applyCancellation(r)
	default:
		known.AwaitMarked()
	}
}

// applyCancellation applies the cancellation of a revocation, or of what is left of its block. It
// lifts the warning of the sessions that the revocation would have ended.
func (h *Hub) applyCancellation(r session.Revocation) {
	if e := h.revocations.Find(r.ID); e != nil {
		e.AwaitMarked() // or else a session could be marked after its warning was lifted
	}
	h.revocations.Replace(r)
	if r.Cancelled() {
		h.liftWarning(r.ID)
	}
}

// liftWarning withdraws the warning of a forced logout that was cancelled. A session that another
// one ends keeps that one's.
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

// Prune deletes what is too old from the store, and here, too; see [session.Store]. auditKeep is
// how long audit lines are kept. The program calls it from time to time.
func (h *Hub) Prune(ctx context.Context, auditKeep time.Duration) error {
	now := h.clock.Now()
	if err := h.store.Prune(ctx, now, auditKeep); err != nil {
		return err
	}
	h.revocations.ForgetTabs(now)
	return h.loadRevocations(ctx)
}

// syncRevocations reads the revocations that other nodes have stored, if last, the number of the
// store's last one, is another than before. Of many callers at the same time one reads.
func (h *Hub) syncRevocations(ctx context.Context, last int64) error {
	return h.revocations.Sync(ctx, last, func(ctx context.Context) (int64, error) {
		return h.readRevocations(ctx, false)
	})
}

// loadRevocations reads all revocations of the store, and drops those that it does not keep any
// more. The outcomes of the others stay.
func (h *Hub) loadRevocations(ctx context.Context) error {
	_, err := h.readRevocations(ctx, true)
	return err
}

// readRevocations reads and applies revocations: all, or those since the last reading. It returns
// the number of the store's last one.
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
	for _, r := range revocations {
		h.applyRevocation(r)
	}
	h.revocations.SetLast(last)
	return last, nil
}
