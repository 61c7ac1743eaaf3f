package cluster

import (
	"slices"
	"sync"

	"curfew/session"
)

// members are the other nodes. An instance names one run of a process.
type members struct {
	mu     sync.Mutex
	others map[string]*node // by instance
	index  int              // place of this node among all whose lease runs, in the order of their names
	count  int              // how many these are
}

// node is another node.
type node struct {
	lastNumber int64                   // number of its last message
	tabs       map[session.ID]struct{} // sessions with tabs there
	stale      bool                    // tab reports of it were missed
	newer      bool                    // it sends messages of a later version
}

func newMembers() members { return members{others: make(map[string]*node), count: 1} }

// otherLocked returns a node, adding it if needed.
func (ms *members) otherLocked(instance string) *node {
	other := ms.others[instance]
	if other == nil {
		other = &node{tabs: make(map[session.ID]struct{}), stale: true}
		ms.others[instance] = other
	}
	return other
}

// received notes the number of a message of a node. missed says that messages before it were lost.
func (ms *members) received(instance string, number int64, newer bool) (missed bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	other := ms.otherLocked(instance)
	if number != other.lastNumber+1 {
		other.stale = true
		missed = other.lastNumber > 0 // or else it is the first message
	}
	other.lastNumber = number
	other.newer = other.newer || newer
	return missed
}

// haveNewer reports whether there is a node whose messages this one cannot read.
func (ms *members) haveNewer() bool {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, other := range ms.others {
		if other.newer {
			return true
		}
	}
	return false
}

// setAlive notes the nodes whose lease runs, and lists those whose lease has run out.
func (ms *members) setAlive(self string, alive []string) (dead []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for instance := range ms.others {
		if !slices.Contains(alive, instance) {
			dead = append(dead, instance)
		}
	}
	for _, instance := range alive {
		if instance != self {
			ms.otherLocked(instance)
		}
	}
	slices.Sort(alive)
	ms.index, ms.count = max(0, slices.Index(alive, self)), max(1, len(alive))
	return dead
}

// remove removes a node, and returns the sessions with tabs there.
func (ms *members) remove(instance string) map[session.ID]struct{} {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	other := ms.others[instance]
	delete(ms.others, instance)
	if other == nil {
		return nil
	}
	return other.tabs
}

// setTabs notes whether a node has tabs of a session. It returns false if there is no such node.
func (ms *members) setTabs(instance string, id session.ID, some bool) (ok bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	other := ms.others[instance]
	if other == nil {
		return false
	}
	if some {
		other.tabs[id] = struct{}{}
	} else {
		delete(other.tabs, id)
	}
	return true
}

// tabsBesides lists the sessions that are noted to have tabs on a node, and that are not in known.
func (ms *members) tabsBesides(instance string, known map[session.ID]string) (ids []session.ID) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if other := ms.others[instance]; other != nil {
		for id := range other.tabs {
			if _, ok := known[id]; !ok {
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// markStale schedules another reading of the tab reports of a node, if the node is still there.
func (ms *members) markStale(instance string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if other := ms.others[instance]; other != nil {
		other.stale = true
	}
}

// markAllStale schedules another reading of the tab reports of all nodes.
func (ms *members) markAllStale() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, other := range ms.others {
		other.stale = true
	}
}

// takeStale lists the nodes whose tab reports are to be read again, and marks them as fresh: a
// report that comes from now on is newer than what will be read.
func (ms *members) takeStale() (stale []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for instance, other := range ms.others {
		if other.stale {
			other.stale = false
			stale = append(stale, instance)
		}
	}
	return stale
}

// instances lists the other nodes.
func (ms *members) instances() (list []string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for instance := range ms.others {
		list = append(list, instance)
	}
	return list
}

// dropDead drops the nodes whose lease has run out.
func (m *Member) dropDead(alive []string) {
	for _, instance := range m.members.setAlive(m.self, alive) {
		m.gone(instance)
	}
}

// gone drops a node with its tabs. No call waits for its answer any more.
func (m *Member) gone(instance string) {
	tabs := m.members.remove(instance)
	m.calls.forget(instance)
	for id := range tabs {
		m.local.TabsGone(id, instance)
	}
}
