package hub

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"
)

// advanceClocks moves the clocks of all nodes: first all write what they know, so that none ends a
// session that another knows to be active.
func (n *nodes) advanceClocks(ctx context.Context, d time.Duration) error {
	if err := n.ask(ctx, event{Kind: eventFlush}); err != nil {
		return err
	}
	ahead, err := n.shared.MoveClock(ctx, d)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	go func() { asked <- n.ask(ctx, event{Kind: eventAdvance, Ahead: ahead.Milliseconds()}) }()
	n.moveTo(ctx, ahead)
	return <-asked
}

// followClock moves this node's test clock where the others' are, if it has missed that.
func (n *nodes) followClock(ctx context.Context, ahead time.Duration) {
	if n.hub.testClock != nil && ahead > n.hub.testClock.Offset() {
		n.moveTo(ctx, ahead)
	}
}

func (n *nodes) moveTo(ctx context.Context, ahead time.Duration) {
	n.advancing.Lock()
	defer n.advancing.Unlock()
	if d := ahead - n.hub.testClock.Offset(); d > 0 {
		n.shared.SetOffset(ahead)
		n.hub.advanceClockHere(ctx, d)
	}
}

// ask has all other nodes do something, and waits until they have.
func (n *nodes) ask(ctx context.Context, e event) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	e.Call = rand.Text()
	waiting := make(map[string]bool)
	n.mu.Lock()
	for instance := range n.nodes {
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
	case h.testClock == nil: // not for testing
	case e.Kind == eventAdvance:
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
