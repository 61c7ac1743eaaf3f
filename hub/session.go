package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/revocation"
	"curfew/session"
)

// liveSession is a session that has not ended, with its tabs. What a heartbeat touches is atomic,
// so that it costs a store and no lock; all that is rarer is under mu.
//
// A heartbeat writes active and then reads warned; a warning sets warned and then reads active. One
// of the two sees the other, so no warning stands over an act that came before it.
type liveSession struct {
	// set once
	id        session.ID
	user      string
	createdAt time.Time
	shard     *shard

	liveRules    // what it is judged by
	liveActivity // what heartbeats touch
	places       // where others find it

	mu       sync.Mutex
	liveTabs // guarded by mu
	liveEnd  // guarded by mu
}

// liveRules are the record and the policy of a live session. replaceRules replaces them.
type liveRules struct {
	record      atomic.Pointer[session.Record] // as it was taken in, without its values
	names       atomic.Pointer[session.Names]  // of record, as scopes compare them
	policy      atomic.Pointer[session.Policy]
	unconfirmed atomic.Bool // the store has not confirmed the rules that it was given last
}

// liveActivity is what is known of the acts of a live session's user, and what tabs were told of
// the deadlines.
type liveActivity struct {
	active       atomic.Int64 // last activity, Unix ms
	unstoredAct  atomic.Int64 // an act in a warning that is not stored yet, Unix ms; see actForAll
	announcedEnd atomic.Int64 // the deadline that every tab has been told at least, Unix ms
	warned       atomic.Bool  // a warning stands
	dirty        atomic.Bool  // active is ahead of the store
	mustReread   atomic.Bool  // the store could not be asked; it is when the session is woken
}

// places are where a live session stands in the parts of the hub, each guarded by the part.
type places struct {
	userSessions atomic.Pointer[userSessions] // of its user, once it is one of them; see users.go
	opened       atomic.Int64                 // counts up over all sessions: when its newest tab opened
	limitedTabs  int                          // guarded by tabLimits.mu: its tabs here, from their handshake on
	listed       int64                        // guarded by tickWheel.mu: the last call of sessions that found it
	wakeAt       time.Time                    // guarded by shard.mu: when it is looked at next; zero if never
}

// liveTabs are the tabs of a live session.
type liveTabs struct {
	tabTimes  session.TabTimes
	tabs      []*tab
	elsewhere []cluster.TabReport // what other nodes have
	closed    bool                // the last tab here was closed, and not lost
	closedAt  time.Time           // when
	awayAt    time.Time           // without tabs: when it counts as away; see awayAfter
}

// liveEnd is how a live session ends, and what tabs were told of that.
type liveEnd struct {
	warning    session.Reason    // the one that the tabs were told of; empty: none
	warnEnd    time.Time         // its end
	ending     bool              // the decision has fallen: acts come too late
	overBy     time.Time         // when a new policy was found to leave no time; zero while none has
	end        *session.End      // it is over, and the tabs are told
	revocation *revocation.Entry // the forced logout that ends it first; nil if none covers it
}

func newLiveSession(r session.Record, shard *shard) *liveSession {
	s := &liveSession{
		id:        r.ID,
		user:      r.User,
		createdAt: r.CreatedAt,
		shard:     shard,
	}
	s.tabTimes = r.Tabs.Agreeing(r.LeftAt)
	policy := r.Policy
	s.policy.Store(&policy)
	r.Values, r.Revocation = nil, nil
	s.setRecord(&r)
	s.active.Store(r.LastActiveAt.UnixMilli())
	end, _ := r.Policy.WarnedEnd(r)
	s.announcedEnd.Store(end.UnixMilli())
	return s
}

func (s *liveSession) setRecord(r *session.Record) {
	n := r.Names()
	s.names.Store(&n)
	s.record.Store(r)
}

// recordLocked is what the rules judge.
func (s *liveSession) recordLocked() session.Record {
	r := session.Record{
		CreatedAt:    s.createdAt,
		LastActiveAt: session.FromUnixMilli(s.active.Load()),
		LeftAt:       s.tabTimes.LeftAt(),
	}
	if s.revocation != nil {
		r.Revocation = s.revocation.Judged()
	}
	return r
}

// endLocked is how s ends if nothing more happens.
func (s *liveSession) endLocked() session.End {
	r := s.recordLocked()
	at, why := s.policy.Load().EndsAt(r)
	switch {
	case why == session.ReasonAdmin:
		return r.Revocation.End()
	case !s.overBy.IsZero():
		at, why = s.overBy, session.ReasonPolicy
	}
	return session.End{Reason: why, At: session.Millis(at)}
}

// movableEnd is the end that acts move. Where more stands, warned is set.
func (s *liveSession) movableEnd(p *session.Policy) time.Time {
	end, _ := p.WarnedEnd(session.Record{CreatedAt: s.createdAt, LastActiveAt: session.FromUnixMilli(s.active.Load())})
	return end
}

// raise moves the last activity forward to at, never back.
func (s *liveSession) raise(at time.Time) (moved bool) {
	ms := at.UnixMilli()
	for {
		old := s.active.Load()
		if ms <= old {
			return false
		}
		if s.active.CompareAndSwap(old, ms) {
			return true
		}
	}
}

// stateLocked is the state of s, and after how long time alone may change it; 0 where the hub looks
// at s by then anyway.
func (s *liveSession) stateLocked(now time.Time) (state State, again time.Duration) {
	if _, _, ok := s.policy.Load().Warning(s.recordLocked(), now); ok {
		return StateWarned, 0
	}
	tabs := s.tabsLocked()
	if tabs == 0 && !now.Before(s.awayAt) {
		return StateAway, 0
	}
	state = StateIdle
	if quiet := now.Sub(session.FromUnixMilli(s.active.Load())); quiet <= activeFor {
		state, again = StateActive, activeFor-quiet+time.Millisecond
	}
	if tabs == 0 {
		if until := s.awayAt.Sub(now); again == 0 || until < again {
			again = until
		}
	}
	return state, again
}

// tabsLocked counts the tabs of s on all nodes.
func (s *liveSession) tabsLocked() int {
	total := len(s.tabs)
	for _, on := range s.elsewhere {
		total += on.Tabs
	}
	return total
}

// forcedOutLocked reports whether a forced logout has ended s.
func (s *liveSession) forcedOutLocked(now time.Time) bool {
	return s.revocation != nil && s.revocation.Judged().InEffect(now)
}

// isOver reports whether the end of s was told.
func (s *liveSession) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end != nil
}
