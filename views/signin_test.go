package views

import (
	"net/url"
	"strings"
	"testing"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
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
	if wrong.StatusCode != right.StatusCode || wrong.withoutRequestID() != right.withoutRequestID() ||
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

func TestBlockRefusesSignInsWithTheMessage(t *testing.T) {
	s, _, admin := startAPI(t)
	done := admin.api("POST", "/logouts", `{"everyone":true,"message":"Back at <noon>","block_ms":600000}`, 200)
	stranger := &browser{site: s}
	form := func(password string) url.Values { return url.Values{"username": {"grace"}, "password": {password}} }
	for range 7 { // a block is no failure: it does not throttle
		stranger.post("/login", form("pw")).wants(t, "a right password", 403, "Signing in is switched off",
			"From your administrator", "Back at &lt;noon&gt;</blockquote>")
	}
	stranger.post("/login", form("guess")).wants(t, "a wrong one", 401, wrongPassword.in(locale.English()))
	failed := s.events(session.EventSignInFailed)
	if len(failed) != 8 || failed[7].Reason != session.ReasonAdmin || failed[7].User != "grace" {
		t.Errorf("the trail says %+v", failed)
	}
	s.signIn("ada") // an administrator is exempt
	admin.api("DELETE", "/logouts/"+done["id"].(string), "", 200)
	s.signIn("grace")
}

func TestWhoIsSignedInIsLedOnFromTheSignInPage(t *testing.T) {
	s := startSite(t, "/guard")
	ada := s.signIn("ada")
	ada.get("/guard/login?next=/app%3Fx").wants(t, "the sign-in page", 303, "/app?x")
	(&browser{site: s}).get("/guard/login?next=/app%3Fx").wants(t, "a stranger's", 200, `name="next" value="/app?x"`)
}

func TestALinkSignsNobodyOut(t *testing.T) {
	s := startSite(t, "/guard")
	s.guard.exists, s.home, s.main.home = true, "/app", "/app"
	ada, stranger := s.signIn("ada"), &browser{site: s}
	for _, header := range [][]string{nil, {"Sec-Fetch-Site", "cross-site"}, scripted} {
		ada.get("/guard/logout", header...).wants(t, "the page", 200, `<form method="post" action="/guard/logout">`,
			`name="csrf" value="`, ">Sign out</button>", `href="/app"`, "signed in as ADA")
	}
	if code, _ := ada.status(); code != 200 {
		t.Errorf("the page has signed somebody out: %d", code)
	}
	ada.post("/guard/logout", url.Values{}).wants(t, "the button", 303, "/guard/login")
	if code, _ := ada.status(); code != 401 {
		t.Errorf("the button has signed nobody out: %d", code)
	}
	for what, b := range map[string]*browser{"somebody who is signed out": ada, "a stranger": stranger} {
		b.get("/guard/logout").wants(t, what, 303, "/guard/login")
		b.get("/guard/logout", scripted...).wants(t, "a script of "+what, 401, `"location":"/guard/login"`)
	}
	// Who signs in then is not led back to where they would sign out.
	form := url.Values{"username": {"ada"}, "password": {"pw"}, "next": {"/guard/logout"}}
	if a := stranger.post("/guard/login", form); a.StatusCode != 303 || a.Header.Get("Location") != "/app" {
		t.Errorf("after the sign-in: %s, want it to lead to /app", a)
	}
}

func TestTheSignInPageSaysWhoEndedASessionBeforeWhatTheyWrote(t *testing.T) {
	s, _, admin := startAPI(t)
	grace := s.signIn("grace")
	admin.api("POST", "/logouts", `{"user":"grace","message":"Back at <noon>\nin the hall"}`, 200)
	grace.get("/login").wants(t, "the sign-in page", 200, `role="status">You were signed out by an administrator.</p>`,
		"From your administrator", "Back at &lt;noon&gt;\nin the hall</blockquote>")
	grace = s.signIn("grace")
	admin.api("POST", "/logouts", `{"user":"grace"}`, 200)
	page := grace.get("/login")
	page.wants(t, "without a message", 200, "You were signed out by an administrator.")
	if strings.Contains(page.text, "blockquote") {
		t.Errorf("nothing is quoted: %s", page)
	}
}

func TestTheSignInPageSaysHowLongToWait(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	for range maxPairFails {
		b.post("/login", signInForm("grace", "guess")).wants(t, "a guess", 401, `aria-invalid="true"`)
	}
	a := b.post("/login", signInForm("grace", "guess"))
	wait := a.Header.Get("Retry-After")
	a.wants(t, "one more", 429, `data-wait="`+wait+`"`, "You can try again in "+wait+" seconds.", `value="grace"`)
}

func TestTheSignInPageLeadsToHelp(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	if page := b.get("/login"); strings.Contains(page.text, "Help") {
		t.Errorf("it leads to help, and there is none: %s", page)
	}
	s.site.HelpURL, s.site.Name = "mailto:help@example.org", "Example & Co"
	b.get("/login").wants(t, "with an address", 200, `<a href="mailto:help@example.org">`, "Example &amp; Co</p>",
		"<title>Sign in · Example &amp; Co</title>")
}
