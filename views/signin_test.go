package views

import (
	"net/url"
	"testing"
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
	if wrong.StatusCode != right.StatusCode || wrong.text != right.text || wrong.Header.Get("Retry-After") != right.Header.Get("Retry-After") {
		t.Errorf("a wrong password: %s\nthe right one: %s", wrong, right)
	}
}
