package views

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// wants judges one answer. A refusal of a program's request names its code, one that may be
// repeated says when.
func (a answer) wants(t *testing.T, what string, status int, words ...string) {
	t.Helper()
	if a.StatusCode != status {
		t.Errorf("%s: %s, want %d", what, a, status)
		return
	}
	if (status == 503 || status == 429) != (a.Header.Get("Retry-After") != "") {
		t.Errorf("%s: Retry-After %q with %d", what, a.Header.Get("Retry-After"), status)
	}
	for _, word := range words {
		if !strings.Contains(a.text+a.Header.Get("Location"), word) {
			t.Errorf("%s: %s, want %q in it", what, a, word)
		}
	}
	for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control"} {
		if a.Header.Get(name) == "" {
			t.Errorf("%s: no %s", what, name)
		}
	}
}

// handshake are the headers of a page that opens its socket.
var handshake = []string{
	"Origin", siteOrigin,
	"Sec-Fetch-Mode", "websocket",
	"Connection", "Upgrade",
	"Upgrade", "websocket",
	"Sec-WebSocket-Protocol", "curfew.v1",
	"Sec-WebSocket-Version", "13",
	"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA==",
}

func TestWhileTheStoreIsAwayNothingIsConcluded(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	logout := ada.call("POST", "/api/v1/logouts", `{"group":"staff","grace_ms":3600000,"except_self":true}`)
	id, _ := logout.json("id").(string)
	if id == "" {
		t.Fatalf("forced logout: %s", logout)
	}
	events := len(s.events(""))
	script := []string{"Sec-Fetch-Mode", "cors"}
	s.putAway(ada)
	for _, path := range []string{"/", "/account", "/admin", "/admin/audit", "/admin/audit?format=csv",
		"/admin/sessions/" + grace.ref(), "/admin/logouts/" + id, "/login", "/session/status"} {
		ada.get(path).wants(t, "a page: "+path, 503, "Nothing is lost")
		ada.get(path, script...).wants(t, "a script: "+path, 503, `"error":"unavailable"`)
	}
	for path, form := range map[string]url.Values{
		"/":                                {"note": {"x"}},
		"/logout":                          {},
		"/session/extend":                  {},
		"/session/activity":                {"idle_ms": {"0"}},
		"/account":                         {"others": {"all"}},
		"/admin/confirm":                   {"scope": {"everyone"}},
		"/admin/review":                    {"scope": {"everyone"}},
		"/admin/logouts":                   {"scope": {"everyone"}},
		"/admin/logouts/" + id + "/cancel": {},
		"/admin/notices":                   {"scope": {"everyone"}, "message": {"x"}},
		"/login":                           {"username": {"grace"}, "password": {"pw"}},
	} {
		ada.post(path, form).wants(t, "a form: "+path, 503)
		ada.post(path, form, script...).wants(t, "a script's form: "+path, 503)
	}
	for _, call := range apiCalls(grace.ref(), id) {
		ada.call(call.method, "/api/v1"+call.path, call.body).wants(t, "API: "+call.method+" "+call.path, 503,
			`"error":"unavailable"`, `"status":503`)
	}
	ada.get("/session/ws", handshake...).wants(t, "handshake", 503, `"error":"unavailable"`)
	ada.get("/admin/ws", "Origin", siteOrigin, "Sec-Fetch-Mode", "websocket").wants(t, "the console's handshake", 503,
		`"error":"unavailable"`)
	s.store.away.Store(false)
	if n := len(s.events("")); n != events {
		t.Errorf("%d lines of the trail, want the %d from before", n, events)
	}
	for _, b := range []*browser{ada, grace} {
		b.get("/session/status").wants(t, "once the store is back", 200)
	}
}

// The embedded store has one writer, this process, which knows what it has written.
func TestWhileTheEmbeddedStoreIsAwayThoseWhoAreSignedInGoOn(t *testing.T) {
	s := startSite(t, "")
	ada, grace, over := s.signIn("ada"), s.signIn("grace"), s.signIn("grace")
	over.post("/logout", url.Values{}).wants(t, "sign-out", 303)
	s.store.away.Store(true)
	ada.get("/session/status").wants(t, "the status", 200, `"user":"ada"`)
	ada.get("/account").wants(t, "a page", 200, "Your sessions")
	ada.post("/session/extend", url.Values{}, scripted...).wants(t, "staying signed in", 200, `"user":"ada"`)
	ada.post("/", url.Values{"note": {"x"}}).wants(t, "what is to be stored", 503, "Nothing is lost")
	ada.post("/logout", url.Values{}).wants(t, "a sign-out", 503)
	ada.call("POST", "/api/v1/logouts", `{"user":"grace"}`).wants(t, "a forced logout", 503)
	over.get("/session/status").wants(t, "a session that has ended", 503)
	(&browser{site: s}).post("/login", url.Values{"username": {"ada"}, "password": {"pw"}}).wants(t, "a sign-in", 503)
	grace.get("/session/status").wants(t, "the status of somebody whom no logout has ended", 200)
	s.store.away.Store(false)
	over.get("/session/status", scripted...).wants(t, "a session that has ended, once the store is back", 401)
}

func TestAChangeThatTheStoreDoesNotTakeIsNotConfirmed(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	logout := ada.call("POST", "/api/v1/logouts", `{"user":"nobody","grace_ms":3600000}`)
	id, _ := logout.json("id").(string)
	s.store.takesReads.Store(true)
	s.store.away.Store(true)
	script := []string{"Sec-Fetch-Mode", "cors"}
	for path, form := range map[string]url.Values{
		"/":                                {"note": {"x"}},
		"/logout":                          {},
		"/account":                         {"ref": {ada.ref()}},
		"/admin/logouts":                   {"scope": {"user"}, "user": {"grace"}},
		"/admin/logouts/" + id + "/cancel": {},
		"/admin/notices":                   {"scope": {"everyone"}, "message": {"x"}},
	} {
		ada.post(path, form).wants(t, "a form: "+path, 503, "We cannot confirm")
		ada.post(path, form, script...).wants(t, "a script's form: "+path, 503, `"error":"not-confirmed"`)
	}
	for _, call := range []struct{ method, path, body string }{
		{"POST", "/logouts", `{"user":"grace"}`}, {"DELETE", "/logouts/" + id, ""},
		{"POST", "/notices", `{"user":"grace","message":"x"}`},
	} {
		ada.call(call.method, "/api/v1"+call.path, call.body).wants(t, "API: "+call.method+" "+call.path, 503,
			`"error":"not-confirmed"`)
	}
	stranger := &browser{site: s}
	right := stranger.post("/login", url.Values{"username": {"grace"}, "password": {"pw"}})
	right.wants(t, "a right password", 503, "We cannot confirm")
	wrong := stranger.post("/login", url.Values{"username": {"grace"}, "password": {"no"}})
	if wrong.String() != right.String() {
		t.Errorf("a wrong password: %s, want the answer to the right one: %s", wrong, right)
	}
	s.store.away.Store(false)
	grace.get("/session/status").wants(t, "once the store is back", 200)
}

func TestWithoutTheDirectoryThoseWhoAreSignedInGoOn(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.directory.away.Store(true)
	(&browser{site: s}).post("/login", url.Values{"username": {"ada"}, "password": {"pw"}}).wants(t, "a sign-in", 503,
		"cannot reach the user directory")
	ada.get("/").wants(t, "the staff directory", 200, "cannot be read just now")
	ada.get("/account").wants(t, "another page", 200)
}

func TestAnswersAfterTheEnd(t *testing.T) {
	s := startSite(t, "/guard")
	grace := s.signIn("grace")
	grace.post("/guard/logout", url.Values{}).wants(t, "sign-out", 303, "/guard/login")
	grace.post("/guard/logout", url.Values{}).wants(t, "sign-out again", 303, "/guard/login")
	grace.get("/guard/account").wants(t, "a page", 303, "/guard/login?next=%2Fguard%2Faccount")
	grace.get("/guard/login").wants(t, "the sign-in page", 200, "You have signed out.")
	for _, path := range []string{"/session/extend", "/session/activity", "/account", "/"} {
		grace.post("/guard"+path, url.Values{}, "Sec-Fetch-Mode", "cors").wants(t, path, 401,
			`"error":"session-ended"`, `"reason":"logout"`, `"location":"/guard/login"`)
		grace.post("/guard"+path, url.Values{}, "Referer", siteOrigin+"/app?x").wants(t, path+" by a form", 303,
			"/guard/login?next=%2Fapp%3Fx")
	}
	grace.get("/guard/session/status", "Sec-Fetch-Mode", "cors").wants(t, "status", 401, `"reason":"logout"`)
	grace.get("/guard/session/ws", handshake...).wants(t, "handshake", 401, `"reason":"logout"`)
	grace.call("GET", "/guard/api/v1/presence", "").wants(t, "the API", 401, `"error":"no-session"`)
	r := grace.request("GET", "/guard/account", nil, "Sec-Fetch-Mode", "navigate")
	r.Method = http.MethodHead
	s.send(r).wants(t, "HEAD of a page", 303, "/guard/login")
}
