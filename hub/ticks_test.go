package hub

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/wire"
)

func TestTicksAreAnsweredAndShutdownSaysRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		pass(time.Minute)
		synctest.Wait()
		for _, each := range hub.tabs.all() {
			if last := each.lastSeq.Load(); last < 3 || each.acked.Load() != last {
				t.Errorf("seq %d, acknowledged %d: want two ticks or more, all answered", last, each.acked.Load())
			}
		}
		go hub.stop()
		tab.WantsClose(wire.StatusRestart, "server restarting")
	})
}

func TestFrozenPageStaysUnconfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.WarnAfter, p.ExpireAfter, p.MaxLifetime = time.Hour, 2*time.Hour, 0
		ada := startHub(t, p).signIn("ada")
		c, _, err := ada.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		go func() { // the browser answers pings, the page does not answer ticks
			for {
				if _, _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		pass(30 * time.Minute)
		synctest.Wait()
		if stats := ada.Stats(); stats.Tabs != 1 {
			t.Errorf("%d tabs, want the frozen one to stay", stats.Tabs)
		}
		s := ada.lookup(ada.token.ID())
		s.mu.Lock()
		defer s.mu.Unlock()
		if !ada.tabLocked(s.tabs[0]).Unconfirmed {
			t.Error("it is confirmed")
		}
	})
}

// TestATurnThatComesLateMissesNoUnconfirmedTab: the turns after one that came late are on time.
func TestATurnThatComesLateMissesNoUnconfirmedTab(t *testing.T) {
	var wheel tickWheel
	wheel.add(&tab{})
	for len(wheel.turn()) == 0 {
	}
	turns := 0
	for ; len(wheel.tickedLongAgo()) == 0; turns++ {
		wheel.turn()
	}
	const between = tickEvery / tickSlots
	if least := time.Duration(turns-1) * between; least <= answerWait || least > answerWait+between {
		t.Errorf("a tab is looked at %s after a late tick, want a little more than %s", least, answerWait)
	}
}
