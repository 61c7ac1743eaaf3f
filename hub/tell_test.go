package hub

import (
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
)

func TestHeartbeatsAreToldRarelyAndAlwaysBeforeTheToldWarning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		one, two := ada.openTab(), ada.openTab()
		pass(30 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`)
		two.silent() // 30 s behind is less than a tenth of 10 minutes
		pass(40 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`)
		two.next(wire.KindActive)
		one.next(wire.KindActive)
		pass(20 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`) // at 90 s, not told: the tabs expect the warning at 70 s + 9 min
		m := two.wants(wire.KindActive, 70*time.Second+9*time.Minute-time.Second)
		if ms := m["warn_in_ms"].(float64); ms < 20_900 || ms > 21_100 {
			t.Errorf("active = %v, want 21 s to the warning", m)
		}
		two.wants(wire.KindWarn, 90*time.Second+9*time.Minute)
	})
}

func TestStandstillEndsASlowTabOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		good := ada.openTab()
		slow, _, err := ada.dial() // never reads: a pipe takes nothing then
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * socket.MaxOutbox {
			good.send(`{"type":"confirm"}`)
			good.next(wire.KindActive)
			ada.mustBroadcast()
			good.next(wire.KindActive)
			pass(20 * time.Millisecond)
		}
		pass(2 * socket.WriteLimit)
		synctest.Wait()
		if n := ada.Stats().Tabs; n != 1 {
			t.Errorf("%d tabs, want the slow one gone", n)
		}
		slow.CloseNow()
	})
}

// mustBroadcast tells all tabs of the session how it stands, though nothing has changed.
func (u *user) mustBroadcast() {
	s := u.lookup(u.token.ID())
	s.mu.Lock()
	start := u.tellLocked(s, s.policy.Load(), u.clock.Now(), tellState)
	s.mu.Unlock()
	u.writers.Start(start)
}
