package cluster

import (
	"encoding/json"

	"curfew/session"
)

// How messages of other nodes are applied.

// applyLoop applies messages in their order.
func (m *Member) applyLoop() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case data := <-m.bus.inbox:
			m.apply(data)
		}
	}
}

// apply applies a message. If messages before it are missing, or this version cannot read it, a
// resync finds in the store what they told.
func (m *Member) apply(data []byte) {
	var msg message
	if err := json.Unmarshal(data, &msg); err != nil && msg.Version <= messageVersion {
		m.log.Warn("message of another node not understood", "error", err)
		return
	}
	if msg.Node == m.self {
		m.bus.receivedOwn()
		return
	}
	newer := msg.Version > messageVersion
	if m.members.received(msg.Node, msg.Number, newer) {
		m.recovery.requestResync()
	}
	if newer {
		return
	}
	for i := range msg.Events {
		m.applyEvent(msg.Node, &msg.Events[i])
	}
}

// appliers apply an event, by its kind. They are called one after the other; what takes long gets a
// goroutine of its own.
var appliers = map[eventKind]func(m *Member, from string, e *event){
	eventSignedIn:   (*Member).applySignedIn,
	eventEnded:      (*Member).applyEnded,
	eventActed:      (*Member).applyActed,
	eventLeft:       (*Member).applyLeft,
	eventRules:      (*Member).applyRules,
	eventRevocation: (*Member).applyRevocation,
	eventOutcomes:   (*Member).applyOutcomes,
	eventNotice:     (*Member).applyNotice,
	eventTabs:       (*Member).applyTabs,
	eventDeparts:    (*Member).applyDeparts,
	eventFlush:      (*Member).applyCall,
	eventAdvance:    (*Member).applyCall,
	eventAge:        (*Member).applyCall,
	eventReset:      (*Member).applyCall,
	eventDone:       (*Member).applyDone,
}

// applyEvent applies an event of another node. It ignores kinds that it does not know, and events
// that lack a field of their kind.
func (m *Member) applyEvent(from string, e *event) {
	if apply := appliers[e.Kind]; apply != nil {
		apply(m, from, e)
	}
}

func (m *Member) applySignedIn(_ string, e *event) {
	if e.ID == nil {
		return
	}
	if r, err := session.Decode(*e.ID, e.Record); err == nil && !m.local.Knows(*e.ID) {
		m.signedInElsewhere(r)
	}
}

func (m *Member) applyEnded(_ string, e *event) {
	if e.ID == nil || e.End == nil {
		return
	}
	if !m.local.Ended(*e.ID, *e.End, "ended elsewhere: "+string(e.End.Reason)) {
		m.ends.add(*e.ID, e.End) // the message of its sign-in may be late
	}
}

func (m *Member) applyActed(_ string, e *event) {
	for id, at := range e.Acts {
		m.local.Acted(id, session.FromUnixMilli(at))
	}
}

func (m *Member) applyLeft(_ string, e *event) {
	switch {
	case e.ID == nil:
	case e.Times == nil: // of an older version
		m.local.LeftAt(*e.ID, session.FromUnixMilli(e.At))
	default:
		m.local.TabTimes(*e.ID, session.TabTimes{
			OpenedAt: session.FromUnixMilli(e.Times.Opened),
			AskedAt:  session.FromUnixMilli(e.Times.Asked),
			ClosedAt: session.FromUnixMilli(e.Times.Closed),
		})
	}
}

func (m *Member) applyRules(_ string, e *event) {
	if e.ID != nil && m.local.Knows(*e.ID) {
		m.Refetch(*e.ID)
	}
}

func (m *Member) applyRevocation(_ string, e *event) {
	if e.Revocation != nil {
		m.local.Revoked(*e.Revocation)
	}
}

func (m *Member) applyOutcomes(from string, e *event) {
	if e.Outcomes != nil {
		m.local.Outcomes(from, *e.Outcomes)
	}
}

func (m *Member) applyNotice(_ string, e *event) {
	if e.Notice != nil {
		m.local.Notice(*e.Notice)
	}
}

func (m *Member) applyTabs(from string, e *event) {
	for id, text := range e.Tabs {
		m.applyReport(from, id, text)
	}
}

func (m *Member) applyDeparts(from string, _ *event) { m.gone(from) }

func (m *Member) applyCall(_ string, e *event) {
	call := *e
	m.local.Go(func() { m.answer(call) })
}

func (m *Member) applyDone(from string, e *event) { m.calls.done(from, e.Call) }
