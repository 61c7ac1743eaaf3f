package hub

import (
	"context"
	"slices"
	"time"

	"curfew/session"
)

// Sessions that the store has lost: an administrator has emptied it, or has deleted a session's
// keys. Each request with the cookie is refused, but nothing tells the open tabs. So nodes look for
// such sessions; one that was missing twice, from a store that is well, ends as an administrator's
// doing. It gets its tombstone and its audit line all the same.

const (
	lostEvery = 5 * time.Second // how often this node looks for sessions that the store has lost
	// how many shards it looks at each time at least: at all of them within half a minute
	lostShards   = 15
	lostTogether = 1000            // ... or more, up to so many sessions
	lostAfter    = 2 * time.Second // between the two looks
	lostAtOnce   = 500             // how many sessions one call ends
)

// suspicion is that the store has lost a session.
type suspicion struct {
	since time.Time
	epoch string // which servers were asked
}

// suspect notes sessions that the store did not know when it was asked. While it is away, or what a
// fail-over may have lost is being written again, that means nothing.
func (n *nodes) suspect(ids ...session.ID) {
	var here []session.ID
	for _, id := range ids {
		if n.hub.lookup(id) != nil {
			here = append(here, id)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.wellLocked() {
		return
	}
	for _, id := range here {
		if _, known := n.suspects[id]; !known {
			n.suspects[id] = suspicion{time.Now(), n.epoch}
		}
	}
}

// wellLocked reports whether the store may be believed when it does not know a session.
func (n *nodes) wellLocked() bool {
	return n.recoveredLocked() && n.seenEpoch == n.epoch && time.Now().Before(n.leased)
}

// lookForLost asks the store for some of the sessions, and ends those that it has lost.
func (n *nodes) lookForLost(ctx context.Context) error {
	if time.Since(n.looked) >= lostEvery {
		n.looked = time.Now()
		missing, err := n.shared.Missing(ctx, n.someMine())
		if err != nil {
			return err
		}
		n.suspect(missing...)
	}
	return n.endLost(ctx)
}

// someMine lists sessions of the next shards: this node's share of them, and those with tabs here.
func (n *nodes) someMine() (ids []session.ID) {
	n.mu.Lock()
	rank, size := n.index, n.count
	n.mu.Unlock()
	for i := 0; i < shards && (i < lostShards || len(ids) < lostTogether); i++ {
		n.nextShard = (n.nextShard + 1) % shards
		for _, s := range n.hub.shards[n.nextShard].all() {
			s.mu.Lock()
			here := len(s.tabs) > 0
			s.mu.Unlock()
			if here || int(s.id[1])%size == rank {
				ids = append(ids, s.id)
			}
		}
	}
	return ids
}

// endLost ends the sessions that have been missing for a while, if they still are.
func (n *nodes) endLost(ctx context.Context) error {
	h := n.hub
	var gone []session.Record
	n.mu.Lock()
	if !n.wellLocked() {
		clear(n.suspects)
	}
	var ids []session.ID
	for id, s := range n.suspects {
		if s.epoch != n.epoch {
			delete(n.suspects, id)
		} else if time.Since(s.since) >= lostAfter {
			ids = append(ids, id)
		}
	}
	n.mu.Unlock()
	for _, id := range ids {
		if s := h.lookup(id); s != nil {
			gone = append(gone, *s.record.Load())
		}
	}
	for some := range slices.Chunk(gone, lostAtOnce) {
		end := session.End{Reason: session.ReasonAdmin, At: session.Millis(h.clock.Now()), Detail: "the store has lost the session"}
		lost, err := n.shared.EndLost(ctx, some, end)
		if err != nil {
			return err
		}
		for _, id := range lost {
			h.log.Warn("the store has lost a session", "session", id)
			h.tellEnded(id, end)
			if s := h.lookup(id); s != nil {
				h.note(s, "decision", "lost by the store")
				h.finish(s, end)
			}
		}
	}
	n.mu.Lock()
	for _, id := range ids {
		delete(n.suspects, id)
	}
	n.mu.Unlock()
	return nil
}
