package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// How a session ends: by time, by its user, by a forced logout, by a change in the directory. No
// other file of this package calls Store.End. Two ends are the store's own: Store.Create ends those
// that a sign-in displaces (signin.go), SharedStore.EndLost those that the store has lost
// (internal/cluster/lost.go).

// End ends a session, durably, and then tells its tabs. first is true to exactly one caller.
func (h *Hub) End(ctx context.Context, id session.ID, end session.End) (first bool, err error) {
	ctx = context.WithoutCancel(ctx) // whoever asked and hung up has asked all the same
	first, err = h.store.End(ctx, id, end, time.Time{})
	if err != nil {
		if s := h.lookup(id); s != nil && !isUnknown(err) {
			h.readAgain(s) // it may have been done
		}
		return false, err
	}
	if first {
		h.cluster.TellEnded(id, end)
	}
	if s := h.lookup(id); s != nil {
		if first {
			h.note(s, "decision", "end "+string(end.Reason))
			h.finish(s, end)
		} else {
			h.finishAsStored(ctx, s, end)
		}
	}
	return first, nil
}

// verdict is what came of an attempt to end a session. All that follows from it is done or under
// way: whoever has no question may drop it.
type verdict int

const (
	verdictOver  verdict = iota // live.end tells how
	verdictAlive                // the store says that its time is not up
	verdictNone                 // nobody can say now; it is tried again
)

// expire ends s if its time is up. Where no other process writes to the store, the tabs are told at
// once: the record itself proves the end, since what the store knows of the session's activity is
// never later than what is known here. All else is in the store first.
func (h *Hub) expire(ctx context.Context, s *liveSession) verdict {
	if s.shard.lookup(s.id) != s {
		return verdictOver // all is done
	}
	if h.deferEnd(ctx, s) {
		return verdictNone
	}
	h.awaitEffect(s)
	now := h.clock.Now()
	s.mu.Lock()
	end, told := s.endLocked(), s.end != nil
	if told {
		end = *s.end
	} else if phase, _ := s.policy.Load().At(s.recordLocked(), now); phase != session.Expired {
		s.overBy = time.Time{}
		s.mu.Unlock()
		h.schedule(s)
		return verdictAlive
	}
	s.ending = true
	s.mu.Unlock()
	h.note(s, "decision", "end "+string(end.Reason))
	ifDueBy := now
	// a revocation says so, which is stored
	forced := end.Reason == session.ReasonAdmin
	// the closing may not have been stored
	if told || forced || h.cluster.Alone() && end.Reason != session.ReasonBrowserClosed {
		h.tellEnd(s, end)
		ifDueBy = time.Time{} // told is told, though a reload may be storing a laxer policy at this moment
	}
	first, err := h.store.End(ctx, s.id, end, ifDueBy)
	switch {
	case err == nil && first:
		h.cluster.TellEnded(s.id, end)
		h.finish(s, end)
	case err == nil, errors.Is(err, session.ErrNotFound):
		h.finishAsStored(ctx, s, end)
	case errors.Is(err, session.ErrNotDue):
		return h.refresh(ctx, s)
	default:
		h.log.Error("end not stored", "session", s.id, "error", err)
		return h.retryEnd(s)
	}
	return verdictOver
}

// deferEnd reports whether s, whose time seems to be up, is not to be ended now: a forced logout
// may have been cancelled on another node, and is read again; or nodes may be writing what they
// know after the store was away, and s is looked at again soon.
func (h *Hub) deferEnd(ctx context.Context, s *liveSession) bool {
	if h.cluster.Alone() {
		return false
	}
	s.mu.Lock()
	forced := s.endLocked().Reason == session.ReasonAdmin
	s.mu.Unlock()
	if forced {
		if last, err := h.store.LastRevocation(ctx); err == nil { // else what is known holds
			if err := h.syncRevocations(ctx, last); err != nil {
				h.log.Debug("forced logouts not read", "error", err)
			}
		}
		return false
	}
	wait := h.cluster.DeferEnd()
	if wait == 0 {
		return false
	}
	s.shard.wakeBy(s, h.clock.Now().Add(wait))
	return true
}

// tryAgainAfter is when an end that could not be stored is tried again.
const tryAgainAfter = time.Second

// retryEnd has the end of s decided anew in a while. Until then acts count again, should another
// node's have moved the deadline; where none has, they come too late and the pages blank themselves
// in time.
func (h *Hub) retryEnd(s *liveSession) verdict {
	s.mu.Lock()
	told := s.end != nil
	s.ending = told
	s.mu.Unlock()
	s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
	if told {
		return verdictOver
	}
	return verdictNone
}

// finishAsStored ends s for the reason that the store knows.
func (h *Hub) finishAsStored(ctx context.Context, s *liveSession, otherwise session.End) {
	if r, err := h.store.Get(ctx, s.id); err == nil && r.End != nil {
		otherwise = *r.End
	}
	h.finish(s, otherwise)
}

// finish tells every tab that s is over, unless that was done, and forgets s. The end is durable by
// now.
func (h *Hub) finish(s *liveSession, end session.End) {
	h.tellEnd(s, end)
	h.unregister(s)
}

func (h *Hub) unregister(s *liveSession) {
	if s.shard.remove(s) {
		h.removeFromUser(s)
	}
}

// tellEnd tells every tab that s is over, once.
func (h *Hub) tellEnd(s *liveSession, end session.End) {
	var told toldTabs
	if !h.broadcastEnd(&told, s, h.newEndNews(end)) {
		return
	}
	h.cluster.NoteEnd(s.id, end)
	h.stats.counts.ended(end.Reason, 1)
	h.writers.Start(told.start)
	h.stateChanged(s)
	h.closeLater(told.tabs, end)
}

// endNews is the message of an end, encoded once for all tabs of all sessions that end so.
type endNews struct {
	end     *session.End
	frame   sharedFrame
	message func(seq int64) any

	// deferClose, while it is set, keeps tabs open that have acknowledged the end: others are still
	// being told. It may be nil.
	deferClose *atomic.Bool
}

func (h *Hub) newEndNews(end session.End) *endNews {
	message := h.expireMessage(end)
	return &endNews{end: &end, frame: h.encodeOnce(message), message: message}
}

// toldTabs collects the tabs that were told of an end.
type toldTabs struct {
	tabs  []*tab
	start []*socket.Conn // connections of them that need a writer
}

// broadcastEnd queues the end for every tab of s, once. first is true to the call that does.
func (h *Hub) broadcastEnd(told *toldTabs, s *liveSession, news *endNews) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return false
	}
	s.end, s.ending = news.end, true
	s.warned.Store(true) // see act: it is too late
	told.start = s.broadcastSharedLocked(told.start, h.faults.stalled(), news.frame, news.message)
	for _, t := range s.tabs {
		t.deferClose = news.deferClose
		s.toldEndLocked(t)
	}
	told.tabs = append(told.tabs, s.tabs...)
	h.note(s, "push", string(wire.KindExpire))
	return true
}

// toldEndLocked notes that the newest message told t of the end.
func (s *liveSession) toldEndLocked(t *tab) {
	t.expireSeq = t.lastSeq.Load()
	if s.end.Reason == session.ReasonAdmin && s.revocation != nil {
		t.outcome = s.revocation.Outcomes.Told(t.id, t.session.user, t.session.id)
	}
}

func (h *Hub) expireMessage(end session.End) func(seq int64) any {
	return func(seq int64) any {
		return wire.Expire{
			Type:     wire.KindExpire,
			Seq:      seq,
			Reason:   end.Reason,
			Message:  end.Text(),
			Location: h.signIn,
		}
	}
}

// ackWait is how long the close frame waits for the page's ack of the end. It is real time.
const ackWait = time.Second

// closeLater closes the tabs that have not acknowledged the end within ackWait. Shutdown closes all
// tabs by itself.
func (h *Hub) closeLater(tabs []*tab, end session.End) {
	if len(tabs) == 0 {
		return
	}
	h.goUnlessClosing(func() {
		h.wait(ackWait)
		var start []*socket.Conn
		for _, t := range tabs {
			if t.Close(wire.StatusExpired, string(end.Reason)) {
				start = append(start, &t.Conn)
			}
		}
		h.writers.Start(start)
	})
}

// tellEndOfAll tells all tabs of sessions that a revocation has ended.
func (h *Hub) tellEndOfAll(list []*liveSession, end session.End) {
	news := h.newEndNews(end)
	var deferClose atomic.Bool // reading acks and closing would slow down telling the others
	deferClose.Store(true)
	news.deferClose = &deferClose
	var mu sync.Mutex
	var tabs []*tab
	h.parallel(list, func(share []*liveSession) {
		told := toldTabs{tabs: make([]*tab, 0, 2*len(share)), start: make([]*socket.Conn, 0, 2*len(share))}
		ends := 0
		for _, s := range share {
			if h.broadcastEnd(&told, s, news) {
				ends++
			}
		}
		h.writers.Start(told.start)
		for _, s := range share {
			h.stateChanged(s)
		}
		h.stats.counts.ended(end.Reason, ends)
		mu.Lock()
		tabs = append(tabs, told.tabs...)
		mu.Unlock()
	})
	deferClose.Store(false)
	for _, t := range tabs {
		h.acknowledged(t)
	}
	h.closeLater(tabs, end)
}

// manyEnds is how many ends may be written while tabs are still being told.
const manyEnds = 200

// writeEnds writes the single ends of sessions that a revocation has ended: all, or where several
// nodes share the store, this one's part.
func (h *Hub) writeEnds(list []*liveSession, end session.End) {
	if len(list) > manyEnds && !h.wait(ackWait) {
		return // the revocation stands: the next start writes them
	}
	for chunk := range slices.Chunk(h.myPart(list), manyEnds) {
		var wg sync.WaitGroup
		for _, s := range chunk {
			wg.Go(func() { h.writeEnd(h.ctx, s, end) })
		}
		wg.Wait()
	}
}

// myPart lists those of the sessions whose ends this node writes. The others' are looked at later,
// should another node not have written them.
func (h *Hub) myPart(list []*liveSession) (mine []*liveSession) {
	part, now := h.cluster.MyPart(len(list)), h.clock.Now()
	for i, s := range list {
		if part.Has(s.id) {
			mine = append(mine, s)
		} else {
			s.shard.wakeBy(s, now.Add(part.DoneBy(i)))
		}
	}
	return mine
}

// writeEnd stores an end that follows from a revocation, which needs no hurry and no condition.
func (h *Hub) writeEnd(ctx context.Context, s *liveSession, end session.End) {
	if _, err := h.store.End(ctx, s.id, end, time.Time{}); err != nil && !isUnknown(err) {
		h.log.Error("end not stored", "session", s.id, "error", err)
		s.shard.wakeBy(s, h.clock.Now().Add(time.Second))
		return
	}
	h.cluster.TellEnded(s.id, end)
	h.unregister(s)
}

// errNotEnded says that a session is due and could not be ended.
var errNotEnded = errors.New("session is due and could not be ended yet")

// endIfDue ends s if it is due by the rules that it has, so that new ones do not bring it back.
// over: nothing is left to do.
func (h *Hub) endIfDue(ctx context.Context, s *liveSession) (over bool, err error) {
	if !h.isDue(s) {
		return false, nil
	}
	switch h.expire(ctx, s) {
	case verdictOver:
		return true, nil
	case verdictAlive:
		return false, nil
	}
	return false, errNotEnded
}

// restoreEnd stores again an end that a fail-over may have lost. A session that the store does not
// know at all is passed over.
func (h *Hub) restoreEnd(ctx context.Context, id session.ID, end session.End) error {
	if _, err := h.store.End(ctx, id, end, time.Time{}); err != nil && !isUnknown(err) {
		return err
	}
	return nil
}
