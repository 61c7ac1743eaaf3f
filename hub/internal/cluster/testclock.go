package cluster

import (
	"context"
	"time"
)

// The test clock of --testing, which all nodes share, and its reset.

// AdvanceClocks moves the test clocks of all nodes: first all write what they know, so that none
// ends a session that another knows to be active. It may not be called on a node that is alone.
func (m *Member) AdvanceClocks(ctx context.Context, d time.Duration) error {
	if err := m.ask(ctx, event{Kind: eventFlush}); err != nil {
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

// followClock moves this node's test clock where the others' are, if it has missed that.
func (m *Member) followClock(ctx context.Context, ahead time.Duration) {
	if m.testClock != nil && ahead > m.testClock.Offset() {
		m.moveTo(ctx, ahead)
	}
}

func (m *Member) moveTo(ctx context.Context, ahead time.Duration) {
	m.advancing.Lock()
	defer m.advancing.Unlock()
	if d := ahead - m.testClock.Offset(); d > 0 {
		m.shared.SetOffset(ahead)
		m.local.AdvanceClock(ctx, d)
	}
}

// ResetOthers sets the nodes' test clocks back, and has the other nodes forget what they know.
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

// answer does what another node asks for.
func (m *Member) answer(e event) {
	switch {
	case e.Kind == eventFlush:
		if err := m.local.Flush(m.ctx); err != nil {
			m.log.Error("activity not stored", "error", err)
		}
	case m.testClock == nil: // not for testing
	case e.Kind == eventAdvance:
		m.moveTo(m.ctx, time.Duration(e.Ahead)*time.Millisecond)
	case e.Kind == eventReset:
		m.local.Reset()
	}
	m.emit(event{Kind: eventDone, Call: e.Call})
}
