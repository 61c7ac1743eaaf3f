package hub

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"curfew/session"
)

// What other nodes have and do, seen from one session.

// tabsOn is word of the tabs that a node has of a session. It is what nodes leave for each other, as JSON.
type tabsOn struct {
	instance    string
	Node        string `json:"node"`
	Tabs        int    `json:"tabs"`
	Hidden      int    `json:"hidden,omitempty"`
	Unconfirmed int    `json:"unconfirmed,omitempty"`
	Opened      int64  `json:"opened,omitempty"` // the newest, Unix ms
	Closed      bool   `json:"closed,omitempty"` // the last one was closed, and not lost
	List        []Tab  `json:"list,omitempty"`   // wordTabs of them
}

// wordTabs is how many tabs of a session are told one by one.
const wordTabs = 20

// tabsLocked counts the tabs of s on all nodes.
func (s *live) tabsLocked() int {
	total := len(s.tabs)
	for _, on := range s.elsewhere {
		total += on.Tabs
	}
	return total
}

// wordLocked is the word of this node's tabs of s.
func (h *Hub) wordLocked(s *live) tabsOn {
	on := tabsOn{Node: h.node, Tabs: len(s.tabs), Closed: s.closed}
	for _, t := range s.tabs {
		one := h.tabLocked(t)
		if one.Hidden {
			on.Hidden++
		}
		if one.Unconfirmed {
			on.Unconfirmed++
		}
		on.Opened = max(on.Opened, one.OpenedAt.UnixMilli())
		if len(on.List) < wordTabs {
			on.List = append(on.List, one)
		}
	}
	return on
}

// tabsChanged has word left of the tabs of s.
func (h *Hub) tabsChanged(s *live) {
	if n := h.nodes; n != nil {
		n.mu.Lock()
		n.changed[s] = struct{}{}
		n.mu.Unlock()
	}
}

// wordLoop leaves word of tabs that have changed, and tells the other nodes.
func (n *nodes) wordLoop() {
	ticker := time.NewTicker(wordEvery)
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
		if err := n.leaveWord(n.hub.ctx, false); err != nil {
			n.hub.log.Debug("word of tabs not left", "error", err)
		}
		n.hub.tellFates(census)
	}
}

// leaveWord leaves word of tabs: of those that have changed, or of all.
func (n *nodes) leaveWord(ctx context.Context, whole bool) error {
	n.wording.Lock()
	defer n.wording.Unlock()
	n.mu.Lock()
	changed := n.changed
	n.changed = make(map[*live]struct{})
	n.mu.Unlock()
	if whole {
		clear(n.words)
		for _, s := range n.hub.allLive() {
			changed[s] = struct{}{}
		}
	}
	news := make(map[session.ID]string)
	for s := range changed {
		s.mu.Lock()
		on := n.hub.wordLocked(s)
		s.mu.Unlock()
		text := ""
		if on.Tabs > 0 || on.Closed {
			data, err := json.Marshal(on)
			if err != nil {
				return err
			}
			text = string(data)
		}
		if n.words[s.id] == text {
			continue
		}
		news[s.id] = text
		if on.Tabs == 0 {
			delete(n.words, s.id)
		} else {
			n.words[s.id] = text
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
		left[id] = n.words[id]
	}
	if err := n.peers.SetTabs(ctx, n.self, left, whole); err != nil {
		n.mu.Lock()
		n.unworded = true
		n.mu.Unlock()
		return err
	}
	return nil
}

// tabsElsewhere takes in word of another node's tabs.
func (n *nodes) tabsElsewhere(instance string, id session.ID, word string) {
	on := tabsOn{instance: instance}
	if word != "" {
		if err := json.Unmarshal([]byte(word), &on); err != nil {
			n.hub.log.Warn("word of tabs not understood", "error", err)
			return
		}
		on.instance = instance
	}
	n.mu.Lock()
	other := n.others[instance]
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
	s := n.hub.live(id)
	if s == nil {
		if on.Tabs > 0 && !n.wasEnded(id) {
			n.mu.Lock()
			other.stale = true // its word is read again once the session is known
			n.unsure[id] = struct{}{}
			n.mu.Unlock()
		}
		return
	}
	n.hub.setElsewhere(s, instance, on, awayAfter)
}

// setElsewhere notes the tabs that a node has of s. Without any more, s counts as away after the grace, or at once if they
// were closed.
func (h *Hub) setElsewhere(s *live, instance string, on tabsOn, grace time.Duration) {
	s.mu.Lock()
	before := s.tabsLocked()
	s.elsewhere = slices.DeleteFunc(s.elsewhere, func(o tabsOn) bool { return o.instance == instance })
	if on.Tabs > 0 {
		s.elsewhere = append(s.elsewhere, on)
	}
	after := s.tabsLocked()
	now := h.clock.Now()
	if after == 0 && before > 0 {
		s.awayAt = now
		if !on.Closed || s.leadsOnLocked(now) { // it followed a navigation that this node knows of
			s.awayAt = now.Add(grace)
		}
	}
	// Where tabs on two nodes are closed at once, each node still sees the other's.
	crossed := after == 0 && before > 0 && on.Closed && s.closed && time.Since(s.closedAt) < session.NavigationLimit
	back := after > 0 && !s.tabTimes.LeftAt().IsZero()
	var probes []*tab
	if on.Closed && before > after {
		s.closedAt = time.Now()
		probes = s.probeLocked(h.faults.stalled())
	}
	s.mu.Unlock()
	h.start(probes)
	h.changed(s)
	switch {
	case crossed:
		h.left(s)
	case back:
		h.back(s)
	}
}

// actedElsewhere takes over an activity that is stored.
func (h *Hub) actedElsewhere(s *live, at time.Time) {
	quiet := at.UnixMilli() - s.active.Load()
	if !s.raise(at) {
		return
	}
	now, p := h.clock.Now(), s.policy.Load()
	if s.warned.Load() || s.mustTell(p, now, s.deadline(p)) {
		h.tell(s, tellNews)
	}
	if quiet > activeFor.Milliseconds() {
		h.changed(s)
	}
}

// leftElsewhere takes over how tabs came and went.
func (h *Hub) leftElsewhere(s *live, e *event) {
	if e.Times == nil { // of an older version
		s.mu.Lock()
		t := s.tabTimes
		s.mu.Unlock()
		h.takeTimes(s, t.Agreeing(session.FromUnixMilli(e.At)))
		return
	}
	h.takeTimes(s, session.TabTimes{
		OpenedAt: session.FromUnixMilli(e.Times.Opened), AskedAt: session.FromUnixMilli(e.Times.Asked), ClosedAt: session.FromUnixMilli(e.Times.Closed),
	})
}

// fates is how far a forced logout has come on a node.
type fates struct {
	Logout string `json:"logout"`
	fateCounts
	Tabs []FateOfTab `json:"tabs,omitempty"` // sharedFates of them
}

// sharedFates is how many tabs a node tells the others one by one.
const sharedFates = 200

// tellFates tells the other nodes how far forced logouts have come here: what has changed, and for a while all, so that nothing
// stays lost.
func (h *Hub) tellFates(census time.Time) {
	h.forced.stirs.Lock()
	stirred := slices.Collect(maps.Keys(h.forced.stirred))
	h.forced.stirs.Unlock()
	for _, p := range stirred {
		p.mu.Lock()
		if p.fateCounts == p.shared && time.Since(p.changed) >= restoredFor {
			h.forced.stirs.Lock()
			delete(h.forced.stirred, p)
			h.forced.stirs.Unlock()
		}
		if p.fateCounts == p.shared && !(time.Since(census) < wordEvery && time.Since(p.changed) < restoredFor) || p.All == 0 {
			p.mu.Unlock()
			continue
		}
		if p.fateCounts != p.shared {
			p.shared, p.changed = p.fateCounts, time.Now()
		}
		f := fates{p.logout, p.fateCounts, p.listLocked(sharedFates)}
		p.mu.Unlock()
		h.emit(event{Kind: eventFates, Fates: &f})
	}
}

// fatesElsewhere notes how far a forced logout has come on another node.
func (h *Hub) fatesElsewhere(instance string, f fates) {
	l := h.findLogout(f.Logout)
	if l == nil {
		return // told again soon
	}
	l.progress.mu.Lock()
	defer l.progress.mu.Unlock()
	if l.progress.elsewhere == nil {
		l.progress.elsewhere = make(map[string]fates)
	}
	l.progress.elsewhere[instance] = f
}

// noticeEvent is a notice as nodes tell it each other.
type noticeEvent struct {
	ID      string        `json:"id"`
	Message string        `json:"message"`
	Scope   session.Scope `json:"scope"`
	Except  session.ID    `json:"except"`
	At      time.Time     `json:"at"`
}

// keptNotices is where nodes leave notices for those that were not listening.
const keptNotices = "notices"

// shareNotice tells the other nodes a notice.
func (h *Hub) shareNotice(ctx context.Context, n *sentNotice) error {
	if h.nodes == nil {
		return nil
	}
	e := noticeEvent{n.id, n.message, n.scope, n.except, session.Millis(n.at)}
	h.emit(event{Kind: eventNotice, Notice: &e})
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return h.nodes.peers.Keep(ctx, keptNotices, n.id, string(text), 2*noticeFor)
}

// noticeElsewhere sends a notice of another node to the tabs here, once.
func (h *Hub) noticeElsewhere(e noticeEvent) {
	n := &sentNotice{id: e.ID, message: e.Message, scope: e.Scope, target: e.Scope.Target(), except: e.Except, at: e.At}
	if h.clock.Now().Sub(n.at) <= noticeFor && !h.notices.knows(n.id) {
		h.send(n)
	}
}

func (n *nodes) readNotices(ctx context.Context) error {
	kept, err := n.peers.Kept(ctx, keptNotices)
	if err != nil {
		return err
	}
	for _, text := range kept {
		var e noticeEvent
		if err := json.Unmarshal([]byte(text), &e); err == nil {
			n.hub.noticeElsewhere(e)
		}
	}
	return nil
}

func isUnknown(err error) bool { return errors.Is(err, session.ErrNotFound) }
