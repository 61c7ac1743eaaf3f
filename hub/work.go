package hub

import (
	"time"

	"curfew/session"
)

// How long this node waits for others to write the ends that follow from a forced logout: some
// seconds, and longer for each of many. Nothing depends on it but the audit line of a node that
// died over it.
const (
	othersWrite     = 10 * time.Second
	othersWriteEach = 300 * time.Microsecond // three times what it takes Redis; see docs/nodes.md
)

// myPart is the part of sessions whose ends this node writes; the others' are looked at later,
// should they not have.
func (n *nodes) myPart(list []*liveSession) (mine []*liveSession) {
	n.mu.Lock()
	rank, size := n.index, n.count
	n.mu.Unlock()
	written := n.hub.clock.Now().Add(othersWrite + time.Duration(len(list))*othersWriteEach)
	for i, s := range list {
		if int(s.id[1])%size == rank {
			mine = append(mine, s)
		} else {
			s.shard.wakeBy(s, written.Add(time.Duration(i)*othersWriteEach)) // one after the other
		}
	}
	return mine
}

// stagger is how long this node leaves the end of a session to others: those that have tabs of it
// first, then one after the other.
func (n *nodes) stagger(id session.ID) time.Duration {
	const each = 100 * time.Millisecond
	n.mu.Lock()
	defer n.mu.Unlock()
	return each * time.Duration(1+(n.index+int(id[1]))%n.count)
}
