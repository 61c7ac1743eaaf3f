package hub

import (
	"slices"
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
		h.mu.Lock()
		h.nextSlot = (h.nextSlot + 1) % tickSlots
		tabs := slices.Clone(h.slots[h.nextSlot])
		h.mu.Unlock()
		for _, t := range tabs {
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

// takeSlot gives the tab its place among the ticks: its first one comes as late as can be.
func (h *Hub) takeSlot(t *tab) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.slot, t.place = h.nextSlot, len(h.slots[h.nextSlot])
	h.slots[t.slot] = append(h.slots[t.slot], t)
	if h.closing {
		h.running.Go(func() { h.close(t, wire.StatusRestart, "server restarting") })
	}
}

func (h *Hub) leaveSlot(t *tab) {
	h.mu.Lock()
	defer h.mu.Unlock()
	slot := h.slots[t.slot]
	last := len(slot) - 1
	slot[t.place] = slot[last]
	slot[t.place].place = t.place
	slot[last] = nil
	h.slots[t.slot] = slot[:last]
}

func (h *Hub) allTabs() []*tab {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Concat(h.slots[:]...)
}
