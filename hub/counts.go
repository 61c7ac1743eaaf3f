package hub

import (
	"maps"
	"sync"

	"curfew/session"
)

// counts are what the metrics show.
type counts struct {
	mu   sync.Mutex
	ends map[session.Reason]int
}

func (c *counts) ended(why session.Reason, n int) {
	if n == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ends == nil {
		c.ends = make(map[session.Reason]int)
	}
	c.ends[why] += n
}

// Stats are figures of a hub at an instant.
type Stats struct {
	Sessions int
	Tabs     int
	Ends     map[session.Reason]int // since the hub was made
	Nodes    int                    // that share the store, this one included
	Away     bool                   // the store did not answer the last pulse of this node
}

// Stats counts.
func (h *Hub) Stats() Stats {
	st := Stats{Nodes: 1}
	h.mu.Lock()
	for _, slot := range h.slots {
		st.Tabs += len(slot)
	}
	h.mu.Unlock()
	if n := h.nodes; n != nil {
		n.mu.Lock()
		st.Nodes, st.Away = len(n.others)+1, n.away
		n.mu.Unlock()
	}
	for _, sh := range h.shards {
		sh.mu.Lock()
		st.Sessions += len(sh.sessions)
		sh.mu.Unlock()
	}
	h.counts.mu.Lock()
	defer h.counts.mu.Unlock()
	st.Ends = maps.Clone(h.counts.ends)
	return st
}
