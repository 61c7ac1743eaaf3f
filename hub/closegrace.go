package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// The close grace: a session ends some time after its last tab was closed, unless the browser comes
// back. This node, other nodes and the store each keep a session.TabTimes of the session, which
// says when tabs were opened and closed. Any two may be merged at any time, in any order.

// Navigated notes that a page of the session was asked for by a top-level navigation. It cancels
// the close grace of the session, because the browser is still there. For a while afterwards the
// closing of the previous page counts as a navigation, too. If the answer turns out to be a file,
// the caller calls [Hub.Stayed] with what Navigated has returned.
//
// The server calls it for each such request before it answers. It goes on though ctx ends.
func (h *Hub) Navigated(ctx context.Context, id session.ID) (asked time.Time) {
	s := h.lookup(id)
	if s == nil {
		return time.Time{}
	}
	h.noteTabTimes(context.WithoutCancel(ctx), s, func() (news session.TabTimes) {
		asked = s.tabTimes.Next(h.clock.Now())
		news.AskedAt = asked
		return news
	})
	return asked
}

// Stayed notes that the navigation of that time was answered with a file: the previous page is
// still open.
func (h *Hub) Stayed(ctx context.Context, id session.ID, asked time.Time) {
	if s := h.lookup(id); s != nil && !asked.IsZero() {
		h.noteTabTimes(context.WithoutCancel(ctx), s,
			func() session.TabTimes { return session.TabTimes{OpenedAt: asked} })
	}
}

// tabIsOpen notes that s has an open tab, which cancels the close grace.
func (h *Hub) tabIsOpen(s *liveSession) {
	h.noteTabTimes(context.WithoutCancel(h.ctx), s, func() session.TabTimes {
		return session.TabTimes{OpenedAt: s.tabTimes.Next(h.clock.Now())}
	})
}

// lastTabClosed begins the close grace of s, unless it has another tab or its policy has no grace.
// The tab was closed at an instant, in the clock's time.
func (h *Hub) lastTabClosed(s *liveSession, at time.Time) {
	h.noteTabTimes(context.WithoutCancel(h.ctx), s, func() (news session.TabTimes) {
		if s.tabsLocked() == 0 && s.policy.Load().CloseGrace > 0 {
			news.ClosedAt = s.tabTimes.Next(at)
		}
		return news
	})
}

// noteTabTimes merges what has just happened on this node into the times of s. It tells other nodes
// and the store what may matter to them. find returns what has happened, and is called with s.mu
// held.
func (h *Hub) noteTabTimes(ctx context.Context, s *liveSession, find func() session.TabTimes) {
	before, news, after, ok := h.mergeTabTimes(s, find)
	if !ok {
		return
	}
	moved := !before.LeftAt().Equal(after.LeftAt())
	asked := after.AskedAt.After(before.AskedAt)
	arrived := before.AskedAt.After(before.OpenedAt) && !after.AskedAt.After(after.OpenedAt)
	if moved || asked || arrived {
		h.cluster.TellTabTimes(s.id, after)
	}
	stayed := arrived && news.OpenedAt.Equal(before.AskedAt)
	if moved || !h.cluster.Alone() && (asked || stayed) { // alone, this node needs no store to know of a navigation
		if err := h.storeTabTimes(ctx, s); err != nil {
			h.log.Error("tabs of session not stored, to be tried again", "session", s.id, "error", err)
		}
	}
	if moved {
		h.schedule(s)
		if after.LeftAt().IsZero() {
			h.note(s, "decision", "browser is back")
		} else {
			h.note(s, "decision", "last tab closed")
		}
	}
}

// mergeTabTimes merges what find returns into the times of s. ok is false where s has ended: it is
// too late to come back then.
func (h *Hub) mergeTabTimes(
	s *liveSession,
	find func() session.TabTimes,
) (before, news, after session.TabTimes, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	phase, _ := s.phaseLocked(s.policy.Load(), h.clock.Now())
	if s.ending || s.end != nil || phase == session.Expired {
		return before, news, after, false
	}
	before, news = s.tabTimes, find()
	s.mergeTabTimesLocked(news)
	return before, news, s.tabTimes, true
}

// mergeTabTimesLocked merges news of the tabs of s, from wherever they come.
func (s *liveSession) mergeTabTimesLocked(news session.TabTimes) {
	left := s.tabTimes.LeftAt()
	s.tabTimes = s.tabTimes.Merge(news)
	t := s.tabTimes
	// what looked like a closing was a navigation
	if !left.IsZero() && t.LeftAt().IsZero() && t.AskedAt.Before(t.ClosedAt) {
		s.awayAt = max(s.awayAt, momentOf(t.ClosedAt.Add(awayAfter)))
	}
}

// navigatesLocked reports whether the closing of a tab now is a navigation: a page was asked for
// just before.
func (s *liveSession) navigatesLocked(now time.Time) bool {
	t := s.tabTimes
	return t.Merge(session.TabTimes{ClosedAt: t.Next(now)}).LeftAt().IsZero()
}

// storeTabTimes stores the times of s, and merges what the store knows into them. If the store
// fails, it is tried again; see storePendingTabTimes.
func (h *Hub) storeTabTimes(ctx context.Context, s *liveSession) error {
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	known, err := h.store.Leave(ctx, s.id, t)
	switch {
	case err == nil && t.LeftAt().IsZero() && !known.LeftAt().IsZero() && !known.ClosedAt.After(t.ClosedAt):
		// by the store, the browser came back after the grace: too late
		s.mu.Lock()
		if s.tabTimes == t {
			s.tabTimes = known
		}
		s.mu.Unlock()
		h.schedule(s)
		return nil
	case err == nil:
		h.applyTabTimes(s, known)
		return nil
	case errors.Is(err, session.ErrEnded):
		s.doubt() // the next check or wake finds out
		return nil
	case errors.Is(err, session.ErrNotFound):
		h.cluster.Suspect(s.id)
		return nil
	}
	h.unstoredTabTimes.add(s)
	return err
}

// applyTabTimes merges what the store or another node knows into the times of s. If that says that
// the last tab was closed while one is open here, this node says so.
func (h *Hub) applyTabTimes(s *liveSession, news session.TabTimes) {
	s.mu.Lock()
	before := s.tabTimes
	s.mergeTabTimesLocked(news)
	left, here := s.tabTimes.LeftAt(), len(s.tabs) > 0
	s.mu.Unlock()
	switch {
	case before.LeftAt().Equal(left):
		return
	case here && !left.IsZero():
		h.tabIsOpen(s)
	case !left.Equal(news.LeftAt()): // the merged times may be new to everybody
		h.unstoredTabTimes.add(s)
	}
	h.schedule(s)
	h.stateChanged(s)
}

// applyStoredTabTimes is applyTabTimes for a record of the store. missing says that the store lacks
// something that this node knows, or has lost it.
func (h *Hub) applyStoredTabTimes(s *liveSession, r session.Record) (missing bool) {
	h.applyTabTimes(s, r.Tabs)
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	return !t.LeftAt().Equal(r.LeftAt) ||
		!h.cluster.Alone() && t.AskedAt.After(r.Tabs.AskedAt) && t.AskedAt.After(t.OpenedAt)
}

// tabTimesQueue are the sessions whose times are not stored yet.
type tabTimesQueue struct {
	mu       sync.Mutex
	sessions map[*liveSession]struct{} // bounded by the live ones
}

func (q *tabTimesQueue) add(s *liveSession) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.sessions == nil {
		q.sessions = make(map[*liveSession]struct{})
	}
	q.sessions[s] = struct{}{}
}

func (q *tabTimesQueue) take() map[*liveSession]struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	taken := q.sessions
	q.sessions = nil
	return taken
}

// storeTabTimesEvery is how soon storing is tried again, in real time.
const storeTabTimesEvery = time.Second

// tabTimesLoop stores, from time to time, the times that could not be stored at once.
func (h *Hub) tabTimesLoop() {
	ticker := time.NewTicker(storeTabTimesEvery)
	defer ticker.Stop()
	for {
		select {
		case <-h.ctx.Done():
			return
		case <-ticker.C:
			if err := h.storePendingTabTimes(h.ctx); err != nil && h.ctx.Err() == nil {
				h.log.Warn("tabs of sessions not stored", "error", err)
			}
		}
	}
}

// storePendingTabTimes stores the times of all sessions in the queue. After the first failure it
// asks the store no more, and keeps the rest in the queue.
func (h *Hub) storePendingTabTimes(ctx context.Context) error {
	var (
		writes sync.WaitGroup
		mu     sync.Mutex
		failed error
	)
	slots := make(chan struct{}, endsAtOnce)
	for s := range h.unstoredTabTimes.take() {
		if s.shard.lookup(s.id) != s {
			continue
		}
		slots <- struct{}{}
		mu.Lock()
		away := failed != nil
		mu.Unlock()
		if away {
			h.unstoredTabTimes.add(s)
			<-slots
			continue
		}
		writes.Go(func() {
			defer func() { <-slots }()
			if err := h.storeTabTimes(ctx, s); err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
			}
		})
	}
	writes.Wait()
	return failed
}
