package hub

import (
	"context"
	"iter"
	"slices"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/session"
)

// What other nodes did, and what they ask of this one. What this node tells them stands where it
// happens, as a call of Hub.cluster.

// local is a hub as the cluster sees it: each method finds the session, and leaves the rest to the
// hub.
type local struct{ hub *Hub }

var _ cluster.Local = local{}

func (l local) SignedIn(r session.Record) (isNew bool) {
	s, isNew := l.hub.register(r)
	if isNew {
		l.hub.schedule(s)
	}
	return isNew
}

func (l local) Ended(id session.ID, end session.End, how string) (known bool) {
	s := l.hub.lookup(id)
	if s == nil {
		return false
	}
	l.hub.note(s, "decision", how)
	l.hub.finish(s, end)
	return true
}

func (l local) Acted(id session.ID, at time.Time) {
	if s := l.hub.lookup(id); s != nil {
		l.hub.actedElsewhere(s, at)
	}
}

func (l local) TabTimes(id session.ID, t session.TabTimes) {
	if s := l.hub.lookup(id); s != nil {
		l.hub.applyTabTimes(s, t)
	}
}

func (l local) LeftAt(id session.ID, at time.Time) {
	if s := l.hub.lookup(id); s != nil {
		s.mu.Lock()
		t := s.tabTimes
		s.mu.Unlock()
		l.hub.applyTabTimes(s, t.Agreeing(at))
	}
}

func (l local) TabsElsewhere(id session.ID, r cluster.TabReport) (known bool) {
	s := l.hub.lookup(id)
	if s == nil {
		return false
	}
	l.hub.setTabsElsewhere(s, r, awayAfter)
	return true
}

// departedGrace is how long the tabs of a node that has gone may take to come back elsewhere.
const departedGrace = 10 * time.Second

func (l local) TabsGone(id session.ID, instance string) {
	if s := l.hub.lookup(id); s != nil {
		l.hub.setTabsElsewhere(s, cluster.TabReport{Instance: instance}, departedGrace)
	}
}

func (l local) Reconcile(ctx context.Context, r session.Record) (known bool) {
	s := l.hub.lookup(r.ID)
	if s == nil {
		return false
	}
	l.hub.reconcileRules(ctx, s, r)
	l.hub.actedElsewhere(s, r.LastActiveAt)
	if l.hub.applyStoredTabTimes(s, r) {
		l.hub.unstoredTabTimes.add(s)
	}
	return true
}

func (l local) Revoked(r session.Revocation) { l.hub.applyRevocation(r) }

func (l local) Outcomes(instance string, r revocation.OutcomeReport) {
	if e := l.hub.revocations.Find(r.Logout); e != nil { // else it is told again soon
		e.Outcomes.SetElsewhere(instance, r)
	}
}

func (l local) Notice(n cluster.Notice) { l.hub.noticeElsewhere(n) }

func (l local) Knows(id session.ID) bool { return l.hub.lookup(id) != nil }

func (l local) Record(id session.ID) (r session.Record, known bool) {
	s := l.hub.lookup(id)
	if s == nil {
		return session.Record{}, false
	}
	return *s.record.Load(), true
}

func (l local) Report(id session.ID) cluster.TabReport {
	s := l.hub.lookup(id)
	if s == nil {
		return cluster.TabReport{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.hub.reportLocked(s)
}

func (l local) WithTabs() []session.ID {
	list := l.hub.withTabs(everyone)
	ids := make([]session.ID, len(list))
	for i, s := range list {
		ids[i] = s.id
	}
	return ids
}

func (l local) WarnedWithTabsElsewhere() (ids []session.ID) {
	for _, s := range l.hub.withTabs(everyone) {
		if !s.warned.Load() {
			continue
		}
		s.mu.Lock()
		if s.warning == session.ReasonIdle && len(s.tabs) > 0 && s.tabsLocked() > len(s.tabs) {
			ids = append(ids, s.id)
		}
		s.mu.Unlock()
	}
	return ids
}

func (l local) Parts() int { return shards }

func (l local) Part(i int) []cluster.Known {
	sessions := l.hub.shards[i].all()
	list := make([]cluster.Known, len(sessions))
	for i, s := range sessions {
		s.mu.Lock()
		list[i] = cluster.Known{ID: s.id, Tabs: len(s.tabs) > 0}
		s.mu.Unlock()
	}
	return list
}

// outcomesRetold is how long after its last change the progress of a forced logout is told again.
const outcomesRetold = 10 * time.Minute

func (l local) OutcomeReports(again bool) []revocation.OutcomeReport {
	return l.hub.revocations.Reports(time.Now(), again, outcomesRetold)
}

func (l local) Revocations() (list []session.Revocation, highest int64) {
	for _, e := range l.hub.revocations.List() {
		list = append(list, e.Revocation)
	}
	return list, l.hub.revocations.Highest()
}

func (l local) Flush(ctx context.Context) error { return l.hub.flush(ctx) }

func (l local) SyncRevocations(ctx context.Context, last int64) error {
	return l.hub.syncRevocations(ctx, last)
}

func (l local) RestoreEnd(ctx context.Context, id session.ID, end session.End) error {
	return l.hub.restoreEnd(ctx, id, end)
}

func (l local) Live(ctx context.Context) iter.Seq2[session.Record, error] {
	return l.hub.store.Live(ctx)
}

func (l local) ClockStepped() {
	for _, sh := range l.hub.shards {
		sh.rearm()
	}
}

func (l local) Go(f func()) { l.hub.goTracked(f) }

func (l local) AdvanceClock(ctx context.Context, d time.Duration) { l.hub.advanceClockHere(ctx, d) }

func (l local) Reset() { l.hub.resetHere() }

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

// reconcileRules takes over the rules that the store has for s. Older ones than those known were
// read before these were stored, or a fail-over has lost these: the store knows which.
func (h *Hub) reconcileRules(ctx context.Context, s *liveSession, r session.Record) {
	known := s.record.Load().Revision
	if r.Revision >= known {
		h.applyRules(s, r.Rules(), r.Revision)
		return
	}
	again, err := h.store.Get(ctx, s.id)
	if err != nil {
		h.cluster.Refetch(s.id)
		return
	}
	h.replaceRules(s, again.Rules(), again.Revision, func(now int64) bool {
		return now == known && again.Revision != known
	})
}

// setTabsElsewhere takes over the tabs that a node has of s. Without any more, s counts as away
// after the grace, or at once if they were closed.
func (h *Hub) setTabsElsewhere(s *liveSession, on cluster.TabReport, grace time.Duration) {
	s.mu.Lock()
	before := s.tabsLocked()
	s.elsewhere = slices.DeleteFunc(s.elsewhere, func(o cluster.TabReport) bool { return o.Instance == on.Instance })
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

// noticeElsewhere sends a notice of another node to the tabs here, once.
func (h *Hub) noticeElsewhere(e cluster.Notice) {
	n := &sentNotice{
		id:      e.ID,
		message: e.Message,
		scope:   e.Scope,
		target:  e.Scope.Target(),
		except:  e.Except,
		at:      e.At,
	}
	if h.clock.Now().Sub(n.at) <= noticeFor && !h.notices.knows(n.id) {
		h.send(n)
	}
}

// reportLocked describes this node's tabs of s.
func (h *Hub) reportLocked(s *liveSession) cluster.TabReport {
	on := cluster.TabReport{Node: h.node, Tabs: len(s.tabs), Closed: s.closed}
	for _, t := range s.tabs {
		one := h.tabLocked(t)
		if one.Hidden {
			on.Hidden++
		}
		if one.Unconfirmed {
			on.Unconfirmed++
		}
		on.Opened = max(on.Opened, one.OpenedAt.UnixMilli())
		if len(on.List) < cluster.ReportedTabs {
			on.List = append(on.List, cluster.Tab(one))
		}
	}
	return on
}
