package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Sessions that the store has lost: an administrator has emptied it, or has deleted the keys of a
// session. Requests with the cookie are refused, but nothing tells the open tabs. So nodes look for
// such sessions. One that is missing twice from a healthy store ends for the reason admin, with a
// tombstone and an audit line as any other.

const (
	lostEvery = 5 * time.Second // how often this node looks for sessions that the store has lost
	// lostParts is how many parts of the sessions it looks at each time at least: at all of them
	// within half a minute.
	lostParts    = 15
	lostTogether = 1000            // it looks at more parts until it has so many sessions
	lostAfter    = 2 * time.Second // between the two looks
	lostAtOnce   = 500             // how many sessions one call ends
)

// lost is the search for sessions that the store has lost.
type lost struct {
	looked   time.Time // when it was last searched; used by catchUp alone
	lastPart int       // the part that was searched last; used by catchUp alone

	mu       sync.Mutex
	suspects map[session.ID]suspicion
}

// suspicion says that the store did not know a session.
type suspicion struct {
	since time.Time
	epoch string // in which the store was asked
}

func newLost() lost { return lost{suspects: make(map[session.ID]suspicion)} }

// Suspect notes sessions that the store did not know when it was asked. If it still does not know
// them after a while, they end. While the store is out of reach, or sessions are being written
// again after a fail-over, a missing session means nothing, and is not noted. On a node alone it
// does nothing.
func (m *Member) Suspect(ids ...session.ID) {
	if m == nil || len(ids) == 0 {
		return
	}
	var known []session.ID
	for _, id := range ids {
		if m.local.Knows(id) {
			known = append(known, id)
		}
	}
	m.lost.mu.Lock()
	defer m.lost.mu.Unlock()
	epoch, well := m.recovery.well()
	if !well {
		return
	}
	for _, id := range known {
		if _, suspected := m.lost.suspects[id]; !suspected {
			m.lost.suspects[id] = suspicion{time.Now(), epoch}
		}
	}
}

// lookForLost asks the store for some of the sessions, and ends those that it has lost.
func (m *Member) lookForLost(ctx context.Context) error {
	if time.Since(m.lost.looked) >= lostEvery {
		m.lost.looked = time.Now()
		missing, err := m.shared.Missing(ctx, m.nextToLookFor())
		if err != nil {
			return err
		}
		m.Suspect(missing...)
	}
	return m.endLost(ctx)
}

// nextToLookFor lists sessions of the next parts: those in this node's part of the work, and those
// with tabs here.
func (m *Member) nextToLookFor() (ids []session.ID) {
	part := m.MyPart(0)
	for i, parts := 0, m.local.Parts(); i < parts && (i < lostParts || len(ids) < lostTogether); i++ {
		m.lost.lastPart = (m.lost.lastPart + 1) % parts
		for _, k := range m.local.Part(m.lost.lastPart) {
			if k.Tabs || part.Has(k.ID) {
				ids = append(ids, k.ID)
			}
		}
	}
	return ids
}

// missingTwice lists the suspects that were noted long enough ago to be asked for again.
func (m *Member) missingTwice() (ids []session.ID) {
	m.lost.mu.Lock()
	defer m.lost.mu.Unlock()
	epoch, well := m.recovery.well()
	if !well {
		clear(m.lost.suspects)
	}
	for id, s := range m.lost.suspects {
		if s.epoch != epoch {
			delete(m.lost.suspects, id)
		} else if time.Since(s.since) >= lostAfter {
			ids = append(ids, id)
		}
	}
	return ids
}

// endLost ends the suspects that the store still does not know.
func (m *Member) endLost(ctx context.Context) error {
	ids := m.missingTwice()
	var gone []session.Record
	for _, id := range ids {
		if r, known := m.local.Record(id); known {
			gone = append(gone, r)
		}
	}
	for some := range slices.Chunk(gone, lostAtOnce) {
		end := session.End{
			Reason: session.ReasonAdmin,
			At:     session.Millis(m.clock.Now()),
			Cause:  session.CauseLost,
			Detail: "the store has lost the session",
		}
		lost, err := m.shared.EndLost(ctx, some, end)
		if err != nil {
			return err
		}
		for _, id := range lost {
			m.log.Warn("the store has lost a session", "session", id)
			m.TellEnded(id, end)
			m.local.Ended(id, end, "lost by the store")
		}
	}
	m.lost.mu.Lock()
	defer m.lost.mu.Unlock()
	for _, id := range ids {
		delete(m.lost.suspects, id)
	}
	return nil
}
