package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/session"
)

// What follows from tabs that come and go: the close grace. What is known of that is a session.TabTimes, here, in the store
// and on other nodes; all of them may be brought together at any time.

// Navigated notes that a page of the session was asked for by a top-level navigation. It calls off the end of a session
// whose last tab was closed: the browser is still there. For a while the page before may say goodbye as if it was closed.
// Where the answer turns out to be a file, [Hub.Stayed] is called with what Navigated returns.
//
// What is decided here holds though the request breaks off.
func (h *Hub) Navigated(ctx context.Context, id session.ID) (asked time.Time) {
	s := h.live(id)
	if s == nil {
		return time.Time{}
	}
	h.learn(context.WithoutCancel(ctx), s, func() (news session.TabTimes) {
		asked = s.tabTimes.Next(h.clock.Now())
		news.AskedAt = asked
		return news
	})
	return asked
}

// Stayed notes that the navigation of then was answered with a file: whoever asked for it is still where they were.
func (h *Hub) Stayed(ctx context.Context, id session.ID, asked time.Time) {
	if s := h.live(id); s != nil && !asked.IsZero() {
		h.learn(context.WithoutCancel(ctx), s, func() session.TabTimes { return session.TabTimes{OpenedAt: asked} })
	}
}

// back notes that a tab is open.
func (h *Hub) back(s *live) {
	h.learn(context.WithoutCancel(h.ctx), s, func() session.TabTimes { return session.TabTimes{OpenedAt: s.tabTimes.Next(h.clock.Now())} })
}

// left notes that the last tab was closed, unless there is another.
func (h *Hub) left(s *live) {
	h.learn(context.WithoutCancel(h.ctx), s, func() (news session.TabTimes) {
		if s.tabsLocked() == 0 && s.policy.Load().CloseGrace > 0 {
			news.ClosedAt = s.tabTimes.Next(h.clock.Now())
		}
		return news
	})
}

// learn takes over what this node has found out of the tabs of s, and lets store and nodes know what may matter to them. find
// is called with s.mu held.
func (h *Hub) learn(ctx context.Context, s *live, find func() session.TabTimes) {
	s.mu.Lock()
	phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now())
	if s.ending || s.end != nil || phase == session.Expired { // too late to come back
		s.mu.Unlock()
		return
	}
	before, news := s.tabTimes, find()
	s.takeTimesLocked(news)
	after := s.tabTimes
	s.mu.Unlock()
	moved := !before.LeftAt().Equal(after.LeftAt())
	asked := after.AskedAt.After(before.AskedAt)
	arrived := before.AskedAt.After(before.OpenedAt) && !after.AskedAt.After(after.OpenedAt)
	if moved || asked || arrived {
		h.tellTimes(s, after)
	}
	stayed := arrived && news.OpenedAt.Equal(before.AskedAt)
	if moved || h.nodes != nil && (asked || stayed) { // alone, this node needs no store to know of a navigation
		if err := h.storeTimes(ctx, s); err != nil {
			h.log.Error("tabs of session not stored, to be tried again", "session", s.id, "error", err)
		}
	}
	if moved {
		h.schedule(s)
		h.note(s, "decision", cond(after.LeftAt().IsZero(), "browser is back", "last tab closed"))
	}
}

// takeTimesLocked takes over what has become known of the tabs of s, from wherever.
func (s *live) takeTimesLocked(news session.TabTimes) {
	left := s.tabTimes.LeftAt()
	s.tabTimes = s.tabTimes.Merge(news)
	t := s.tabTimes
	if !left.IsZero() && t.LeftAt().IsZero() && t.AskedAt.Before(t.ClosedAt) { // what looked like a closing followed a link
		if until := t.ClosedAt.Add(awayAfter); until.After(s.awayAt) {
			s.awayAt = until
		}
	}
}

// tellTimes tells the other nodes what is known of the tabs of s.
func (h *Hub) tellTimes(s *live, t session.TabTimes) {
	h.emit(event{Kind: eventLeft, ID: &s.id, At: session.UnixMilli(t.LeftAt()), Times: &tabTimes{
		session.UnixMilli(t.OpenedAt), session.UnixMilli(t.AskedAt), session.UnixMilli(t.ClosedAt),
	}})
}

// tabTimes is a session.TabTimes as nodes tell it each other, in Unix ms.
type tabTimes struct {
	Opened int64 `json:"opened,omitempty"`
	Asked  int64 `json:"asked,omitempty"`
	Closed int64 `json:"closed,omitempty"`
}

// storeTimes has the store know what is known of the tabs of s. Where it cannot, that is tried again; see storeLeaving.
func (h *Hub) storeTimes(ctx context.Context, s *live) error {
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	known, err := h.store.Leave(ctx, s.id, t)
	switch {
	case err == nil && t.LeftAt().IsZero() && !known.LeftAt().IsZero() && !known.ClosedAt.After(t.ClosedAt): // what is told comes after the grace
		s.mu.Lock()
		if s.tabTimes == t {
			s.tabTimes = known
		}
		s.mu.Unlock()
		h.schedule(s)
		return nil
	case err == nil:
		h.takeTimes(s, known)
		return nil
	case errors.Is(err, session.ErrEnded):
		return nil // found out by whoever ends it
	case errors.Is(err, session.ErrNotFound):
		h.suspect(s.id)
		return nil
	}
	h.leaving.add(s)
	return err
}

// takeTimes takes over what the store or another node knows of the tabs of s. A node that has one open knows better.
func (h *Hub) takeTimes(s *live, news session.TabTimes) {
	s.mu.Lock()
	before := s.tabTimes
	s.takeTimesLocked(news)
	left, here := s.tabTimes.LeftAt(), len(s.tabs) > 0
	s.mu.Unlock()
	switch {
	case before.LeftAt().Equal(left):
		return
	case here && !left.IsZero():
		h.back(s)
	case !left.Equal(news.LeftAt()): // nobody else may know all of it
		h.leaving.add(s)
	}
	h.schedule(s)
	h.changed(s)
}

// takeStored is takeTimes for a record of the store. missing: there is something that the store does not know, or has lost.
func (h *Hub) takeStored(s *live, r session.Record) (missing bool) {
	h.takeTimes(s, r.Tabs)
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	return !t.LeftAt().Equal(r.LeftAt) || h.nodes != nil && t.AskedAt.After(r.Tabs.AskedAt) && t.AskedAt.After(t.OpenedAt)
}

// leavingQueue are sessions of whose tabs the store does not know all yet.
type leavingQueue struct {
	mu       sync.Mutex
	sessions map[*live]struct{} // bounded by the live ones
}

func (q *leavingQueue) add(s *live) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sessions == nil {
		q.sessions = make(map[*live]struct{})
	}
	q.sessions[s] = struct{}{}
}

func (q *leavingQueue) take() map[*live]struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.sessions
	q.sessions = nil
	return taken
}

// storeLeavingEvery is how soon it is tried again to store what is known of tabs. It is real time.
const storeLeavingEvery = time.Second

// leavingLoop stores what could not be stored at once.
func (h *Hub) leavingLoop() {
	ticker := time.NewTicker(storeLeavingEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			if err := h.storeLeaving(h.ctx); err != nil && h.ctx.Err() == nil {
				h.log.Warn("tabs of sessions not stored", "error", err)
			}
		}
	}
}

// storeLeaving stores what could not be stored before. Where the store does not answer, it asks no more and keeps the rest.
func (h *Hub) storeLeaving(ctx context.Context) error {
	var (
		writes sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	slots := make(chan struct{}, endsAtOnce)
	for s := range h.leaving.take() {
		if s.shard.lookup(s.id) != s {
			continue
		}
		slots <- struct{}{}
		mu.Lock()
		away := failed != nil
		mu.Unlock()
		if away {
			h.leaving.add(s)
			<-slots
			continue
		}
		writes.Go(func() {
			defer func() { <-slots }()
			if err := h.storeTimes(ctx, s); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	writes.Wait()
	return failed
}

// remove takes the tab away. If its session has no other and the page was closed, the close grace begins.
func (h *Hub) remove(t *tab) {
	t.ws.CloseNow()
	h.unwatch(t)
	h.leaveSlot(t)
	h.places.leave(t.session)
	s := t.session
	s.mu.Lock()
	last := len(s.tabs) - 1
	s.tabs[t.index] = s.tabs[last]
	s.tabs[t.index].index = t.index
	s.tabs[last] = nil
	s.tabs = s.tabs[:last]
	closed := t.leaving == leavingClosed
	var probes []*tab
	if closed {
		s.closedAt = time.Now()
		probes = s.probeLocked(h.faults.stalled())
	}
	if closed && s.leadsOnLocked(h.clock.Now()) {
		t.leaving = leavingNavigate
	}
	if t.vanished && s.closedAt.After(t.conn.heardAt) { // another was closed when this one had gone already
		t.leaving, closed = leavingClosed, true
	}
	if last == 0 {
		s.awayAt = h.clock.Now()
		if t.leaving != leavingClosed {
			s.awayAt = s.awayAt.Add(awayAfter)
		}
		s.closed = t.leaving == leavingClosed
	}
	fate := t.fate
	s.mu.Unlock()
	h.start(probes)
	h.note(s, "input", "tab left: "+string(t.leaving))
	if fate != nil && t.leaving != leavingLost && !t.vanished {
		fate.came(FateGone)
	}
	h.changed(s)
	h.tabsChanged(s)
	if closed {
		h.left(s)
	}
}

// leadsOnLocked says that a tab that is closed now only gives way to the page that was asked for.
func (s *live) leadsOnLocked(now time.Time) bool {
	t := s.tabTimes
	return t.Merge(session.TabTimes{ClosedAt: t.Next(now)}).LeftAt().IsZero()
}

// leaving is how a tab went.
type leaving string

const (
	leavingLost     leaving = "lost"     // the connection broke: nothing follows from it
	leavingNavigate leaving = "navigate" // a link, a form or a script led elsewhere
	leavingClosed   leaving = "closed"   // the tab or the browser was closed
)

// discardAfter is how long a tab must have been hidden for its going to look like one that the browser has discarded. A phone
// discards whatever is hidden, at any time.
const discardAfter = 5 * time.Minute

// left reads from the error of the last read how the page went. A browser that is closed or killed says 1001, and so it does
// for a tab that it discards to save memory; that one had been hidden for minutes, or on a phone at all.
func (t *tab) left(err error, now time.Time) {
	t.leaving = leavingLost
	var ce websocket.CloseError
	if !errors.As(err, &ce) {
		return
	}
	discarded := !t.hiddenSince.IsZero() && (t.phone || now.Sub(t.hiddenSince) > discardAfter)
	switch {
	case ce.Code == StatusLeft && ce.Reason == LeftNavigate:
		t.leaving = leavingNavigate
	case ce.Code == StatusLeft, ce.Code == websocket.StatusGoingAway && !discarded:
		t.leaving = leavingClosed
	}
}
