package hub

import (
	"sync"
	"time"

	"curfew/session"
)

// Timeline is the ordered story of what a hub heard, decided and said. A nil Timeline records
// nothing.
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

// timelineKept bounds the memory of a timeline.
const timelineKept = 10000

// NewTimeline starts a timeline that dates its entries by clock.
func NewTimeline(clock session.Clock) *Timeline { return &Timeline{clock: clock} }

// Moments are the entries, oldest first.
func (l *Timeline) Moments() []Moment {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Moment{}, l.entries...)
}

func (l *Timeline) reset() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

func (h *Hub) note(s *liveSession, kind, what string) {
	l := h.timeline
	if l == nil {
		return
	}
	now := l.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.entries) >= timelineKept {
		l.entries = append(l.entries[:0], l.entries[timelineKept/2:]...)
	}
	l.entries = append(l.entries, Moment{now, s.id.Ref(), s.user, kind, what})
}
