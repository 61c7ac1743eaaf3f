package cluster

import (
	"context"
	"time"

	"curfew/session"
)

// The pulse renews the node's lease, and finds what messages have not told. Its times are real
// time.
const (
	pulseEvery   = time.Second
	pulseLimit   = 3 * time.Second // how long one pulse may take
	catchUpLimit = time.Minute     // how long it may take to read or write all that a node has missed
	// pulsesTogether is how often a pulse is repeated at once when there is more to read.
	pulsesTogether = 50
	// newerEvery is how often the store is asked for what a node of a later version has told.
	newerEvery = 5 * time.Second
)

// pulseLoop calls pulse once a second. It does nothing that takes long, because a node whose lease
// has run out counts as dead.
func (m *Member) pulseLoop() {
	ticker := time.NewTicker(pulseEvery)
	defer ticker.Stop()
	for m.tick(ticker) {
		more, err := true, error(nil)
		for i := 0; more && err == nil && i < pulsesTogether; i++ {
			ctx, cancel := context.WithTimeout(m.ctx, pulseLimit)
			more, err = m.pulse(ctx)
			cancel()
		}
		was := m.recovery.setAway(err != nil)
		switch {
		case err != nil && !was && m.ctx.Err() == nil:
			m.log.Error("the store is out of reach: open tabs stay until their deadlines", "error", err)
		case err == nil && was:
			m.log.Info("the store is back")
		}
		if err == nil {
			select {
			case m.recovery.catchUpNow <- struct{}{}:
			default: // catchUpLoop is at work
			}
		}
	}
}

// pulse renews the lease once, and applies what was missed. more says that there is so much that
// another pulse is needed at once.
func (m *Member) pulse(ctx context.Context) (more bool, err error) {
	after := m.recovery.nextLine()
	p, err := m.shared.Pulse(ctx, m.self, after)
	if err != nil {
		return false, err
	}
	m.takePulse(p)
	// before deadlines are judged again, each node must have stored what it knows
	if m.recovery.noteEpoch(p, after) {
		if err := m.local.Flush(ctx); err != nil {
			return false, err
		}
	}
	if err := m.local.SyncRevocations(ctx, p.LastRevocation); err != nil {
		return false, err
	}
	if err := m.applyMissed(ctx, p); err != nil {
		return false, err
	}
	m.recovery.readUpTo(after, p.Last)
	m.dropDead(p.Nodes)
	m.followClock(ctx, p.Offset)
	m.ends.forgetOld()
	return p.More, nil
}

// takePulse notes the new lease, and sets the clock by the store's.
func (m *Member) takePulse(p session.Heartbeat) {
	m.recovery.mu.Lock()
	m.recovery.leased = p.Asked.Add(p.Lease)
	m.recovery.mu.Unlock()
	if m.syncedClock != nil && m.syncedClock.Sync(p.Now, p.Asked, p.Took) {
		m.local.ClockStepped()
	}
}

// catchUpLoop calls catchUp after a pulse, if the one before is done.
func (m *Member) catchUpLoop() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.recovery.catchUpNow:
		}
		if m.leaving() {
			return
		}
		ctx, cancel := context.WithTimeout(m.ctx, catchUpLimit)
		if err := m.catchUp(ctx); err != nil {
			m.log.Debug("not caught up with the store", "error", err) // the next pulse begins again
		}
		cancel()
	}
}

// catchUp does what the pulse has found to be needed and what may take longer than a pulse. After
// an error all of that is still needed.
func (m *Member) catchUp(ctx context.Context) (err error) {
	todo := m.recovery.takeTodo(m.members.haveNewer())
	defer func() {
		if err != nil {
			m.recovery.giveBack(todo)
		}
	}()
	if todo.failedOver {
		m.log.Warn("the store has failed over or was started anew: what it may have lost is written again")
		if err := m.restore(ctx, todo.epoch); err != nil {
			return err
		}
		m.recovery.restoredTo(todo.epoch)
	}
	if todo.resync {
		m.recovery.synced = time.Now()
		if err := m.resync(ctx); err != nil {
			return err
		}
	}
	if err := m.refreshReports(ctx); err != nil {
		return err
	}
	if todo.reportAll {
		if err := m.publishReports(ctx, true); err != nil {
			return err
		}
	}
	m.refetchRequested(ctx)
	m.watchWarned(ctx)
	return m.lookForLost(ctx)
}

// resync stores what only this node knows, and reads again what messages may have told: the
// sessions with tabs here, the tab reports of other nodes and the notices. Anything else the pulse
// finds by the numbers of the audit lines.
func (m *Member) resync(ctx context.Context) error {
	if err := m.local.Flush(ctx); err != nil {
		return err
	}
	if err := m.read(ctx, m.local.WithTabs()); err != nil {
		return err
	}
	m.members.markAllStale()
	return m.readNotices(ctx)
}

// applyMissed applies the sign-ins and ends that no message has told of.
func (m *Member) applyMissed(ctx context.Context, p session.Heartbeat) error {
	ended := make(map[session.ID]bool, len(p.Ended))
	for _, id := range p.Ended {
		ended[id] = true
	}
	var ids []session.ID
	for _, id := range p.Begun {
		if !m.local.Knows(id) && !m.ends.has(id) && !ended[id] {
			ids = append(ids, id)
		}
	}
	for _, id := range p.Ended {
		if m.local.Knows(id) {
			ids = append(ids, id)
		} else {
			m.ends.add(id, nil) // the message of its sign-in may be late
		}
	}
	return m.read(ctx, ids)
}
