package revocation

import (
	"testing"
	"time"
)

const grace = time.Minute

// isClosed reports whether nothing is waited for any more.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func TestForcedLogoutTakesEffectAfterItsGraceAndStaysSo(t *testing.T) {
	e := newEntry(revocation(1, everyone, grace))
	for _, tt := range []struct {
		name  string
		at    time.Duration
		took  bool
		judge time.Duration // when it is judged
		ends  bool
	}{
		{"a nanosecond before", grace - 1, false, grace - 1, false},
		{"nobody has seen it take effect, and the clock is set back", grace - 1, false, 0, false},
		{"its grace is over", grace, true, grace, true},
		{"the clock is set back", 0, true, 0, true},
	} {
		if wait := e.TakeEffect(noon.Add(tt.at)); wait != nil {
			t.Errorf("%s: there is something to wait for", tt.name)
		}
		if f := e.Judged(); f.Took != tt.took || f.InEffect(noon.Add(tt.judge)) != tt.ends {
			t.Errorf("%s: judged by %+v, want that it took effect: %v", tt.name, f, tt.took)
		}
	}
	if e.Revocation.Took {
		t.Error("what is stored has changed")
	}
}

func TestWhetherItTakesEffectIsOpenWhileACancellationIsStored(t *testing.T) {
	late := noon.Add(grace + time.Second)
	for _, tt := range []struct {
		name   string
		stored bool // the store has cancelled it
		ends   bool
	}{
		{"the store says that it was in time", true, false},
		{"the store says that it was too late", false, true},
	} {
		r := register(revocation(1, everyone, grace))
		e := r.Find("1")
		if e.BeginCancel(noon) {
			t.Errorf("%s: it is in effect in its grace", tt.name)
		}
		wait := e.TakeEffect(late)
		if wait == nil || isClosed(wait) || e.Judged().Took {
			t.Fatalf("%s: it is decided here", tt.name)
		}
		if tt.stored {
			r.Replace(cancelled(e.Revocation, 1))
		}
		e.EndCancel()
		if !isClosed(wait) {
			t.Errorf("%s: it stays open", tt.name)
		}
		e = r.Find("1")
		if wait := e.TakeEffect(late); wait != nil || e.Judged().Took != tt.ends {
			t.Errorf("%s: judged by %+v, want that it took effect: %v", tt.name, e.Judged(), tt.ends)
		}
	}
}

func TestTheLastOfSeveralCancellationsDecides(t *testing.T) {
	e := newEntry(revocation(1, everyone, grace))
	e.BeginCancel(noon)
	e.BeginCancel(noon)
	wait := e.TakeEffect(noon.Add(grace))
	e.EndCancel()
	if isClosed(wait) || e.TakeEffect(noon.Add(grace)) != wait {
		t.Error("it is decided while another cancellation is being stored")
	}
	e.EndCancel()
	if !isClosed(wait) {
		t.Error("it stays open")
	}
	if e.TakeEffect(noon.Add(grace)); !e.Judged().Took {
		t.Error("it does not take effect")
	}
}

func TestWhatTookEffectIsNotCancelledByAClockThatIsSetBack(t *testing.T) {
	for _, tt := range []struct {
		name  string
		grace time.Duration
		seen  time.Duration // when it is looked at before
		at    time.Duration // when it is being cancelled
		want  bool
	}{
		{"in its grace", grace, 0, 0, false},
		{"seen to take effect", grace, grace, -time.Hour, true},
		{"in effect, though nobody has seen it yet", grace, 0, grace, true},
		{"without a grace", 0, -time.Hour, -time.Hour, true},
	} {
		e := newEntry(revocation(1, everyone, tt.grace))
		e.TakeEffect(noon.Add(tt.seen))
		if got := e.BeginCancel(noon.Add(tt.at)); got != tt.want {
			t.Errorf("%s: in effect = %v, want %v", tt.name, got, tt.want)
		}
		if got := e.Judged().InEffect(noon.Add(-time.Hour)); got != tt.want {
			t.Errorf("%s: then the clock is set back: in effect = %v, want %v", tt.name, got, tt.want)
		}
		e.EndCancel()
	}
}
