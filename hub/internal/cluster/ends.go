package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// recentEnds are the ends of the last minutes. They serve to write ends again that a fail-over has
// lost, and to ignore the message of a sign-in that comes after the end of its session.
type recentEnds struct {
	mu   sync.Mutex
	byID map[session.ID]recentEnd
	// restored are those that were written again to the epoch restoredTo, while others are yet to
	// be; nil when none is left.
	restored   map[session.ID]struct{}
	restoredTo string
}

type recentEnd struct {
	end *session.End // nil: all that is known is that it ended
	at  time.Time
}

func newRecentEnds() recentEnds { return recentEnds{byID: make(map[session.ID]recentEnd)} }

// add notes an end; nil says only that there was one.
func (es *recentEnds) add(id session.ID, end *session.End) {
	es.mu.Lock()
	defer es.mu.Unlock()
	if end != nil || es.byID[id].end == nil {
		es.byID[id] = recentEnd{end, time.Now()}
	}
}

func (es *recentEnds) has(id session.ID) bool {
	es.mu.Lock()
	defer es.mu.Unlock()
	_, ended := es.byID[id]
	return ended
}

func (es *recentEnds) forgetOld() {
	es.mu.Lock()
	defer es.mu.Unlock()
	for id, e := range es.byID {
		if time.Since(e.at) > restoredAfterFailover {
			delete(es.byID, id)
		}
	}
}

func (es *recentEnds) clear() {
	es.mu.Lock()
	defer es.mu.Unlock()
	clear(es.byID)
}

// toRestore lists the ends that are yet to be written again to an epoch.
func (es *recentEnds) toRestore(epoch string) map[session.ID]session.End {
	es.mu.Lock()
	defer es.mu.Unlock()
	if es.restored == nil || es.restoredTo != epoch {
		es.restored, es.restoredTo = make(map[session.ID]struct{}), epoch
	}
	list := make(map[session.ID]session.End, len(es.byID))
	for id, e := range es.byID {
		if _, done := es.restored[id]; !done && e.end != nil {
			list[id] = *e.end
		}
	}
	return list
}

func (es *recentEnds) noteRestored(id session.ID) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.restored[id] = struct{}{}
}

// allRestored notes that none is left. After the next fail-over all are written again.
func (es *recentEnds) allRestored() {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.restored = nil
}

// NoteEnd notes an end that tabs are told here, so that it can be written again if the store loses
// it. TellEnded does so, too.
func (m *Member) NoteEnd(id session.ID, end session.End) {
	if m != nil {
		m.ends.add(id, &end)
	}
}

// EndOf returns the end of a session, if this node has noted it in the last minutes, or nil. The
// store may have lost it.
func (m *Member) EndOf(id session.ID) *session.End {
	if m == nil {
		return nil
	}
	m.ends.mu.Lock()
	defer m.ends.mu.Unlock()
	return m.ends.byID[id].end
}

// restoredTogether is how many ends are written at the same time.
const restoredTogether = 64

// restoreEnds writes the ends of the last minutes again. If ctx ends before it is done, the next
// call for the same epoch goes on where this one stopped.
func (m *Member) restoreEnds(ctx context.Context, epoch string) error {
	var (
		writes sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	slots := make(chan struct{}, restoredTogether)
	for id, end := range m.ends.toRestore(epoch) {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		writes.Go(func() {
			defer func() { <-slots }()
			if err := m.local.RestoreEnd(ctx, id, end); err != nil {
				mu.Lock()
				defer mu.Unlock()
				failed = err
				return
			}
			m.ends.noteRestored(id)
		})
	}
	writes.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return err
	}
	m.ends.allRestored()
	return nil
}
