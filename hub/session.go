package hub

import (
	"context"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/revocation"
	"curfew/session"
)

// liveSession is a session in memory that has not ended, or whose end is not stored yet, with its
// tabs. [Hub.register] creates it, and unregister drops it. What a heartbeat touches is atomic, so
// that a heartbeat takes no lock; everything else is guarded by mu.
//
// A heartbeat writes active and then reads warned; a warning sets warned and then reads active. At
// least one of the two sees the other, so no warning remains shown after an act that came before
// it.
type liveSession struct {
	// set once
	id    session.ID
	shard *shard

	liveRules    // what it is judged by
	liveActivity // what heartbeats touch
	liveDoubts   // whether memory is trusted
	places       // where parts of the hub keep it

	mu       sync.Mutex
	liveTabs // guarded by mu
	liveEnd  // guarded by mu
}

// liveRules are the record and the policy of a live session. replaceRules replaces them. All three
// are one piece of memory; see setRecord.
type liveRules struct {
	record      atomic.Pointer[session.Record] // as it was registered, with the rules of now, without values
	names       atomic.Pointer[session.Names]  // of record, as scopes compare them
	policy      atomic.Pointer[session.Policy]
	unconfirmed atomic.Bool // the store has not confirmed the rules that it was given last
}

// liveActivity is when the user of a live session acted, and what tabs were told of the deadlines.
type liveActivity struct {
	created      atomic.Int64 // the sign-in, Unix ms; see ageTo
	active       atomic.Int64 // last activity, Unix ms
	unstoredAct  atomic.Int64 // an act during a warning that is not stored yet, Unix ms; see actForAll
	announcedEnd atomic.Int64 // every tab was told this deadline or a later one, Unix ms
	warned       atomic.Bool  // a warning is shown, or must be looked for under mu
	dirty        atomic.Bool  // active is ahead of the store
	mustReread   atomic.Bool  // the store did not answer: the session is read again when it is woken
	// the index says that the session has tabs that are not confirmed
	unconfirmedTabs atomic.Bool
}

// places are what parts of the hub note in a live session to find it. Each field is guarded by the
// lock of its part.
type places struct {
	userSessions atomic.Pointer[userSessions] // its user's entry; nil until addToUser
	opened       atomic.Int64                 // the value of Hub.opened when its newest tab was opened
	listed       int64                        // guarded by tickWheel.mu: the last call of sessions that listed it
	wakeAt       moment                       // guarded by shard.mu: when it is woken next; 0: never
	kept         *keptValues                  // guarded by shard.mu: its values; nil: they are not known

	indexed     indexed     // guarded by sessionIndex.mu
	touched     atomic.Bool // it is among sessionIndex.touched
	limitedTabs int32       // guarded by tabLimits.mu: its tabs here, from their handshake on
}

// liveTabs are the tabs of a live session.
type liveTabs struct {
	tabTimes       session.TabTimes
	tabs           []*tab
	elsewhere      []cluster.TabReport // tabs on other nodes
	closed         bool                // the last tab here was closed, and not lost
	toldOfPassword bool                // the user was told of its end; see MayTellOfPassword
	closedAt       instant             // when a tab was last closed, on any node; 0: never
	awayAt         moment              // while there are no tabs: from when on it counts as away; see awayAfter
}

// liveEnd is how a live session ends, and what tabs were told of that.
type liveEnd struct {
	warning    session.Reason  // the one that tabs were told; empty: none
	warnEnd    moment          // the end that they were told with it
	ending     bool            // it is decided that the session ends: acts come too late
	overBy     moment          // when a new policy was found to leave no time; 0: none was
	end        *session.End    // how it ended; set when tabs are told
	life       context.Context // see Hub.Admit; nil until it is asked for
	cut        context.CancelCauseFunc
	revocation *revocation.Entry // the forced logout that ends it first; nil: none does
}

// moment is a time by the clock in Unix nanoseconds, and 0 for none: a third of the bytes of a
// time.Time. Every session has some. The last moment stands for all times after the year 2261.
type moment int64

const lastMoment moment = math.MaxInt64

func momentOf(t time.Time) moment {
	switch {
	case t.IsZero():
		return 0
	case t.Unix() >= int64(lastMoment)/int64(time.Second):
		return lastMoment
	}
	return moment(t.UnixNano())
}

func (m moment) time() time.Time {
	if m == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(m)).UTC()
}

func newLiveSession(r session.Record, shard *shard) *liveSession {
	s := &liveSession{
		id:    r.ID,
		shard: shard,
	}
	s.doubt()
	s.tabTimes = r.Tabs.Agreeing(r.LeftAt)
	r.Values, r.Revocation = nil, nil
	s.setRecord(r)
	s.created.Store(r.CreatedAt.UnixMilli())
	s.active.Store(r.LastActiveAt.UnixMilli())
	end, _ := r.Policy.WarnedEnd(&r)
	s.announcedEnd.Store(end.UnixMilli())
	return s
}

func (s *liveSession) setRecord(r session.Record) {
	kept := &struct {
		record session.Record
		names  session.Names
	}{r, r.Names()}
	s.names.Store(&kept.names)
	s.record.Store(&kept.record)
	s.policy.Store(&kept.record.Policy)
}

// recordLocked returns the fields of the record that [session.Policy] judges, as they are now.
func (s *liveSession) recordLocked() session.Record {
	r := session.Record{
		CreatedAt:    session.FromUnixMilli(s.created.Load()),
		LastActiveAt: session.FromUnixMilli(s.active.Load()),
		LeftAt:       s.tabTimes.LeftAt(),
	}
	if s.revocation != nil {
		r.Revocation = s.revocation.Judged()
	}
	return r
}

// phaseLocked is where s stands by a policy, and when to look again; see [session.Policy.At].
func (s *liveSession) phaseLocked(p *session.Policy, now time.Time) (phase session.Phase, next time.Time) {
	r := s.recordLocked()
	return p.At(&r, now)
}

// endLocked is how s ends if nothing more happens.
func (s *liveSession) endLocked() session.End {
	r := s.recordLocked()
	at, why := s.policy.Load().EndsAt(&r)
	switch {
	case why == session.ReasonAdmin:
		return r.Revocation.End()
	case s.overBy != 0:
		at, why = s.overBy.time(), session.ReasonPolicy
	}
	return session.End{Reason: why, At: session.Millis(at)}
}

// movableEnd is the deadline by idle time and lifetime alone. If anything else ends the session,
// warned is set.
func (s *liveSession) movableEnd(p *session.Policy) time.Time {
	end, _ := p.WarnedEnd(&session.Record{
		CreatedAt:    session.FromUnixMilli(s.created.Load()),
		LastActiveAt: session.FromUnixMilli(s.active.Load()),
	})
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

// stateLocked returns the state of s, and after how long it may change by time alone; 0 if s is
// woken by then anyway.
func (s *liveSession) stateLocked(now time.Time) (state State, again time.Duration) {
	r := s.recordLocked()
	_, _, warned := s.policy.Load().Warning(&r, now)
	return s.stateIfLocked(warned, now)
}

// stateIfLocked is stateLocked for callers that know whether a warning shows.
func (s *liveSession) stateIfLocked(warned bool, now time.Time) (state State, again time.Duration) {
	if warned {
		return StateWarned, 0
	}
	tabs := s.tabsLocked()
	if tabs == 0 && !now.Before(s.awayAt.time()) {
		return StateAway, 0
	}
	state = StateIdle
	if quiet := now.Sub(session.FromUnixMilli(s.active.Load())); quiet <= activeFor {
		state, again = StateActive, activeFor-quiet+time.Millisecond
	}
	if tabs == 0 {
		if until := s.awayAt.time().Sub(now); again == 0 || until < again {
			again = until
		}
	}
	return state, again
}

// tabsLocked counts the tabs of s on all nodes.
func (s *liveSession) tabsLocked() int {
	total := len(s.tabs)
	for _, report := range s.elsewhere {
		total += report.Tabs
	}
	return total
}

// forcedOutLocked reports whether a forced logout has ended s.
func (s *liveSession) forcedOutLocked(now time.Time) bool {
	return s.revocation != nil && s.revocation.Judged().InEffect(now)
}

// isOver reports whether tabs were told that s has ended.
func (s *liveSession) isOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end != nil
}
