package session

import (
	"sync"
	"time"
)

// Follower tells the lines of the audit trail to a function that may take its time, as one that
// writes a log does: whoever writes to the trail does not wait for it. [Follower.Close] ends it.
type Follower struct {
	tell func(Event)
	done chan struct{}

	mu      sync.Mutex
	queue   []Event
	waiting *sync.Cond // for lines, or for the end
	closed  bool
}

const (
	// followedTogether bounds the lines that wait to be told. Further ones are not told; the trail
	// has them.
	followedTogether = 10_000
	// followedFor is how long the last lines may take to be told.
	followedFor = time.Second
)

// NewFollower starts a follower that calls tell from one goroutine, in the order of the lines.
func NewFollower(tell func(Event)) *Follower {
	f := &Follower{tell: tell, done: make(chan struct{})}
	f.waiting = sync.NewCond(&f.mu)
	go f.follow()
	return f
}

// Tell has a line told soon. It never waits.
func (f *Follower) Tell(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed && len(f.queue) < followedTogether {
		f.queue = append(f.queue, e)
		f.waiting.Signal()
	}
}

func (f *Follower) follow() {
	defer close(f.done)
	for {
		f.mu.Lock()
		for len(f.queue) == 0 && !f.closed {
			f.waiting.Wait()
		}
		queue := f.queue
		f.queue = nil
		f.mu.Unlock()
		if len(queue) == 0 {
			return
		}
		for _, e := range queue {
			f.tell(e)
		}
	}
}

// Close returns once all lines are told. It does not wait for a function that stands still.
func (f *Follower) Close() {
	f.mu.Lock()
	f.closed = true
	f.waiting.Signal()
	f.mu.Unlock()
	timer := time.NewTimer(followedFor)
	defer timer.Stop()
	select {
	case <-f.done:
	case <-timer.C:
	}
}
