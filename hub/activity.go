package hub

import (
	"context"
	"sync"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/session"
)

// Activity: what people do, how it moves the deadline, and how it gets into the store. It comes in
// a message of a tab (Hub.handle, in tabs.go) or by a request ([Hub.Act]).

// Act records that the user of a session acted idle ago, or pressed 'Stay signed in' (confirm).
// Pages without a socket report acts by requests, which call it. The error is session.ErrEnded or
// session.ErrNotFound; any other means that the store cannot be asked.
func (h *Hub) Act(ctx context.Context, id session.ID, idle time.Duration, confirm bool) error {
	s := h.lookup(id)
	if s == nil {
		c, err := h.check(ctx, id)
		if err != nil {
			return err
		}
		s = c.live
	}
	if confirm {
		h.note(s, "input", "extend by request")
	} else {
		h.note(s, "input", "activity by request")
	}
	return h.act(context.WithoutCancel(ctx), s, idle, confirm) // the act counts though the request is broken off
}

// act records that the user of s acted idle ago, for [Hub.Act] and for messages of tabs. It returns
// session.ErrEnded if that came too late. As a rule it takes no lock; see Goroutines in doc.go.
func (h *Hub) act(ctx context.Context, s *liveSession, idle time.Duration, confirm bool) error {
	changed, tells := h.moveDeadline(s, idle)
	return h.acted(ctx, s, idle, confirm, changed, tells)
}

// heartbeat is act for the goroutine that reads a tab. An act that comes too late needs no answer:
// the page is told of the end anyway.
func (h *Hub) heartbeat(s *liveSession, idle time.Duration) {
	changed, tells := h.moveDeadline(s, idle)
	if changed {
		h.index.touch(s)
	}
	if tells || changed && s.isWatched() {
		parallel.Aside(func() { h.acted(h.ctx, s, idle, false, changed, tells) })
	}
}

// moveDeadline is the part of act that each activity needs. It returns what is left for acted.
// changed means that the state of s may be another than before, and tells that a warning is shown
// or tabs must be told.
func (h *Hub) moveDeadline(s *liveSession, idle time.Duration) (changed, tells bool) {
	now := h.clock.Now()
	p := s.policy.Load()
	if s.warned.Load() || !now.Before(s.movableEnd(p).Add(-p.Lead())) {
		return false, true
	}
	quiet := now.UnixMilli() - s.active.Load()
	if !s.raise(now.Add(-idle)) {
		return false, false
	}
	s.shard.markDirty(s)
	return quiet > activeFor.Milliseconds(), s.warned.Load() || s.announcementIsStale(p, now, s.movableEnd(p))
}

// acted is the rest of act.
func (h *Hub) acted(ctx context.Context, s *liveSession, idle time.Duration, confirm, changed, tells bool) error {
	if changed {
		h.stateChanged(s)
	}
	if !tells {
		return nil
	}
	return h.actInWarning(ctx, s, idle, confirm)
}

// actInWarning is act while a warning may be shown, or where tabs must be told.
func (h *Hub) actInWarning(ctx context.Context, s *liveSession, idle time.Duration, confirm bool) error {
	s.mu.Lock()
	now := h.clock.Now()
	p := s.policy.Load()
	r := s.recordLocked()
	if phase, _ := p.At(&r, now); phase == session.Expired || s.ending || s.end != nil {
		s.mu.Unlock()
		return session.ErrEnded
	}
	warns := !now.Before(r.LastActiveAt.Add(p.WarnAfter))
	if warns && p.ExtendOn == session.ExtendOnConfirm && !confirm {
		s.mu.Unlock()
		return nil
	}
	if warns && !h.cluster.Alone() {
		s.mu.Unlock()
		return h.actForAll(ctx, s, session.Millis(now.Add(-idle)))
	}
	moved := s.raise(now.Add(-idle))
	s.mu.Unlock()
	if moved {
		if warns { // a crash must not take back what the page is about to be told
			at := session.FromUnixMilli(s.active.Load())
			if unknown, err := h.store.Touch(ctx, []session.Activity{{ID: s.id, At: at}}); err != nil {
				h.log.Error("activity not stored", "session", s.id, "error", err)
				s.shard.markDirty(s)
			} else {
				h.cluster.Suspect(unknown...)
			}
		} else {
			s.shard.markDirty(s)
		}
	}
	h.tell(s, tellChanges)
	return nil
}

// actForAll is actInWarning where several nodes share the store: another one may end s by what is
// stored. So the act counts, and tabs are told, once it is stored. If that fails it is tried again,
// as long as the session lives.
func (h *Hub) actForAll(ctx context.Context, s *liveSession, at time.Time) error {
	for ms := at.UnixMilli(); ; {
		old := s.unstoredAct.Load()
		if ms <= max(old, s.active.Load()) || s.unstoredAct.CompareAndSwap(old, ms) {
			break
		}
	}
	if s.unstoredAct.Load() == 0 {
		h.tell(s, tellChanges) // it was not new
		return nil
	}
	return h.storeAct(context.WithoutCancel(ctx), s)
}

// actRetryPause is how soon an act that could not be stored is tried again.
const actRetryPause = 250 * time.Millisecond

// storeAct stores the pending act of s, applies what the store has made of it, and tells tabs and
// other nodes.
func (h *Hub) storeAct(ctx context.Context, s *liveSession) error {
	at := s.unstoredAct.Load()
	_, err := h.store.Touch(ctx, []session.Activity{{ID: s.id, At: session.FromUnixMilli(at)}})
	var r session.Record
	if err == nil {
		r, err = h.store.Get(ctx, s.id)
	}
	if err != nil && !isUnknown(err) {
		h.log.Error("activity not stored", "session", s.id, "error", err)
		s.shard.markDirty(s)
		s.shard.wakeBy(s, h.clock.Now().Add(actRetryPause))
		return err
	}
	s.unstoredAct.CompareAndSwap(at, 0)
	switch {
	case err != nil:
		h.cluster.Suspect(s.id)
		return err
	case r.End != nil:
		h.finish(s, *r.End)
		return session.ErrEnded
	}
	s.sameAge(&r)
	if s.raise(r.LastActiveAt) {
		h.cluster.TellActed([]session.Activity{{ID: s.id, At: r.LastActiveAt}})
	}
	h.tell(s, tellChanges)
	return nil
}

// How long activity may be in memory only: a crash may lose that much of an extension, never an
// end. Each session costs the store one write in that time at most, which matters where nodes share
// it.
const (
	flushAtMost       = 5 * time.Second
	flushAtMostShared = 15 * time.Second
)

// flushLoop flushes from time to time, and checks whether the clock was set.
func (h *Hub) flushLoop() {
	watch := h.watchSteps()
	for {
		every := flushAtMost
		if !h.cluster.Alone() {
			every = flushAtMostShared
		}
		if !h.wait(min(every, h.Policies().MinLead()/10)) {
			return
		}
		watch()
		if err := h.flush(h.ctx); err != nil && h.ctx.Err() == nil {
			h.log.Error("activity not stored", "error", err)
		}
	}
}

// flushing is the memory of a flush. It serves later ones: where everybody acts, each flush would
// leave 100 bytes of garbage for each session.
type flushing struct {
	acts  []session.Activity
	known []session.Activity // what other nodes are told once it is stored: acts that count already
	dirty []*liveSession
}

var flushings = sync.Pool{New: func() any { return new(flushing) }}

// takeDirty fills f with what is to be stored.
func (f *flushing) takeDirty(h *Hub) {
	for _, sh := range h.shards {
		f.dirty = sh.takeDirty(f.dirty)
	}
	for _, s := range f.dirty {
		s.dirty.Store(false) // before active is read, so that later activity marks it again
		active, unstored := s.active.Load(), s.unstoredAct.Load()
		f.acts = append(f.acts, session.Activity{ID: s.id, At: session.FromUnixMilli(max(active, unstored))})
		if !h.cluster.Alone() {
			f.known = append(f.known, session.Activity{ID: s.id, At: session.FromUnixMilli(active)})
		}
	}
}

func (f *flushing) free() {
	clear(f.dirty)
	f.acts, f.known, f.dirty = f.acts[:0], f.known[:0], f.dirty[:0]
	flushings.Put(f)
}

// flush stores what the store does not know yet: activity, and the times of tabs.
func (h *Hub) flush(ctx context.Context) error {
	f := flushings.Get().(*flushing)
	defer f.free()
	f.takeDirty(h)
	if len(f.acts) == 0 {
		return h.storePendingTabTimes(ctx)
	}
	unknown, err := h.store.Touch(ctx, f.acts)
	if err != nil {
		for _, s := range f.dirty {
			s.shard.markDirty(s)
		}
		return err
	}
	h.cluster.Suspect(unknown...)
	h.cluster.TellActed(f.known)
	for _, s := range f.dirty {
		if s.unstoredAct.Load() != 0 {
			s.shard.wakeBy(s, h.clock.Now()) // storeAct reads what the store has made of it
		}
	}
	return h.storePendingTabTimes(ctx)
}

// markDirty has the next flush store the activity of s.
func (sh *shard) markDirty(s *liveSession) {
	if !s.dirty.CompareAndSwap(false, true) {
		return
	}
	sh.mu.Lock()
	sh.dirty = append(sh.dirty, s)
	sh.mu.Unlock()
}

// takeDirty moves the sessions whose activity the store does not know to a list.
func (sh *shard) takeDirty(list []*liveSession) []*liveSession {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list = append(list, sh.dirty...)
	clear(sh.dirty)
	sh.dirty = sh.dirty[:0]
	return list
}
