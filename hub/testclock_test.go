package hub

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

// startHubForTesting starts a hub as --testing does.
func startHubForTesting(t *testing.T) *rig {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	clock := new(session.TestClock)
	return startHubWith(t, store, Options{
		Store:     store,
		Clock:     clock,
		TestClock: clock,
		Timeline:  NewTimeline(clock),
		Policies:  session.Policies{Global: standard},
		Node:      "node-1",
	})
}

// leap moves the clock, and wants it to show so much more than the real one since the test began.
func (r *rig) leap(d, shown time.Duration) {
	r.t.Helper()
	now, err := r.AdvanceClock(r.t.Context(), d)
	if ahead := time.Until(now).Round(time.Second); err != nil || ahead != shown {
		r.t.Errorf("a leap by %s: %s ahead, %v, want %s", d, ahead, err, shown)
	}
}

func TestATimelineListsInputsDecisionsAndPushesInTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHubForTesting(t)
		ada := r.signIn("ada")
		tab := ada.openTab()
		synctest.Wait()
		r.leap(9*time.Minute, 9*time.Minute)
		tab.Next(wire.KindWarn)
		tab.Ack(tab.Next(wire.KindWarn)) // with the deadlines after the leap
		synctest.Wait()
		r.leap(time.Minute, 10*time.Minute)
		tab.Ack(tab.Next(wire.KindExpire))
		tab.WantsClose(wire.StatusExpired, "idle")
		synctest.Wait()
		var got []string
		for _, m := range r.timeline.Moments() {
			got = append(got, m.Kind+": "+m.What)
			if m.User != "ada" || m.Session != ada.token.ID().Ref() || m.At.Location() != time.UTC {
				t.Errorf("an entry is %+v", m)
			}
		}
		want := []string{
			"input: tab opened",
			"decision: warn idle",
			"push: warn",
			"push: warn",
			"input: ack",
			"decision: end idle",
			"push: expire",
			"input: ack",
			"input: tab left: lost",
		}
		if !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestALeapWaitsForNoEndOnceItsCallerHasGone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		store, err := bolt.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		clock := new(session.TestClock)
		held := heldEnd{store, make(chan struct{}), make(chan struct{}), new(atomic.Bool)}
		hub := startHubWith(t, store, Options{
			Store:     held,
			Clock:     clock,
			TestClock: clock,
			Policies:  session.Policies{Global: standard},
			Node:      "node-1",
		})
		ada := hub.signIn("ada")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		left := make(chan struct{})
		go func() {
			defer close(left)
			hub.AdvanceClock(ctx, standard.ExpireAfter)
		}()
		pass(2 * time.Second)
		synctest.Wait()
		select {
		case <-left:
		default:
			t.Error("it still waits")
		}
		close(held.release)
		<-left
		synctest.Wait()
		ada.wantsEnded(session.ReasonIdle)
	})
}

// Ends share transactions of the store in a leap. What the trail tells is the same as ever.
func TestALeapEndsSessionsInTheOrderOfTheirDueTimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHubForTesting(t)
		const sessions = 80
		for i := range sessions {
			r.signIn(fmt.Sprintf("user-%02d", i))
			pass(time.Millisecond)
		}
		r.leap(time.Hour, time.Hour)
		ends := session.EventQuery{Kind: session.EventSessionEnd, Limit: 2 * sessions}
		lines, err := r.store.Events(t.Context(), ends)
		if err != nil || len(lines) != sessions {
			t.Fatalf("%d lines, %v, want %d", len(lines), err, sessions)
		}
		for i, line := range lines {
			if want := fmt.Sprintf("user-%02d", sessions-1-i); line.User != want {
				t.Errorf("line %d from the end is of %s, want %s", i, line.User, want)
			}
			if i > 0 && lines[i-1].At.Sub(line.At) != time.Millisecond {
				t.Errorf("%s ended at %s and %s at %s, want a millisecond in between", line.User, line.At,
					lines[i-1].User, lines[i-1].At)
			}
		}
		if live := r.Stats().Sessions; live != 0 {
			t.Errorf("%d sessions are live, want all to be stored when the leap is answered", live)
		}
	})
}

func TestWhatIsStalledIsDeliveredAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHubForTesting(t)
		ada := r.signIn("ada")
		tab := ada.openTab()
		tab.Silent()
		r.SetFault(FaultStall)
		r.leap(9*time.Minute, 9*time.Minute) // answers all the same
		tab.Silent()
		r.SetFault(FaultNone)
		tab.Next(wire.KindWarn)
		tab.Next(wire.KindWarn) // the same after the leap
		r.SetFault(FaultRefuse)
		if _, _, err := ada.dial(); err == nil {
			t.Error("a socket is open while they are refused")
		}
		tab.Send(`{"type":"confirm"}`) // one that was open stays
		tab.Next(wire.KindActive)
		r.SetFault(FaultDrop)
		tab.Read()
		if c, closed := tab.Closed(); !closed {
			t.Errorf("the socket is open, want it cut: %+v", c)
		}
	})
}
