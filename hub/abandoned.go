package hub

import (
	"context"
	"maps"
	"sync"
	"time"

	"curfew/session"
)

// Sign-ins that failed: the store did not acknowledge them, or the browser hung up, but the store may have kept the session or may yet
// keep it. Nobody has its cookie. It is ended, so that it is not shown as somebody who is here, and takes nobody's place.

// abandoned are those sign-ins, and since when the store is known not to have them; zero: it has not answered yet.
type abandoned struct {
	mu       sync.Mutex
	sessions map[session.ID]time.Time
	working  bool // endAbandoned runs
}

const (
	// abandonedFor is how long a store that answers may yet come to a sign-in that it was sent before.
	abandonedFor = 10 * time.Second
	// maxAbandoned bounds what is remembered while the store is away. Others end when they have been idle for long enough.
	maxAbandoned = 10_000
)

// Abandon has a session ended that its sign-in may have left in the store.
func (h *Hub) Abandon(id session.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := &h.abandoned
	a.mu.Lock()
	defer a.mu.Unlock()
	if h.closing || len(a.sessions) >= maxAbandoned {
		return
	}
	if a.sessions == nil {
		a.sessions = make(map[session.ID]time.Time)
	}
	a.sessions[id] = time.Time{}
	if !a.working {
		a.working = true
		h.running.Go(h.endAbandoned)
	}
}

// endAbandoned asks the store once a second until none is left.
func (h *Hub) endAbandoned() {
	a := &h.abandoned
	for h.rest(time.Second) {
		a.mu.Lock()
		a.working = len(a.sessions) > 0
		list := maps.Clone(a.sessions)
		a.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for id, since := range list {
			ctx, cancel := context.WithTimeout(h.ctx, abandonedFor)
			_, err := h.End(ctx, id, session.End{Reason: session.ReasonLogout, At: session.Millis(h.clock.Now()), Detail: "its sign-in failed"})
			cancel()
			if err != nil && !isUnknown(err) {
				break // the store is away
			}
			a.mu.Lock()
			switch {
			case err != nil && since.IsZero():
				a.sessions[id] = time.Now()
			case err == nil, time.Since(since) > abandonedFor:
				delete(a.sessions, id)
			}
			a.mu.Unlock()
		}
	}
}
