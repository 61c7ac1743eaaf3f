package cluster

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"
)

// callPatience is how long other nodes may take to answer a call, in real time.
const callPatience = 5 * time.Second

// calls are the requests of this node to all others that are not answered yet.
type calls struct {
	mu       sync.Mutex
	pending  map[string]map[string]bool // nodes that have not answered, by call
	answered chan struct{}              // closed when a node answers; nil while nobody waits
}

func newCalls() calls { return calls{pending: make(map[string]map[string]bool)} }

// ask sends a call to all other nodes, and waits until each has answered or has gone.
func (m *Member) ask(ctx context.Context, e event) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	e.Call = rand.Text()
	m.calls.begin(e.Call, &m.members)
	m.emit(e)
	for {
		left, answered := m.calls.left(e.Call)
		if left == 0 {
			return nil
		}
		select {
		case <-answered:
		case <-ctx.Done():
			m.calls.giveUp(e.Call)
			return fmt.Errorf("%d nodes have not answered: %w", left, ctx.Err())
		}
	}
}

// begin notes that the other nodes of now must answer.
func (cs *calls) begin(call string, others *members) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	waiting := make(map[string]bool)
	for _, instance := range others.instances() {
		waiting[instance] = true
	}
	cs.pending[call] = waiting
}

// left counts the nodes that have not answered a call, and drops the call if there are none.
// answered is closed when another answer comes.
func (cs *calls) left(call string) (left int, answered <-chan struct{}) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	left = len(cs.pending[call])
	if left == 0 {
		delete(cs.pending, call)
	}
	if cs.answered == nil {
		cs.answered = make(chan struct{})
	}
	return left, cs.answered
}

// giveUp drops a call.
func (cs *calls) giveUp(call string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.pending, call)
}

// done notes that a node has answered.
func (cs *calls) done(instance, call string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	delete(cs.pending[call], instance)
	cs.wakeLocked()
}

// forget drops a node from all calls.
func (cs *calls) forget(instance string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, waiting := range cs.pending {
		delete(waiting, instance)
	}
	cs.wakeLocked()
}

func (cs *calls) wakeLocked() {
	if cs.answered != nil {
		close(cs.answered)
		cs.answered = nil
	}
}
