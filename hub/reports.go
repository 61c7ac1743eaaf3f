package hub

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"curfew/session"
)

// tabReport is word of the tabs that a node has of a session. It is what nodes leave for each
// other, as JSON.
type tabReport struct {
	instance    string
	Node        string `json:"node"`
	Tabs        int    `json:"tabs"`
	Hidden      int    `json:"hidden,omitempty"`
	Unconfirmed int    `json:"unconfirmed,omitempty"`
	Opened      int64  `json:"opened,omitempty"` // the newest, Unix ms
	Closed      bool   `json:"closed,omitempty"` // the last one was closed, and not lost
	List        []Tab  `json:"list,omitempty"`   // reportedTabs of them
}

// reportedTabs is how many tabs of a session are told one by one.
const reportedTabs = 20

// reportLoop leaves word of tabs that have changed, and tells the other nodes.
func (n *nodes) reportLoop() {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	census := time.Now()
	for {
		select {
		case <-n.hub.ctx.Done():
			return
		case <-ticker.C:
		}
		if n.departing() {
			return
		}
		if time.Since(census) > censusEvery {
			census = time.Now()
			for _, s := range n.hub.withTabs(everyone) {
				n.hub.tabsChanged(s)
			}
		}
		if err := n.publishReports(n.hub.ctx, false); err != nil {
			n.hub.log.Debug("word of tabs not left", "error", err)
		}
		n.hub.tellOutcomes(census)
	}
}

// publishReports leaves word of tabs: of those that have changed, or of all.
func (n *nodes) publishReports(ctx context.Context, whole bool) error {
	n.reporting.Lock()
	defer n.reporting.Unlock()
	n.mu.Lock()
	changed := n.changed
	n.changed = make(map[*liveSession]struct{})
	n.mu.Unlock()
	if whole {
		clear(n.reports)
		for _, s := range n.hub.allSessions() {
			changed[s] = struct{}{}
		}
	}
	news := make(map[session.ID]string)
	for s := range changed {
		s.mu.Lock()
		on := n.hub.reportLocked(s)
		s.mu.Unlock()
		text := ""
		if on.Tabs > 0 || on.Closed {
			data, err := json.Marshal(on)
			if err != nil {
				return err
			}
			text = string(data)
		}
		if n.reports[s.id] == text {
			continue
		}
		news[s.id] = text
		if on.Tabs == 0 {
			delete(n.reports, s.id)
		} else {
			n.reports[s.id] = text
		}
	}
	if len(news) == 0 && !whole {
		return nil
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(news)), messageWeight) {
		part := make(map[session.ID]string, len(ids))
		for _, id := range ids {
			part[id] = news[id]
		}
		n.hub.emit(event{Kind: eventTabs, Tabs: part})
	}
	left := make(map[session.ID]string, len(news))
	for id := range news {
		left[id] = n.reports[id]
	}
	if err := n.shared.SetTabs(ctx, n.self, left, whole); err != nil {
		n.mu.Lock()
		n.reportAll = true
		n.mu.Unlock()
		return err
	}
	return nil
}

// applyReport takes in word of another node's tabs.
func (n *nodes) applyReport(instance string, id session.ID, word string) {
	on := tabReport{instance: instance}
	if word != "" {
		if err := json.Unmarshal([]byte(word), &on); err != nil {
			n.hub.log.Warn("word of tabs not understood", "error", err)
			return
		}
		on.instance = instance
	}
	n.mu.Lock()
	other := n.nodes[instance]
	if other == nil {
		n.mu.Unlock()
		return
	}
	if on.Tabs > 0 {
		other.tabs[id] = struct{}{}
	} else {
		delete(other.tabs, id)
	}
	n.mu.Unlock()
	s := n.hub.lookup(id)
	if s == nil {
		if on.Tabs > 0 && !n.wasEnded(id) {
			n.mu.Lock()
			other.stale = true // its word is read again once the session is known
			n.refetch[id] = struct{}{}
			n.mu.Unlock()
		}
		return
	}
	n.hub.setTabsElsewhere(s, instance, on, awayAfter)
}

// refreshReports reads the word of the tabs of nodes that this one is not sure of.
func (n *nodes) refreshReports(ctx context.Context) error {
	n.mu.Lock()
	var stale []string
	for instance, other := range n.nodes {
		if other.stale {
			other.stale = false // what is heard from now on counts
			stale = append(stale, instance)
		}
	}
	n.mu.Unlock()
	for _, instance := range stale {
		words, err := n.shared.Tabs(ctx, instance)
		if err != nil {
			n.mu.Lock()
			if other := n.nodes[instance]; other != nil {
				other.stale = true
			}
			n.mu.Unlock()
			return err
		}
		n.mu.Lock()
		var over []session.ID
		if other := n.nodes[instance]; other != nil {
			for id := range other.tabs {
				if _, ok := words[id]; !ok {
					over = append(over, id)
				}
			}
		}
		n.mu.Unlock()
		for _, id := range over {
			n.applyReport(instance, id, "")
		}
		for id, word := range words {
			n.applyReport(instance, id, word)
		}
	}
	return nil
}
