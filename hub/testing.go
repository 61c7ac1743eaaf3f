package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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

// Leap moves the test clocks of all nodes, and tells every tab its new durations. It returns when they are on their sockets.
func (h *Hub) Leap(ctx context.Context, d time.Duration) (now time.Time, err error) {
	if err := h.flush(ctx); err != nil {
		return now, err
	}
	if n := h.nodes; n == nil {
		h.leapHere(ctx, d)
	} else if err := n.leap(ctx, d); err != nil {
		return now, err
	}
	return h.clock.Now(), nil
}

func (h *Hub) leapHere(ctx context.Context, d time.Duration) {
	h.movable.Advance(d)
	h.settle(ctx) // deadlines that fell due in real time may still be at work
	for _, s := range h.allLive() {
		h.tell(s, tellAnyway)
	}
	h.settle(ctx)
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

// Reset ends all sessions and forgets everything, the store's content included, on all nodes.
func (h *Hub) Reset(ctx context.Context) error {
	for _, s := range h.allLive() {
		end := session.End{Reason: session.ReasonAdmin, At: session.Millis(h.clock.Now()), Message: "The server was reset for testing."}
		if _, err := h.End(ctx, s.id, end); err != nil && !isUnknown(err) {
			return err
		}
	}
	if err := h.store.Reset(ctx); err != nil {
		return err
	}
	if n := h.nodes; n != nil {
		ahead, err := n.peers.MoveClock(ctx, 0)
		if err == nil {
			_, err = n.peers.MoveClock(ctx, -ahead)
		}
		if err == nil {
			err = n.ask(ctx, event{Kind: eventReset})
		}
		if err != nil {
			return err
		}
	}
	h.resetHere()
	return nil
}

func (h *Hub) resetHere() {
	h.SetFault(FaultNone)
	h.forced.reset()
	h.notices.reset()
	h.timeline.reset()
	h.movable.Reset()
	if n := h.nodes; n != nil {
		n.peers.SetOffset(0)
		n.mu.Lock()
		clear(n.ends)
		n.forget = true
		n.mu.Unlock()
	}
}

// leap moves the clocks of all nodes: first all write what they know, so that none ends a session that another knows to be
// active.
func (n *nodes) leap(ctx context.Context, d time.Duration) error {
	if err := n.ask(ctx, event{Kind: eventFlush}); err != nil {
		return err
	}
	ahead, err := n.peers.MoveClock(ctx, d)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	go func() { asked <- n.ask(ctx, event{Kind: eventLeap, Ahead: ahead.Milliseconds()}) }()
	n.moveTo(ctx, ahead)
	return <-asked
}

// followClock moves this node's test clock where the others' are, if it has missed that.
func (n *nodes) followClock(ctx context.Context, ahead time.Duration) {
	if n.hub.movable != nil && ahead > n.hub.movable.Offset() {
		n.moveTo(ctx, ahead)
	}
}

func (n *nodes) moveTo(ctx context.Context, ahead time.Duration) {
	n.leaping.Lock()
	defer n.leaping.Unlock()
	if d := ahead - n.hub.movable.Offset(); d > 0 {
		n.peers.SetOffset(ahead)
		n.hub.leapHere(ctx, d)
	}
}

// ask has all other nodes do something, and waits until they have.
func (n *nodes) ask(ctx context.Context, e event) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	e.Call = rand.Text()
	waiting := make(map[string]bool)
	n.mu.Lock()
	for instance := range n.others {
		waiting[instance] = true
	}
	n.pending[e.Call] = waiting
	n.mu.Unlock()
	n.hub.emit(e)
	for {
		n.mu.Lock()
		left := len(waiting)
		if left == 0 {
			delete(n.pending, e.Call)
		}
		if n.answered == nil {
			n.answered = make(chan struct{})
		}
		answered := n.answered
		n.mu.Unlock()
		if left == 0 {
			return nil
		}
		select {
		case <-answered:
		case <-ctx.Done():
			n.mu.Lock()
			delete(n.pending, e.Call)
			n.mu.Unlock()
			return fmt.Errorf("%d nodes have not answered: %w", left, ctx.Err())
		}
	}
}

// answer does what another node asks for.
func (n *nodes) answer(e event) {
	h := n.hub
	switch {
	case e.Kind == eventFlush:
		if err := h.flush(h.ctx); err != nil {
			h.log.Error("activity not stored", "error", err)
		}
	case h.movable == nil: // not for testing
	case e.Kind == eventLeap:
		n.moveTo(h.ctx, time.Duration(e.Ahead)*time.Millisecond)
	case e.Kind == eventReset:
		h.resetHere()
	}
	h.emit(event{Kind: eventDone, Call: e.Call})
}

// done notes that a node has answered.
func (n *nodes) done(instance, call string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.pending[call], instance)
	n.answeredLocked()
}

func (n *nodes) answeredLocked() {
	if n.answered != nil {
		close(n.answered)
		n.answered = nil
	}
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
