package hub

import (
	"cmp"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// What tabs are told of their session: a warning, or the deadlines.

// tell tells every tab of s how it stands, and schedules s. alive is false if s is due: then tabs
// are told nothing, and s ends soon.
func (h *Hub) tell(s *liveSession, what telling) (alive bool) {
	s.mu.Lock()
	now, p := h.clock.Now(), s.policy.Load()
	phase, _ := s.phaseLocked(p, now)
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

// telling says how much tabs are told.
type telling int

const (
	tellChanges telling = iota // what they do not know yet, if anything
	tellState                  // how the session stands, though they may know
	tellPolicy                 // that, and the settings that a reload may have changed
)

// tellLocked queues for every tab how s stands, and returns the connections that need a writer.
func (h *Hub) tellLocked(s *liveSession, p *session.Policy, now time.Time, what telling) (start []*socket.Conn) {
	s.warned.Store(true) // before active is read; see liveSession
	a := s.announcementLocked(p, now)
	if a.reason == "" {
		s.warned.Store(false)
	}
	switch {
	case s.ending || s.end != nil:
		return nil
	case what != tellChanges:
	case a.reason != "":
		if s.warning == a.reason && s.warnEnd == momentOf(a.end) {
			return nil
		}
	case s.warning == "" && !s.announcementIsStale(p, now, a.end):
		return nil
	}
	if a.reason != s.warning {
		h.note(s, "decision", a.decision())
	}
	s.warning, s.warnEnd = a.reason, momentOf(a.end)
	s.announcedEnd.Store(a.end.UnixMilli())
	h.note(s, "push", string(a.kind()))
	start = s.broadcastLocked(h.faults.stalled(), a.onWire(p, what == tellPolicy))
	if a.reason != "" {
		for _, t := range s.tabs {
			t.pushedLocked()
		}
	}
	return start
}

// answer tells one tab how its session stands, because its page asks.
func (h *Hub) answer(t *tab) {
	s := t.session
	s.mu.Lock()
	var start []*socket.Conn
	if s.end == nil {
		p := s.policy.Load()
		a := s.announcementLocked(p, h.clock.Now())
		start = s.sendLocked(nil, t, h.faults.stalled(), a.onWire(p, false))
	}
	s.mu.Unlock()
	h.writers.Start(start)
}

// announcement is what tabs are to be told now: a warning, or the deadlines.
type announcement struct {
	reason session.Reason // what the warning is about; empty: there is none
	text   string         // of the warning, by an administrator; empty: there is none
	warn   time.Duration  // until the warning
	expire time.Duration  // until end
	end    time.Time      // the end that people are warned of
}

func (s *liveSession) announcementLocked(p *session.Policy, now time.Time) announcement {
	r := s.recordLocked()
	return announcementOf(&r, p, now)
}

// announcementOf is the announcement to the tabs of a session that stands as r has it.
func announcementOf(r *session.Record, p *session.Policy, now time.Time) announcement {
	end, _ := p.WarnedEnd(r)
	a := announcement{warn: max(0, end.Add(-p.Lead()).Sub(now)), expire: max(0, end.Sub(now)), end: end}
	if why, until, ok := p.Warning(r, now); ok {
		a.reason, a.warn, a.expire, a.end = why, 0, until.Sub(now), until
		if why == session.ReasonAdmin {
			a.text = r.Revocation.Message
		}
	}
	return a
}

// message is the warning's text, or a sentence of plain English.
func (a announcement) message() string { return cmp.Or(a.text, a.reason.Warning()) }

// kind is the kind of the message that tells a.
func (a announcement) kind() wire.Kind {
	if a.reason != "" {
		return wire.KindWarn
	}
	return wire.KindActive
}

// decision is the line of the timeline where the warning changes.
func (a announcement) decision() string {
	if a.reason != "" {
		return "warn " + string(a.reason)
	}
	return "withdraw warning"
}

// onWire returns a function that makes the message. With withPolicy the message has the settings
// that a reload may have changed.
func (a announcement) onWire(p *session.Policy, withPolicy bool) func(seq int64) any {
	var heartbeat int64
	var extendOn session.ExtendOn
	if withPolicy {
		heartbeat, extendOn = p.HeartbeatEvery().Milliseconds(), p.ExtendOn
	}
	return func(seq int64) any {
		if a.reason != "" {
			return wire.Warn{
				Type:        wire.KindWarn,
				Seq:         seq,
				Reason:      a.reason,
				ExpireInMS:  wire.Millis(a.expire),
				Message:     a.message(),
				Text:        a.text,
				HeartbeatMS: heartbeat,
				ExtendOn:    extendOn,
			}
		}
		return wire.Active{
			Type:        wire.KindActive,
			Seq:         seq,
			WarnInMS:    wire.Millis(a.warn),
			ExpireInMS:  wire.Millis(a.expire),
			HeartbeatMS: heartbeat,
			ExtendOn:    extendOn,
		}
	}
}

// margin is how long before the announced warning tabs are told of a later one, at the latest.
func margin(p *session.Policy) time.Duration { return min(time.Second, p.WarnAfter/10, p.Lead()/10) }

// announcementIsStale reports whether tabs must be told of deadline: it is later than what was
// announced by more than the policy's slack, or the announced warning is near.
func (s *liveSession) announcementIsStale(p *session.Policy, now, deadline time.Time) bool {
	announced := session.FromUnixMilli(s.announcedEnd.Load())
	behind := deadline.Sub(announced)
	return behind > p.Slack() || behind > 0 && !now.Before(announced.Add(-p.Lead()-margin(p)))
}

// queueFrame queues a frame for t and appends the connection of t to start if it needs a writer.
// The number of the frame is higher than those of all frames before. session.mu is held.
func (t *tab) queueFrame(start []*socket.Conn, stalled bool, f sharedFrame) []*socket.Conn {
	t.lastSeq.Store(f.seq)
	if t.Queue(f.bytes, stalled) {
		return append(start, &t.Conn)
	}
	return start
}

// sharedFrame is a message for several tabs, encoded once, with its number.
type sharedFrame struct {
	seq   int64
	bytes []byte
}

// encodeOnce encodes a message under the next number of the hub.
func (h *Hub) encodeOnce(message func(seq int64) any) sharedFrame {
	seq := h.seq.Add(1)
	return sharedFrame{seq, wire.Frame(message(seq))}
}

// broadcastLocked queues a message for all tabs of s and returns the connections that need a
// writer.
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

// sendLocked queues a message for one tab of s, and appends its connection to start if it needs a
// writer. The functions below do so, too.
func (s *liveSession) sendLocked(
	start []*socket.Conn,
	t *tab,
	stalled bool,
	message func(seq int64) any,
) []*socket.Conn {
	return t.queueFrame(start, stalled, s.shard.hub.encodeOnce(message))
}

// sendSharedLocked queues f for one tab of s. If the tab was sent a newer message meanwhile, it
// queues the message under a number of its own.
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

// broadcastSharedLocked is sendSharedLocked for all tabs of s.
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
