package hub

import (
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// live is a session that has not ended, with its tabs. What a heartbeat touches is atomic, so that it costs a store and
// no lock; all that is rarer is under mu.
//
// A heartbeat writes active and then reads warned; a warning sets warned and then reads active. One of the two sees the
// other, so no warning stands over an act that came before it.
type live struct {
	// set once
	id        session.ID
	user      string
	createdAt time.Time
	shard     *shard

	person atomic.Pointer[person]         // whose session it is, once it is known; see people.go
	names  atomic.Pointer[session.Names]  // of record, as scopes compare them
	record atomic.Pointer[session.Record] // as it was adopted, without its values; replaceRules changes its rules
	policy atomic.Pointer[session.Policy]
	opened atomic.Int64 // counts up over all sessions: when its newest tab opened
	places int          // guarded by Hub.places.mu: its tabs here, from their handshake on
	listed int64        // guarded by Hub.mu: the last call of withTabs that found it
	active atomic.Int64 // last activity, Unix ms
	owed   atomic.Int64 // an act in a warning that is not stored yet, Unix ms; see actForAll
	told   atomic.Int64 // the deadline that every tab has been told at least, Unix ms
	warned atomic.Bool  // a warning stands
	dirty  atomic.Bool  // active is ahead of the store
	unsure atomic.Bool  // the store has not confirmed the rules that it was given last
	unread atomic.Bool  // the store could not be asked; it is when the session is woken

	wakeAt time.Time // guarded by shard.mu: when the session is looked at next; zero if never

	mu        sync.Mutex
	tabTimes  session.TabTimes
	tabs      []*tab
	elsewhere []tabsOn       // what other nodes have
	closed    bool           // the last tab here was closed, and not lost
	closedAt  time.Time      // when
	awayAt    time.Time      // without tabs: when it counts as away; see awayAfter
	warning   session.Reason // the one that the tabs were told of; empty: none
	warnEnd   time.Time      // its end
	ending    bool           // the decision has fallen: acts come too late
	overBy    time.Time      // when a new policy was found to leave no time; zero while none has
	end       *session.End   // it is over, and the tabs are told
	forced    *logout        // the forced logout that ends it first; nil if none covers it
}

func newLive(r session.Record, shard *shard) *live {
	s := &live{id: r.ID, user: r.User, createdAt: r.CreatedAt, shard: shard, tabTimes: r.Tabs.Agreeing(r.LeftAt)}
	policy := r.Policy
	s.policy.Store(&policy)
	r.Values, r.Forced = nil, nil
	s.setRecord(&r)
	s.active.Store(r.LastActiveAt.UnixMilli())
	end, _ := r.Policy.Deadline(r)
	s.told.Store(end.UnixMilli())
	return s
}

func (s *live) setRecord(r *session.Record) {
	n := r.Names()
	s.names.Store(&n)
	s.record.Store(r)
}

// recordLocked is what the rules judge.
func (s *live) recordLocked() session.Record {
	r := session.Record{CreatedAt: s.createdAt, LastActiveAt: session.FromUnixMilli(s.active.Load()), LeftAt: s.tabTimes.LeftAt()}
	if s.forced != nil {
		r.Forced = s.forced.judged()
	}
	return r
}

// dueLocked is how s ends if nothing more happens.
func (s *live) dueLocked() session.End {
	r := s.recordLocked()
	at, why := s.policy.Load().Due(r)
	switch {
	case why == session.ReasonAdmin:
		return r.Forced.End()
	case !s.overBy.IsZero():
		at, why = s.overBy, session.ReasonPolicy
	}
	return session.End{Reason: why, At: session.Millis(at)}
}

// deadline is the end that acts move. Where more stands, warned is set.
func (s *live) deadline(p *session.Policy) time.Time {
	end, _ := p.Deadline(session.Record{CreatedAt: s.createdAt, LastActiveAt: session.FromUnixMilli(s.active.Load())})
	return end
}

// raise moves the last activity forward to at, never back.
func (s *live) raise(at time.Time) (moved bool) {
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

// margin is how long before the warning that tabs were told they are told better.
func margin(p *session.Policy) time.Duration { return min(time.Second, p.WarnAfter/10, p.Lead()/10) }

// mustTell reports whether the tabs' idea of the deadlines is too far behind.
func (s *live) mustTell(p *session.Policy, now, deadline time.Time) bool {
	told := session.FromUnixMilli(s.told.Load())
	behind := deadline.Sub(told)
	return behind > p.Slack() || behind > 0 && !now.Before(told.Add(-p.Lead()-margin(p)))
}

// broadcastLocked queues a message for all tabs and returns those that need a writer.
func (s *live) broadcastLocked(stalled bool, message func(seq int64) any) (start []*tab) {
	if len(s.tabs) == 0 {
		return nil
	}
	f := s.shard.hub.share(message)
	for _, t := range s.tabs {
		start = t.queueFrame(start, stalled, f)
	}
	return start
}

// sendLocked queues a message for one tab. Those that need a writer are appended to start, here and below.
func (s *live) sendLocked(start []*tab, t *tab, stalled bool, message func(seq int64) any) []*tab {
	return t.queueFrame(start, stalled, s.shard.hub.share(message))
}

// sharedFrame is a message for several tabs, encoded once. Its number is the hub's.
type sharedFrame struct {
	seq   int64
	bytes []byte
}

func (h *Hub) share(message func(seq int64) any) sharedFrame {
	seq := h.seq.Add(1)
	return sharedFrame{seq, frame(message(seq))}
}

// sendSharedLocked queues f for one tab, or the message under a number of its own where the tab has had a newer one.
func (s *live) sendSharedLocked(start []*tab, t *tab, stalled bool, f sharedFrame, message func(seq int64) any) []*tab {
	if t.lastSeq.Load() >= f.seq {
		return s.sendLocked(start, t, stalled, message)
	}
	return t.queueFrame(start, stalled, f)
}

// broadcastSharedLocked is sendSharedLocked for all tabs.
func (s *live) broadcastSharedLocked(start []*tab, stalled bool, f sharedFrame, message func(seq int64) any) []*tab {
	for _, t := range s.tabs {
		start = s.sendSharedLocked(start, t, stalled, f, message)
	}
	return start
}

// standing is what a tab has to know now: a warning, or the deadlines.
type standing struct {
	reason session.Reason // empty: no warning stands
	text   string         // of the warning
	warn   time.Duration
	expire time.Duration
	end    time.Time
}

func (s *live) standingLocked(p *session.Policy, now time.Time) standing {
	r := s.recordLocked()
	end, _ := p.Deadline(r)
	st := standing{warn: max(0, end.Add(-p.Lead()).Sub(now)), expire: max(0, end.Sub(now)), end: end}
	if why, until, ok := p.Standing(r, now); ok {
		st.reason, st.text, st.warn, st.expire, st.end = why, why.Warning(), 0, until.Sub(now), until
		if why == session.ReasonAdmin && r.Forced.Message != "" {
			st.text = r.Forced.Message
		}
	}
	return st
}

// onWire is what st is on the wire. withRules adds what a reload may have changed.
func (st standing) onWire(p *session.Policy, withRules bool) func(seq int64) any {
	var beat int64
	var extendOn session.ExtendOn
	if withRules {
		beat, extendOn = p.HeartbeatEvery().Milliseconds(), p.ExtendOn
	}
	return func(seq int64) any {
		if st.reason != "" {
			return warn{KindWarn, seq, st.reason, millis(st.expire), st.text, beat, extendOn}
		}
		return active{KindActive, seq, millis(st.warn), millis(st.expire), beat, extendOn}
	}
}
