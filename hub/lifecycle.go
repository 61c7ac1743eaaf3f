package hub

import "time"

// goTracked runs f in a goroutine that Shutdown waits for; during Shutdown it runs f itself.
func (h *Hub) goTracked(f func()) {
	h.mu.Lock()
	closing := h.closing
	if !closing {
		h.running.Go(f)
	}
	h.mu.Unlock()
	if closing {
		f()
	}
}

// wait waits; false where the hub stops before.
func (h *Hub) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-h.ctx.Done():
		return false
	}
}

// mayServe counts a goroutine that serves a tab, unless the hub is shutting down.
func (h *Hub) mayServe() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closing {
		h.running.Add(1)
	}
	return !h.closing
}

func (h *Hub) isClosing() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closing
}
