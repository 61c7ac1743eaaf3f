package hub

import (
	"context"

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
//
// Where this process alone writes to the store, a session that the hub holds in memory is judged
// there, and the record in the Status has no values of the application: no end is in the store that
// the hub does not know, for [Hub.End] returns after it has noted the end here. Otherwise the
// record is read for each request, because another node may have ended the session just now.
func (h *Hub) Admit(ctx context.Context, id session.ID) (Status, context.Context, error) {
	if h.cluster.Alone() {
		if s := h.lookup(id); s != nil {
			if status, due := h.judge(s, *s.record.Load()); !due && status.Record.End == nil {
				return status, s.lifetime(), nil
			}
		}
	}
	status, err := h.Check(ctx, id)
	if err != nil {
		return status, nil, err
	}
	return status, h.ensureLive(ctx, status.Record).lifetime(), nil
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
