package hub

import (
	"context"
	"sync/atomic"

	"curfew/session"
)

// Requests that go on to an application behind Curfew, and what the application holds open for
// them.

// EndedError is the cause of the life of a session that has ended; see [Hub.Admit].
type EndedError struct{ End session.End }

func (e EndedError) Error() string { return "session has ended: " + string(e.End.Reason) }

// Unwrap makes it a session.ErrEnded.
func (EndedError) Unwrap() error { return session.ErrEnded }

// Admit is [Hub.Check] for requests that are passed on to an application. It returns the life of
// the session as well: a context that is done, with an [EndedError] as its cause, at the moment at
// which the tabs of this node are told of the end, whichever node has ended the session. It is not
// done when the hub shuts down.
func (h *Hub) Admit(ctx context.Context, id session.ID) (Status, context.Context, error) {
	c, err := h.check(ctx, id)
	c.status.Record.Values = nil
	if err != nil {
		return c.status, nil, err
	}
	return c.status, c.live.lifetime(), nil
}

// liveDoubts are the reasons to read a session from the store before memory is trusted, in check.
// Each doubt has a number. A new session has one: its record may have been read before an end was
// stored. It is settled by a later look, as a rule in ensureLive, so that no request waits for it.
type liveDoubts struct {
	doubts  atomic.Int64 // the number of the last doubt
	settled atomic.Int64 // the last doubt after which the store was read, and had no end
}

// doubt notes that the store may know of an end that memory does not: a call that could have ended
// s has failed.
func (d *liveDoubts) doubt() { d.doubts.Add(1) }

// inDoubt reports whether there is a doubt that is not settled.
func (d *liveDoubts) inDoubt() bool { return d.doubts.Load() != d.settled.Load() }

// settle notes that the store had no end of s when it was read, which was after the doubt of that
// number. Any later end is noted in s, for s could be found by then.
func (d *liveDoubts) settle(doubt int64) {
	for {
		old := d.settled.Load()
		if doubt <= old || d.settled.CompareAndSwap(old, doubt) {
			return
		}
	}
}

// lifetime returns the life of s. Most sessions are never asked for it, so it is made then.
func (s *liveSession) lifetime() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil {
		s.life, s.cut = context.WithCancelCause(context.Background())
		if s.end != nil {
			s.cut(EndedError{*s.end})
		}
	}
	return s.life
}
