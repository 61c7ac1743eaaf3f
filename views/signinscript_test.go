package views

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"curfew/hub"
	"curfew/locale"
)

// cookieNames are the names of the cookies that an answer sets.
func (a answer) cookieNames() (names []string) {
	for _, c := range a.Cookies() {
		names = append(names, c.Name)
	}
	slices.Sort(names)
	return names
}

// inJSON is what a script sends along that wants JSON.
var inJSON = []string{"Sec-Fetch-Mode", "cors", "Accept", "application/json"}

func signInForm(user, password string, more ...string) url.Values {
	form := url.Values{"username": {user}, "password": {password}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func TestAScriptSignsInAndIsToldWhereThatLeads(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	a := b.post("/login", signInForm("ada", "pw", "next", "/account?x", "window", "1"), inJSON...)
	a.wants(t, "the right password", 200)
	want := []string{"__Host-curfew", "__Host-curfew-last", "__Host-curfew-seen"}
	if a.json("location") != "/account?x" || !slices.Equal(a.cookieNames(), want) ||
		a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s with the cookies %q, want the location and %q", a, a.cookieNames(), want)
	}
	b.take(a)
	b.get("/session/status", scripted...).wants(t, "after it", 200, `"user":"ada"`)
	a = (&browser{site: s}).post("/login", signInForm("ada", "pw", "next", "https://evil.example/"), inJSON...)
	a.wants(t, "a way out", 200)
	if a.json("location") != "/" {
		t.Errorf("%s, want it to lead to this site", a)
	}
}

func TestAScriptIsToldWhyNobodyWasSignedIn(t *testing.T) {
	s, _, admin := startAPI(t)
	stranger := &browser{site: s}
	refused := func(what string, code int, name, message string, a answer) {
		t.Helper()
		a.wants(t, what, code)
		text, _ := a.json("message").(string)
		if a.json("error") != name || !strings.Contains(text, message) || len(a.cookieNames()) != 0 ||
			a.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s with cookies %q, want JSON of %q %q, and none", what, a, a.cookieNames(), name, message)
		}
	}
	refused("a wrong password", 401, "credentials", wrongPassword.in(locale.English()),
		stranger.post("/login", signInForm("grace", "guess"), inJSON...))
	refused("a name of control characters", 401, "credentials", wrongPassword.in(locale.English()),
		stranger.post("/login", signInForm("gr\x00ce", "pw"), inJSON...))
	done := admin.api("POST", "/logouts", `{"user":"grace","message":"Back at <noon>","block_ms":600000}`, 200)
	a := stranger.post("/login", signInForm("grace", "pw"), inJSON...)
	refused("a block", 403, "refused", "Back at <noon>", a)
	sentence := "Signing in is switched off just now. Please try again later."
	if a.json("said") != sentence || a.json("text") != "Back at <noon>" {
		t.Errorf("a block: %s, want a sentence, and apart what the administrator has written", a)
	}
	stranger.post("/login", signInForm("grace", "pw", "window", "1")).wants(t, "a block without script", 403,
		"Signing in is switched off just now.", `<figcaption class="said-by">From your administrator</figcaption>`,
		"Back at &lt;noon&gt;</blockquote>")
	admin.api("DELETE", "/logouts/"+done["id"].(string), "", 200)
	foreign := append([]string{"Sec-Fetch-Site", "cross-site"}, inJSON...)
	refused("another site", 403, "cross-site", "", stranger.post("/login", signInForm("grace", "pw"), foreign...))
	s.directory.away.Store(true)
	a = stranger.post("/login", signInForm("grace", "pw"), inJSON...)
	refused("no directory", 503, "unavailable", "cannot reach", a)
	if a.Header.Get("Retry-After") == "" {
		t.Error("without the directory no Retry-After is told")
	}
	s.directory.away.Store(false)
	for range 4 {
		a = stranger.post("/login", signInForm("grace", "guess"), inJSON...)
	}
	for range 4 {
		if a.StatusCode == http.StatusTooManyRequests {
			break
		}
		a = stranger.post("/login", signInForm("grace", "guess"), inJSON...)
	}
	refused("too many guesses", 429, "throttled", "wait", a)
	if a.Header.Get("Retry-After") == "" {
		t.Error("a throttled script is told no Retry-After")
	}
	s.store.away.Store(true)
	a = stranger.post("/login", signInForm("ada", "pw"), inJSON...)
	a.wants(t, "no store", 503)
	if a.json("error") == nil || a.Header.Get("Retry-After") == "" {
		t.Errorf("without a store: %s, want JSON with a Retry-After", a)
	}
}

func TestAFormSentByAScriptAndByTheBrowserIsAnsweredToEach(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	form := signInForm("ada", "pw", "next", "/account", "once", b.get("/login?window=1").once(t), "window", "1")
	script, again := b.post("/login", form, inJSON...), b.post("/login", form, inJSON...)
	for _, a := range []answer{script, again} {
		a.wants(t, "the script", 200, `"location":"/account"`)
	}
	if script.Header.Get("Set-Cookie") != again.Header.Get("Set-Cookie") || len(s.hub.Sessions(hub.Filter{})) != 1 {
		t.Error("the script that has sent the form twice has signed in twice")
	}
	page := b.post("/login", form)
	page.wants(t, "the browser", 200, "You are signed in. You can close this window.", "<!doctype html>")
	b.take(page)
	b.get("/session/status", scripted...).wants(t, "after it", 200)
	form.Del("window")
	b.post("/login", form).wants(t, "without a window", 303, "/account")
}

func TestTheSignInWindowLeadsNowhere(t *testing.T) {
	s := startSite(t, "/guard")
	b := &browser{site: s}
	b.get("/guard/login?window=1&next=/app").wants(t, "a stranger's", 200, `name="window" value="1"`, "data-window",
		`name="next" value="/app"`)
	b.post("/guard/login", signInForm("ada", "guess", "window", "1")).wants(t, "a wrong password without script", 401,
		`name="window" value="1"`, wrongPassword.in(locale.English()))
	a := b.post("/guard/login", signInForm("ada", "pw", "window", "1", "next", "/app"))
	a.wants(t, "the right one without script", 200, "You are signed in. You can close this window.")
	b.take(a)
	a = b.get("/guard/login?window=1&next=/app")
	a.wants(t, "who is signed in", 200, "You are signed in. You can close this window.", "data-window")
	if strings.Contains(a.text, "<form") || a.Header.Get("Location") != "" {
		t.Errorf("who is signed in: %s, want neither a form nor a way on", a)
	}
	b.post("/guard/logout", url.Values{}).wants(t, "signing out", 303)
	b.get("/guard/login?window=1").wants(t, "after the end", 200, "<form", "You have signed out.")
}
