package hub

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// The close grace: what follows when a session's last tab is closed. What is known of the tabs is a
// session.TabTimes, here, in the store and on other nodes. All of them may be merged at any time.

// Navigated notes that a page of the session was asked for by a top-level navigation. It calls off
// the end of a session whose last tab was closed: the browser is still there. For a while the page
// before may say goodbye as if it was closed. Where the answer turns out to be a file, [Hub.Stayed]
// is called with what Navigated returns.
//
// What is decided here holds though the request breaks off.
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

// Stayed notes that the navigation of then was answered with a file: whoever asked for it is still
// where they were.
func (h *Hub) Stayed(ctx context.Context, id session.ID, asked time.Time) {
	if s := h.lookup(id); s != nil && !asked.IsZero() {
		h.noteTabTimes(context.WithoutCancel(ctx), s,
			func() session.TabTimes { return session.TabTimes{OpenedAt: asked} })
	}
}

// tabIsOpen notes that a tab is open.
func (h *Hub) tabIsOpen(s *liveSession) {
	h.noteTabTimes(context.WithoutCancel(h.ctx), s, func() session.TabTimes {
		return session.TabTimes{OpenedAt: s.tabTimes.Next(h.clock.Now())}
	})
}

// lastTabClosed notes that the last tab was closed at an instant, unless there is another.
func (h *Hub) lastTabClosed(s *liveSession, at time.Time) {
	h.noteTabTimes(context.WithoutCancel(h.ctx), s, func() (news session.TabTimes) {
		if s.tabsLocked() == 0 && s.policy.Load().CloseGrace > 0 {
			news.ClosedAt = s.tabTimes.Next(at)
		}
		return news
	})
}

// noteTabTimes takes over what this node has found out of the tabs of s, and lets store and nodes
// know what may matter to them. find is called with s.mu held.
func (h *Hub) noteTabTimes(ctx context.Context, s *liveSession, find func() session.TabTimes) {
	s.mu.Lock()
	phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now())
	if s.ending || s.end != nil || phase == session.Expired { // too late to come back
		s.mu.Unlock()
		return
	}
	before, news := s.tabTimes, find()
	s.mergeTabTimesLocked(news)
	after := s.tabTimes
	s.mu.Unlock()
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

// mergeTabTimesLocked takes over what has become known of the tabs of s, from wherever.
func (s *liveSession) mergeTabTimesLocked(news session.TabTimes) {
	left := s.tabTimes.LeftAt()
	s.tabTimes = s.tabTimes.Merge(news)
	t := s.tabTimes
	// what looked like a closing followed a link
	if !left.IsZero() && t.LeftAt().IsZero() && t.AskedAt.Before(t.ClosedAt) {
		if until := t.ClosedAt.Add(awayAfter); until.After(s.awayAt) {
			s.awayAt = until
		}
	}
}

// navigatesLocked says that a tab that is closed now only gives way to the page that was asked for.
func (s *liveSession) navigatesLocked(now time.Time) bool {
	t := s.tabTimes
	return t.Merge(session.TabTimes{ClosedAt: t.Next(now)}).LeftAt().IsZero()
}

// storeTabTimes has the store know what is known of the tabs of s. Where it cannot, that is tried
// again; see storePendingTabTimes.
func (h *Hub) storeTabTimes(ctx context.Context, s *liveSession) error {
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	known, err := h.store.Leave(ctx, s.id, t)
	switch {
	case err == nil && t.LeftAt().IsZero() && !known.LeftAt().IsZero() && !known.ClosedAt.After(t.ClosedAt):
		// what is told comes after the grace
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
		return nil // found out by whoever ends it
	case errors.Is(err, session.ErrNotFound):
		h.cluster.Suspect(s.id)
		return nil
	}
	h.unstoredTabTimes.add(s)
	return err
}

// applyTabTimes takes over what the store or another node knows of the tabs of s. A node that has
// one open knows better.
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
	case !left.Equal(news.LeftAt()): // nobody else may know all of it
		h.unstoredTabTimes.add(s)
	}
	h.schedule(s)
	h.stateChanged(s)
}

// applyStoredTabTimes is applyTabTimes for a record of the store. missing: there is something that
// the store does not know, or has lost.
func (h *Hub) applyStoredTabTimes(s *liveSession, r session.Record) (missing bool) {
	h.applyTabTimes(s, r.Tabs)
	s.mu.Lock()
	t := s.tabTimes
	s.mu.Unlock()
	return !t.LeftAt().Equal(r.LeftAt) ||
		!h.cluster.Alone() && t.AskedAt.After(r.Tabs.AskedAt) && t.AskedAt.After(t.OpenedAt)
}

// tabTimesQueue are sessions of whose tabs the store does not know all yet.
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

// storeTabTimesEvery is how soon it is tried again to store what is known of tabs. It is real time.
const storeTabTimesEvery = time.Second

// tabTimesLoop stores what could not be stored at once.
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

// storePendingTabTimes stores what could not be stored before. Where the store does not answer, it
// asks no more and keeps the rest.
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
