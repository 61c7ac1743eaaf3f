package hub

import (
	"context"
	"encoding/json"
	"maps"
	"slices"

	"curfew/session"
)

// requestRefetch has a session read from the store.
func (n *nodes) requestRefetch(id session.ID) {
	n.mu.Lock()
	n.refetch[id] = struct{}{}
	n.mu.Unlock()
	n.hub.goTracked(func() { n.refetchRequested(n.hub.ctx) })
}

// refetchRequested reads the sessions that are to be looked at.
func (n *nodes) refetchRequested(ctx context.Context) {
	n.mu.Lock()
	unsure := n.refetch
	n.refetch = make(map[session.ID]struct{})
	n.mu.Unlock()
	if err := n.read(ctx, slices.Collect(maps.Keys(unsure))); err != nil {
		n.hub.log.Debug("sessions not read", "error", err)
		n.mu.Lock()
		maps.Copy(n.refetch, unsure)
		n.mu.Unlock()
	}
}

// read takes over what the store knows of sessions.
func (n *nodes) read(ctx context.Context, ids []session.ID) error {
	if len(ids) == 0 {
		return nil
	}
	records, err := n.shared.GetMany(ctx, ids)
	if err != nil {
		return err
	}
	if len(records) < len(ids) {
		known := make(map[session.ID]bool, len(records))
		for _, r := range records {
			known[r.ID] = true
		}
		n.suspect(slices.DeleteFunc(slices.Clone(ids), func(id session.ID) bool { return known[id] })...)
	}
	for _, r := range records {
		n.reconcile(ctx, r)
	}
	return nil
}

// reconcile takes over what the store knows of a session.
func (n *nodes) reconcile(ctx context.Context, r session.Record) {
	h := n.hub
	s := h.lookup(r.ID)
	switch {
	case r.End != nil:
		if s != nil {
			h.note(s, "decision", "found ended: "+string(r.End.Reason))
			h.finish(s, *r.End)
		}
	case s == nil:
		n.signedInElsewhere(r)
	default:
		n.reconcileRules(ctx, s, r)
		h.actedElsewhere(s, r.LastActiveAt)
		if h.applyStoredTabTimes(s, r) {
			h.unstoredTabTimes.add(s)
		}
	}
}

// reconcileRules takes over the rules that the store has for s. Older ones than those known were
// read before these were stored, or a fail-over has lost these: the store knows which.
func (n *nodes) reconcileRules(ctx context.Context, s *liveSession, r session.Record) {
	known := s.record.Load().Revision
	if r.Revision >= known {
		n.hub.applyRules(s, r.Rules(), r.Revision)
		return
	}
	again, err := n.hub.store.Get(ctx, s.id)
	if err != nil {
		n.requestRefetch(s.id)
		return
	}
	n.hub.replaceRules(s, again.Rules(), again.Revision, func(now int64) bool { return now == known && again.Revision != known })
}

// signedInElsewhere takes in a session that was signed in on another node.
func (n *nodes) signedInElsewhere(r session.Record) {
	h := n.hub
	if n.wasEnded(r.ID) {
		return // word of its end came first
	}
	s, isNew := h.register(r)
	if !isNew {
		return
	}
	h.schedule(s)
	if n.wasEnded(r.ID) { // it came meanwhile, and found nobody
		n.requestRefetch(r.ID)
	}
}

// applyMissed takes in sign-ins and ends that no message has told of.
func (n *nodes) applyMissed(ctx context.Context, p session.Heartbeat) error {
	var ids []session.ID
	for _, id := range p.Begun {
		if n.hub.lookup(id) == nil && !n.wasEnded(id) && !slices.Contains(p.Ended, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range p.Ended {
		if n.hub.lookup(id) != nil {
			ids = append(ids, id)
		} else {
			n.ended(id, nil) // word of its sign-in may be late
		}
	}
	return n.read(ctx, ids)
}

// watchWarned reads sessions that are warned here and have tabs elsewhere: an act there withdraws
// the warning, and the message that says so may be lost.
func (n *nodes) watchWarned(ctx context.Context) {
	var ids []session.ID
	for _, s := range n.hub.withTabs(everyone) {
		if !s.warned.Load() {
			continue
		}
		s.mu.Lock()
		if s.warning == session.ReasonIdle && len(s.tabs) > 0 && s.tabsLocked() > len(s.tabs) {
			ids = append(ids, s.id)
		}
		s.mu.Unlock()
	}
	if err := n.read(ctx, ids); err != nil {
		n.hub.log.Debug("sessions not read", "error", err)
	}
}

func (n *nodes) readNotices(ctx context.Context) error {
	kept, err := n.shared.Transients(ctx, keptNotices)
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
