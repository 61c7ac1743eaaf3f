package cluster

import (
	"slices"
	"sync"

	"curfew/session"
)

// members are the other nodes, by the runs of their processes.
type members struct {
	mu     sync.Mutex
	others map[string]*node
	index  int // of this node among all, in the order of their names
	count  int // of all nodes whose lease runs
}

// node is another node.
type node struct {
	lastNumber int64                   // number of its last message
	tabs       map[session.ID]struct{} // sessions with tabs there
	stale      bool                    // tab reports of it were missed
	newer      bool                    // it speaks a later version
}

func newMembers() members { return members{others: make(map[string]*node), count: 1} }

// otherLocked is the node of that name, of which nothing is known yet if it is new.
func (ms *members) otherLocked(instance string) *node {
	other := ms.others[instance]
	if other == nil {
		other = &node{tabs: make(map[session.ID]struct{}), stale: true}
		ms.others[instance] = other
	}
	return other
}

// heard notes that a node has sent its message of that number. missed: one before it was not heard.
func (ms *members) heard(instance string, number int64, newer bool) (missed bool) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	other := ms.otherLocked(instance)
	if number != other.lastNumber+1 {
		other.stale = true
		missed = other.lastNumber > 0 // else it is the first that this node hears of it
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

// leases takes over the nodes whose lease runs, and lists those whose has run out.
func (ms *members) leases(self string, alive []string) (dead []string) {
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

// remove forgets a node, and lists the sessions that had tabs there.
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

// tabsBesides lists the sessions with tabs on a node that are not among those.
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

// markStale has the tab reports of a node read again, if it is still there.
func (ms *members) markStale(instance string) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if other := ms.others[instance]; other != nil {
		other.stale = true
	}
}

// markAllStale has the tab reports of all nodes read again.
func (ms *members) markAllStale() {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	for _, other := range ms.others {
		other.stale = true
	}
}

// takeStale lists the nodes whose tab reports are to be read. What is heard of them from now on
// counts.
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

// lookForDead drops the tabs of nodes whose lease has run out.
func (m *Member) lookForDead(alive []string) {
	for _, instance := range m.members.leases(m.self, alive) {
		m.gone(instance)
	}
}

// gone drops the tabs of a node, and waits for no answer of it any more.
func (m *Member) gone(instance string) {
	tabs := m.members.remove(instance)
	m.calls.forget(instance)
	for id := range tabs {
		m.local.TabsGone(id, instance)
	}
}
