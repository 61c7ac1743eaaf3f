package views

import (
	"net/url"
	"strings"
	"testing"

	"curfew/session"
)

func TestAnEndThatEndedNothingIsNoSuccess(t *testing.T) {
	s := startSite(t, "")
	ada, other, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
	ref := other.ref()
	ada.post("/account", url.Values{"ref": {grace.ref()}}).wants(t, "ending somebody else's session", 404)
	ada.post("/account", url.Values{"ref": {"nothing"}}).wants(t, "ending no session", 404)
	ada.post("/account", url.Values{}).wants(t, "ending which?", 400)
	ada.post("/account", url.Values{"ref": {ref}, "others": {"all"}}).wants(t, "ending both", 400)
	grace.get("/session/status").wants(t, "the session of somebody else", 200)
	ada.post("/account", url.Values{"ref": {ref}}).wants(t, "ending an own session", 303, "/account")
	ada.post("/account", url.Values{"ref": {ref}}).wants(t, "ending it again", 404)
	ada.post("/account", url.Values{"others": {"all"}}).wants(t, "ending all others, of whom there are none", 404)
	if n := len(s.events(session.EventSessionEnd)); n != 1 {
		t.Errorf("%d ends in the trail, want 1", n)
	}
}

func TestTheAccountPageShowsOnesOwnSessions(t *testing.T) {
	s := startSite(t, "")
	ada, other, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
	page := ada.get("/account")
	page.wants(t, "the account page", 200, ada.ref(), other.ref(), "This device",
		"Other devices and browsers", "1 other session ends at once.")
	if strings.Contains(page.text, grace.ref()) {
		t.Error("the account page shows somebody else's session")
	}
	done := ada.post("/account", url.Values{"others": {"all"}})
	done.wants(t, "ending all others", 303, "/account")
	alone := ada.get("/account", "Cookie", ada.cookie+"; "+toastCookie+"="+done.Cookies()[0].Value)
	alone.wants(t, "the page after that", 200, "You are signed in nowhere else.",
		`role="status">1 other session was ended.`)
	if strings.Contains(alone.text, `name="others"`) {
		t.Error("others can be ended where there are none")
	}
	other.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "another session of mine", 401,
		`"reason":"logout"`, "from your account page")
	grace.get("/session/status").wants(t, "the session of somebody else", 200)
	ada.post("/account", url.Values{"ref": {ada.ref()}}).wants(t, "ending this one", 303, "/login")
	ada.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "this one, after that", 401)
}
