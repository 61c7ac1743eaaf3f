package hub

import (
	"slices"
	"time"
)

// Ticks: a data frame to every tab now and then, against proxies that cut silent sockets.

// Ticks go to each tab every tickEvery, spread evenly over tickSlots. They are real time, whatever the clock says.
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
			s := t.session
			s.mu.Lock()
			var start []*tab
			if s.end == nil {
				start = s.sendLocked(nil, t, h.faults.stalled(), func(seq int64) any { return tick{KindTick, seq} })
				if t.acked.Load() >= t.tickSeq { // else the older one counts, which is not answered
					t.tickSeq, t.tickedAt = t.lastSeq.Load(), now
				}
			}
			s.mu.Unlock()
			h.start(start)
		}
	}
}

// takeSlot gives the tab its place among the ticks: its first one comes as late as can be.
func (h *Hub) takeSlot(t *tab) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t.slot, t.place = h.nextSlot, len(h.slots[h.nextSlot])
	h.slots[t.slot] = append(h.slots[t.slot], t)
	if h.closing {
		h.running.Go(func() { h.close(t, StatusRestart, "server restarting") })
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
