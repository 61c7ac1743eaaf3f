package hub

import (
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"curfew/hub/wire"
	"curfew/session"
)

func TestTabsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		var tabs []*page
		for range maxTabsOfSession {
			tabs = append(tabs, ada.openTab())
		}
		wantsFull := func(u *user) {
			t.Helper()
			c, _, err := u.dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != wire.StatusFull {
				t.Errorf("got %v, want it closed with %d", err, wire.StatusFull)
			}
		}
		wantsFull(ada)
		grace.openTab()
		tabs[0].Conn.CloseNow()
		synctest.Wait()
		ada.openTab()
		hub.tabLimits.mu.Lock()
		hub.tabLimits.limit = maxTabsOfSession + 1
		hub.tabLimits.mu.Unlock()
		wantsFull(grace)
		for _, tab := range tabs {
			tab.Conn.CloseNow()
		}
		synctest.Wait()
		hub.tabLimits.mu.Lock()
		defer hub.tabLimits.mu.Unlock()
		if hub.tabLimits.taken != 2 || hub.tabLimits.ofUser["ada"] != 1 || hub.tabLimits.ofUser["grace"] != 1 {
			t.Errorf("%d places are taken (%v), want one of each", hub.tabLimits.taken, hub.tabLimits.ofUser)
		}
	})
}

func TestTabsOfAUserAreBounded(t *testing.T) {
	var p tabLimits
	ofAda := func() *liveSession { return newLiveSession(session.Record{User: "ada"}, nil) }
	first, second := ofAda(), ofAda()
	for i := range maxTabsOfUser {
		s := ofAda()
		if i == 0 {
			s = first
		}
		if !p.take(s) {
			t.Fatalf("no room after %d", i)
		}
	}
	if p.take(second) {
		t.Errorf("room for more than %d", maxTabsOfUser)
	}
	p.leave(first)
	if !p.take(second) {
		t.Error("no room though one has gone")
	}
}
