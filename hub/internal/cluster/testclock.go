package cluster

import (
	"context"
	"time"

	"curfew/session"
)

// The test clock of --testing, which all nodes share, sessions that it ages, and its reset.

// AdvanceClocks moves the test clocks of all nodes, and returns once they have done so. First all
// store what they know, so that none ends a session for which another node knows of an activity. It
// must not be called on a node that is alone. The caller has flushed.
func (m *Member) AdvanceClocks(ctx context.Context, d time.Duration) error {
	if err := m.FlushOthers(ctx); err != nil {
		return err
	}
	ahead, err := m.shared.MoveClock(ctx, d)
	if err != nil {
		return err
	}
	asked := make(chan error, 1)
	go func() { asked <- m.ask(ctx, event{Kind: eventAdvance, Ahead: ahead.Milliseconds()}) }()
	m.moveTo(ctx, ahead)
	return <-asked
}

// FlushOthers has the other nodes store what the store does not know yet.
func (m *Member) FlushOthers(ctx context.Context) error {
	if m == nil {
		return nil
	}
	return m.ask(ctx, event{Kind: eventFlush})
}

// AgeOnOthers has the other nodes make a session as old as the store has it: it was signed in at
// created. It returns once they have told its tabs.
func (m *Member) AgeOnOthers(ctx context.Context, id session.ID, created time.Time) error {
	if m == nil {
		return nil
	}
	return m.ask(ctx, event{Kind: eventAge, ID: &id, At: created.UnixMilli()})
}

// followClock moves this node's test clock to where the others' are, if it has missed the call.
func (m *Member) followClock(ctx context.Context, ahead time.Duration) {
	if m.testClock != nil && ahead > m.testClock.Offset() {
		m.moveTo(ctx, ahead)
	}
}

// moveTo moves this node's test clock forward, so that it is ahead of the store's by that much.
func (m *Member) moveTo(ctx context.Context, ahead time.Duration) {
	m.advancing.Lock()
	defer m.advancing.Unlock()
	if d := ahead - m.testClock.Offset(); d > 0 {
		m.shared.SetOffset(ahead)
		m.local.AdvanceClock(ctx, d)
	}
}

// ResetOthers sets the test clocks of all nodes back, and makes the other nodes drop what they
// know.
func (m *Member) ResetOthers(ctx context.Context) error {
	if m == nil {
		return nil
	}
	ahead, err := m.shared.MoveClock(ctx, 0)
	if err != nil {
		return err
	}
	if _, err := m.shared.MoveClock(ctx, -ahead); err != nil {
		return err
	}
	return m.ask(ctx, event{Kind: eventReset})
}

// answer does what a call of another node asks for, and answers it.
func (m *Member) answer(e event) {
	switch {
	case e.Kind == eventFlush:
		if err := m.local.Flush(m.ctx); err != nil {
			m.log.Error("activity not stored", "error", err)
		}
	case m.testClock == nil: // not for testing
	case e.Kind == eventAdvance:
		m.moveTo(m.ctx, time.Duration(e.Ahead)*time.Millisecond)
	case e.Kind == eventAge && e.ID != nil:
		m.local.Age(m.ctx, *e.ID, session.FromUnixMilli(e.At))
	case e.Kind == eventReset:
		m.local.Reset()
	}
	m.emit(event{Kind: eventDone, Call: e.Call})
}
