package hub

import (
	"context"

	"curfew/session"
)

// The application's values of a session. Save is the only way to the values of a session in the
// store, so where this process alone writes to the store, small ones are kept in memory once they
// were asked for.

// maxKeptValues is how many bytes of values of a session are kept in memory. Larger ones are read
// each time: 100,000 sessions of an application that stores much would take more than all the rest.
const maxKeptValues = 1 << 10

// keptValues are the values of a live session, as the store has them.
type keptValues struct {
	version int64
	values  []byte
}

// saves are the calls of Save for sessions of one shard. While one runs, nobody knows which values
// the store has.
type saves struct {
	begun   int64
	running int
}

// Values judges a session as [Hub.Check] does, and returns the application's values of it with
// their version, by which [Hub.Save] may replace them. The caller must not change what it is given.
func (h *Hub) Values(ctx context.Context, id session.ID) (values []byte, version int64, err error) {
	c, err := h.check(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if c.isRead {
		return c.status.Record.Values, c.status.Record.Version, nil
	}
	kept, saves := c.live.shard.keptValues(c.live)
	if kept != nil {
		return kept.values, kept.version, nil
	}
	r, err := h.store.Get(ctx, id)
	if err != nil {
		return nil, 0, err
	}
	if r.End != nil { // it has ended just now
		return nil, 0, session.ErrEnded
	}
	c.live.shard.keepValues(c.live, &keptValues{r.Version, r.Values}, saves)
	return r.Values, r.Version, nil
}

// Save replaces the application's values of a session. The errors are those of [session.Store].
// After any other error the store may have the new values all the same.
func (h *Hub) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	sh := h.shardOf(id)
	sh.beginSave(id)
	defer sh.endSave()
	return h.store.Save(ctx, id, version, values)
}

// beginSave forgets the values of a session: they are about to be replaced. The session may be
// registered only later, with values that were read before.
func (sh *shard) beginSave(id session.ID) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.saves.begun++
	sh.saves.running++
	if s := sh.sessions[id]; s != nil {
		s.kept = nil
	}
}

func (sh *shard) endSave() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.saves.running--
}

// keptValues returns the values of s that are kept, or nil, and which calls of Save there have
// been.
func (sh *shard) keptValues(s *liveSession) (*keptValues, saves) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return s.kept, sh.saves
}

// keepValues keeps values of s that were read from the store, unless they are large, or a Save may
// have replaced them since. before is what keptValues returned before they were read.
func (sh *shard) keepValues(s *liveSession, v *keptValues, before saves) {
	if len(v.values) > maxKeptValues {
		return
	}
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if before.running == 0 && sh.saves.begun == before.begun {
		s.kept = v
	}
}
