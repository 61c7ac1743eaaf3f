package cluster

import (
	"time"

	"curfew/session"
)

// Division of work that any node could do. Only the time of the work depends on it: what one node
// has not done, others do later.

// How long this node leaves others the time to write their part of the ends of a forced logout:
// some seconds, and longer for each end. If a node dies before, its audit lines are late by so
// much.
const (
	othersWrite     = 10 * time.Second
	othersWriteEach = 300 * time.Microsecond // three times what it takes Redis; see docs/nodes.md
)

// Part is this node's part of the work on many sessions.
type Part struct {
	index, count int
	work         int // how many sessions there are in all
}

// MyPart divides the work on so many sessions among the nodes, and returns this node's part. A node
// alone has all of it.
func (m *Member) MyPart(work int) Part {
	if m == nil {
		return Part{count: 1, work: work}
	}
	m.members.mu.Lock()
	defer m.members.mu.Unlock()
	return Part{index: m.members.index, count: m.members.count, work: work}
}

// Has reports whether the work on a session is this node's.
func (p Part) Has(id session.ID) bool { return int(id[1])%p.count == p.index }

// DoneBy returns after what time other nodes should be done, so that this node may check the i-th
// session. It checks one after the other.
func (p Part) DoneBy(i int) time.Duration {
	return othersWrite + time.Duration(p.work+i)*othersWriteEach
}

// Stagger returns how long this node leaves the end of a session without tabs here to others. Nodes
// with tabs of it come first, and then one node after the other.
func (m *Member) Stagger(id session.ID) time.Duration {
	if m == nil {
		return 0
	}
	const each = 100 * time.Millisecond
	m.members.mu.Lock()
	defer m.members.mu.Unlock()
	return each * time.Duration(1+(m.members.index+int(id[1]))%m.members.count)
}
