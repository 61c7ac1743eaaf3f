package hub

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/session"
)

// What other nodes did, and what they are told, seen from one session.

// actedElsewhere takes over an activity that is stored.
func (h *Hub) actedElsewhere(s *liveSession, at time.Time) {
	quiet := at.UnixMilli() - s.active.Load()
	if !s.raise(at) {
		return
	}
	now, p := h.clock.Now(), s.policy.Load()
	if s.warned.Load() || s.announcementIsStale(p, now, s.movableEnd(p)) {
		h.tell(s, tellChanges)
	}
	if quiet > activeFor.Milliseconds() {
		h.stateChanged(s)
	}
}

// leftElsewhere takes over how tabs came and went.
func (h *Hub) leftElsewhere(s *liveSession, e *event) {
	if e.Times == nil { // of an older version
		s.mu.Lock()
		t := s.tabTimes
		s.mu.Unlock()
		h.applyTabTimes(s, t.Agreeing(session.FromUnixMilli(e.At)))
		return
	}
	h.applyTabTimes(s, session.TabTimes{
		OpenedAt: session.FromUnixMilli(e.Times.Opened), AskedAt: session.FromUnixMilli(e.Times.Asked), ClosedAt: session.FromUnixMilli(e.Times.Closed),
	})
}

// setTabsElsewhere notes the tabs that a node has of s. Without any more, s counts as away after
// the grace, or at once if they were closed.
func (h *Hub) setTabsElsewhere(s *liveSession, instance string, on tabReport, grace time.Duration) {
	s.mu.Lock()
	before := s.tabsLocked()
	s.elsewhere = slices.DeleteFunc(s.elsewhere, func(o tabReport) bool { return o.instance == instance })
	if on.Tabs > 0 {
		s.elsewhere = append(s.elsewhere, on)
	}
	after := s.tabsLocked()
	now := h.clock.Now()
	if after == 0 && before > 0 {
		s.awayAt = now
		if !on.Closed || s.navigatesLocked(now) { // it followed a navigation that this node knows of
			s.awayAt = now.Add(grace)
		}
	}
	// Where tabs on two nodes are closed at once, each node still sees the other's.
	crossed := after == 0 && before > 0 && on.Closed && s.closed && time.Since(s.closedAt) < session.NavigationLimit
	back := after > 0 && !s.tabTimes.LeftAt().IsZero()
	var probes []*socket.Conn
	if on.Closed && before > after {
		s.closedAt = time.Now()
		probes = s.probeLocked(h.faults.stalled())
	}
	s.mu.Unlock()
	h.writers.Start(probes)
	h.stateChanged(s)
	switch {
	case crossed:
		h.lastTabClosed(s, now)
	case back:
		h.tabIsOpen(s)
	}
}

// outcomesElsewhere notes how far a forced logout has come on another node.
func (h *Hub) outcomesElsewhere(instance string, r revocation.OutcomeReport) {
	if l := h.revocations.Find(r.Logout); l != nil { // else it is told again soon
		l.Outcomes.SetElsewhere(instance, r)
	}
}

// tellOutcomes tells the other nodes how far forced logouts have come here: what has changed, and
// after a census all, for a while, so that nothing stays lost.
func (h *Hub) tellOutcomes(census time.Time) {
	for _, r := range h.revocations.Reports(time.Now(), time.Since(census) < reportEvery, restoredAfterFailover) {
		h.emit(event{Kind: eventOutcomes, Outcomes: &r})
	}
}

// noticeElsewhere sends a notice of another node to the tabs here, once.
func (h *Hub) noticeElsewhere(e noticeEvent) {
	n := &sentNotice{id: e.ID, message: e.Message, scope: e.Scope, target: e.Scope.Target(), except: e.Except, at: e.At}
	if h.clock.Now().Sub(n.at) <= noticeFor && !h.notices.knows(n.id) {
		h.send(n)
	}
}

// reportLocked is the word of this node's tabs of s.
func (h *Hub) reportLocked(s *liveSession) tabReport {
	on := tabReport{Node: h.node, Tabs: len(s.tabs), Closed: s.closed}
	for _, t := range s.tabs {
		one := h.tabLocked(t)
		if one.Hidden {
			on.Hidden++
		}
		if one.Unconfirmed {
			on.Unconfirmed++
		}
		on.Opened = max(on.Opened, one.OpenedAt.UnixMilli())
		if len(on.List) < reportedTabs {
			on.List = append(on.List, one)
		}
	}
	return on
}

// tabsChanged has word left of the tabs of s.
func (h *Hub) tabsChanged(s *liveSession) {
	if n := h.nodes; n != nil {
		n.mu.Lock()
		n.changed[s] = struct{}{}
		n.mu.Unlock()
	}
}

// tellSignedIn tells the other nodes of a sign-in.
func (h *Hub) tellSignedIn(r session.Record) {
	if h.nodes == nil {
		return
	}
	r.Values = nil
	data, err := r.Encode()
	if err != nil {
		h.log.Error("other nodes not told of a sign-in", "error", err)
		return
	}
	h.emit(event{Kind: eventSignedIn, ID: &r.ID, Record: data})
}

// tellEnded tells the other nodes of an end that is stored.
func (h *Hub) tellEnded(id session.ID, end session.End) {
	if h.nodes != nil {
		h.nodes.ended(id, &end)
		h.emit(event{Kind: eventEnded, ID: &id, End: &end})
	}
}

// tellActed tells the other nodes of activities that are stored.
func (h *Hub) tellActed(list []session.Activity) {
	if h.nodes == nil {
		return
	}
	for chunk := range slices.Chunk(list, 1000) {
		acts := make(map[session.ID]int64, len(chunk))
		for _, a := range chunk {
			acts[a.ID] = a.At.UnixMilli()
		}
		h.emit(event{Kind: eventActed, Acts: acts})
	}
}

// tellNotice tells the other nodes a notice.
func (h *Hub) tellNotice(ctx context.Context, n *sentNotice) error {
	if h.nodes == nil {
		return nil
	}
	e := noticeEvent{n.id, n.message, n.scope, n.except, session.Millis(n.at)}
	h.emit(event{Kind: eventNotice, Notice: &e})
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return h.nodes.shared.PutTransient(ctx, keptNotices, n.id, string(text), 2*noticeFor)
}

// suspect has it looked at whether the store has lost these sessions. One store of one process
// loses none.
func (h *Hub) suspect(ids ...session.ID) {
	if h.nodes != nil && len(ids) > 0 {
		h.nodes.suspect(ids...)
	}
}

// inReach returns nil if the store may be believed. One that answers but takes no writes may be a
// master on the wrong side of a partition, which knows nothing of what has ended on the other side.
// So nothing is believed once this node's lease has run out; one pulse that has failed is not
// enough.
func (h *Hub) inReach() error {
	n := h.nodes
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Now().After(n.leased) {
		return errOutOfReach
	}
	return nil
}

// errOutOfReach refuses what a store was asked that takes no writes.
var errOutOfReach = errors.New("the store has taken no writes for a while: what it answers may be old")
