package views

import (
	"net/url"
	"strings"
	"testing"

	"curfew/session"
)

func TestANoticeThatNobodyGotIsNoSuccess(t *testing.T) {
	s := startSite(t, "")
	ada, other, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
	ref := other.ref()
	ada.post("/account", url.Values{"ref": {ref}}).wants(t, "ending an own session", 303)
	form := func(message string, whom url.Values) answer {
		whom.Set("message", message)
		return ada.post("/admin/notices", whom)
	}
	for _, whom := range []string{`"user":"nobody"`, `"group":"nobody"`} {
		ada.call("POST", "/api/v1/notices", `{`+whom+`,"message":"x"}`).wants(t, "a notice to "+whom, 404,
			`"error":"not-found"`)
	}
	form("x", url.Values{"scope": {"user"}, "user": {"nobody"}}).wants(t, "a notice to nobody", 422,
		"No user of that name.")
	form("x", url.Values{"scope": {"selection"}, "ref": {ref}}).wants(t, "a notice to a session that has ended", 422,
		"None of the selected sessions")
	form(" \n", url.Values{"scope": {"everyone"}}).wants(t, "a notice of nothing", 422)
	tooLong := strings.Repeat("ä", maxMessage+1)
	form(tooLong, url.Values{"scope": {"everyone"}}).wants(t, "a notice too long", 422)
	if n := len(s.events(session.EventNotice)); n != 0 {
		t.Errorf("%d notices in the trail, want none", n)
	}
	there := url.Values{"scope": {"selection"}, "ref": {ref, grace.ref()}}
	form("x", there).wants(t, "a notice to one who is there", 303)
}
