package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

const (
	// reportEvery is how often reports of changed tabs are published.
	reportEvery = 200 * time.Millisecond
	// censusEvery is how often all sessions with tabs are reported again, for a change that no
	// event tells: a tab does not answer.
	censusEvery = 5 * time.Second
)

// reports are the reports that this node has published of its tabs.
type reports struct {
	turn      sync.Mutex            // a queue: held while reports are published
	published map[session.ID]string // guarded by turn; reports with tabs, as JSON

	mu      sync.Mutex
	changed map[session.ID]struct{} // sessions whose tabs have changed since they were reported
}

func newReports() reports {
	return reports{published: make(map[session.ID]string), changed: make(map[session.ID]struct{})}
}

func (rs *reports) mark(ids ...session.ID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, id := range ids {
		rs.changed[id] = struct{}{}
	}
}

func (rs *reports) takeChanged() map[session.ID]struct{} {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	changed := rs.changed
	rs.changed = make(map[session.ID]struct{})
	return changed
}

// TabsChanged schedules a new report of this node's tabs of a session.
func (m *Member) TabsChanged(id session.ID) {
	if m != nil {
		m.reports.mark(id)
	}
}

// reportLoop publishes reports of tabs that have changed, and the outcomes of forced logouts.
func (m *Member) reportLoop() {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	census := time.Now()
	for m.tick(ticker) {
		if time.Since(census) > censusEvery {
			census = time.Now()
			m.reports.mark(m.local.WithTabs()...)
		}
		if err := m.publishReports(m.ctx, false); err != nil {
			m.log.Debug("tab reports not published", "error", err)
		}
		for _, r := range m.local.OutcomeReports(time.Since(census) < reportEvery) {
			m.emit(event{Kind: eventOutcomes, Outcomes: &r})
		}
	}
}

// publishReports sends reports to the other nodes, and leaves them in the store: those that have
// changed, or with whole all.
func (m *Member) publishReports(ctx context.Context, whole bool) error {
	m.reports.turn.Lock()
	defer m.reports.turn.Unlock()
	changed := m.reports.takeChanged()
	if whole {
		clear(m.reports.published)
		for i := range m.local.Parts() {
			for _, k := range m.local.Part(i) {
				changed[k.ID] = struct{}{}
			}
		}
	}
	news, left, err := m.differing(changed)
	if err != nil {
		return err
	}
	if len(news) == 0 && !whole {
		return nil
	}
	for ids := range slices.Chunk(slices.Collect(maps.Keys(news)), messageWeight) {
		part := make(map[session.ID]string, len(ids))
		for _, id := range ids {
			part[id] = news[id]
		}
		m.emit(event{Kind: eventTabs, Tabs: part})
	}
	if err := m.shared.SetTabs(ctx, m.self, left, whole); err != nil {
		m.recovery.requestReports()
		return err
	}
	return nil
}

// differing makes the reports of sessions, as JSON, that differ from what was published: news for
// the other nodes, and left for the store, where an empty text removes a report. A report without
// tabs is news, since it may say that the last one was closed, but is not left. turn is held.
func (m *Member) differing(changed map[session.ID]struct{}) (news, left map[session.ID]string, err error) {
	published := m.reports.published
	news, left = make(map[session.ID]string), make(map[session.ID]string)
	for id := range changed {
		r := m.local.Report(id)
		text := ""
		if r.Tabs > 0 || r.Closed {
			data, err := json.Marshal(r)
			if err != nil {
				return nil, nil, err
			}
			text = string(data)
		}
		if published[id] == text {
			continue
		}
		news[id] = text
		if r.Tabs == 0 {
			delete(published, id)
		} else {
			published[id] = text
		}
		left[id] = published[id]
	}
	return news, left, nil
}

// applyReport applies another node's report of its tabs of a session. An empty text means that the
// node has none.
func (m *Member) applyReport(instance string, id session.ID, text string) {
	var r TabReport
	if text != "" {
		if err := json.Unmarshal([]byte(text), &r); err != nil {
			m.log.Warn("tab report not understood", "error", err)
			return
		}
	}
	r.Instance = instance
	if !m.members.setTabs(instance, id, r.Tabs > 0) {
		return
	}
	if !m.local.TabsElsewhere(id, r) && r.Tabs > 0 && !m.ends.has(id) {
		m.members.markStale(instance) // the report is read again once the session is known
		m.refetch.add(id)
	}
}

// refreshReports re-reads the tab reports of nodes whose messages were missed.
func (m *Member) refreshReports(ctx context.Context) error {
	for _, instance := range m.members.takeStale() {
		texts, err := m.shared.Tabs(ctx, instance)
		if err != nil {
			m.members.markStale(instance)
			return err
		}
		for _, id := range m.members.tabsBesides(instance, texts) {
			m.applyReport(instance, id, "")
		}
		for id, text := range texts {
			m.applyReport(instance, id, text)
		}
	}
	return nil
}
