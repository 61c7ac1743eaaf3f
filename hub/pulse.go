package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// hereLoop has this node hear itself once a second, and subscribes anew where it does not.
func (n *nodes) hereLoop() {
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
		n.hub.emit(event{Kind: eventHere})
		n.mu.Lock()
		if time.Since(n.deaf) > deafAfter && n.cutOff != nil {
			n.cutOff() // hearLoop subscribes anew
			n.deaf = time.Now()
		}
		n.mu.Unlock()
	}
}

// pulseLoop keeps the node's lease and finds what its messages have not told it. It does nothing that takes long: a node whose
// lease runs out counts as dead.
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
			case n.behind <- struct{}{}:
			default: // catchUpLoop is at work
			}
		}
	}
}

// pulse is one look at all that may have been missed. more: there is so much that another is needed at once.
func (n *nodes) pulse(ctx context.Context) (more bool, err error) {
	h := n.hub
	n.mu.Lock()
	if n.forget {
		n.forget, n.after = false, 0
	}
	after := n.after
	n.mu.Unlock()
	p, err := n.peers.Pulse(ctx, n.self, after)
	if err != nil {
		return false, err
	}
	n.takePulse(p)
	n.mu.Lock()
	if p.Fresh { // this node was away for long, or the store has been emptied: that is as a fail-over that has lost all
		n.masters, n.found = "", ""
	}
	back := n.away
	if back || p.Masters != n.masters {
		n.settled = time.Now().Add(settleFor)
		n.began = true
	}
	if p.Masters != n.found {
		n.found, n.highest, n.after = p.Masters, after, after-min(after, linesBack)
	}
	if p.Fresh || p.Masters != n.masters {
		n.unworded = true
	}
	n.mu.Unlock()
	if back { // by the time that deadlines are judged again, all must be stored that nodes know
		if err := h.flush(ctx); err != nil {
			return false, err
		}
	}
	if err := h.syncFacts(ctx, p.LastFact); err != nil {
		return false, err
	}
	if err := n.missed(ctx, p); err != nil {
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
		case <-n.behind:
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
	found, anew := n.found, n.found != n.masters
	resync := n.began || n.hearsNewerLocked() && time.Since(n.synced) > newerEvery
	unworded := n.unworded
	n.began, n.unworded = false, false
	n.mu.Unlock()
	defer func() {
		if err != nil {
			n.mu.Lock()
			n.began, n.unworded = n.began || resync, n.unworded || unworded
			n.mu.Unlock()
		}
	}()
	if anew {
		n.hub.log.Warn("the store has failed over or was started anew: what it may have lost is written again")
		if err := n.restore(ctx, found); err != nil {
			return err
		}
		n.mu.Lock()
		n.masters = found
		n.mu.Unlock()
	}
	if resync {
		n.synced = time.Now()
		if err := n.resync(ctx); err != nil {
			return err
		}
	}
	if err := n.readWords(ctx); err != nil {
		return err
	}
	if unworded {
		if err := n.leaveWord(ctx, true); err != nil {
			return err
		}
	}
	n.readUnsure(ctx)
	n.watchWarned(ctx)
	return n.lookForLost(ctx)
}

// errUnsettled refuses sign-ins for a moment.
var errUnsettled = errors.New("the store has failed over, and nodes are writing again what it may have lost")

// hasRestored reports whether all nodes have had the time to write again what a fail-over may have lost. A sign-in that came
// before would be older than a forced logout that was.
func (n *nodes) hasRestored(ctx context.Context) bool {
	masters := n.peers.Masters(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	return masters == n.masters && !time.Now().Before(n.settled)
}

// settledLocked reports whether deadlines may be judged. While the store is away, and for a moment after it, another node may know
// of acts that nobody else does.
func (n *nodes) settledLocked() bool { return !n.away && !time.Now().Before(n.settled) }

func (n *nodes) isSettled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.settledLocked()
}

// takePulse notes that the store takes this node's writes, and sets the clock right by the store's.
func (n *nodes) takePulse(p session.Pulse) {
	n.mu.Lock()
	n.leased = p.Asked.Add(p.Lease)
	n.mu.Unlock()
	if n.steered != nil && n.steered.Steer(p.Now, p.Asked, p.Took) {
		for _, sh := range n.hub.shards {
			sh.rearm()
		}
	}
}

// errOutOfReach refuses what a store was asked that takes no writes.
var errOutOfReach = errors.New("the store has taken no writes for a while: what it answers may be old")

// inReach returns nil if the store may be believed. One that answers but takes no writes may be a master on the wrong side of a
// partition, which knows nothing of what has ended on the other side. So nothing is believed once this node's lease has run out; one
// pulse that has failed is not enough.
func (h *Hub) inReach() error {
	n := h.nodes
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if time.Now().After(n.leased) {
		return errOutOfReach
	}
	return nil
}

// again has the next pulse do all over.
func (n *nodes) again() {
	n.mu.Lock()
	n.began = true
	n.mu.Unlock()
}

// hearsNewerLocked reports whether there is a node whose messages this one cannot read.
func (n *nodes) hearsNewerLocked() bool {
	for _, other := range n.others {
		if other.newer {
			return true
		}
	}
	return false
}

// missed takes in sign-ins and ends that no message has told of.
func (n *nodes) missed(ctx context.Context, p session.Pulse) error {
	var ids []session.ID
	for _, id := range p.Begun {
		if n.hub.live(id) == nil && !n.wasEnded(id) && !slices.Contains(p.Ended, id) {
			ids = append(ids, id)
		}
	}
	for _, id := range p.Ended {
		if n.hub.live(id) != nil {
			ids = append(ids, id)
		} else {
			n.ended(id, nil) // word of its sign-in may be late
		}
	}
	return n.read(ctx, ids)
}

// resync writes what only this node knows, and proves the sessions of its own tabs alive. What else changed meanwhile, the
// pulse finds by the numbers.
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
	for _, other := range n.others {
		other.stale = true
	}
	n.mu.Unlock()
	return n.readNotices(ctx)
}

// matters reports whether a fail-over must not lose f: it is new, or was called off or took effect not long ago, or has yet to.
func matters(f *session.Fact, now time.Time) bool {
	recent := now.Add(-restoredFor)
	return f.At.After(recent) || f.Cancelled.After(recent) || f.EffectiveAt.After(recent) || f.BlockUntil.After(now)
}

// restoreEnds writes the ends of the last minutes again to the masters that were found. They may be more than fit into one call: the next one
// goes on where this one stops.
func (n *nodes) restoreEnds(ctx context.Context, found string) error {
	n.mu.Lock()
	if n.restored == nil || n.restoredTo != found {
		n.restored, n.restoredTo = make(map[session.ID]struct{}), found
	}
	ends := make(map[session.ID]session.End, len(n.ends))
	for id, e := range n.ends {
		if _, done := n.restored[id]; !done && e.end != nil {
			ends[id] = *e.end
		}
	}
	n.mu.Unlock()
	var failed error // guarded by n.mu
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for id, end := range ends {
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := n.hub.store.End(ctx, id, end, time.Time{})
			n.mu.Lock()
			defer n.mu.Unlock()
			if err != nil && !isUnknown(err) {
				failed = err
				return
			}
			n.restored[id] = struct{}{}
		})
	}
	wg.Wait()
	if err := errors.Join(failed, ctx.Err()); err != nil {
		return err
	}
	n.mu.Lock()
	n.restored = nil // the next fail-over begins anew
	n.mu.Unlock()
	return nil
}

// restore writes again what a fail-over may have lost: the facts, and the ends of the last minutes.
func (n *nodes) restore(ctx context.Context, found string) error {
	h := n.hub
	h.forced.mu.RLock()
	var facts []session.Fact
	for _, l := range h.forced.logouts {
		if matters(&l.fact, h.clock.Now()) {
			facts = append(facts, l.fact)
		}
	}
	h.forced.mu.RUnlock()
	if err := n.peers.RestoreFacts(ctx, facts, h.forced.highest.Load()); err != nil {
		return err
	}
	if err := n.restoreEnds(ctx, found); err != nil {
		return err
	}
	last, err := n.peers.LastLine(ctx)
	if err != nil {
		return err
	}
	n.mu.Lock()
	lower := last < n.highest // lines were lost: the numbers begin again lower
	n.after = min(n.after, last)
	n.mu.Unlock()
	if lower {
		for r, err := range h.store.Live(ctx) {
			if err != nil {
				return err
			}
			n.compare(ctx, r)
		}
	}
	return nil
}

// lookForDead drops the tabs of nodes whose lease has run out.
func (n *nodes) lookForDead(alive []string) {
	n.mu.Lock()
	var dead []string
	for instance := range n.others {
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
	n.rank, n.size = max(0, slices.Index(alive, n.self)), max(1, len(alive))
	n.mu.Unlock()
	for _, instance := range dead {
		n.gone(instance)
	}
}

// gone drops the tabs of a node. Nobody has closed them: they come back elsewhere, or the session goes on to its idle timeout.
func (n *nodes) gone(instance string) {
	n.mu.Lock()
	other := n.others[instance]
	delete(n.others, instance)
	for _, waiting := range n.pending {
		delete(waiting, instance)
	}
	n.answeredLocked()
	n.mu.Unlock()
	if other == nil {
		return
	}
	for id := range other.tabs {
		if s := n.hub.live(id); s != nil {
			n.hub.setElsewhere(s, instance, tabsOn{}, departedGrace)
		}
	}
}

// readWords reads the word of the tabs of nodes that this one is not sure of.
func (n *nodes) readWords(ctx context.Context) error {
	n.mu.Lock()
	var stale []string
	for instance, other := range n.others {
		if other.stale {
			other.stale = false // what is heard from now on counts
			stale = append(stale, instance)
		}
	}
	n.mu.Unlock()
	for _, instance := range stale {
		words, err := n.peers.Tabs(ctx, instance)
		if err != nil {
			n.mu.Lock()
			if other := n.others[instance]; other != nil {
				other.stale = true
			}
			n.mu.Unlock()
			return err
		}
		n.mu.Lock()
		var over []session.ID
		if other := n.others[instance]; other != nil {
			for id := range other.tabs {
				if _, ok := words[id]; !ok {
					over = append(over, id)
				}
			}
		}
		n.mu.Unlock()
		for _, id := range over {
			n.tabsElsewhere(instance, id, "")
		}
		for id, word := range words {
			n.tabsElsewhere(instance, id, word)
		}
	}
	return nil
}

// watchWarned reads sessions that are warned here and have tabs elsewhere: an act there withdraws the warning, and the
// message that says so may be lost.
func (n *nodes) watchWarned(ctx context.Context) {
	var ids []session.ID
	for _, s := range n.hub.withTabs(everyone) {
		if !s.warned.Load() {
			continue
		}
		s.mu.Lock()
		if s.warning == session.ReasonIdle && len(s.tabs) > 0 && s.tabsLocked() > len(s.tabs) {
			ids = append(ids, s.id)
		}
		s.mu.Unlock()
	}
	if err := n.read(ctx, ids); err != nil {
		n.hub.log.Debug("sessions not read", "error", err)
	}
}

func (n *nodes) forgetOldEnds() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for id, e := range n.ends {
		if time.Since(e.at) > restoredFor {
			delete(n.ends, id)
		}
	}
}

// postponed reports whether s, whose time seems to be up, is not to be ended now: nodes may be writing what they know after
// the store was away, or a forced logout may have been called off.
func (n *nodes) postponed(ctx context.Context, s *live) bool {
	h := n.hub
	s.mu.Lock()
	forced := s.dueLocked().Reason == session.ReasonAdmin
	s.mu.Unlock()
	if forced {
		if last, err := h.store.LastFact(ctx); err == nil { // else what is known holds
			if err := h.syncFacts(ctx, last); err != nil {
				h.log.Debug("forced logouts not read", "error", err)
			}
		}
		return false
	}
	if n.isSettled() {
		return false
	}
	s.shard.wakeBy(s, h.clock.Now().Add(settleFor/4))
	return true
}

// How long this node waits for others to write the ends that follow from a forced logout: some seconds, and longer for each of
// many. Nothing depends on it but the audit line of a node that died over it.
const (
	othersWrite     = 10 * time.Second
	othersWriteEach = 300 * time.Microsecond // three times what it takes Redis; see docs/nodes.md
)

// share is the part of sessions whose ends this node writes; the others' are looked at later, should they not have.
func (n *nodes) share(list []*live) (mine []*live) {
	n.mu.Lock()
	rank, size := n.rank, n.size
	n.mu.Unlock()
	written := n.hub.clock.Now().Add(othersWrite + time.Duration(len(list))*othersWriteEach)
	for i, s := range list {
		if int(s.id[1])%size == rank {
			mine = append(mine, s)
		} else {
			s.shard.wakeBy(s, written.Add(time.Duration(i)*othersWriteEach)) // one after the other
		}
	}
	return mine
}

// turn is how long this node leaves the end of a session to others: those that have tabs of it first, then one after the other.
func (n *nodes) turn(id session.ID) time.Duration {
	const each = 100 * time.Millisecond
	n.mu.Lock()
	defer n.mu.Unlock()
	return each * time.Duration(1+(n.rank+int(id[1]))%n.size)
}
