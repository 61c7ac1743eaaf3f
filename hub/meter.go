package hub

import (
	"time"

	"curfew/hub/wire"
)

// What a hub measures beside its [Stats].

// Meter is told what a hub measures, for metrics. Pages wait meanwhile, and many goroutines call at
// once: a method adds to a number and returns.
type Meter interface {
	// Acknowledged says that a page has acknowledged a warning, an end or a tick so long after it
	// was queued, in real time.
	Acknowledged(kind wire.Kind, after time.Duration)
	// Late says how long after its deadline something was done, by the hub's clock.
	Late(what Deadline, by time.Duration)
	// ToldOfEnd says what became of a tab that was told of the end of its session. It is called
	// once for each, when the tab has gone.
	ToldOfEnd(Outcome)
	// TurnedAway says that there was no room for a tab.
	TurnedAway()
	// Unconfirmed says that the store has not confirmed a forced logout, or that one was cancelled.
	Unconfirmed()
}

// Deadline says what was done at a deadline, for [Meter.Late].
type Deadline string

// What is done at deadlines.
const (
	// DeadlineWarning stands for each session that is woken and does not end: to be warned, or to
	// find that its user has acted.
	DeadlineWarning Deadline = "warning"
	// DeadlineEnd stands for each end by time, once its tabs were told. Where it is stored first,
	// that is part of it.
	DeadlineEnd Deadline = "end"
)

// noMeter measures nothing.
type noMeter struct{}

func (noMeter) Acknowledged(wire.Kind, time.Duration) {}
func (noMeter) Late(Deadline, time.Duration)          {}
func (noMeter) ToldOfEnd(Outcome)                     {}
func (noMeter) TurnedAway()                           {}
func (noMeter) Unconfirmed()                          {}

// TabStates counts the open tabs of this process by their state; each has one.
type TabStates struct {
	Shown       int
	Hidden      int
	Unconfirmed int // see [Tab.Unconfirmed]; whether it is hidden is not known any more
}

// TabStates looks at every tab.
func (h *Hub) TabStates() (n TabStates) {
	for _, s := range h.tabs.sessions() {
		s.mu.Lock()
		for _, t := range s.tabs {
			switch {
			case t.unconfirmedLocked():
				n.Unconfirmed++
			case t.hiddenSince != 0:
				n.Hidden++
			default:
				n.Shown++
			}
		}
		s.mu.Unlock()
	}
	return n
}

// push is a warning or an end that a tab was told. The zero push is none.
type push struct {
	seq int64
	at  instant // when it was queued
}

// instant is an instant by the monotonic clock, in a third of the bytes of a time.Time: every tab
// has one.
type instant time.Duration

var instantZero = time.Now()

func instantNow() instant { return instantOf(time.Now()) }

// instantOf is t, which must come from time.Now.
func instantOf(t time.Time) instant { return instant(t.Sub(instantZero)) }

// pushedLocked notes that the newest message of t tells a warning or an end, for
// [Meter.Acknowledged]. Of several that are not acknowledged the oldest counts, but an end counts
// in any case.
func (t *tab) pushedLocked() {
	if t.push.seq == 0 || t.expireSeq != 0 {
		t.push = push{t.lastSeq.Load(), instantNow()}
	}
}

// answer is a message that a page has acknowledged. The zero answer is none.
type answer struct {
	kind  wire.Kind
	after time.Duration
}

// answeredLocked returns the message that the newest ack of t answers, once.
func (t *tab) answeredLocked() answer {
	acked := t.acked.Load()
	switch {
	case t.push.seq != 0 && acked >= t.push.seq:
		kind := wire.KindWarn
		if t.push.seq == t.expireSeq {
			kind = wire.KindExpire
		}
		after := time.Duration(instantNow() - t.push.at)
		t.push = push{}
		return answer{kind, after}
	case t.tickSeq != 0 && acked == t.tickSeq:
		return answer{wire.KindTick, time.Duration(instantNow() - t.tickedAt)}
	}
	return answer{}
}

// outcomeLocked is what became of t, which is gone, with respect to the end that it was told of.
func (t *tab) outcomeLocked() Outcome {
	switch {
	case t.acked.Load() >= t.expireSeq:
		return OutcomeAcked
	case t.closeCause != causeLost && !t.vanished:
		return OutcomeGone
	}
	return OutcomeUnconfirmed
}
