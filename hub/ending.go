package hub

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// How a session ends: by time, by its user, by a forced logout, by a change in the directory. No
// other file of the hub calls Store.End or Store.EndSoon. The store ends two kinds of sessions
// itself: Store.Create those that a sign-in displaces (signin.go), and SharedStore.EndLost those
// that it has lost (internal/cluster/lost.go).

// End ends a session: it stores the end, and then tells the session's tabs. It goes on though ctx
// ends. The end names the request of ctx; see session.WithRequest. first is true to exactly one
// caller on all nodes; others find in the record how the session had ended before. The error is
// session.ErrNotFound, or comes from the store: then the end may be stored all the same.
func (h *Hub) End(ctx context.Context, id session.ID, end session.End) (first bool, err error) {
	ctx = context.WithoutCancel(ctx) // a caller that has hung up has asked all the same
	end.Request = session.RequestOf(ctx)
	if end.Reason == session.ReasonLogout {
		// Before the end: whoever is told of that finds no page waiting.
		if err := h.endKeepBefore(ctx, id); err != nil {
			return false, err
		}
	}
	return h.endAlone(ctx, id, end)
}

// endAlone is End for one session whatever its browser had before.
func (h *Hub) endAlone(ctx context.Context, id session.ID, end session.End) (first bool, err error) {
	first, err = h.store.End(ctx, id, end, time.Time{})
	if err != nil {
		if s := h.lookup(id); s != nil && !isUnknown(err) {
			s.doubt() // the end may be stored
			h.readAgain(s)
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

// verdict is the result of an attempt to end a session. Whatever follows from it is done or under
// way, so a caller may ignore it.
type verdict int

const (
	verdictOver  verdict = iota // it has ended, or its end is told and yet to be stored
	verdictAlive                // the store says that it is not due
	verdictNone                 // the store cannot be asked now; it is tried again
)

// expire ends s if it is due.
func (h *Hub) expire(ctx context.Context, s *liveSession) verdict {
	e, v := h.decideEnd(ctx, s)
	if e == nil {
		return v
	}
	first, err := h.store.End(ctx, s.id, e.end, e.ifDueBy)
	return h.endStored(ctx, e, first, err)
}

// decidedEnd is an end that was decided and is yet to be stored.
type decidedEnd struct {
	session *liveSession
	end     session.End
	ifDueBy time.Time // zero where tabs were told: what was told holds
}

// isTold reports whether tabs were told of e, so that nothing but the store is waited for.
func (e *decidedEnd) isTold() bool { return e.ifDueBy.IsZero() }

// decideEnd decides how s ends, if it is due: it returns the end for its caller to store, or nil
// and a verdict. The end is stored before tabs are told, with two exceptions. An end by a forced
// logout follows from a revocation, which is stored. And where no other process writes to the
// store, an end by time follows from the record itself: the store never knows of a later activity
// than this node. Then decideEnd tells tabs.
func (h *Hub) decideEnd(ctx context.Context, s *liveSession) (*decidedEnd, verdict) {
	if s.shard.lookup(s.id) != s {
		return nil, verdictOver // and everything is done
	}
	if h.deferEnd(ctx, s) {
		return nil, verdictNone
	}
	h.awaitEffect(s)
	now := h.clock.Now()
	s.mu.Lock()
	end, told := s.endLocked(), s.end != nil
	if told {
		end = *s.end
	} else if phase, _ := s.phaseLocked(s.policy.Load(), now); phase != session.Expired {
		s.overBy = 0
		s.mu.Unlock()
		h.schedule(s)
		return nil, verdictAlive
	}
	s.ending = true
	s.mu.Unlock()
	h.note(s, "decision", "end "+string(end.Reason))
	e := &decidedEnd{session: s, end: end, ifDueBy: now}
	forced := end.Reason == session.ReasonAdmin
	proven := h.cluster.Alone() && end.Reason != session.ReasonBrowserClosed // that a tab was closed may not be stored
	if told || forced || proven {
		h.tellEnd(s, end)
		if !told {
			h.late(end)
		}
		e.ifDueBy = time.Time{} // what was told holds, though a reload may be storing a laxer policy at this moment
	}
	return e, verdictOver
}

// storeEnds has the store end sessions, in the order of the list and in as few transactions as it
// can. It returns once the ends are stored that tabs are to be told afterwards. The others are on
// their way then; see Hub.ends.
func (h *Hub) storeEnds(list []*decidedEnd) {
	var untold []func()
	for _, e := range list {
		wait := h.store.EndSoon(h.ctx, e.session.id, e.end, e.ifDueBy)
		outcome := func() {
			first, err := wait()
			h.endStored(h.ctx, e, first, err)
		}
		if !e.isTold() {
			untold = append(untold, outcome)
		} else if h.ends.add(outcome) {
			h.running.Go(h.ends.work) // the caller is counted, so Shutdown waits
		}
	}
	for _, outcome := range untold {
		outcome()
	}
}

// endStored does what follows once the store has answered.
func (h *Hub) endStored(ctx context.Context, e *decidedEnd, first bool, err error) verdict {
	s := e.session
	switch {
	case err == nil && first:
		h.cluster.TellEnded(s.id, e.end)
		h.finish(s, e.end)
		if !e.isTold() {
			h.late(e.end)
		}
	case err == nil, errors.Is(err, session.ErrNotFound):
		h.finishAsStored(ctx, s, e.end)
	case errors.Is(err, session.ErrNotDue):
		return h.refresh(ctx, s)
	default:
		h.log.Error("end not stored", "session", s.id, "error", err)
		s.doubt()
		return h.retryEnd(s)
	}
	return verdictOver
}

// late tells the meter of an end by time, whose tabs were told just now.
func (h *Hub) late(end session.End) {
	h.meter.Late(DeadlineEnd, max(0, h.clock.Now().Sub(end.At)))
}

// deferEnd reports whether s, which is due by what this node knows, must not be ended yet. After
// the store was away, other nodes may still be writing activity that they know: s is judged again
// soon. Where a forced logout ends s, deferEnd reads the revocations first, since another node may
// have cancelled it, and returns false.
func (h *Hub) deferEnd(ctx context.Context, s *liveSession) bool {
	if h.cluster.Alone() {
		return false
	}
	s.mu.Lock()
	forced := s.endLocked().Reason == session.ReasonAdmin
	s.mu.Unlock()
	if forced {
		if last, err := h.store.LastRevocation(ctx); err == nil { // else what is known here holds
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

// tryAgainAfter is how long after a failure the store is asked again about a session.
const tryAgainAfter = time.Second

// retryEnd schedules another attempt to end s, after the store has failed. Unless tabs were told of
// the end, acts count again until then, because an act on another node may have moved the deadline.
// If none has, acts come too late, and pages blank themselves at the deadline.
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

// finishAsStored is finish with the end that the store has, or else with the one that is given.
func (h *Hub) finishAsStored(ctx context.Context, s *liveSession, otherwise session.End) {
	if r, err := h.store.Get(ctx, s.id); err == nil && r.End != nil {
		otherwise = *r.End
	}
	h.finish(s, otherwise)
}

// finish tells every tab that s has ended, unless they were told, and drops s. The end is stored by
// then.
func (h *Hub) finish(s *liveSession, end session.End) {
	h.tellEnd(s, end)
	h.unregister(s)
}

// unregister drops s from the live sessions, once.
func (h *Hub) unregister(s *liveSession) {
	if s.shard.remove(s) {
		h.index.touch(s)
		h.removeFromUser(s)
	}
}

// tellEnd tells every tab that s has ended, once.
func (h *Hub) tellEnd(s *liveSession, end session.End) {
	var told toldTabs
	if !h.broadcastEnd(&told, s, h.newEndNews(end, h.keepAfter(s, end))) {
		return
	}
	told.cutAll(end)
	h.cluster.NoteEnd(s.id, end)
	h.stats.counts.ended(end.Reason, 1)
	h.writers.Start(told.start)
	h.stateChanged(s)
	h.closeLater(told.tabs, end)
}

// endNews is the message of an end, encoded once for all tabs of all sessions that end by it.
type endNews struct {
	end     *session.End
	frame   sharedFrame
	message func(seq int64) any

	// deferClose, while it is true, keeps tabs open that have acknowledged the end, since others
	// are still being told. It may be nil.
	deferClose *atomic.Bool
}

func (h *Hub) newEndNews(end session.End, keep time.Duration) *endNews {
	message := h.expireMessage(end, keep)
	return &endNews{end: &end, frame: h.encodeOnce(message), message: message}
}

// toldTabs collects the tabs that were told of an end.
type toldTabs struct {
	tabs  []*tab
	start []*socket.Conn            // connections of them that need a writer
	cuts  []context.CancelCauseFunc // end the lives of their sessions; see Hub.Admit
}

// cutAll ends the lives of the sessions that have ended by end.
func (t *toldTabs) cutAll(end session.End) {
	for _, cut := range t.cuts {
		cut(EndedError{end})
	}
}

// broadcastEnd queues the end for every tab of s and adds them to told. It does so once: first is
// true to the call that does.
func (h *Hub) broadcastEnd(told *toldTabs, s *liveSession, news *endNews) (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return false
	}
	s.end, s.ending = news.end, true
	s.warned.Store(true) // so that act looks, and finds that it is too late
	told.start = s.broadcastSharedLocked(told.start, h.faults.stalled(), news.frame, news.message)
	for _, t := range s.tabs {
		t.deferClose = news.deferClose
		s.toldEndLocked(t)
	}
	told.tabs = append(told.tabs, s.tabs...)
	if s.cut != nil {
		told.cuts = append(told.cuts, s.cut)
	}
	h.note(s, "push", string(wire.KindExpire))
	return true
}

// toldEndLocked notes that the newest message of t tells the end, and counts t among the outcomes
// of a forced logout.
func (s *liveSession) toldEndLocked(t *tab) {
	t.expireSeq = t.lastSeq.Load()
	t.pushedLocked()
	if s.end.Reason == session.ReasonAdmin && s.revocation != nil {
		t.outcome = s.revocation.Outcomes.Told(t.id, t.session.record.Load().User, t.path, t.session.id)
	}
}

func (h *Hub) expireMessage(end session.End, keep time.Duration) func(seq int64) any {
	return func(seq int64) any {
		return wire.Expire{
			Type:     wire.KindExpire,
			Seq:      seq,
			Reason:   end.Reason,
			Message:  end.Text(),
			Text:     end.AdminText(),
			Data:     end.Data,
			Location: h.signIn,
			KeepMS:   keep.Milliseconds(),
		}
	}
}

// ackWait is how long the close frame waits for the page's ack of the end, in real time.
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

// tellEndOfAll tells all tabs of sessions that a forced logout has ended. The order and the chunks
// are those of list, which decide how soon 10,000 tabs are told.
func (h *Hub) tellEndOfAll(list []*liveSession, end session.End) {
	news := h.newEndNews(end, 0) // no page waits after a forced logout
	var deferClose atomic.Bool   // closing tabs that ack would slow down telling the others
	deferClose.Store(true)
	news.deferClose = &deferClose
	var mu sync.Mutex
	var tabs []*tab
	h.parallel(list, func(chunk []*liveSession) {
		told := toldTabs{tabs: make([]*tab, 0, 2*len(chunk)), start: make([]*socket.Conn, 0, 2*len(chunk))}
		ends := 0
		for _, s := range chunk {
			if h.broadcastEnd(&told, s, news) {
				ends++
			}
		}
		h.writers.Start(told.start)
		told.cutAll(end)
		for _, s := range chunk {
			h.stateChanged(s)
		}
		h.stats.counts.ended(end.Reason, ends)
		mu.Lock()
		tabs = append(tabs, told.tabs...)
		mu.Unlock()
	})
	deferClose.Store(false)
	for _, t := range tabs {
		h.acknowledged(t, false)
	}
	h.closeLater(tabs, end)
}

// manyEnds is how many ends may be written while tabs are still being told, and how many at once
// where nodes share the store.
const manyEnds = 200

// writeEnds stores the end of each session that e has ended. Of several nodes each stores its part.
func (h *Hub) writeEnds(e *revocation.Entry, list []*liveSession) {
	if len(list) > manyEnds && !h.awaitAcks(e) {
		return // the revocation is stored: the next start ends them
	}
	end := e.Revocation.End()
	if h.cluster.Alone() {
		h.writeEndsTogether(list, end)
		return
	}
	for chunk := range slices.Chunk(h.myPart(list), manyEnds) {
		var wg sync.WaitGroup
		for _, s := range chunk {
			wg.Go(func() {
				_, err := h.store.End(h.ctx, s.id, end, time.Time{})
				h.endWritten(s, end, err)
			})
		}
		wg.Wait()
	}
}

// endsAhead is how many ends the store is asked for before the outcome of the first is awaited.
const endsAhead = 2000

// writeEndsTogether is writeEnds where the ends share the transactions of the store. Their order is
// that of the IDs, by which the embedded store keeps sessions, so that a transaction writes few
// pages.
func (h *Hub) writeEndsTogether(list []*liveSession, end session.End) {
	sortByID(list)
	outcomes := make(chan func(), endsAhead)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		for outcome := range outcomes {
			outcome()
		}
	})
	for _, s := range list {
		wait := h.store.EndSoon(h.ctx, s.id, end, time.Time{})
		outcomes <- func() {
			_, err := wait()
			h.endWritten(s, end, err)
		}
	}
	close(outcomes)
	waiting.Wait()
}

// myPart splits the sessions among the nodes. It returns this node's part, and schedules a later
// check of the rest in case another node fails.
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

// endWritten drops a session whose end follows from a revocation, once the store has answered. Its
// tabs were told.
func (h *Hub) endWritten(s *liveSession, end session.End, err error) {
	if err != nil && !isUnknown(err) {
		h.log.Error("end not stored", "session", s.id, "error", err)
		s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
		return
	}
	h.cluster.TellEnded(s.id, end)
	h.unregister(s)
}

// errNotEnded is the error of endIfDue where the store could not be asked.
var errNotEnded = errors.New("session is due and could not be ended yet")

// endIfDue ends s if it is due by the rules that it has now, so that new rules do not revive it.
// over says that s has ended.
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

// restoreEnd stores an end again that a fail-over may have lost. A session that the store does not
// know at all is no error.
func (h *Hub) restoreEnd(ctx context.Context, id session.ID, end session.End) error {
	if _, err := h.store.End(ctx, id, end, time.Time{}); err != nil && !isUnknown(err) {
		return err
	}
	return nil
}
