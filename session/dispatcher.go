package session

import (
	"sync"
	"time"
)

// EventDispatcher passes audit lines to a function that may take its time, as one that writes a log
// does. It stands between a store and whoever wants to see its lines, so that whoever writes a line
// does not wait for the function. [EventDispatcher.Close] ends its one goroutine. It is called once
// the store is closed.
type EventDispatcher struct {
	onEvent func(Event)
	done    chan struct{}

	mu      sync.Mutex
	queue   []Event
	waiting *sync.Cond // for lines, or for the end
	closed  bool
}

const (
	// dispatchedTogether bounds the lines that wait. Further ones are not passed on, but the audit
	// trail has them.
	dispatchedTogether = 10_000
	// closePatience is how long the last lines may take.
	closePatience = time.Second
)

// NewEventDispatcher starts a dispatcher. It calls onEvent from one goroutine, in the order of the
// lines.
func NewEventDispatcher(onEvent func(Event)) *EventDispatcher {
	d := &EventDispatcher{onEvent: onEvent, done: make(chan struct{})}
	d.waiting = sync.NewCond(&d.mu)
	go d.run()
	return d
}

// Dispatch passes a line on soon. It never waits. After Close it does nothing.
func (d *EventDispatcher) Dispatch(e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed && len(d.queue) < dispatchedTogether {
		d.queue = append(d.queue, e)
		d.waiting.Signal()
	}
}

// run is the goroutine. It ends when the dispatcher is closed and no line waits.
func (d *EventDispatcher) run() {
	defer close(d.done)
	for {
		d.mu.Lock()
		for len(d.queue) == 0 && !d.closed {
			d.waiting.Wait()
		}
		queue := d.queue
		d.queue = nil
		d.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, e := range queue {
			d.onEvent(e)
		}
	}
}

// Close returns once all lines were passed on, or after a second: it does not wait for a function
// that hangs.
func (d *EventDispatcher) Close() {
	d.mu.Lock()
	d.closed = true
	d.waiting.Signal()
	d.mu.Unlock()
	timer := time.NewTimer(closePatience)
	defer timer.Stop()
	select {
	case <-d.done:
	case <-timer.C:
	}
}
