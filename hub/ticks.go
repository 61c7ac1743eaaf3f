package hub

import (
	"slices"
	"sync"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
)

// Ticks: a data frame to every tab from time to time. It asks the page whether it is there, and
// keeps proxies from cutting a silent socket.

// Each tab is ticked every tickEvery. The tabs are spread evenly over tickSlots. It is real time,
// whatever the test clock says.
const (
	tickEvery = 25 * time.Second
	tickSlots = 100
)

// tickLoop ticks the tabs of one slot after the other, and sets timers again when the computer's
// clock was set.
func (h *Hub) tickLoop() {
	ticker := time.NewTicker(tickEvery / tickSlots)
	defer ticker.Stop()
	start := time.Now()
	var stepped time.Duration // by how much the wall clock was set since start, against the monotonic one
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		now := time.Now()
		if step := now.Round(0).Sub(start.Round(0)) - now.Sub(start); (step - stepped).Abs() > time.Second/2 {
			stepped = step
			h.rearmTimers()
		}
		for _, t := range h.tabs.turn() {
			h.tick(t, now)
		}
		for _, t := range h.tabs.tickedLongAgo() {
			h.touchUnconfirmed(t)
		}
		h.settleIndex()
	}
}

// tick asks the page of t whether it is there. If the page has not answered the tick before, tick
// asks the browser as well, by a ping: a frozen page answers no tick, but its browser answers the
// ping. If nothing at all has come by the next tick, the peer has vanished, and its tab is closed
// as one whose connection was lost.
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
	if !silent { // or else the older tick counts, which is not answered
		t.tickSeq, t.tickedAt = t.lastSeq.Load(), instant(now.Sub(instantZero))
	} else if !stalled && t.Probe() {
		start = append(start, &t.Conn)
	}
	s.mu.Unlock()
	h.writers.Start(start)
}

// maxProbed is the highest number of tabs of a session that probeLocked pings. More have hardly all
// vanished.
const maxProbed = 4

// probeLocked pings the tabs of s after one was closed. Should another turn out to have vanished,
// it matters whether it vanished before. It returns the connections that need a writer.
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

// tickWheel holds the open tabs of this process by the time of their next tick. The tabs of a slot
// were opened at about the same time.
type tickWheel struct {
	mu      sync.Mutex
	slots   [tickSlots][]*tab
	current int   // the slot that was ticked last
	listing int64 // counts calls of sessions
}

// add adds t to the current slot, so that its first tick comes as late as possible.
func (w *tickWheel) add(t *tab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t.slot, t.place = int32(w.current), int32(len(w.slots[w.current]))
	w.slots[t.slot] = append(w.slots[t.slot], t)
}

// remove undoes add, if that was called.
func (w *tickWheel) remove(t *tab) {
	w.mu.Lock()
	defer w.mu.Unlock()
	slot := w.slots[t.slot]
	last := len(slot) - 1
	if int(t.place) > last || slot[t.place] != t {
		return
	}
	slot[t.place] = slot[last]
	slot[t.place].place = t.place
	slot[last] = nil
	w.slots[t.slot] = slot[:last]
}

// turn moves on by one slot and lists its tabs.
func (w *tickWheel) turn() []*tab {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.current = (w.current + 1) % tickSlots
	return slices.Clone(w.slots[w.current])
}

// tickedLongAgo lists the tabs that were ticked a little more than answerWait ago, even if that
// turn came as late as the next one.
func (w *tickWheel) tickedLongAgo() []*tab {
	const slots = int(answerWait/(tickEvery/tickSlots)) + 2
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.slots[(w.current+tickSlots-slots)%tickSlots])
}

// touchUnconfirmed has the index notice that t has not answered a tick.
func (h *Hub) touchUnconfirmed(t *tab) {
	s := t.session
	s.mu.Lock()
	unconfirmed := t.unconfirmedLocked()
	s.mu.Unlock()
	if unconfirmed || s.unconfirmedTabs.Load() { // an answer may have come while the index was written
		h.index.touch(s)
	}
}

// all lists the open tabs.
func (w *tickWheel) all() []*tab {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Concat(w.slots[:]...)
}

// count counts the open tabs.
func (w *tickWheel) count() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, slot := range w.slots {
		n += len(slot)
	}
	return n
}

// sessions lists the sessions of the open tabs, each once, roughly in the order in which the tabs
// were opened.
func (w *tickWheel) sessions() (list []*liveSession) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listing++
	for i := range w.slots {
		for _, t := range w.slots[(w.current+1+i)%tickSlots] {
			if s := t.session; s.listed != w.listing {
				s.listed = w.listing
				list = append(list, s)
			}
		}
	}
	return list
}
