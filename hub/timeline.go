package hub

import (
	"sync"
	"time"

	"curfew/session"
)

// Timeline records what pages and requests sent, what the hub decided and what it told pages, in
// this order. It serves --testing, and is nil without: then nothing is recorded.
type Timeline struct {
	clock session.Clock

	mu      sync.Mutex
	entries []Moment
}

// Moment is an entry of a timeline.
type Moment struct {
	At      time.Time `json:"at"`
	Session string    `json:"session"`
	User    string    `json:"user"`
	Kind    string    `json:"kind"` // input, decision or push
	What    string    `json:"what"`
}

// timelineKept is how many entries are kept at most. Half of them are dropped at once.
const timelineKept = 10000

// NewTimeline returns an empty timeline. clock dates its entries.
func NewTimeline(clock session.Clock) *Timeline { return &Timeline{clock: clock} }

// Moments lists the entries, oldest first.
func (t *Timeline) Moments() []Moment {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Moment{}, t.entries...)
}

func (t *Timeline) reset() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.entries = nil
}

// note records an entry of s, if there is a timeline.
func (h *Hub) note(s *liveSession, kind, what string) {
	t := h.timeline
	if t == nil {
		return
	}
	now := t.clock.Now().UTC()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.entries) >= timelineKept {
		t.entries = append(t.entries[:0], t.entries[timelineKept/2:]...)
	}
	t.entries = append(t.entries, Moment{now, s.names.Load().Ref, s.record.Load().User, kind, what})
}
