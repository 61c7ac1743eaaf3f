package cluster

import (
	"context"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Sessions that the store has lost: an administrator has emptied it, or has deleted a session's
// keys. Each request with the cookie is refused, but nothing tells the open tabs. So nodes look for
// such sessions; one that was missing twice, from a store that is well, ends as an administrator's
// doing. It gets its tombstone and its audit line all the same.

const (
	lostEvery = 5 * time.Second // how often this node looks for sessions that the store has lost
	// lostParts is how many parts of the sessions it looks at each time at least: at all of them
	// within half a minute.
	lostParts    = 15
	lostTogether = 1000            // ... or more, up to so many sessions
	lostAfter    = 2 * time.Second // between the two looks
	lostAtOnce   = 500             // how many sessions one call ends
)

// lost are the sessions that the store may have lost.
type lost struct {
	looked   time.Time // when lost sessions were last looked for; used by catchUp alone
	lastPart int       // the one that was looked at last; used by catchUp alone

	mu       sync.Mutex
	suspects map[session.ID]suspicion
}

// suspicion is that the store has lost a session.
type suspicion struct {
	since time.Time
	epoch string // which masters were asked
}

func newLost() lost { return lost{suspects: make(map[session.ID]suspicion)} }

// Suspect has it looked at whether the store has lost these sessions, which it did not know when it
// was asked. While it is away, or what a fail-over may have lost is being written again, that means
// nothing. A store of one process loses none.
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

// nextToLookFor lists sessions of the next parts: those that are this node's by the division of
// work, and those with tabs here.
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

// missingTwice lists the suspects that have been missing for long enough to be asked for again.
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

// endLost ends the sessions that have been missing for a while, if they still are.
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
