package hub

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"curfew/session"
)

// Deadlines: each session is woken when something may be due. [session.Policy.At] decides when it
// warns and when it ends; tell.go and ending.go do what follows.

// wake is an entry of a shard's queue. It is stale unless at is the session's wakeAt.
type wake struct {
	at      moment
	session *liveSession
}

// wakeQueue is a heap, earliest first.
type wakeQueue []wake

func (q wakeQueue) Len() int           { return len(q) }
func (q wakeQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q wakeQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *wakeQueue) Push(x any)        { *q = append(*q, x.(wake)) }
func (q *wakeQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = wake{}
	*q = (*q)[:len(*q)-1]
	return last
}

// wakeBy has s woken at an instant, unless it will be woken earlier.
func (sh *shard) wakeBy(s *liveSession, at time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	m := momentOf(at)
	if s.wakeAt != 0 && m >= s.wakeAt || sh.sessions[s.id] != s {
		return
	}
	s.wakeAt = m // an older entry of s in the queue is stale now
	heap.Push(&sh.queue, wake{m, s})
	sh.armLocked()
}

// armLocked sets the timer to the earliest entry, if it is not set to that or earlier.
func (sh *shard) armLocked() {
	if len(sh.queue) == 0 || sh.stopped {
		return
	}
	at := sh.queue[0].at.time()
	if sh.timer != nil {
		if !at.Before(sh.timerAt) {
			return
		}
		sh.timer.Stop()
	}
	sh.timerAt = at
	sh.timer = sh.hub.clock.AfterFunc(at.Sub(sh.hub.clock.Now()), func() { sh.hub.runUnlessClosing(sh.fire) })
}

// endsAtOnce is how many sessions of a shard are ended at the same time. After the process stood
// still for long, all may be due.
const endsAtOnce = 200

// fire wakes the sessions that are due. The timer calls it.
func (sh *shard) fire() {
	sh.hub.waking.Add(1)
	defer sh.hub.waking.Add(-1)
	now := sh.hub.clock.Now()
	var due []wake
	sh.mu.Lock()
	sh.timer = nil
	for len(sh.queue) > 0 && sh.queue[0].at <= momentOf(now) {
		w := heap.Pop(&sh.queue).(wake)
		if w.session.wakeAt == w.at && sh.sessions[w.session.id] == w.session {
			w.session.wakeAt = 0
			due = append(due, w)
		}
	}
	sh.armLocked()
	sh.mu.Unlock()
	sh.hub.wakeAll(due, now)
}

// wakeAll wakes sessions that were due to be woken by now. It returns when everything that follows
// is done, but for ends that tabs were told and that are being stored.
func (h *Hub) wakeAll(due []wake, now time.Time) {
	var waiting sync.WaitGroup
	slots := make(chan struct{}, endsAtOnce)
	var ends []*decidedEnd
	undecided := make(map[<-chan struct{}][]wake) // by what each waits for; no other session waits with them
	for _, w := range due {
		s := w.session
		mustAsk, isDue := s.mustReread.Load() || s.unstoredAct.Load() != 0, h.isDue(s)
		if isDue && !mustAsk {
			if wait := h.undecided(s); wait != nil {
				undecided[wait] = append(undecided[wait], w)
				continue
			}
		}
		switch {
		case !mustAsk && !isDue:
			h.meter.Late(DeadlineWarning, now.Sub(w.at.time()))
			h.wake(h.ctx, s)
		case !mustAsk && h.cluster.Alone():
			h.notAhead(s)
			if e, _ := h.decideEnd(h.ctx, s); e != nil {
				ends = append(ends, e)
			}
		default: // each asks the store
			slots <- struct{}{}
			waiting.Go(func() {
				h.wake(h.ctx, s)
				<-slots
			})
		}
	}
	for wait, list := range undecided {
		waiting.Go(func() {
			<-wait
			h.wakeAll(list, now)
		})
	}
	h.storeEnds(ends)
	waiting.Wait()
}

// rearm sets the timer again; see rearmTimers.
func (sh *shard) rearm() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.timer != nil {
		sh.timer.Stop()
		sh.timer = nil
	}
	sh.armLocked()
}

// rearmTimers sets the timers of all shards again, after the clock was set.
func (h *Hub) rearmTimers() {
	for _, sh := range h.shards {
		sh.rearm()
	}
}

// stop stops the timer for good.
func (sh *shard) stop() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.stopped = true
	if sh.timer != nil {
		sh.timer.Stop()
	}
}

// schedule has s woken when something may be due next. It is called after every change of what s is
// judged by. Where nodes share a store, a node without tabs of s leaves the end to others for a
// moment.
func (h *Hub) schedule(s *liveSession) {
	now := h.clock.Now()
	s.mu.Lock()
	p := s.policy.Load()
	phase, next := s.phaseLocked(p, now)
	if phase == session.Active && len(s.tabs) > 0 {
		tell := session.FromUnixMilli(s.announcedEnd.Load()).Add(-p.Lead() - margin(p))
		if tell.After(now) && tell.Before(next) {
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
	if !here && h.timeline == nil {
		next = next.Add(h.cluster.Stagger(s.id))
	}
	s.shard.wakeBy(s, next)
}

// wake does what is due for s: it stores a pending act, reads s again where the store did not
// answer before, ends s, or tells its tabs what they do not know. In any case s is scheduled again.
func (h *Hub) wake(ctx context.Context, s *liveSession) {
	h.notAhead(s)
	if s.unstoredAct.Load() != 0 {
		h.storeAct(ctx, s) // after an error it schedules s again
	}
	if s.mustReread.Swap(false) {
		h.refresh(ctx, s)
		return
	}
	if h.isDue(s) {
		h.expire(ctx, s)
		return
	}
	h.tell(s, tellChanges)
}

// isDue reports whether s is due, or its end was told and is yet to be stored.
func (h *Hub) isDue(s *liveSession) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	phase, _ := s.phaseLocked(s.policy.Load(), h.clock.Now())
	return phase == session.Expired || s.end != nil
}

// notAhead moves the last activity back to now if it lies ahead, as it does after the computer's
// clock was set back: the idle timeout would be longer by as much. Where nodes share a store, the
// store's clock decides, and the store accepts no activity that lies ahead.
func (h *Hub) notAhead(s *liveSession) {
	if !h.cluster.Alone() {
		return
	}
	now, active := h.clock.Now().UnixMilli(), s.active.Load()
	if active > now {
		s.active.CompareAndSwap(active, now) // or else the user acts just now
	}
}

// stepped is the least difference by which a clock counts as set: smaller ones are drift.
const stepped = 100 * time.Millisecond

// watchSteps returns a function for flushLoop to call from time to time. It notices when the
// computer's clock was set, sets all timers again, and has every session looked at by the new time.
// What was to follow a while after something is not put off by as much as the clock was set back.
func (h *Hub) watchSteps() func() {
	wall, began := h.clock.Now(), time.Now()
	return func() {
		now, later := h.clock.Now(), time.Now()
		by := now.Round(0).Sub(wall.Round(0)) - later.Sub(began)
		wall, began = now, later
		if by.Abs() < stepped {
			return
		}
		h.rearmTimers()
		for _, s := range h.allSessions() {
			h.notAhead(s)
			s.mu.Lock()
			s.awayAt = min(s.awayAt, momentOf(now.Add(awayAfter)))
			over := s.end != nil
			s.mu.Unlock()
			if over || s.mustReread.Load() || s.unstoredAct.Load() != 0 {
				s.shard.wakeBy(s, now.Add(tryAgainAfter)) // the store is still to be asked
			}
			h.schedule(s)
			h.stateChanged(s)
		}
	}
}
