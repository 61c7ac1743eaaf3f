package hub

import (
	"container/heap"
	"sync"
	"time"

	"curfew/session"
)

// shards is how many parts the live sessions are spread over. Each has one heap and one timer, so that a deadline costs
// neither a timer nor much contention.
const shards = 64

// shard holds some of the live sessions and wakes each when something may be due. It wakes lazily: activity moves
// deadlines back without touching the heap, and a session that is woken too early is put back.
type shard struct {
	hub *Hub

	mu       sync.Mutex
	sessions map[session.ID]*live
	queue    wakeQueue
	timer    session.Timer
	timerAt  time.Time
	dirty    []*live // with activity that the store does not know
	stopped  bool
}

type wake struct {
	at      time.Time
	session *live
}

// wakeQueue is a heap, earliest first.
type wakeQueue []wake

func (q wakeQueue) Len() int           { return len(q) }
func (q wakeQueue) Less(i, j int) bool { return q[i].at.Before(q[j].at) }
func (q wakeQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *wakeQueue) Push(x any)        { *q = append(*q, x.(wake)) }
func (q *wakeQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = wake{}
	*q = (*q)[:len(*q)-1]
	return last
}

// wakeBy makes sure that s is looked at no later than at.
func (sh *shard) wakeBy(s *live, at time.Time) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if !s.wakeAt.IsZero() && !at.Before(s.wakeAt) || sh.sessions[s.id] != s {
		return
	}
	s.wakeAt = at // an older entry of s in the queue is now stale
	heap.Push(&sh.queue, wake{at, s})
	sh.armLocked()
}

// armLocked sets the timer to the earliest entry.
func (sh *shard) armLocked() {
	if len(sh.queue) == 0 || sh.stopped {
		return
	}
	at := sh.queue[0].at
	if sh.timer != nil {
		if !at.Before(sh.timerAt) {
			return
		}
		sh.timer.Stop()
	}
	sh.timerAt = at
	sh.timer = sh.hub.clock.AfterFunc(at.Sub(sh.hub.clock.Now()), sh.fire)
}

// endsAtOnce is how many sessions of a shard are ended together. After a long standstill all may be due.
const endsAtOnce = 200

// fire wakes what is due and returns when all that follows from it is done.
func (sh *shard) fire() {
	sh.hub.waking.Add(1)
	defer sh.hub.waking.Add(-1)
	now := sh.hub.clock.Now()
	var due []*live
	sh.mu.Lock()
	sh.timer = nil
	for len(sh.queue) > 0 && !sh.queue[0].at.After(now) {
		w := heap.Pop(&sh.queue).(wake)
		if w.session.wakeAt.Equal(w.at) && sh.sessions[w.session.id] == w.session {
			w.session.wakeAt = time.Time{}
			due = append(due, w.session)
		}
	}
	sh.armLocked()
	sh.mu.Unlock()
	var ends sync.WaitGroup
	slots := make(chan struct{}, endsAtOnce)
	for _, s := range due {
		if !s.unread.Load() && s.owed.Load() == 0 && !sh.hub.isDue(s) {
			sh.hub.wake(sh.hub.ctx, s)
			continue
		}
		slots <- struct{}{}
		ends.Go(func() {
			sh.hub.wake(sh.hub.ctx, s) // they share the store's transactions
			<-slots
		})
	}
	ends.Wait()
}

// rearm sets the timer anew, after the wall clock was stepped.
func (sh *shard) rearm() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.timer != nil {
		sh.timer.Stop()
		sh.timer = nil
	}
	sh.armLocked()
}

func (sh *shard) stop() {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.stopped = true
	if sh.timer != nil {
		sh.timer.Stop()
	}
}

// lookup returns the live session, or nil.
func (sh *shard) lookup(id session.ID) *live {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.sessions[id]
}

// adopt returns the live session of r, which it makes if need be.
func (sh *shard) adopt(r session.Record, forced *logout) (s *live, isNew bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.sessions[r.ID]; s != nil {
		return s, false
	}
	s = newLive(r, sh)
	s.forced = forced
	s.warned.Store(forced != nil) // see act: what stands is told when a tab opens
	sh.sessions[r.ID] = s
	sh.hub.refs.add(s)
	return s, true
}

func (sh *shard) remove(s *live) (removed bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sessions[s.id] != s {
		return false
	}
	delete(sh.sessions, s.id)
	sh.hub.refs.remove(s)
	return true
}

// all lists the live sessions.
func (sh *shard) all() []*live {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := make([]*live, 0, len(sh.sessions))
	for _, s := range sh.sessions {
		list = append(list, s)
	}
	return list
}

// markDirty notes that the store must learn of the activity of s.
func (sh *shard) markDirty(s *live) {
	if !s.dirty.CompareAndSwap(false, true) {
		return
	}
	sh.mu.Lock()
	sh.dirty = append(sh.dirty, s)
	sh.mu.Unlock()
}

func (sh *shard) takeDirty() []*live {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := sh.dirty
	sh.dirty = nil
	return list
}
