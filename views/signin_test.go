package views

import (
	"net/url"
	"testing"

	"curfew/hub"
)

func TestAStoreThatTakesNoWritesTellsNobodyWhetherAPasswordIsRight(t *testing.T) {
	s := startSite(t, "")
	s.store.takesReads.Store(true)
	s.store.away.Store(true)
	try := func(password string) answer {
		b := &browser{site: s}
		return b.post("/login", url.Values{"username": {"grace"}, "password": {password}})
	}
	right, wrong := try("pw"), try("guess")
	right.wants(t, "the right password", 503)
	if wrong.StatusCode != right.StatusCode || wrong.text != right.text ||
		wrong.Header.Get("Retry-After") != right.Header.Get("Retry-After") {
		t.Errorf("a wrong password: %s\nthe right one: %s", wrong, right)
	}
}

func TestNameIsKeptAsItWasTyped(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	b.take(b.post("/login", url.Values{"username": {" Jürgen GROß "}, "password": {"pw"}}))
	b.get("/session/status").wants(t, "after the sign-in", 200)
	list := s.hub.Sessions(hub.Filter{})
	if len(list) != 1 || list[0].Record.Login != "Jürgen GROß" {
		t.Errorf("sessions are %+v, want one by the name as it was typed", list)
	}
}
