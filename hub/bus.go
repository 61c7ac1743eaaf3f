package hub

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"curfew/session"
)

// What the nodes tell each other: published in order, applied in order.

// emit tells the other nodes. It never waits.
func (h *Hub) emit(e event) {
	n := h.nodes
	if n == nil {
		return
	}
	n.mu.Lock()
	if len(n.queue) < queuedTogether {
		n.queue = append(n.queue, e)
	} else {
		n.skipped = true
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// sendLoop publishes what was emitted, in its order.
func (n *nodes) sendLoop() {
	for {
		select {
		case <-n.hub.ctx.Done():
			n.send(context.WithoutCancel(n.hub.ctx))
			return
		case <-n.wake:
		}
		n.send(n.hub.ctx)
	}
}

func (n *nodes) send(ctx context.Context) {
	n.mu.Lock()
	queue := n.queue
	n.queue = nil
	if n.skipped {
		n.skipped = false
		n.sent++
	}
	n.mu.Unlock()
	for len(queue) > 0 {
		together, weight := 0, 0
		for together < len(queue) && (together == 0 || weight+queue[together].weight() <= messageWeight) {
			weight += queue[together].weight()
			together++
		}
		events := queue[:together]
		queue = queue[together:]
		n.sent++ // the others notice a number that is missing
		data, err := json.Marshal(message{messageVersion, n.self, n.hub.node, n.sent, events})
		if err != nil {
			n.hub.log.Error("message to other nodes not written", "error", err)
			continue
		}
		if err := n.shared.Publish(ctx, data); err != nil {
			n.hub.log.Debug("other nodes not told", "error", err)
			return // nor of the rest: that would come late, when the store is back
		}
	}
}

// receiveLoop listens to the other nodes.
func (n *nodes) receiveLoop() {
	for n.hub.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(n.hub.ctx)
		n.mu.Lock()
		n.cutOff, n.silentSince = cancel, time.Now()
		n.mu.Unlock()
		err := n.shared.Subscribe(ctx, func() {
			n.mu.Lock()
			n.resyncWanted = true
			n.mu.Unlock()
		}, n.receive)
		cancel()
		if n.hub.ctx.Err() == nil {
			n.hub.log.Debug("other nodes not heard", "error", err)
			n.hub.wait(pulseEvery / 4)
		}
	}
}

// receive keeps a message for applyLoop: whoever brings it also brings the answers of the store,
// and must not wait.
func (n *nodes) receive(data []byte) {
	select {
	case n.inbox <- data:
	default:
		n.requestResync() // what it tells is to be found in the store
	}
}

// applyLoop takes in messages in their order.
func (n *nodes) applyLoop() {
	for {
		select {
		case <-n.hub.ctx.Done():
			return
		case data := <-n.inbox:
			n.apply(data)
		}
	}
}

// apply takes in a message.
func (n *nodes) apply(data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil && m.Version <= messageVersion {
		n.hub.log.Warn("message of another node not understood", "error", err)
		return
	}
	n.mu.Lock()
	if m.Node == n.self {
		n.silentSince = time.Now()
		n.mu.Unlock()
		return
	}
	other := n.otherLocked(m.Node)
	other.name = m.Name
	if m.Number != other.lastNumber+1 {
		other.stale = true
		n.resyncWanted = n.resyncWanted || other.lastNumber > 0 // what else was lost is to be found in the store
	}
	other.lastNumber = m.Number
	if m.Version > messageVersion {
		other.newer = true // what it told is to be found in the store
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	for i := range m.Events {
		n.applyEvent(m.Node, &m.Events[i])
	}
}

// applyEvent does what follows from an event of another node.
func (n *nodes) applyEvent(from string, e *event) {
	h := n.hub
	var s *liveSession
	if e.ID != nil {
		s = h.lookup(*e.ID)
	}
	switch e.Kind {
	case eventSignedIn:
		if e.ID == nil {
			return
		}
		if r, err := session.Decode(*e.ID, e.Record); err == nil && s == nil {
			n.signedInElsewhere(r)
		}
	case eventEnded:
		if e.ID != nil && e.End != nil && s == nil {
			n.ended(*e.ID, e.End) // word of its sign-in may be late
		}
		if s != nil && e.End != nil {
			h.note(s, "decision", "ended elsewhere: "+string(e.End.Reason))
			h.finish(s, *e.End)
		}
	case eventActed:
		for id, at := range e.Acts {
			if s := h.lookup(id); s != nil {
				h.actedElsewhere(s, session.FromUnixMilli(at))
			}
		}
	case eventLeft:
		if s != nil {
			h.leftElsewhere(s, e)
		}
	case eventRules:
		if s != nil {
			n.requestRefetch(s.id)
		}
	case eventRevocation:
		if e.Revocation != nil {
			h.applyRevocation(*e.Revocation)
		}
	case eventOutcomes:
		if e.Outcomes != nil {
			h.outcomesElsewhere(from, *e.Outcomes)
		}
	case eventNotice:
		if e.Notice != nil {
			h.noticeElsewhere(*e.Notice)
		}
	case eventTabs:
		for id, word := range e.Tabs {
			n.applyReport(from, id, word)
		}
	case eventDeparts:
		n.gone(from)
	case eventFlush, eventAdvance, eventReset:
		call := *e
		h.goTracked(func() { n.answer(call) })
	case eventDone:
		n.done(from, e.Call)
	}
}

// pingLoop has this node hear itself once a second, and subscribes anew where it does not.
func (n *nodes) pingLoop() {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-n.hub.ctx.Done():
			return
		case <-ticker.C:
		}
		if n.departing() {
			return
		}
		n.hub.emit(event{Kind: eventPing})
		n.mu.Lock()
		if time.Since(n.silentSince) > silentAfter && n.cutOff != nil {
			n.cutOff() // receiveLoop subscribes anew
			n.silentSince = time.Now()
		}
		n.mu.Unlock()
	}
}

func (n *nodes) otherLocked(instance string) *node {
	other := n.nodes[instance]
	if other == nil {
		name := instance
		if i := slices.Index([]byte(instance), '/'); i >= 0 {
			name = instance[:i]
		}
		other = &node{name: name, tabs: make(map[session.ID]struct{}), stale: true}
		n.nodes[instance] = other
	}
	return other
}
