package hub

import (
	"context"
	"errors"
	"time"

	"curfew/session"
)

// How a session stands: for requests, administrators and the application.

// Check judges a session now, and ends it if it is due. Every request with a session cookie calls
// it. It reads the record from the store each time, so that what another node has done counts at
// once, and adds what this node knows better: the last activity, the warning, the rules.
//
// The error is session.ErrNotFound, or session.ErrEnded, with which Status.Record tells the end.
// Any other error means that the store cannot be asked: nothing may be concluded then.
func (h *Hub) Check(ctx context.Context, id session.ID) (Status, error) {
	status, _, err := h.check(ctx, id)
	return status, err
}

// check is Check that returns the live session as well, unless there is an error.
func (h *Hub) check(ctx context.Context, id session.ID) (Status, *liveSession, error) {
	if err := h.cluster.InReach(); err != nil {
		return Status{}, nil, err
	}
	r, err := h.store.Get(ctx, id)
	if isUnknown(err) {
		h.cluster.Suspect(id)
	}
	if err != nil {
		return Status{}, nil, err
	}
	if r.End == nil { // a fail-over may have lost an end that this node knows
		r.End = h.cluster.EndOf(id)
	}
	if r.End != nil {
		if s := h.lookup(id); s != nil { // it has ended for all from now on
			h.finish(s, *r.End)
		}
		return Status{Record: r}, nil, session.ErrEnded
	}
	if !h.cluster.Alone() { // a forced logout on another node is in effect once it was answered there
		last, err := h.store.LastRevocation(ctx)
		if err == nil {
			err = h.syncRevocations(ctx, last)
		}
		if err != nil {
			return Status{}, nil, err
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
	status, due := h.judge(s, r)
	if due {
		result := h.expire(context.WithoutCancel(ctx), s)
		if status, due = h.judge(s, r); due && result != verdictAlive {
			return Status{}, nil, errUndecided
		}
	}
	if status.Record.End != nil {
		return status, nil, session.ErrEnded
	}
	return status, s, nil
}

// errUndecided is the error of Check for a session that is due by what this node knows, while the
// store cannot say whether another node knows of a later activity.
var errUndecided = errors.New("the end of the session is not decided yet")

// judge returns how s stands by what this node knows. r is its record as the store has it. due says
// that s is due and has not ended yet.
func (h *Hub) judge(s *liveSession, r session.Record) (status Status, due bool) {
	now := h.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.recordLocked()
	r.LastActiveAt, r.LeftAt, r.Revocation = known.LastActiveAt, known.LeftAt, known.Revocation
	rules := s.record.Load()
	r.Groups, r.Former, r.Policy, r.Revision = rules.Groups, rules.Former, *s.policy.Load(), rules.Revision
	if s.end != nil {
		end := *s.end
		r.End = &end
		return Status{Record: r}, false
	}
	phase, _ := r.Policy.At(r, now)
	a := s.announcementLocked(&r.Policy, now)
	state, _ := s.stateLocked(now)
	return Status{
		Record:   r,
		Ref:      s.names.Load().Ref,
		WarnIn:   a.warn,
		ExpireIn: a.expire,
		State:    state,
		Warning:  a.reason,
		Message:  a.message(),
		Text:     a.text,
	}, phase == session.Expired
}

// Lookup is [Hub.Check] for callers that need the record only. With session.ErrEnded the record
// tells the end.
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

// Save replaces the application's values of a session. The errors are those of [session.Store].
func (h *Hub) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	return h.store.Save(ctx, id, version, values)
}

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
	if phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now()); phase != session.Expired {
		s.overBy = time.Time{} // an act on another node has kept it
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
