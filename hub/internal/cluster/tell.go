package cluster

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"curfew/session"
)

// What the hub tells other nodes. Only TellNotice waits, because it stores the notice.

// TellSignedIn tells of a sign-in that is stored.
func (m *Member) TellSignedIn(r session.Record) {
	if m != nil { // here, so that a node that is alone does not have r copied
		m.tellSignedIn(r)
	}
}

func (m *Member) tellSignedIn(r session.Record) {
	r.Values = nil
	data, err := r.Encode()
	if err != nil {
		m.log.Error("other nodes not told of a sign-in", "error", err)
		return
	}
	m.emit(event{Kind: eventSignedIn, ID: &r.ID, Record: data})
}

// TellEnded tells of an end that is stored, and notes it as NoteEnd does.
func (m *Member) TellEnded(id session.ID, end session.End) {
	if m == nil {
		return
	}
	m.ends.add(id, &end)
	m.emit(event{Kind: eventEnded, ID: &id, End: &end})
}

// TellActed tells of activities that are stored.
func (m *Member) TellActed(list []session.Activity) {
	if m == nil {
		return
	}
	for chunk := range slices.Chunk(list, 1000) {
		acts := make(map[session.ID]int64, len(chunk))
		for _, a := range chunk {
			acts[a.ID] = a.At.UnixMilli()
		}
		m.emit(event{Kind: eventActed, Acts: acts})
	}
}

// TellTabTimes tells when tabs of a session were opened and closed.
func (m *Member) TellTabTimes(id session.ID, t session.TabTimes) {
	if m == nil {
		return
	}
	m.emit(event{
		Kind: eventLeft,
		ID:   &id,
		At:   session.UnixMilli(t.LeftAt()),
		Times: &tabTimes{
			Opened: session.UnixMilli(t.OpenedAt),
			Asked:  session.UnixMilli(t.AskedAt),
			Closed: session.UnixMilli(t.ClosedAt),
		},
	})
}

// TellRules tells that the stored rules of a session have changed. The others read them.
func (m *Member) TellRules(id session.ID) {
	if m == nil {
		return
	}
	m.emit(event{Kind: eventRules, ID: &id})
}

// TellRevocation tells of a forced logout, or its cancellation, that is stored.
func (m *Member) TellRevocation(r session.Revocation) {
	if m == nil {
		return
	}
	m.emit(event{Kind: eventRevocation, Revocation: &r})
}

// TellNotice tells a notice, and leaves it in the store for so long, for nodes that do not listen
// now. An error means that some nodes may not learn of it.
func (m *Member) TellNotice(ctx context.Context, n Notice, keep time.Duration) error {
	if m == nil {
		return nil
	}
	m.emit(event{Kind: eventNotice, Notice: &n})
	text, err := json.Marshal(n)
	if err != nil {
		return err
	}
	return m.shared.PutTransient(ctx, keptNotices, n.ID, string(text), keep)
}

// keptNotices is the kind under which the store keeps notices.
const keptNotices = "notices"

// readNotices applies the notices that the store keeps.
func (m *Member) readNotices(ctx context.Context) error {
	kept, err := m.shared.Transients(ctx, keptNotices)
	if err != nil {
		return err
	}
	for _, text := range kept {
		var n Notice
		if err := json.Unmarshal([]byte(text), &n); err == nil {
			m.local.Notice(n)
		}
	}
	return nil
}
