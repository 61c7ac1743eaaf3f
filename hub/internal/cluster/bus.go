package cluster

import (
	"context"
	"encoding/json"
	"sync"
	"time"
)

// Messages between nodes, published and received in order. They are numbered, so that others notice
// when one is missing.

// maxQueued bounds the events that wait to be published while the store is slow. Further events are
// dropped, and a number is left out: the others notice, and read from the store what has changed.
const maxQueued = 50_000

// silentAfter is how long a node may receive no message of its own until it subscribes again.
const silentAfter = 3 * time.Second

// bus has the messages to be sent and those that were received.
type bus struct {
	inbox chan []byte   // messages that wait to be applied
	wake  chan struct{} // queue is not empty
	sent  int64         // number of the last message; used by send alone

	mu          sync.Mutex
	queue       []event
	skipped     bool      // events were dropped, since there were too many
	silentSince time.Time // when a message of this node itself was last received
	unsubscribe context.CancelFunc
}

func newBus() bus {
	return bus{inbox: make(chan []byte, 4096), wake: make(chan struct{}, 1), silentSince: time.Now()}
}

// emit queues an event for the other nodes. It never waits.
func (m *Member) emit(e event) {
	b := &m.bus
	b.mu.Lock()
	if len(b.queue) < maxQueued {
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

// take empties the queue. skipped says that events were dropped.
func (b *bus) take() (queue []event, skipped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue, skipped = b.queue, b.skipped
	b.queue, b.skipped = nil, false
	return queue, skipped
}

// sendLoop publishes the events that were emitted, and those that are left when the node stops.
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

// send publishes the queue. After an error it drops the rest: the others will find it in the store.
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
			return // the rest would come late, when the store is back
		}
	}
}

// firstMessage cuts off the events that fit into one message, at least one.
func firstMessage(queue []event) (events, rest []event) {
	together, weight := 0, 0
	for together < len(queue) && (together == 0 || weight+queue[together].weight() <= messageWeight) {
		weight += queue[together].weight()
		together++
	}
	return queue[:together], queue[together:]
}

// receiveLoop subscribes to the messages of all nodes, and again whenever that fails.
func (m *Member) receiveLoop() {
	for m.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(m.ctx)
		m.bus.mu.Lock()
		m.bus.unsubscribe, m.bus.silentSince = cancel, time.Now()
		m.bus.mu.Unlock()
		err := m.shared.Subscribe(ctx, m.recovery.requestResync, m.receive)
		cancel()
		if m.ctx.Err() == nil {
			m.log.Debug("messages of other nodes not received", "error", err)
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

// receive queues a message for applyLoop. It must not wait, because the store's connection that
// brings messages also brings answers.
func (m *Member) receive(data []byte) {
	select {
	case m.bus.inbox <- data:
	default:
		m.recovery.requestResync() // the message is dropped: the store has what it tells
	}
}

// pingLoop sends a message once a second, which this node itself receives, too. If it does not, it
// subscribes again.
func (m *Member) pingLoop() {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for m.tick(ticker) {
		m.emit(event{Kind: eventPing})
		m.bus.breakSilence()
	}
}

// receivedOwn notes that a message of this node itself was received.
func (b *bus) receivedOwn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.silentSince = time.Now()
}

// breakSilence makes receiveLoop subscribe again if no message of this node was received for too
// long.
func (b *bus) breakSilence() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if time.Since(b.silentSince) > silentAfter && b.unsubscribe != nil {
		b.unsubscribe()
		b.silentSince = time.Now()
	}
}
