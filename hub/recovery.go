package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// restoreEnds writes the ends of the last minutes again to the masters that were found. They may be
// more than fit into one call: the next one goes on where this one stops.
func (n *nodes) restoreEnds(ctx context.Context, found string) error {
	n.mu.Lock()
	if n.restored == nil || n.restoredTo != found {
		n.restored, n.restoredTo = make(map[session.ID]struct{}), found
	}
	ends := make(map[session.ID]session.End, len(n.ends))
	for id, e := range n.ends {
		if _, done := n.restored[id]; !done && e.end != nil {
			ends[id] = *e.end
		}
	}
	n.mu.Unlock()
	var failed error // guarded by n.mu
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for id, end := range ends {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := n.hub.store.End(ctx, id, end, time.Time{})
			n.mu.Lock()
			defer n.mu.Unlock()
			if err != nil && !isUnknown(err) {
				failed = err
				return
			}
			n.restored[id] = struct{}{}
		})
	}
	wg.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return err
	}
	n.mu.Lock()
	n.restored = nil // the next fail-over begins anew
	n.mu.Unlock()
	return nil
}

// restore writes again what a fail-over may have lost: the revocations, and the ends of the last
// minutes.
func (n *nodes) restore(ctx context.Context, found string) error {
	h := n.hub
	var revocations []session.Revocation
	for _, l := range h.revocations.List() {
		if mustSurviveFailover(&l.Revocation, h.clock.Now()) {
			revocations = append(revocations, l.Revocation)
		}
	}
	if err := n.shared.RestoreRevocations(ctx, revocations, h.revocations.Highest()); err != nil {
		return err
	}
	if err := n.restoreEnds(ctx, found); err != nil {
		return err
	}
	last, err := n.shared.LastLine(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	lower := last < n.highestLine // lines were lost: the numbers begin again lower
	n.after = min(n.after, last)
	n.mu.Unlock()
	if lower {
		for r, err := range h.store.Live(ctx) {
			if err != nil {
				return err
			}
			n.reconcile(ctx, r)
		}
	}
	return nil
}

// mustSurviveFailover reports whether a fail-over must not lose f: it is new, or was called off or
// took effect not long ago, or has yet to.
func mustSurviveFailover(f *session.Revocation, now time.Time) bool {
	recent := now.Add(-restoredAfterFailover)
	return f.At.After(recent) || f.CancelledAt.After(recent) || f.EffectiveAt.After(recent) || f.BlockUntil.After(now)
}

// errRecovering refuses sign-ins for a moment.
var errRecovering = errors.New("the store has failed over, and nodes are writing again what it may have lost")

// hasRestored reports whether all nodes have had the time to write again what a fail-over may have
// lost. A sign-in that came before would be older than a forced logout that was.
func (n *nodes) hasRestored(ctx context.Context) bool {
	masters := n.shared.Epoch(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	return masters == n.epoch && !time.Now().Before(n.recovered)
}

// recoveredLocked reports whether deadlines may be judged. While the store is away, and for a
// moment after it, another node may know of acts that nobody else does.
func (n *nodes) recoveredLocked() bool { return !n.away && !time.Now().Before(n.recovered) }

func (n *nodes) isRecovered() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.recoveredLocked()
}

// deferEnd reports whether s, whose time seems to be up, is not to be ended now: nodes may be
// writing what they know after the store was away, or a forced logout may have been called off.
func (n *nodes) deferEnd(ctx context.Context, s *liveSession) bool {
	h := n.hub
	s.mu.Lock()
	forced := s.endLocked().Reason == session.ReasonAdmin
	s.mu.Unlock()
	if forced {
		if last, err := h.store.LastRevocation(ctx); err == nil { // else what is known holds
			if err := h.syncRevocations(ctx, last); err != nil {
				h.log.Debug("forced logouts not read", "error", err)
			}
		}
		return false
	}
	if n.isRecovered() {
		return false
	}
	s.shard.wakeBy(s, h.clock.Now().Add(recoverFor/4))
	return true
}

// endOf is the end of a session, if this node has seen it in the last minutes; else nil.
func (n *nodes) endOf(id session.ID) *session.End {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ends[id].end
}

// wasEnded reports whether a session has ended in the last minutes: word of its sign-in comes too
// late.
func (n *nodes) wasEnded(id session.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ended := n.ends[id]
	return ended
}

// ended notes an end, to be written again should it be lost. nil: only that there was one.
func (n *nodes) ended(id session.ID, end *session.End) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if end != nil || n.ends[id].end == nil {
		n.ends[id] = recentEnd{end, time.Now()}
	}
}

func (n *nodes) forgetOldEnds() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, e := range n.ends {
		if time.Since(e.at) > restoredAfterFailover {
			delete(n.ends, id)
		}
	}
}

type recentEnd struct {
	end *session.End // nil: all that is known is that it ended
	at  time.Time
}
