package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// recentEnds are the ends of the last minutes. A fail-over of the store may lose them, and then
// this node still knows; and the message of a sign-in may come after that of its end.
type recentEnds struct {
	mu   sync.Mutex
	byID map[session.ID]recentEnd
	// restored are those that were written again to the masters of restoredTo, while others are yet
	// to be.
	restored   map[session.ID]struct{}
	restoredTo string
}

type recentEnd struct {
	end *session.End // nil: all that is known is that it ended
	at  time.Time
}

func newRecentEnds() recentEnds { return recentEnds{byID: make(map[session.ID]recentEnd)} }

// add notes an end. nil: only that there was one.
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

// toRestore lists the ends that are yet to be written again to these masters.
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

// allRestored notes that none is left: the next fail-over begins anew.
func (es *recentEnds) allRestored() {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.restored = nil
}

// NoteEnd notes an end that this node knows of, to be written again should the store lose it. Where
// the end is stored already, TellEnded does that as well.
func (m *Member) NoteEnd(id session.ID, end session.End) {
	if m != nil {
		m.ends.add(id, &end)
	}
}

// EndOf is the end of a session that this node has seen in the last minutes; nil where it has seen
// none, or knows nothing more of it. The store may have lost it.
func (m *Member) EndOf(id session.ID) *session.End {
	if m == nil {
		return nil
	}
	m.ends.mu.Lock()
	defer m.ends.mu.Unlock()
	return m.ends.byID[id].end
}

// restoredTogether is how many ends are written again at the same time.
const restoredTogether = 64

// restoreEnds writes the ends of the last minutes again to these masters. They may be more than fit
// into one call: the next one goes on where this one stops.
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
