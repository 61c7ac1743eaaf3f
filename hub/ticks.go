package hub

import "time"

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
		tabs := make([]*tab, 0, len(h.slots[h.nextSlot]))
		for t := range h.slots[h.nextSlot] {
			tabs = append(tabs, t)
		}
		h.mu.Unlock()
		for _, t := range tabs {
			s := t.session
			s.mu.Lock()
			var start []*tab
			if s.end == nil {
				start = s.sendLocked(t, h.faults.stalled(), func(seq int64) any { return tick{KindTick, seq} })
				if t.acked.Load() >= t.tickSeq { // else the older one counts, which is not answered
					t.tickSeq, t.tickedAt = s.seq, now
				}
			}
			s.mu.Unlock()
			h.start(start)
		}
	}
}
