package hub

import (
	"fmt"
	"sync"
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
		one.Send(`{"type":"activity","idle_ms":0}`)
		two.Silent() // 30 s behind is less than a tenth of 10 minutes
		pass(40 * time.Second)
		one.Send(`{"type":"activity","idle_ms":0}`)
		two.Next(wire.KindActive)
		one.Next(wire.KindActive)
		pass(20 * time.Second)
		one.Send(`{"type":"activity","idle_ms":0}`) // at 90 s, not told: the tabs expect the warning at 70 s + 9 min
		m := two.Wants(wire.KindActive, 70*time.Second+9*time.Minute-time.Second)
		if ms := m["warn_in_ms"].(float64); ms < 20_900 || ms > 21_100 {
			t.Errorf("active = %v, want 21 s to the warning", m)
		}
		two.Wants(wire.KindWarn, 90*time.Second+9*time.Minute)
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
			good.Send(`{"type":"confirm"}`)
			good.Next(wire.KindActive)
			ada.mustBroadcast()
			good.Next(wire.KindActive)
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

// A message to many is encoded once, under a number that is drawn before those of messages that may
// overtake it.
func TestNumbersRiseWithinATabThoughMessagesAreShared(t *testing.T) {
	hub := startHub(t, standard)
	const each = socket.MaxOutbox/2 - 2 // a page that gets no time to read is not slow before all is queued
	var pages []*page
	for i := range 10 {
		u := hub.signIn(fmt.Sprint("user-", i))
		pages = append(pages, u.openTab(), u.openTab())
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range each {
			if _, err := hub.Notify(t.Context(), everyone, "root", "hello"); err != nil {
				t.Error(err)
			}
		}
	})
	for _, p := range pages {
		wg.Go(func() {
			for range each {
				p.Send(`{"type":"sync"}`)
			}
			newest := 0.0
			got := map[any]int{}
			for range 2 * each {
				m, ok := p.Read()
				if !ok {
					closed, _ := p.Closed()
					t.Errorf("the tab was closed: %+v", closed)
					return
				}
				got[m["type"]]++
				if seq := m["seq"].(float64); seq <= newest {
					t.Errorf("%v came after number %v", m, newest)
				} else {
					newest = seq
				}
			}
			if got["notice"] != each || got["active"] != each {
				t.Errorf("got %v, want %d of each", got, each)
			}
		})
	}
	wg.Wait()
}
