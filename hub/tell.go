package hub

import (
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// What tabs are told: a warning, or the deadlines.

// tell tells every tab how s stands, and has s looked at when something may be due next. alive is
// false where its time is up: it is about to be ended.
func (h *Hub) tell(s *liveSession, what telling) (alive bool) {
	s.mu.Lock()
	now, p := h.clock.Now(), s.policy.Load()
	phase, _ := p.At(s.recordLocked(), now)
	alive = phase != session.Expired
	var start []*socket.Conn
	if alive {
		start = h.tellLocked(s, p, now, what)
	}
	s.mu.Unlock()
	h.writers.Start(start)
	h.stateChanged(s)
	h.schedule(s)
	return alive
}

// telling says what tabs are told although they may know it.
type telling int

const (
	tellChanges telling = iota // only what they do not know
	tellState                  // how the session stands
	tellPolicy                 // that, and the rules that a reload has changed
)

// tellLocked tells every tab how s stands.
func (h *Hub) tellLocked(s *liveSession, p *session.Policy, now time.Time, what telling) (start []*socket.Conn) {
	s.warned.Store(true) // before active is read: see live
	st := s.announcementLocked(p, now)
	if st.reason == "" {
		s.warned.Store(false)
	}
	switch {
	case s.ending || s.end != nil:
		return nil
	case what != tellChanges:
	case st.reason != "":
		if s.warning == st.reason && s.warnEnd.Equal(st.end) {
			return nil
		}
	case s.warning == "" && !s.announcementIsStale(p, now, st.end):
		return nil
	}
	if st.reason != s.warning {
		h.note(s, "decision", st.decision())
	}
	s.warning, s.warnEnd = st.reason, st.end
	s.announcedEnd.Store(st.end.UnixMilli())
	h.note(s, "push", string(st.kind()))
	return s.broadcastLocked(h.faults.stalled(), st.onWire(p, what == tellPolicy))
}

// answer tells one tab how its session stands.
func (h *Hub) answer(t *tab) {
	s := t.session
	s.mu.Lock()
	var start []*socket.Conn
	if s.end == nil {
		p := s.policy.Load()
		st := s.announcementLocked(p, h.clock.Now())
		start = s.sendLocked(nil, t, h.faults.stalled(), st.onWire(p, false))
	}
	s.mu.Unlock()
	h.writers.Start(start)
}

// announcement is what a tab has to know now: a warning, or the deadlines.
type announcement struct {
	reason session.Reason // empty: no warning stands
	text   string         // of the warning
	warn   time.Duration
	expire time.Duration
	end    time.Time
}

func (s *liveSession) announcementLocked(p *session.Policy, now time.Time) announcement {
	r := s.recordLocked()
	end, _ := p.WarnedEnd(r)
	st := announcement{warn: max(0, end.Add(-p.Lead()).Sub(now)), expire: max(0, end.Sub(now)), end: end}
	if why, until, ok := p.Warning(r, now); ok {
		st.reason, st.text, st.warn, st.expire, st.end = why, why.Warning(), 0, until.Sub(now), until
		if why == session.ReasonAdmin && r.Revocation.Message != "" {
			st.text = r.Revocation.Message
		}
	}
	return st
}

// kind is the message that tells st.
func (st announcement) kind() wire.Kind {
	if st.reason != "" {
		return wire.KindWarn
	}
	return wire.KindActive
}

// decision is what the timeline says where st differs from what tabs were told before.
func (st announcement) decision() string {
	if st.reason != "" {
		return "warn " + string(st.reason)
	}
	return "withdraw warning"
}

// onWire is what st is on the wire. withRules adds what a reload may have changed.
func (st announcement) onWire(p *session.Policy, withRules bool) func(seq int64) any {
	var beat int64
	var extendOn session.ExtendOn
	if withRules {
		beat, extendOn = p.HeartbeatEvery().Milliseconds(), p.ExtendOn
	}
	return func(seq int64) any {
		if st.reason != "" {
			return wire.Warn{
				Type:        wire.KindWarn,
				Seq:         seq,
				Reason:      st.reason,
				ExpireInMS:  wire.Millis(st.expire),
				Message:     st.text,
				HeartbeatMS: beat,
				ExtendOn:    extendOn,
			}
		}
		return wire.Active{
			Type:        wire.KindActive,
			Seq:         seq,
			WarnInMS:    wire.Millis(st.warn),
			ExpireInMS:  wire.Millis(st.expire),
			HeartbeatMS: beat,
			ExtendOn:    extendOn,
		}
	}
}

// margin is how long before the warning that tabs were told they are told better.
func margin(p *session.Policy) time.Duration { return min(time.Second, p.WarnAfter/10, p.Lead()/10) }

// announcementIsStale reports whether the tabs' idea of the deadlines is too far behind.
func (s *liveSession) announcementIsStale(p *session.Policy, now, deadline time.Time) bool {
	told := session.FromUnixMilli(s.announcedEnd.Load())
	behind := deadline.Sub(told)
	return behind > p.Slack() || behind > 0 && !now.Before(told.Add(-p.Lead()-margin(p)))
}

// queueFrame queues f for t, whose number is higher than that of all before, and appends the
// connection of t to start if it needs a writer. session.mu is held.
func (t *tab) queueFrame(start []*socket.Conn, stalled bool, f sharedFrame) []*socket.Conn {
	t.lastSeq.Store(f.seq)
	if t.Queue(f.bytes, stalled) {
		return append(start, &t.Conn)
	}
	return start
}

// sharedFrame is a message for several tabs, encoded once. Its number is the hub's.
type sharedFrame struct {
	seq   int64
	bytes []byte
}

func (h *Hub) encodeOnce(message func(seq int64) any) sharedFrame {
	seq := h.seq.Add(1)
	return sharedFrame{seq, wire.Frame(message(seq))}
}

// broadcastLocked queues a message for all tabs and returns those that need a writer.
func (s *liveSession) broadcastLocked(stalled bool, message func(seq int64) any) (start []*socket.Conn) {
	if len(s.tabs) == 0 {
		return nil
	}
	f := s.shard.hub.encodeOnce(message)
	for _, t := range s.tabs {
		start = t.queueFrame(start, stalled, f)
	}
	return start
}

// sendLocked queues a message for one tab. Those that need a writer are appended to start, here and
// below.
func (s *liveSession) sendLocked(
	start []*socket.Conn,
	t *tab,
	stalled bool,
	message func(seq int64) any,
) []*socket.Conn {
	return t.queueFrame(start, stalled, s.shard.hub.encodeOnce(message))
}

// sendSharedLocked queues f for one tab, or the message under a number of its own where the tab has
// had a newer one.
func (s *liveSession) sendSharedLocked(
	start []*socket.Conn,
	t *tab,
	stalled bool,
	f sharedFrame,
	message func(seq int64) any,
) []*socket.Conn {
	if t.lastSeq.Load() >= f.seq {
		return s.sendLocked(start, t, stalled, message)
	}
	return t.queueFrame(start, stalled, f)
}

// broadcastSharedLocked is sendSharedLocked for all tabs.
func (s *liveSession) broadcastSharedLocked(
	start []*socket.Conn,
	stalled bool,
	f sharedFrame,
	message func(seq int64) any,
) []*socket.Conn {
	for _, t := range s.tabs {
		start = s.sendSharedLocked(start, t, stalled, f, message)
	}
	return start
}
