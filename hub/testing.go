package hub

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// What --testing can do to a hub, and see of it.

// Fault is something that happens to all sockets.
type Fault string

// The faults.
const (
	FaultNone   Fault = "none"
	FaultDrop   Fault = "drop"   // connections break, and new ones at once
	FaultStall  Fault = "stall"  // nothing passes; it does later
	FaultRefuse Fault = "refuse" // new connections are refused
)

// Validate refuses what is none of the faults.
func (f Fault) Validate() error {
	switch f {
	case FaultNone, FaultDrop, FaultStall, FaultRefuse:
		return nil
	}
	return errors.New("kind must be drop, stall, refuse or none")
}

type faults struct {
	stall atomic.Bool

	mu       sync.Mutex
	fault    Fault
	released chan struct{} // closed while nothing is stalled
}

func newFaults() *faults {
	f := &faults{fault: FaultNone, released: make(chan struct{})}
	close(f.released)
	return f
}

func (f *faults) set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	if stall := fault == FaultStall; f.stall.Swap(stall) != stall {
		if stall {
			f.released = make(chan struct{})
		} else {
			close(f.released)
		}
	}
}

func (f *faults) is(fault Fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault == fault
}

func (f *faults) stalled() bool { return f.stall.Load() }

func (f *faults) wait() {
	f.mu.Lock()
	released := f.released
	f.mu.Unlock()
	<-released
}

// SetFault makes a fault happen to all sockets until another is set.
func (h *Hub) SetFault(f Fault) {
	h.faults.set(f)
	switch f {
	case FaultDrop:
		for _, t := range h.allTabs() {
			t.conn.Close()
		}
	case FaultStall:
	default:
		h.startAll(func(t *tab) bool {
			t.mu.Lock()
			defer t.mu.Unlock()
			return len(t.outbox) > 0 && t.startLocked()
		})
	}
}

// Leap prepares for the clock to be moved by advance, and afterwards tells every tab its new durations. It returns when
// they are on their sockets.
func (h *Hub) Leap(ctx context.Context, advance func()) error {
	if err := h.flush(ctx); err != nil {
		return err
	}
	advance()
	h.settle(ctx) // deadlines that fell due in real time may still be at work
	for _, s := range h.allLive() {
		h.tell(s, tellAnyway)
		h.schedule(s)
	}
	h.settle(ctx)
	return nil
}

// settle waits until no deadline is being worked on and no tab is being written to, a second at most.
func (h *Hub) settle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for h.writers.Load() > 0 || h.waking.Load() > 0 {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Reset ends all sessions and forgets everything, the store's content included. The clock is moved back by back.
func (h *Hub) Reset(ctx context.Context, back func()) error {
	h.SetFault(FaultNone)
	for _, s := range h.allLive() {
		end := session.End{Reason: session.ReasonAdmin, At: session.Millis(h.clock.Now()), Message: "The server was reset for testing."}
		if _, err := h.End(ctx, s.id, end); err != nil && !errors.Is(err, session.ErrNotFound) {
			return err
		}
	}
	if err := h.store.Reset(ctx); err != nil {
		return err
	}
	h.forced.mu.Lock()
	h.forced.logouts = nil
	h.forced.mu.Unlock()
	h.notices.reset()
	h.timeline.reset()
	back()
	return nil
}

// Timeline is the ordered story of what a hub heard, decided and said. A nil Timeline records nothing.
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

func (h *Hub) note(s *live, kind, what string) {
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
