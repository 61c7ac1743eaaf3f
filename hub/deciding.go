package hub

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"curfew/session"
)

// What the hub decides of a session: that it warns, that an act withdraws the warning, that it ends; and whom it tells.

// schedule has s looked at when something may be due next.
func (h *Hub) schedule(s *live) {
	now := h.clock.Now()
	s.mu.Lock()
	p := s.policy.Load()
	phase, next := p.At(s.recordLocked(), now)
	if phase == session.Active && len(s.tabs) > 0 {
		if tell := session.FromUnixMilli(s.told.Load()).Add(-p.Lead() - margin(p)); tell.After(now) && tell.Before(next) {
			next = tell
		}
	}
	over, here := s.end != nil, len(s.tabs) > 0
	s.mu.Unlock()
	if over {
		return
	}
	if phase == session.Expired {
		next = now
	}
	if h.nodes != nil && !here && h.timeline == nil {
		next = next.Add(h.nodes.turn(s.id))
	}
	s.shard.wakeBy(s, next)
}

// wake does what is due for s: it reads it again if need be, ends it if its time is up, and else tells its tabs what they
// have to know. Whatever comes of that, s is looked at again in time.
func (h *Hub) wake(ctx context.Context, s *live) {
	h.notAhead(s)
	if s.owed.Load() != 0 {
		h.storeOwed(ctx, s) // after an error it wakes s again
	}
	if s.unread.Swap(false) {
		h.refresh(ctx, s)
		return
	}
	if h.isDue(s) {
		h.expire(ctx, s)
		return
	}
	h.tell(s, tellNews)
}

// notAhead has activity count from now at most. It lies ahead where the computer's clock was set back; an idle time would be longer by as
// much. Where nodes share a store, the store's clock counts, by which it takes no activity that lies ahead.
func (h *Hub) notAhead(s *live) {
	if h.nodes != nil {
		return
	}
	now, active := h.clock.Now().UnixMilli(), s.active.Load()
	if active > now {
		s.active.CompareAndSwap(active, now) // else somebody acts just now
	}
}

// tell tells every tab how s stands, and has s looked at when something may be due next. alive is false where its time is
// up: it is about to be ended.
func (h *Hub) tell(s *live, what telling) (alive bool) {
	s.mu.Lock()
	now, p := h.clock.Now(), s.policy.Load()
	phase, _ := p.At(s.recordLocked(), now)
	alive = phase != session.Expired
	var start []*tab
	if alive {
		start = h.tellLocked(s, p, now, what)
	}
	s.mu.Unlock()
	h.start(start)
	h.changed(s)
	h.schedule(s)
	return alive
}

// telling says what tabs are told although they may know it.
type telling int

const (
	tellNews   telling = iota // only what they do not know
	tellAnyway                // how the session stands
	tellRules                 // that, and the rules that a reload has changed
)

// tellLocked tells every tab how s stands.
func (h *Hub) tellLocked(s *live, p *session.Policy, now time.Time, what telling) (start []*tab) {
	s.warned.Store(true) // before active is read: see live
	st := s.standingLocked(p, now)
	if st.reason == "" {
		s.warned.Store(false)
	}
	switch {
	case s.ending || s.end != nil:
		return nil
	case what != tellNews:
	case st.reason != "":
		if s.warning == st.reason && s.warnEnd.Equal(st.end) {
			return nil
		}
	case s.warning == "" && !s.mustTell(p, now, st.end):
		return nil
	}
	if st.reason != s.warning {
		h.note(s, "decision", cond(st.reason != "", "warn "+string(st.reason), "withdraw warning"))
	}
	s.warning, s.warnEnd = st.reason, st.end
	s.told.Store(st.end.UnixMilli())
	h.note(s, "push", cond(st.reason != "", string(KindWarn), string(KindActive)))
	return s.broadcastLocked(h.faults.stalled(), st.onWire(p, what == tellRules))
}

func cond[T any](b bool, yes, no T) T {
	if b {
		return yes
	}
	return no
}

// act records that the person of s acted idle ago. It returns session.ErrEnded if that came too late.
func (h *Hub) act(ctx context.Context, s *live, idle time.Duration, confirm bool) error {
	now := h.clock.Now()
	p := s.policy.Load()
	if !s.warned.Load() && now.Before(s.deadline(p).Add(-p.Lead())) {
		quiet := now.UnixMilli() - s.active.Load()
		if !s.raise(now.Add(-idle)) {
			return nil
		}
		s.shard.markDirty(s)
		if quiet > activeFor.Milliseconds() {
			h.changed(s)
		}
		if !s.warned.Load() && !s.mustTell(p, now, s.deadline(p)) {
			return nil
		}
	}
	return h.actInWarning(ctx, s, idle, confirm)
}

// actInWarning is act where something stands or must be told.
func (h *Hub) actInWarning(ctx context.Context, s *live, idle time.Duration, confirm bool) error {
	s.mu.Lock()
	now := h.clock.Now()
	p := s.policy.Load()
	r := s.recordLocked()
	if phase, _ := p.At(r, now); phase == session.Expired || s.ending || s.end != nil {
		s.mu.Unlock()
		return session.ErrEnded
	}
	warns := !now.Before(r.LastActiveAt.Add(p.WarnAfter))
	if warns && p.ExtendOn == session.ExtendOnConfirm && !confirm {
		s.mu.Unlock()
		return nil
	}
	if warns && h.nodes != nil {
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
				h.suspect(unknown...)
			}
		} else {
			s.shard.markDirty(s)
		}
	}
	h.tell(s, tellNews)
	return nil
}

// actForAll is actInWarning where another node may end s by what is stored. So the act counts, and is told, once it is stored. What
// cannot be stored now is tried again, for as long as the session lives.
func (h *Hub) actForAll(ctx context.Context, s *live, at time.Time) error {
	for ms := at.UnixMilli(); ; {
		old := s.owed.Load()
		if ms <= max(old, s.active.Load()) || s.owed.CompareAndSwap(old, ms) {
			break
		}
	}
	if s.owed.Load() == 0 {
		h.tell(s, tellNews) // it was not new
		return nil
	}
	return h.storeOwed(context.WithoutCancel(ctx), s)
}

// owedPause is when an act that could not be stored is tried again.
const owedPause = 250 * time.Millisecond

// storeOwed stores the act that s has waiting, takes over what the store has made of it, and tells it.
func (h *Hub) storeOwed(ctx context.Context, s *live) error {
	at := s.owed.Load()
	_, err := h.store.Touch(ctx, []session.Activity{{ID: s.id, At: session.FromUnixMilli(at)}})
	var r session.Record
	if err == nil {
		r, err = h.store.Get(ctx, s.id)
	}
	if err != nil && !isUnknown(err) {
		h.log.Error("activity not stored", "session", s.id, "error", err)
		s.shard.markDirty(s)
		s.shard.wakeBy(s, h.clock.Now().Add(owedPause))
		return err
	}
	s.owed.CompareAndSwap(at, 0)
	switch {
	case err != nil:
		h.suspect(s.id)
		return err
	case r.End != nil:
		h.finish(s, *r.End)
		return session.ErrEnded
	}
	if s.raise(r.LastActiveAt) {
		h.tellActed([]session.Activity{{ID: s.id, At: r.LastActiveAt}})
	}
	h.tell(s, tellNews)
	return nil
}

// answer tells one tab how its session stands.
func (h *Hub) answer(t *tab) {
	s := t.session
	s.mu.Lock()
	var start []*tab
	if s.end == nil {
		p := s.policy.Load()
		st := s.standingLocked(p, h.clock.Now())
		start = s.sendLocked(nil, t, h.faults.stalled(), st.onWire(p, false))
	}
	s.mu.Unlock()
	h.start(start)
}

// verdict is what came of an attempt to end a session. All that follows from it is done or under way: whoever has no question
// may drop it.
type verdict int

const (
	verdictOver  verdict = iota // live.end tells how
	verdictAlive                // the store says that its time is not up
	verdictNone                 // nobody can say now; it is tried again
)

// tryAgainAfter is when an end that could not be stored is tried again.
const tryAgainAfter = time.Second

// expire ends s if its time is up. Where no other process writes to the store, the tabs are told at once: the record itself
// proves the end, since what the store knows of the session's activity is never later than what is known here. All
// else is in the store first.
func (h *Hub) expire(ctx context.Context, s *live) verdict {
	if s.shard.lookup(s.id) != s {
		return verdictOver // all is done
	}
	if h.nodes != nil && h.nodes.postponed(ctx, s) {
		return verdictNone
	}
	h.awaitEffect(s)
	now := h.clock.Now()
	s.mu.Lock()
	end, told := s.dueLocked(), s.end != nil
	if told {
		end = *s.end
	} else if phase, _ := s.policy.Load().At(s.recordLocked(), now); phase != session.Expired {
		s.overBy = time.Time{}
		s.mu.Unlock()
		h.schedule(s)
		return verdictAlive
	}
	s.ending = true
	s.mu.Unlock()
	h.note(s, "decision", "end "+string(end.Reason))
	ifDueBy := now
	forced := end.Reason == session.ReasonAdmin                                        // a fact says so, which is stored
	if told || forced || h.nodes == nil && end.Reason != session.ReasonBrowserClosed { // the closing may not have been stored
		h.tellEnd(s, end)
		ifDueBy = time.Time{} // told is told, though a reload may be storing a laxer policy at this moment
	}
	first, err := h.store.End(ctx, s.id, end, ifDueBy)
	switch {
	case err == nil && first:
		h.tellEnded(s.id, end)
		h.finish(s, end)
	case err == nil, errors.Is(err, session.ErrNotFound):
		h.finishAsStored(ctx, s, end)
	case errors.Is(err, session.ErrNotDue):
		return h.refresh(ctx, s)
	default:
		h.log.Error("end not stored", "session", s.id, "error", err)
		return h.takeBack(s)
	}
	return verdictOver
}

// takeBack has the end of s decided anew in a while. Until then acts count again, should another node's have moved the deadline; where
// none has, they come too late and the pages blank themselves in time.
func (h *Hub) takeBack(s *live) verdict {
	s.mu.Lock()
	told := s.end != nil
	s.ending = told
	s.mu.Unlock()
	s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
	return cond(told, verdictOver, verdictNone)
}

// finishAsStored ends s for the reason that the store knows.
func (h *Hub) finishAsStored(ctx context.Context, s *live, otherwise session.End) {
	if r, err := h.store.Get(ctx, s.id); err == nil && r.End != nil {
		otherwise = *r.End
	}
	h.finish(s, otherwise)
}

// readAgain has s read from the store, which could not be asked.
func (h *Hub) readAgain(s *live) {
	s.unread.Store(true)
	s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
}

// notDuePause is when a session is judged again that is due by this node's clock and not by the store's. They differ by less
// than that, once the node has set its own right.
const notDuePause = 10 * time.Millisecond

// refresh takes over what the store knows of s, and has it judged anew.
func (h *Hub) refresh(ctx context.Context, s *live) verdict {
	r, err := h.store.Get(ctx, s.id)
	switch {
	case err == nil && r.End != nil:
		h.finish(s, *r.End)
		return verdictOver
	case err != nil && !isUnknown(err): // of an unknown one the next attempt to end it tells
		h.log.Error("session not read", "session", s.id, "error", err)
		h.readAgain(s)
		return h.takeBack(s)
	}
	s.mu.Lock()
	s.ending = s.end != nil
	if err == nil {
		s.raise(r.LastActiveAt)
	}
	if phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now()); phase != session.Expired {
		s.overBy = time.Time{} // an act that was not known here has kept it
	}
	s.mu.Unlock()
	if err == nil {
		h.takeRules(s, r.Rules(), r.Revision)
		if h.takeStored(s, r) {
			h.storeTimes(ctx, s)
		}
	}
	if h.isDue(s) {
		s.shard.wakeBy(s, h.clock.Now().Add(notDuePause))
	} else {
		h.tell(s, tellNews)
	}
	return verdictAlive
}

// ackWait is how long the close frame waits for the page's ack of the end. It is real time.
const ackWait = time.Second

// finish tells every tab that s is over, unless that was done, and forgets s. The end is durable by now.
func (h *Hub) finish(s *live, end session.End) {
	h.tellEnd(s, end)
	h.forget(s)
}

func (h *Hub) forget(s *live) {
	if s.shard.remove(s) {
		h.leave(s)
	}
}

// tellEnd tells every tab that s is over, once.
func (h *Hub) tellEnd(s *live, end session.End) {
	message := h.expireMessage(end)
	start, tabs, first := h.tellEndShared(nil, nil, s, &end, h.share(message), message, nil)
	if !first {
		return
	}
	if h.nodes != nil {
		h.nodes.ended(s.id, &end)
	}
	h.counts.ended(end.Reason, 1)
	h.start(start)
	h.changed(s)
	h.closeLater(tabs, end)
}

// tellEndShared queues the end for every tab of s, once: first is true to the call that does. It appends the tabs that need a
// writer to start, and all that were told to told. While hold is set they are not closed.
func (h *Hub) tellEndShared(start, told []*tab, s *live, end *session.End, shared sharedFrame, message func(seq int64) any, hold *atomic.Bool) (_, _ []*tab, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return start, told, false
	}
	s.end, s.ending = end, true
	s.warned.Store(true) // see act: it is too late
	start = s.broadcastSharedLocked(start, h.faults.stalled(), shared, message)
	for _, t := range s.tabs {
		t.hold = hold
		s.toldEndLocked(t)
	}
	h.note(s, "push", string(KindExpire))
	return start, append(told, s.tabs...), true
}

// toldEndLocked notes that the newest message told t of the end.
func (s *live) toldEndLocked(t *tab) {
	t.expireSeq = t.lastSeq.Load()
	if s.end.Reason == session.ReasonAdmin && s.forced != nil {
		s.forced.progress.told(t)
	}
}

func (h *Hub) expireMessage(end session.End) func(seq int64) any {
	return func(seq int64) any { return expire{KindExpire, seq, end.Reason, end.Text(), h.signIn} }
}

// closeLater closes the tabs that have not acknowledged the end by then.
func (h *Hub) closeLater(tabs []*tab, end session.End) {
	if len(tabs) == 0 {
		return
	}
	h.running.Go(func() {
		timer := time.NewTimer(ackWait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-h.ctx.Done():
		}
		var start []*tab
		for _, t := range tabs {
			if t.close(StatusExpired, string(end.Reason)) {
				start = append(start, t)
			}
		}
		h.start(start)
	})
}
