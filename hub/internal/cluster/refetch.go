package cluster

import (
	"context"
	"maps"
	"slices"
	"sync"

	"curfew/session"
)

// refetch are the sessions that are to be read from the store.
type refetch struct {
	mu  sync.Mutex
	ids map[session.ID]struct{}
}

func newRefetch() refetch { return refetch{ids: make(map[session.ID]struct{})} }

func (rs *refetch) add(ids ...session.ID) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	for _, id := range ids {
		rs.ids[id] = struct{}{}
	}
}

func (rs *refetch) take() []session.ID {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	ids := slices.Collect(maps.Keys(rs.ids))
	clear(rs.ids)
	return ids
}

// Refetch schedules a read of a session from the store. It is tried again until it succeeds.
func (m *Member) Refetch(id session.ID) {
	if m == nil {
		return
	}
	m.refetch.add(id)
	m.local.Go(func() { m.refetchRequested(m.ctx) })
}

// refetchRequested reads the sessions that are to be read. Those that fail wait for the next
// catchUp.
func (m *Member) refetchRequested(ctx context.Context) {
	ids := m.refetch.take()
	if err := m.read(ctx, ids); err != nil {
		m.log.Debug("sessions not read", "error", err)
		m.refetch.add(ids...)
	}
}

// read reads sessions from the store, and applies what it has.
func (m *Member) read(ctx context.Context, ids []session.ID) error {
	if len(ids) == 0 {
		return nil
	}
	records, err := m.shared.GetMany(ctx, ids)
	if err != nil {
		return err
	}
	if len(records) < len(ids) {
		known := make(map[session.ID]bool, len(records))
		for _, r := range records {
			known[r.ID] = true
		}
		m.Suspect(slices.DeleteFunc(slices.Clone(ids), func(id session.ID) bool { return known[id] })...)
	}
	for _, r := range records {
		m.reconcile(ctx, r)
	}
	return nil
}

// reconcile applies what the store has of a session.
func (m *Member) reconcile(ctx context.Context, r session.Record) {
	switch {
	case r.End != nil:
		m.local.Ended(r.ID, *r.End, "found ended: "+string(r.End.Reason))
	case !m.local.Reconcile(ctx, r):
		m.signedInElsewhere(r)
	}
}

// signedInElsewhere registers a session that was signed in on another node.
func (m *Member) signedInElsewhere(r session.Record) {
	if m.ends.has(r.ID) {
		return // the message of its end came first
	}
	isNew := m.local.SignedIn(r)
	if isNew && m.ends.has(r.ID) { // the message came meanwhile, and found no session
		m.Refetch(r.ID)
	}
}

// watchWarned reads the sessions that are warned here and have tabs on other nodes: an act there
// withdraws the warning, and the message about that may be lost.
func (m *Member) watchWarned(ctx context.Context) {
	if err := m.read(ctx, m.local.WarnedWithTabsElsewhere()); err != nil {
		m.log.Debug("sessions not read", "error", err)
	}
}
