package cluster

import (
	"time"

	"curfew/session"
)

// Division of work that every node could do. Nothing depends on it but the time at which something
// is done: whatever a node has not done, others do later.

// How long this node waits for others to write the ends that follow from a forced logout: some
// seconds, and longer for each of many. Nothing depends on it but the audit line of a node that
// died over it.
const (
	othersWrite     = 10 * time.Second
	othersWriteEach = 300 * time.Microsecond // three times what it takes Redis; see docs/nodes.md
)

// Part is this node's part of the work on many sessions.
type Part struct {
	index, count int
	work         int // of all nodes
}

// MyPart divides the work on so many sessions among the nodes. A node that is alone has all of it.
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

// DoneBy tells after which time others should have done their parts, so that this node may look at
// the i-th session again. It looks at one after the other.
func (p Part) DoneBy(i int) time.Duration {
	return othersWrite + time.Duration(p.work+i)*othersWriteEach
}

// Stagger is how long this node leaves the end of a session to others: those that have tabs of it
// first, then one after the other.
func (m *Member) Stagger(id session.ID) time.Duration {
	if m == nil {
		return 0
	}
	const each = 100 * time.Millisecond
	m.members.mu.Lock()
	defer m.members.mu.Unlock()
	return each * time.Duration(1+(m.members.index+int(id[1]))%m.members.count)
}
