package hub

import (
	"slices"
	"sync"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
)

// Ticks: a data frame to every tab now and then, against proxies that cut silent sockets.

// Ticks go to each tab every tickEvery, spread evenly over tickSlots. They are real time, whatever
// the clock says.
const (
	tickEvery = 25 * time.Second
	tickSlots = 100
)

// tickLoop ticks the tabs of one slot after the other, and notices when the wall clock is stepped.
func (h *Hub) tickLoop() {
	ticker := time.NewTicker(tickEvery / tickSlots)
	defer ticker.Stop()
	start := time.Now()
	var stepped time.Duration // of the wall clock against the monotonic one, since start
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if step := now.Round(0).Sub(start.Round(0)) - now.Sub(start); (step - stepped).Abs() > time.Second/2 {
			stepped = step
			for _, sh := range h.shards {
				sh.rearm()
			}
		}
		for _, t := range h.tabs.turn() {
			h.tick(t, now)
		}
	}
}

// tick asks the page of t whether it is there. Where it has not answered the tick before, its
// browser is asked as well, by a ping: a page that is frozen answers no tick, but its browser
// answers for it. If by the next tick nothing at all has come, the peer has vanished, and its tab
// is ended as one whose connection was lost.
func (h *Hub) tick(t *tab, now time.Time) {
	s, stalled := t.session, h.faults.stalled()
	s.mu.Lock()
	if s.end != nil {
		s.mu.Unlock()
		return
	}
	silent := t.tickSeq != 0 && t.acked.Load() < t.tickSeq
	if silent && t.Probed() && !stalled {
		t.vanished = true
		s.mu.Unlock()
		h.close(t, wire.StatusSlow, "no answer")
		return
	}
	start := s.sendLocked(nil, t, stalled, func(seq int64) any { return wire.Tick{Type: wire.KindTick, Seq: seq} })
	if !silent { // else the older one counts, which is not answered
		t.tickSeq, t.tickedAt = t.lastSeq.Load(), now
	} else if !stalled {
		if t.Probe() {
			start = append(start, &t.Conn)
		}
	}
	s.mu.Unlock()
	h.writers.Start(start)
}

// maxProbed is how many tabs of a session are asked at once whether their browser is there. More
// are hardly ghosts.
const maxProbed = 4

// probeLocked pings the tabs of s: one has been closed, and should one of these turn out to have
// vanished, it matters whether that was before. It returns those that need a writer.
func (s *liveSession) probeLocked(stalled bool) (start []*socket.Conn) {
	if len(s.tabs) > maxProbed || stalled {
		return nil
	}
	for _, t := range s.tabs {
		if t.Ping() {
			start = append(start, &t.Conn)
		}
	}
	return start
}

// tickWheel holds the open tabs of this process by the time of their next tick. Those of a slot
// have opened together.
type tickWheel struct {
	mu      sync.Mutex
	slots   [tickSlots][]*tab
	next    int   // the slot that is ticked next is the one after it
	listing int64 // counts calls of sessions
}

// add gives t its place: its first tick comes as late as can be.
func (w *tickWheel) add(t *tab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.slot, t.place = w.next, len(w.slots[w.next])
	w.slots[t.slot] = append(w.slots[t.slot], t)
}

func (w *tickWheel) remove(t *tab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[t.slot]
	last := len(slot) - 1
	slot[t.place] = slot[last]
	slot[t.place].place = t.place
	slot[last] = nil
	w.slots[t.slot] = slot[:last]
}

// turn moves on by a slot and lists its tabs.
func (w *tickWheel) turn() []*tab {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.next = (w.next + 1) % tickSlots
	return slices.Clone(w.slots[w.next])
}

// all lists the tabs.
func (w *tickWheel) all() []*tab {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Concat(w.slots[:]...)
}

// count counts the tabs.
func (w *tickWheel) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, slot := range w.slots {
		n += len(slot)
	}
	return n
}

// sessions lists the sessions of the tabs, each once, roughly in the order in which their tabs have
// opened.
func (w *tickWheel) sessions() (list []*liveSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listing++
	for i := range w.slots {
		for _, t := range w.slots[(w.next+1+i)%tickSlots] {
			if s := t.session; s.listed != w.listing {
				s.listed = w.listing
				list = append(list, s)
			}
		}
	}
	return list
}
