package hub

import (
	"context"
	"errors"
	"time"

	"curfew/session"
)

// How a session stands: for requests, administrators and the application.

// Check judges a session now, and ends it if it is due. Every request with a session cookie calls
// it.
//
// Where this process alone writes to the store, Check judges a live session in memory, unless the
// store may know of an end that the hub does not; see doubt. So a store that is away refuses nobody
// who is in memory. Where nodes share the store, Check reads the record for each request, so that
// what another node has done counts at once, and adds what this node knows better: the last
// activity, the warning, the rules.
//
// The error is session.ErrNotFound, or session.ErrEnded, with which Status.Record tells the end.
// Any other error means that the store cannot be asked: nothing may be concluded then. The record
// of a live session has no values of the application; see [Hub.Values].
func (h *Hub) Check(ctx context.Context, id session.ID) (Status, error) {
	c, err := h.check(ctx, id)
	c.status.Record.Values = nil
	return c.status, err
}

// checked is what [Hub.Check] has found.
type checked struct {
	status Status
	live   *liveSession // nil where there is an error
	isRead bool         // the record was read from the store, with the application's values
}

// check is Check that tells more.
func (h *Hub) check(ctx context.Context, id session.ID) (c checked, err error) {
	s := h.lookup(id)
	if s == nil {
		return h.checkStored(ctx, id)
	}
	doubts := s.doubts.Load() // before the store is read
	if h.cluster.Alone() && doubts == s.settled.Load() && !h.isClosing() {
		if due := h.judge(s, nil, &c.status); !due && c.status.Record.End == nil {
			c.live = s
			return c, nil
		}
	}
	c, err = h.checkStored(ctx, id)
	if c.live == s {
		s.settle(doubts)
	}
	return c, err
}

// checkStored is check by the record in the store.
func (h *Hub) checkStored(ctx context.Context, id session.ID) (c checked, err error) {
	if err := h.cluster.InReach(); err != nil {
		return c, err
	}
	r, lastRevocation, err := h.readForCheck(ctx, id)
	if isUnknown(err) {
		h.cluster.Suspect(id)
	}
	if err != nil {
		return c, err
	}
	if r.End == nil { // a fail-over may have lost an end that this node knows
		r.End = h.cluster.EndOf(id)
	}
	if r.End != nil {
		if s := h.lookup(id); s != nil { // it has ended for all from now on
			h.finish(s, *r.End)
		}
		c.status.Record = r
		return c, session.ErrEnded
	}
	if !h.cluster.Alone() { // a forced logout on another node is in effect once it was answered there
		if err := h.syncRevocations(ctx, lastRevocation); err != nil {
			return c, err
		}
	}
	s := h.ensureLive(ctx, r)
	if !h.cluster.Alone() {
		s.sameAge(&r)
		h.actedElsewhere(s, r.LastActiveAt)
		h.applyRules(s, r.Rules(), r.Revision)
		if h.applyStoredTabTimes(s, r) {
			h.unstoredTabTimes.add(s)
		}
	}
	if due := h.judge(s, &r, &c.status); due {
		result := h.expire(context.WithoutCancel(ctx), s)
		if due = h.judge(s, &r, &c.status); due && result != verdictAlive {
			return checked{}, errUndecided
		}
	}
	if c.status.Record.End != nil {
		return c, session.ErrEnded
	}
	c.live, c.isRead = s, true
	return c, nil
}

// readForCheck reads a session and, where nodes share the store, the number of the last revocation.
func (h *Hub) readForCheck(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	if h.cluster.Alone() {
		r, err = h.store.Get(ctx, id)
		return r, 0, err
	}
	return h.cluster.GetWithRevocation(ctx, id)
}

// errUndecided is the error of Check for a session that is due by what this node knows, while the
// store cannot say whether another node knows of a later activity.
var errUndecided = errors.New("the end of the session is not decided yet")

// judge sets how s stands by what this node knows. r is its record as the store has it; nil: as
// memory has it, without the application's values. due says that s is due and has not ended yet.
func (h *Hub) judge(s *liveSession, r *session.Record, st *Status) (due bool) {
	now := h.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	rules := s.record.Load()
	if r == nil {
		r = rules
	}
	*st = Status{Record: *r}
	known, judged := s.recordLocked(), &st.Record
	judged.LastActiveAt, judged.LeftAt, judged.Revocation = known.LastActiveAt, known.LeftAt, known.Revocation
	policy := s.policy.Load()
	judged.Groups, judged.Former, judged.Policy, judged.Revision = rules.Groups, rules.Former, *policy, rules.Revision
	if s.end != nil {
		end := *s.end
		judged.End = &end
		return false
	}
	phase, _ := policy.At(judged, now)
	a := announcementOf(&known, policy, now)
	st.Ref = s.names.Load().Ref
	st.State, _ = s.stateIfLocked(a.reason != "", now)
	st.WarnIn, st.ExpireIn = a.warn, a.expire
	st.Warning, st.Message, st.Text = a.reason, a.message(), a.text
	return phase == session.Expired
}

// Lookup is [Hub.Check] for callers that need the record only. With session.ErrEnded the record
// tells the end. The record has no values of the application; see [Hub.Values].
func (h *Hub) Lookup(ctx context.Context, id session.ID) (session.Record, error) {
	status, err := h.Check(ctx, id)
	return status.Record, err
}

// Who is the mark of the user of a session; see [session.Marks.Who].
func (h *Hub) Who(r *session.Record) string { return h.marks.Who(r) }

// Rights is the mark of the groups of a session; see [session.Marks.Rights].
func (h *Hub) Rights(r *session.Record) string { return h.marks.Rights(r.GroupNames()) }

// Handle is the text by which a page asks about its session; see [session.Marks.Handle].
func (h *Hub) Handle(id session.ID) string { return h.marks.Handle(id) }

// Status is how a session stood when [Hub.Check] judged it.
type Status struct {
	Record   session.Record
	Ref      string // the session's public name, session.ID.Ref
	State    State
	WarnIn   time.Duration  // until the warning; 0 while one is shown
	ExpireIn time.Duration  // until the end that people are warned of
	Warning  session.Reason // what the warning is about; empty: none is shown
	Message  string         // of the warning: the text, or a sentence of plain English
	Text     string         // of the warning, by an administrator; empty: there is none
}

// State is the presence of a session or a user, as administrators and pages see it.
type State string

// The states of a session. See also [StateGone].
const (
	StateActive State = "active" // its user acted within the last minute
	StateIdle   State = "idle"
	StateWarned State = "warned" // a warning is shown
	StateAway   State = "away"   // signed in with no tab
)

// activeFor is how long after an act a session counts as active.
const activeFor = time.Minute

// readAgain schedules another read of s, after the store has failed.
func (h *Hub) readAgain(s *liveSession) {
	s.mustReread.Store(true)
	s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
}

// notDuePause is how soon a session is judged again that is due by this node's clock and not by the
// store's. Once the node's clock is synchronised, the two differ by less than that.
const notDuePause = 10 * time.Millisecond

// refresh reads s from the store, applies what is newer there, and has s judged again.
func (h *Hub) refresh(ctx context.Context, s *liveSession) verdict {
	r, err := h.store.Get(ctx, s.id)
	switch {
	case err == nil && r.End != nil:
		h.finish(s, *r.End)
		return verdictOver
	case err != nil && !isUnknown(err): // what becomes of an unknown one, the next attempt to end it finds out
		h.log.Error("session not read", "session", s.id, "error", err)
		h.readAgain(s)
		return h.retryEnd(s)
	}
	if err == nil {
		s.sameAge(&r)
	}
	s.mu.Lock()
	s.ending = s.end != nil
	if err == nil {
		s.raise(r.LastActiveAt)
	}
	if phase, _ := s.phaseLocked(s.policy.Load(), h.clock.Now()); phase != session.Expired {
		s.overBy = 0 // an act on another node has kept it
	}
	s.mu.Unlock()
	if err == nil {
		h.applyRules(s, r.Rules(), r.Revision)
		if h.applyStoredTabTimes(s, r) {
			h.storeTabTimes(ctx, s)
		}
	}
	if h.isDue(s) {
		s.shard.wakeBy(s, h.clock.Now().Add(notDuePause))
	} else {
		h.tell(s, tellChanges)
	}
	return verdictAlive
}

func isUnknown(err error) bool { return errors.Is(err, session.ErrNotFound) }
