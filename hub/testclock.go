package hub

import (
	"context"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/session"
)

// The test clock of --testing, and its reset.

// AdvanceClock moves the test clocks of all nodes, and tells every tab its new deadlines. It
// returns once the messages are written to the sockets of this node. It serves --testing: there
// must be a test clock. An error means that the store or another node did not answer.
func (h *Hub) AdvanceClock(ctx context.Context, d time.Duration) (now time.Time, err error) {
	if err := h.flush(ctx); err != nil {
		return now, err
	}
	if h.cluster.Alone() {
		h.advanceClockHere(ctx, d)
	} else if err := h.cluster.AdvanceClocks(ctx, d); err != nil {
		return now, err
	}
	return h.clock.Now(), nil
}

// advanceClockHere moves the test clock of this node.
func (h *Hub) advanceClockHere(ctx context.Context, d time.Duration) {
	h.testClock.Advance(d)
	h.ends.await(ctx)
	h.settle(ctx) // deadlines that were due in real time may still be at work
	for _, s := range h.allSessions() {
		h.tell(s, tellState)
	}
	h.settle(ctx)
}

// settle waits until no shard is waking sessions, no end is being stored and no tab is being
// written to, a second at most.
func (h *Hub) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for h.writers.Busy() > 0 || h.waking.Load() > 0 || h.ends.busy() {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Reset ends all sessions and deletes everything on all nodes, the store's content included. It
// serves --testing.
func (h *Hub) Reset(ctx context.Context) error {
	end := session.End{
		Reason: session.ReasonAdmin,
		At:     session.Millis(h.clock.Now()),
		Data:   map[string]string{session.DataBy: session.ByTesting},
	}
	list := h.allSessions()
	sortByID(list)
	sessions := func(yield func(*liveSession, error) bool) {
		for _, s := range list {
			if !yield(s, nil) {
				return
			}
		}
	}
	err := parallel.Each(rulesAtOnce, sessions, func(s *liveSession) error {
		if _, err := h.End(ctx, s.id, end); err != nil && !isUnknown(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := h.store.Reset(ctx); err != nil {
		return err
	}
	for _, s := range h.allSessions() {
		s.doubt() // it has begun meanwhile, and may be gone
	}
	if err := h.cluster.ResetOthers(ctx); err != nil {
		return err
	}
	h.resetHere()
	return nil
}

// resetHere drops everything on this node but its sessions, which have ended.
func (h *Hub) resetHere() {
	h.SetFault(FaultNone)
	h.revocations.Reset()
	h.notices.reset()
	h.timeline.reset()
	h.testClock.Reset()
	h.cluster.Reset()
}
