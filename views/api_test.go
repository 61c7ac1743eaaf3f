package views

import (
	"strings"
	"testing"
)

// apiCall is a call of the API. Where an administrator makes it, it is granted.
type apiCall struct{ method, path, body string }

// apiCalls are one for each call that is described: ref is a session that lives, id a forced logout
// that may be cancelled.
func apiCalls(ref, id string) []apiCall {
	return []apiCall{
		{"GET", "/presence", ""},
		{"GET", "/sessions", ""},
		{"GET", "/sessions/" + ref, ""},
		{"GET", "/logouts", ""},
		{"POST", "/logouts", `{"user":"nobody"}`},
		{"GET", "/logouts/" + id, ""},
		{"DELETE", "/logouts/" + id, ""},
		{"POST", "/notices", `{"user":"grace","message":"x"}`},
		{"POST", "/echo", ""},
		{"GET", "/audit", ""},
	}
}

// TestEveryDescribedAnswerIsGiven provokes each answer that openapi.yaml promises. Every answer
// that it gets is checked against the description as it is sent: see site.send.
func TestEveryDescribedAnswerIsGiven(t *testing.T) {
	s := startSite(t, "/guard")
	ada, grace, stranger := s.signIn("ada"), s.signIn("grace"), &browser{site: s}
	wants := func(b *browser, c apiCall, status int, words ...string) answer {
		t.Helper()
		a := b.call(c.method, "/guard/api/v1"+c.path, c.body)
		a.wants(t, c.method+" "+c.path+" "+c.body, status, words...)
		return a
	}
	logout := wants(ada, apiCall{"POST", "/logouts",
		`{"user":"nobody","grace_ms":3600000,"block_ms":1000,"message":"x"}`}, 200)
	id, _ := logout.json("id").(string)
	for _, c := range apiCalls(grace.ref(), id) {
		wants(stranger, c, 401, `"error":"no-session"`)
		wants(grace, c, 403, `"error":"forbidden"`)
		s.putAway(ada)
		wants(ada, c, 503, `"error":"unavailable"`)
		s.store.away.Store(false)
		wants(ada, c, 200)
	}
	over := wants(ada, apiCall{"POST", "/logouts", `{"user":"nobody"}`}, 200)
	overID, _ := over.json("id").(string)
	wants(ada, apiCall{"DELETE", "/logouts/" + overID, ""}, 409, `"error":"too-late"`)
	wants(ada, apiCall{"POST", "/logouts", `{"user":"grace","dry_run":true}`}, 200, `"sessions":1`)

	tooLarge := `{"user":"grace","message":"` + strings.Repeat("x", maxBody) + `"}`
	farTooLarge := `{"user":"grace","message":"` + strings.Repeat("x", maxLogoutBody) + `"}`
	for _, c := range []struct {
		apiCall
		status int
		code   string
	}{
		{apiCall{"GET", "/presence?usr=ada", ""}, 422, "invalid"},
		{apiCall{"GET", "/sessions?limit=0", ""}, 422, "invalid"},
		{apiCall{"GET", "/sessions/nothing", ""}, 404, "not-found"},
		{apiCall{"GET", "/logouts?cursor=%25", ""}, 422, "invalid"},
		{apiCall{"GET", "/logouts/nothing", ""}, 404, "not-found"},
		{apiCall{"DELETE", "/logouts/nothing", ""}, 404, "not-found"},
		{apiCall{"GET", "/audit?since=yesterday", ""}, 422, "invalid"},
		{apiCall{"POST", "/logouts", `{"user":`}, 400, "bad-json"},
		{apiCall{"POST", "/logouts", `{"session":"nothing"}`}, 404, "not-found"},
		{apiCall{"POST", "/logouts", farTooLarge}, 413, "too-large"},
		{apiCall{"POST", "/logouts", `{}`}, 422, "invalid"},
		{apiCall{"POST", "/notices", `{"user":`}, 400, "bad-json"},
		{apiCall{"POST", "/notices", `{"user":"nobody","message":"x"}`}, 404, "not-found"},
		{apiCall{"POST", "/notices", tooLarge}, 413, "too-large"},
		{apiCall{"POST", "/notices", `{"user":"grace"}`}, 422, "invalid"},
	} {
		wants(ada, c.apiCall, c.status, `"error":"`+c.code+`"`)
	}

	full := startSiteOn(t, "/guard", &flaky{remembered: 50_000})
	full.description = s.description // which collects what was seen
	wants(full.program(ScopeAdmin), apiCall{"POST", "/logouts", `{"user":"grace"}`}, 429, `"error":"too-many-logouts"`)

	for _, unseen := range s.description.Unseen() {
		t.Errorf("described, and not seen: %s", unseen)
	}
}

func TestTheAPIAnswersWhatItDoesNotKnow(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	grace.call("GET", "/api/v1/presence", "").wants(t, "somebody who is no administrator", 403, `"error":"forbidden"`)
	for _, c := range []apiCall{
		{"GET", "/sessions/x", ""},
		{"GET", "/logouts/x", ""},
		{"DELETE", "/logouts/x", ""},
		{"GET", "/nothing", ""},
	} {
		ada.call(c.method, "/api/v1"+c.path, "").wants(t, c.method+" "+c.path, 404, `"error":"not-found"`)
	}
	for _, asked := range []string{
		"user=grace&user=ada", "user=%zz", "user=grace;group=staff", "usr=grace", "limit=1&limit=2",
	} {
		ada.call("GET", "/api/v1/presence?"+asked, "").wants(t, "asking for "+asked, 422)
	}
	if a := ada.call("POST", "/api/v1/presence", "{}"); a.StatusCode != 405 || a.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /presence: %s, Allow %q", a, a.Header.Get("Allow"))
	}
}

func TestAPIIsForAdministratorsOnly(t *testing.T) {
	s, reader, _ := startAPI(t)
	ada := s.session("ada", "admins")
	grace := s.session("grace", "staff")
	ref := grace.ref()
	stranger, forged := &browser{site: s}, &browser{site: s, token: "curfew_x", cookie: ada.cookie}
	logout := `{"session":"` + ref + `","grace_ms":60000}`
	for _, path := range []string{"/presence", "/sessions", "/sessions/" + ref, "/logouts", "/audit"} {
		stranger.api("GET", path, "", 401)
		forged.api("GET", path, "", 401)
		grace.api("GET", path, "", 403)
		ada.api("GET", path, "", 200)
		reader.api("GET", path, "", 200)
	}
	for _, path := range []string{"/logouts", "/notices", "/echo"} {
		stranger.api("POST", path, logout, 401)
		forged.api("POST", path, logout, 401)
		grace.api("POST", path, logout, 403)
		reader.api("POST", path, logout, 403)
		ada.api("POST", path, logout, 403, "X-CSRF-Token", "")
		ada.api("POST", path, logout, 403, "Sec-Fetch-Site", "cross-site")
	}
	done := ada.api("POST", "/logouts", logout, 200)
	if done["actor"] != "ada" {
		t.Errorf("logout = %v", done)
	}
	grace.api("DELETE", "/logouts/"+done["id"].(string), "", 403)
	self := ada.api("POST", "/logouts", `{"everyone":true,"except_self":true}`, 200)
	if code, _ := grace.status(); code != 401 || self["sessions"] != 1. {
		t.Errorf("grace: %d, logout %v", code, self)
	}
	ada.api("GET", "/presence", "", 200)
}

func TestAPITakesNamesHoweverTheyAreWritten(t *testing.T) {
	s, reader, admin := startAPI(t)
	grace := s.session("Grace", "Staff")
	for _, path := range []string{"/presence?user=gRACE", "/presence?group=STAFF", "/sessions?user=grace",
		"/sessions?group=staff&q=GRA", "/audit?event=sign-in&user=GRACE"} {
		if got := items(reader.api("GET", path, "", 200)); len(got) != 1 ||
			got[0].(map[string]any)["user"] != "Grace" {
			t.Errorf("%s: %v, want one, shown as the directory writes it", path, got)
		}
	}
	if n := admin.api("POST", "/notices", `{"group":"sTAFF","message":"Hello"}`, 200); n["sessions"] != 1. {
		t.Errorf("notice = %v", n)
	}
	if done := admin.api("POST", "/logouts", `{"user":"\uff47RACE","block_ms":60000}`, 200); done["sessions"] != 1. {
		t.Errorf("logout = %v", done)
	}
	if code, _ := grace.status(); code != 401 {
		t.Errorf("she is still signed in: %d", code)
	}
}
