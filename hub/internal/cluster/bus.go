package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Messages between nodes: published in order, received in order. They are numbered, so that the
// others notice that one is missing.

// queuedTogether bounds what waits to be published while the store takes its time. Further events
// are not told: the others find in the store what has changed, and read the tab reports again,
// since a number is missing.
const queuedTogether = 50_000

// silentAfter is how long a node that does not hear itself waits until it subscribes anew.
const silentAfter = 3 * time.Second

// bus has what is to be said, and what was heard.
type bus struct {
	inbox chan []byte   // messages that wait to be applied
	wake  chan struct{} // there is something in queue
	sent  int64         // number of the last message; used by send alone

	mu          sync.Mutex
	queue       []event
	skipped     bool      // events were not queued, since there were too many
	silentSince time.Time // since when nothing was heard of this node itself
	unsubscribe context.CancelFunc
}

func newBus() bus {
	return bus{inbox: make(chan []byte, 4096), wake: make(chan struct{}, 1), silentSince: time.Now()}
}

// emit queues an event for the other nodes. It never waits.
func (m *Member) emit(e event) {
	b := &m.bus
	b.mu.Lock()
	if len(b.queue) < queuedTogether {
		b.queue = append(b.queue, e)
	} else {
		b.skipped = true
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// take empties the queue. skipped: events are missing from it.
func (b *bus) take() (queue []event, skipped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, skipped = b.queue, b.skipped
	b.queue, b.skipped = nil, false
	return queue, skipped
}

// sendLoop publishes what was emitted, and what is left when the node stops.
func (m *Member) sendLoop() {
	for {
		select {
		case <-m.ctx.Done():
			m.send(context.WithoutCancel(m.ctx))
			return
		case <-m.bus.wake:
		}
		m.send(m.ctx)
	}
}

func (m *Member) send(ctx context.Context) {
	queue, skipped := m.bus.take()
	if skipped {
		m.bus.sent++
	}
	for len(queue) > 0 {
		var events []event
		events, queue = firstMessage(queue)
		m.bus.sent++
		data, err := json.Marshal(message{
			Version: messageVersion,
			Node:    m.self,
			Name:    m.name,
			Number:  m.bus.sent,
			Events:  events,
		})
		if err != nil {
			m.log.Error("message to other nodes not written", "error", err)
			continue
		}
		if err := m.shared.Publish(ctx, data); err != nil {
			m.log.Debug("other nodes not told", "error", err)
			return // nor of the rest: that would come late, when the store is back
		}
	}
}

// firstMessage cuts off the events that fit into one message: at least one.
func firstMessage(queue []event) (events, rest []event) {
	together, weight := 0, 0
	for together < len(queue) && (together == 0 || weight+queue[together].weight() <= messageWeight) {
		weight += queue[together].weight()
		together++
	}
	return queue[:together], queue[together:]
}

// receiveLoop listens to the other nodes.
func (m *Member) receiveLoop() {
	for m.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		m.bus.mu.Lock()
		m.bus.unsubscribe, m.bus.silentSince = cancel, time.Now()
		m.bus.mu.Unlock()
		err := m.shared.Subscribe(ctx, m.recovery.requestResync, m.receive)
		cancel()
		if m.ctx.Err() == nil {
			m.log.Debug("other nodes not heard", "error", err)
			m.wait(pulseEvery / 4)
		}
	}
}

// wait waits, or returns when the node stops.
func (m *Member) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-m.ctx.Done():
	}
}

// receive keeps a message for applyLoop: whoever brings it also brings the answers of the store,
// and must not wait.
func (m *Member) receive(data []byte) {
	select {
	case m.bus.inbox <- data:
	default:
		m.recovery.requestResync() // what it tells is to be found in the store
	}
}

// pingLoop has this node hear itself once a second, and subscribes anew where it does not.
func (m *Member) pingLoop() {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for m.tick(ticker) {
		m.emit(event{Kind: eventPing})
		m.bus.breakSilence()
	}
}

// heardItself notes that a message of this node itself has arrived.
func (b *bus) heardItself() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silentSince = time.Now()
}

// breakSilence has receiveLoop subscribe anew if nothing was heard for too long.
func (b *bus) breakSilence() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.silentSince) > silentAfter && b.unsubscribe != nil {
		b.unsubscribe()
		b.silentSince = time.Now()
	}
}
