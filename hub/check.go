package hub

import (
	"context"
	"errors"
	"time"

	"curfew/session"
)

// How a session stands, for whoever asks: a request, an administrator, the application.

// Check judges a session now: it reads the record, puts in what this node knows better (the last
// act, the warning, the rules), and ends the session if its time is up. session.ErrNotFound;
// session.ErrEnded, where Status.Record tells the end; any other error means that the store is out
// of reach, and nothing may be concluded.
func (h *Hub) Check(ctx context.Context, id session.ID) (Status, error) {
	if err := h.cluster.InReach(); err != nil {
		return Status{}, err
	}
	r, err := h.store.Get(ctx, id)
	if isUnknown(err) {
		h.cluster.Suspect(id)
	}
	if err != nil {
		return Status{}, err
	}
	if r.End == nil { // a fail-over may have lost what this node knows
		r.End = h.cluster.EndOf(id)
	}
	if r.End != nil {
		return Status{Record: r}, session.ErrEnded
	}
	if !h.cluster.Alone() { // a forced logout on another node holds from its answer on
		last, err := h.store.LastRevocation(ctx)
		if err == nil {
			err = h.syncRevocations(ctx, last)
		}
		if err != nil {
			return Status{}, err
		}
	}
	s := h.ensureLive(ctx, r)
	if !h.cluster.Alone() {
		h.actedElsewhere(s, r.LastActiveAt)
		h.applyRules(s, r.Rules(), r.Revision)
		if h.applyStoredTabTimes(s, r) {
			h.unstoredTabTimes.add(s)
		}
	}
	status, due := h.judge(s, r)
	if due {
		came := h.expire(context.WithoutCancel(ctx), s)
		if status, due = h.judge(s, r); due && came != verdictAlive {
			return Status{}, errUndecided
		}
	}
	if status.Record.End != nil {
		return status, session.ErrEnded
	}
	return status, nil
}

// errUndecided is returned of a session that is over by what this node knows, while nobody can say
// whether another node knows better.
var errUndecided = errors.New("the end of the session is not decided yet")

// judge tells how s stands by what is known here; r is its record as it was read. due: its time is
// up, and it has not been ended.
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
	st := s.announcementLocked(&r.Policy, now)
	state, _ := s.stateLocked(now)
	return Status{
		Record:   r,
		WarnIn:   st.warn,
		ExpireIn: st.expire,
		State:    state,
		Warning:  st.reason,
		Message:  st.text,
	}, phase == session.Expired
}

// Lookup is [Hub.Check] for those who want the record only.
func (h *Hub) Lookup(ctx context.Context, id session.ID) (session.Record, error) {
	status, err := h.Check(ctx, id)
	return status.Record, err
}

// Save replaces the application's values of a session; see [session.Store].
func (h *Hub) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	return h.store.Save(ctx, id, version, values)
}

// Status is how a session stands now.
type Status struct {
	Record   session.Record
	State    State
	WarnIn   time.Duration // 0 while a warning stands
	ExpireIn time.Duration
	Warning  session.Reason // the one that stands; empty: none
	Message  string         // of the warning
}

// State is what the outside sees of a session.
type State string

// The states of a session.
const (
	StateActive State = "active" // acted within the last minute
	StateIdle   State = "idle"
	StateWarned State = "warned"
	StateAway   State = "away" // signed in with no tab
)

// activeFor is how long after an act a session counts as active.
const activeFor = time.Minute

// readAgain has s read from the store, which could not be asked.
func (h *Hub) readAgain(s *liveSession) {
	s.mustReread.Store(true)
	s.shard.wakeBy(s, h.clock.Now().Add(tryAgainAfter))
}

// notDuePause is when a session is judged again that is due by this node's clock and not by the
// store's. They differ by less than that, once the node has set its own right.
const notDuePause = 10 * time.Millisecond

// refresh takes over what the store knows of s, and has it judged anew.
func (h *Hub) refresh(ctx context.Context, s *liveSession) verdict {
	r, err := h.store.Get(ctx, s.id)
	switch {
	case err == nil && r.End != nil:
		h.finish(s, *r.End)
		return verdictOver
	case err != nil && !isUnknown(err): // of an unknown one the next attempt to end it tells
		h.log.Error("session not read", "session", s.id, "error", err)
		h.readAgain(s)
		return h.retryEnd(s)
	}
	s.mu.Lock()
	s.ending = s.end != nil
	if err == nil {
		s.raise(r.LastActiveAt)
	}
	if phase, _ := s.policy.Load().At(s.recordLocked(), h.clock.Now()); phase != session.Expired {
		s.overBy = time.Time{} // an act that was not known here has kept it
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
