package hub

import (
	"context"
	"slices"
	"time"

	"curfew/session"
)

// pulseLoop keeps the node's lease and finds what its messages have not told it. It does nothing
// that takes long: a node whose lease runs out counts as dead.
func (n *nodes) pulseLoop() {
	h := n.hub
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
		}
		if n.departing() {
			return
		}
		more, err := true, error(nil)
		for i := 0; more && err == nil && i < pulsesTogether; i++ {
			ctx, cancel := context.WithTimeout(h.ctx, pulseLimit)
			more, err = n.pulse(ctx)
			cancel()
		}
		n.mu.Lock()
		was := n.away
		n.away = err != nil
		n.mu.Unlock()
		switch {
		case err != nil && !was && h.ctx.Err() == nil:
			h.log.Error("the store is out of reach: open tabs stay until their deadlines", "error", err)
		case err == nil && was:
			h.log.Info("the store is back")
		}
		if err == nil {
			select {
			case n.catchUpNow <- struct{}{}:
			default: // catchUpLoop is at work
			}
		}
	}
}

// pulse is one look at all that may have been missed. more: there is so much that another is needed
// at once.
func (n *nodes) pulse(ctx context.Context) (more bool, err error) {
	h := n.hub
	n.mu.Lock()
	if n.forget {
		n.forget, n.after = false, 0
	}
	after := n.after
	n.mu.Unlock()
	p, err := n.shared.Pulse(ctx, n.self, after)
	if err != nil {
		return false, err
	}
	n.takePulse(p)
	n.mu.Lock()
	if p.Fresh { // this node was away for long, or the store has been emptied: that is as a fail-over that has lost all
		n.epoch, n.seenEpoch = "", ""
	}
	back := n.away
	if back || p.Epoch != n.epoch {
		n.recovered = time.Now().Add(recoverFor)
		n.resyncWanted = true
	}
	if p.Epoch != n.seenEpoch {
		n.seenEpoch, n.highestLine, n.after = p.Epoch, after, after-min(after, linesBack)
	}
	if p.Fresh || p.Epoch != n.epoch {
		n.reportAll = true
	}
	n.mu.Unlock()
	if back { // by the time that deadlines are judged again, all must be stored that nodes know
		if err := h.flush(ctx); err != nil {
			return false, err
		}
	}
	if err := h.syncRevocations(ctx, p.LastRevocation); err != nil {
		return false, err
	}
	if err := n.applyMissed(ctx, p); err != nil {
		return false, err
	}
	n.mu.Lock()
	if n.after == after {
		n.after = p.Last
	}
	n.mu.Unlock()
	n.lookForDead(p.Nodes)
	n.followClock(ctx, p.Offset)
	n.forgetOldEnds()
	return p.More, nil
}

// catchUpLoop does after a pulse what may take longer than one.
func (n *nodes) catchUpLoop() {
	for {
		select {
		case <-n.hub.ctx.Done():
			return
		case <-n.catchUpNow:
		}
		if n.departing() {
			return
		}
		ctx, cancel := context.WithTimeout(n.hub.ctx, catchUpLimit)
		if err := n.catchUp(ctx); err != nil {
			n.hub.log.Debug("not caught up with the store", "error", err) // the next pulse begins again
		}
		cancel()
	}
}

func (n *nodes) catchUp(ctx context.Context) (err error) {
	n.mu.Lock()
	found, anew := n.seenEpoch, n.seenEpoch != n.epoch
	resync := n.resyncWanted || n.hasNewerLocked() && time.Since(n.synced) > newerEvery
	unworded := n.reportAll
	n.resyncWanted, n.reportAll = false, false
	n.mu.Unlock()
	defer func() {
		if err != nil {
			n.mu.Lock()
			n.resyncWanted, n.reportAll = n.resyncWanted || resync, n.reportAll || unworded
			n.mu.Unlock()
		}
	}()
	if anew {
		n.hub.log.Warn("the store has failed over or was started anew: what it may have lost is written again")
		if err := n.restore(ctx, found); err != nil {
			return err
		}
		n.mu.Lock()
		n.epoch = found
		n.mu.Unlock()
	}
	if resync {
		n.synced = time.Now()
		if err := n.resync(ctx); err != nil {
			return err
		}
	}
	if err := n.refreshReports(ctx); err != nil {
		return err
	}
	if unworded {
		if err := n.publishReports(ctx, true); err != nil {
			return err
		}
	}
	n.refetchRequested(ctx)
	n.watchWarned(ctx)
	return n.lookForLost(ctx)
}

// takePulse notes that the store takes this node's writes, and sets the clock right by the store's.
func (n *nodes) takePulse(p session.Heartbeat) {
	n.mu.Lock()
	n.leased = p.Asked.Add(p.Lease)
	n.mu.Unlock()
	if n.syncedClock != nil && n.syncedClock.Sync(p.Now, p.Asked, p.Took) {
		for _, sh := range n.hub.shards {
			sh.rearm()
		}
	}
}

// requestResync has the next pulse do all over.
func (n *nodes) requestResync() {
	n.mu.Lock()
	n.resyncWanted = true
	n.mu.Unlock()
}

// hasNewerLocked reports whether there is a node whose messages this one cannot read.
func (n *nodes) hasNewerLocked() bool {
	for _, other := range n.nodes {
		if other.newer {
			return true
		}
	}
	return false
}

// resync writes what only this node knows, and proves the sessions of its own tabs alive. What else
// changed meanwhile, the pulse finds by the numbers.
func (n *nodes) resync(ctx context.Context) error {
	h := n.hub
	if err := h.flush(ctx); err != nil {
		return err
	}
	var ids []session.ID
	for _, s := range h.withTabs(everyone) {
		ids = append(ids, s.id)
	}
	if err := n.read(ctx, ids); err != nil {
		return err
	}
	n.mu.Lock()
	for _, other := range n.nodes {
		other.stale = true
	}
	n.mu.Unlock()
	return n.readNotices(ctx)
}

// lookForDead drops the tabs of nodes whose lease has run out.
func (n *nodes) lookForDead(alive []string) {
	n.mu.Lock()
	var dead []string
	for instance := range n.nodes {
		if !slices.Contains(alive, instance) {
			dead = append(dead, instance)
		}
	}
	for _, instance := range alive {
		if instance != n.self {
			n.otherLocked(instance)
		}
	}
	slices.Sort(alive)
	n.index, n.count = max(0, slices.Index(alive, n.self)), max(1, len(alive))
	n.mu.Unlock()
	for _, instance := range dead {
		n.gone(instance)
	}
}

// gone drops the tabs of a node. Nobody has closed them: they come back elsewhere, or the session
// goes on to its idle timeout.
func (n *nodes) gone(instance string) {
	n.mu.Lock()
	other := n.nodes[instance]
	delete(n.nodes, instance)
	for _, waiting := range n.pending {
		delete(waiting, instance)
	}
	n.answeredLocked()
	n.mu.Unlock()
	if other == nil {
		return
	}
	for id := range other.tabs {
		if s := n.hub.lookup(id); s != nil {
			n.hub.setTabsElsewhere(s, instance, tabReport{}, departedGrace)
		}
	}
}
