package hub

import (
	"context"
	"errors"
	"time"

	"github.com/coder/websocket"

	"curfew/session"
)

// What follows from tabs that leave: the close grace.

// Navigated notes that a tab of the session goes to another page. It calls off the end of a session whose last tab was
// closed: the browser is still there.
func (h *Hub) Navigated(ctx context.Context, id session.ID) {
	s := h.live(id)
	if s == nil {
		return
	}
	s.mu.Lock()
	s.goneTo = h.clock.Now()
	s.mu.Unlock()
	h.setLeft(ctx, s, time.Time{})
}

// setLeft notes when the last tab was closed, or with the zero time that one is open.
func (h *Hub) setLeft(ctx context.Context, s *live, at time.Time) {
	s.mu.Lock()
	if s.leftAt.Equal(at) || s.ending || s.end != nil || !at.IsZero() && s.tabsLocked() > 0 {
		s.mu.Unlock()
		return
	}
	if !at.IsZero() && s.policy.Load().CloseGrace == 0 {
		s.mu.Unlock()
		return
	}
	if phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now()); phase == session.Expired {
		s.mu.Unlock()
		return // too late to come back
	}
	s.leftAt = at
	s.mu.Unlock()
	h.saveLeft(ctx, s)
	h.schedule(s)
	h.note(s, "decision", cond(at.IsZero(), "browser is back", "last tab closed")) // the deadline stands: a test may move the clock
}

// saveLeft stores the newest leftAt, whoever set it.
func (h *Hub) saveLeft(ctx context.Context, s *live) {
	s.leaving.Lock()
	defer s.leaving.Unlock()
	s.mu.Lock()
	at := s.leftAt
	s.mu.Unlock()
	err := h.store.Leave(ctx, s.id, at)
	if err != nil && !errors.Is(err, session.ErrEnded) && !errors.Is(err, session.ErrNotFound) {
		h.log.Error("closed browser not stored", "session", s.id, "error", err)
	}
	h.emit(event{Kind: eventLeft, ID: &s.id, At: session.UnixMilli(at)})
}

// remove takes the tab away. If its session has no other and the page was closed, the close grace begins.
func (h *Hub) remove(t *tab) {
	t.ws.CloseNow()
	h.unwatch(t)
	h.leaveSlot(t)
	s := t.session
	s.mu.Lock()
	last := len(s.tabs) - 1
	s.tabs[t.index] = s.tabs[last]
	s.tabs[t.index].index = t.index
	s.tabs[last] = nil
	s.tabs = s.tabs[:last]
	if t.leaving == leavingClosed && !s.goneTo.IsZero() && h.clock.Now().Sub(s.goneTo) < navigationLimit {
		t.leaving = leavingNavigate
	}
	if last == 0 {
		s.awayAt = h.clock.Now()
		if t.leaving != leavingClosed {
			s.awayAt = s.awayAt.Add(awayAfter)
		}
		s.closed, s.closedAt = t.leaving == leavingClosed, h.clock.Now()
	}
	fate := t.fate
	s.mu.Unlock()
	h.note(s, "input", "tab left: "+string(t.leaving))
	if fate != nil && t.leaving != leavingLost {
		fate.came(FateGone)
	}
	h.changed(s)
	h.tabsChanged(s)
	if last == 0 && t.leaving == leavingClosed {
		h.setLeft(h.ctx, s, session.Millis(h.clock.Now()))
	}
}

// navigationLimit is how long after a page was asked for the one before it may say goodbye. The reload button and a typed
// address look like a closed tab to the page that goes; but the request for the next page comes before that goodbye, and
// the next page may be one that holds no socket.
const navigationLimit = 30 * time.Second

// leaving is how a tab went.
type leaving string

const (
	leavingLost     leaving = "lost"     // the connection broke: nothing follows from it
	leavingNavigate leaving = "navigate" // a link, a form or a script led elsewhere
	leavingClosed   leaving = "closed"   // the tab or the browser was closed
)

// discardAfter is how long a tab must have been hidden for its going to look like one that the browser has discarded.
const discardAfter = 5 * time.Minute

// left reads from the error of the last read how the page went. A browser that is closed or killed says 1001, and so it does
// for a tab that it discards to save memory; that one had been hidden for minutes.
func (t *tab) left(err error) {
	t.leaving = leavingLost
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return
	}
	switch {
	case ce.Code == StatusLeft && ce.Reason == LeftNavigate:
		t.leaving = leavingNavigate
	case ce.Code == StatusLeft:
		t.leaving = leavingClosed
	case ce.Code == websocket.StatusGoingAway && (t.hiddenSince.IsZero() || time.Since(t.hiddenSince) <= discardAfter):
		t.leaving = leavingClosed
	}
}
