package hub

import (
	"context"
	"iter"
	"slices"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// What other nodes did, and what they ask of this one. What this node tells others is a call of
// Hub.cluster where it happens.

// local implements cluster.Local. Each method finds the session and calls the hub.
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

// departedGrace is how long a session does not count as away after the node with its tabs has gone:
// the tabs reconnect to other nodes.
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
	s.sameAge(&r)
	l.hub.reconcileRules(ctx, s, r)
	l.hub.actedElsewhere(s, r.LastActiveAt)
	if l.hub.applyStoredTabTimes(s, r) {
		l.hub.unstoredTabTimes.add(s)
	}
	return true
}

func (l local) Revoked(r session.Revocation) { l.hub.applyRevocation(r) }

func (l local) Outcomes(instance string, r revocation.OutcomeReport) {
	if e := l.hub.revocations.Find(r.Logout); e != nil { // or else it is told again soon
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

// outcomesRetold is for how long after their last change the outcomes of a forced logout are told
// again.
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

func (l local) ClockStepped() { l.hub.rearmTimers() }

func (l local) Go(f func()) { l.hub.goTracked(f) }

func (l local) AdvanceClock(ctx context.Context, d time.Duration) { l.hub.advanceClockHere(ctx, d) }

func (l local) Age(ctx context.Context, id session.ID, created time.Time) {
	l.hub.ageHere(ctx, id, created)
}

func (l local) Reset() { l.hub.resetHere() }

// actedElsewhere applies an activity that is stored: it moves the deadline, and withdraws a
// warning.
func (h *Hub) actedElsewhere(s *liveSession, at time.Time) {
	before := s.active.Load()
	if !s.raise(at) {
		return
	}
	now, p := h.clock.Now(), s.policy.Load()
	if s.warned.Load() || s.announcementIsStale(p, now, s.movableEnd(p)) {
		h.tell(s, tellChanges)
	}
	if now.UnixMilli()-before > activeFor.Milliseconds() { // it counts as idle, however old the act is
		h.stateChanged(s)
	}
}

// reconcileRules applies the rules that the store has for s. If they are older than those that are
// known here, either r was read before the newer ones were stored, or a fail-over has lost the
// newer ones. Reading the store again tells which.
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

// setTabsElsewhere notes the tabs that another node has of s. If s has no tab any more, it counts
// as away after the grace, or at once if the last tab was closed.
func (h *Hub) setTabsElsewhere(s *liveSession, report cluster.TabReport, grace time.Duration) {
	s.mu.Lock()
	before := s.tabsLocked()
	s.elsewhere = slices.DeleteFunc(s.elsewhere, func(other cluster.TabReport) bool {
		return other.Instance == report.Instance
	})
	if report.Tabs > 0 {
		s.elsewhere = append(s.elsewhere, report)
	}
	after := s.tabsLocked()
	now := h.clock.Now()
	if after == 0 && before > 0 {
		s.awayAt = momentOf(now)
		if !report.Closed || s.navigatesLocked(now) { // it was a navigation, as this node knows
			s.awayAt = momentOf(now.Add(grace))
		}
	}
	// When tabs on two nodes are closed at the same time, each node still sees the other's.
	crossed := after == 0 && before > 0 && report.Closed && s.closed &&
		time.Duration(instantNow()-s.closedAt) < session.NavigationLimit
	// A report may be older than the closing that this node has heard of. A node whose tab is still
	// open says so itself when it hears of the closing.
	leftAt := s.tabTimes.LeftAt()
	back := report.Tabs > 0 && !leftAt.IsZero() && session.FromUnixMilli(report.Opened).After(leftAt)
	var probes []*socket.Conn
	if report.Closed && before > after {
		s.closedAt = instantNow()
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

// noticeElsewhere sends a notice of another node to the tabs here, unless that was done or it is
// old.
func (h *Hub) noticeElsewhere(e cluster.Notice) {
	n := &sentNotice{
		id:      e.ID,
		message: e.Message,
		kind:    wire.NoticeKind(e.Kind),
		data:    e.Data,
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
	report := cluster.TabReport{Node: h.node, Tabs: len(s.tabs), Closed: s.closed}
	for _, t := range s.tabs {
		one := h.tabLocked(t)
		if one.Hidden {
			report.Hidden++
		}
		if one.Unconfirmed {
			report.Unconfirmed++
		}
		report.Opened = max(report.Opened, one.OpenedAt.UnixMilli())
		if len(report.List) < cluster.ReportedTabs {
			report.List = append(report.List, cluster.Tab(one))
		}
	}
	return report
}
