package hub

import (
	"context"
	"time"

	"curfew/session"
)

// Activity on its way to the store.

// Activity may be in memory only for so long: a crash may lose that much extension, never an end. Where nodes share a store,
// each session costs it one write in that time at most.
const (
	flushAtMost       = 5 * time.Second
	flushAtMostShared = 15 * time.Second
)

// flushLoop writes activity to the store every so often.
func (h *Hub) flushLoop() {
	watch := h.watchSteps()
	for {
		h.mu.Lock()
		every := h.flushEvery
		h.mu.Unlock()
		timer := time.NewTimer(every)
		select {
		case <-h.ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		watch()
		if err := h.flush(h.ctx); err != nil && h.ctx.Err() == nil {
			h.log.Error("activity not stored", "error", err)
		}
	}
}

// flush writes what the store does not know: activity, and how tabs came and went.
func (h *Hub) flush(ctx context.Context) error {
	var acts, known []session.Activity
	var dirty []*live
	for _, sh := range h.shards {
		for _, s := range sh.takeDirty() {
			s.dirty.Store(false) // before active is read: later activity marks it again
			active, owed := s.active.Load(), s.owed.Load()
			acts = append(acts, session.Activity{ID: s.id, At: session.FromUnixMilli(max(active, owed))})
			known = append(known, session.Activity{ID: s.id, At: session.FromUnixMilli(active)})
			dirty = append(dirty, s)
		}
	}
	if len(acts) == 0 {
		return h.storeLeaving(ctx)
	}
	unknown, err := h.store.Touch(ctx, acts)
	if err != nil {
		for _, s := range dirty {
			s.shard.markDirty(s)
		}
		return err
	}
	h.suspect(unknown...)
	h.tellActed(known)
	for _, s := range dirty {
		if s.owed.Load() != 0 {
			s.shard.wakeBy(s, h.clock.Now()) // what has become of it is to be found out
		}
	}
	return h.storeLeaving(ctx)
}

// stepped is the least by which a clock was set and did not just run a little faster or slower.
const stepped = 100 * time.Millisecond

// watchSteps returns what is to be called now and then: it notices that the computer's clock was set, and has what waits for a time
// wait for it anew.
func (h *Hub) watchSteps() func() {
	wall, began := h.clock.Now(), time.Now()
	return func() {
		now, later := h.clock.Now(), time.Now()
		by := now.Round(0).Sub(wall.Round(0)) - later.Sub(began)
		wall, began = now, later
		if by.Abs() < stepped {
			return
		}
		for _, sh := range h.shards {
			sh.rearm()
			for _, s := range sh.all() {
				h.notAhead(s)
				h.schedule(s)
			}
		}
	}
}
