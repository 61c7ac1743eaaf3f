package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"curfew/views"
	"curfew/views/apitest"
)

// asking is a program or an administrator that uses the API.
type asking struct {
	*process
	header http.Header
	spec   *apitest.Description
}

// startAPI starts a server with a token of each scope.
func startAPI(t *testing.T, args ...string) (p *process, reader, admin *asking) {
	t.Helper()
	folder := t.TempDir()
	var file strings.Builder
	fmt.Fprintln(&file, "# tokens of a test")
	askers := map[views.TokenScope]*asking{}
	for _, scope := range []views.TokenScope{views.ScopeRead, views.ScopeAdmin} {
		secret, line, err := views.NewAPIToken("robot-"+string(scope), scope)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&file, line)
		askers[scope] = &asking{header: http.Header{"Authorization": {"Bearer " + secret}}}
	}
	path := filepath.Join(folder, "tokens")
	if err := os.WriteFile(path, []byte(file.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	p = start(t, append([]string{"--testing", "--api-tokens-file", path}, args...)...)
	_, text := p.do("/api/v1/openapi.json", nil)
	spec := apitest.Read(t, []byte(text))
	for _, a := range askers {
		a.process, a.spec = p, spec
	}
	return p, askers[views.ScopeRead], askers[views.ScopeAdmin]
}

// by is an administrator's page: the cookie and its csrf token.
func (p *process) by(cookie string, spec *apitest.Description) *asking {
	p.t.Helper()
	_, status := p.status(cookie)
	return &asking{p, http.Header{"Cookie": {cookie}, "X-Csrf-Token": {status["csrf"].(string)}}, spec}
}

// call sends a request and checks the answer against the description that the server itself gives.
func (a *asking) call(method, path, body string, status int) map[string]any {
	a.t.Helper()
	r, err := http.NewRequestWithContext(a.t.Context(), method, a.url+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	r.Header = a.header.Clone()
	response, err := client.Do(r)
	if err != nil {
		a.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(data, &answer); err != nil {
		a.t.Fatalf("%s %s: %s, %v", method, path, response.Status, err)
	}
	if response.StatusCode != status {
		a.t.Fatalf("%s %s %s: %s %v, want %d", method, path, body, response.Status, answer, status)
	}
	a.spec.Check(a.t, r, []byte(body), status, response.Header, data)
	return answer
}

func dig(v any, keys ...string) map[string]any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	m, _ := v.(map[string]any)
	return m
}

func items(answer map[string]any) []any { return answer["items"].([]any) }

// session makes a session without the directory.
func (p *process) session(user string, groups ...string) (cookie, ref string) {
	p.t.Helper()
	body, err := json.Marshal(map[string]any{"user": user, "groups": groups})
	if err != nil {
		p.t.Fatal(err)
	}
	var answer struct{ Cookie, Ref string }
	if err := json.Unmarshal([]byte(p.testing("session", string(body))), &answer); err != nil || answer.Ref == "" {
		p.t.Fatalf("testing/session: %v, %v", answer, err)
	}
	return answer.Cookie, answer.Ref
}

// acking opens a tab that acknowledges whatever it is told.
func (p *process) acking(cookie string) {
	p.t.Helper()
	ws := p.socket(cookie)
	go func() {
		for {
			_, data, err := ws.Read(context.Background())
			if err != nil {
				return
			}
			var m struct{ Seq int64 }
			if json.Unmarshal(data, &m) == nil {
				ws.Write(context.Background(), websocket.MessageText,
					fmt.Appendf(nil, `{"type":"ack","seq":%d}`, m.Seq))
			}
		}
	}()
}

func TestAPIPresenceAndSessions(t *testing.T) {
	t.Parallel()
	p, reader, _ := startAPI(t)
	for i := range 5 {
		p.session(fmt.Sprint("user", i), "staff")
	}
	cookie, ref := p.session("grace", "staff", "compilers")
	p.acking(cookie)
	p.eventually("the tab is open", func() bool { return reader.call("GET", "/sessions/"+ref, "", 200)["tabs"] == 1. })

	all := reader.call("GET", "/presence", "", 200)
	if len(items(all)) != 6 || dig(all, "totals")["sessions"] != 6. || dig(all, "totals", "states")["active"] != 1. ||
		dig(all, "totals", "states")["away"] != 5. {
		t.Errorf("presence = %v", all)
	}
	for query, want := range map[string]int{"?user=grace": 1, "?group=compilers": 1, "?group=staff": 6,
		"?state=away": 5, "?state=active": 1, "?q=USER": 5, "?q=nobody": 0} {
		for _, list := range []string{"/presence", "/sessions"} {
			if got := items(reader.call("GET", list+query, "", 200)); len(got) != want {
				t.Errorf("%s%s: %d items, want %d", list, query, len(got), want)
			}
		}
	}
	for _, list := range []string{"/presence", "/sessions"} {
		seen := map[string]bool{}
		pages, cursor := 0, ""
		for {
			answer := reader.call("GET", list+"?limit=4"+cursor, "", 200)
			pages++
			for _, item := range items(answer) {
				seen[item.(map[string]any)["user"].(string)] = true
			}
			next, more := answer["next_cursor"].(string)
			if !more {
				break
			}
			cursor = "&cursor=" + next
		}
		if pages != 2 || len(seen) != 6 {
			t.Errorf("%s: %d users on %d pages, want 6 on 2", list, len(seen), pages)
		}
		for _, bad := range []string{"?limit=0", "?limit=x", "?cursor=%25", "?state=asleep", "?usr=ada"} {
			reader.call("GET", list+bad, "", 422)
		}
	}
	one := reader.call("GET", "/sessions/"+ref, "", 200)
	if one["user"] != "grace" || one["state"] != "active" || len(one["open_tabs"].([]any)) != 1 {
		t.Errorf("session = %v", one)
	}
	reader.call("GET", "/sessions/unknown", "", 404)
}

func TestAPIRefusesLogoutsAndNoticesThatCanBeMisunderstood(t *testing.T) {
	t.Parallel()
	p, _, admin := startAPI(t)
	cookie, ref := p.session("grace", "staff")
	for _, bad := range []string{
		`{}`, `{"user":"grace","everyone":true}`, `{"everyone":false}`, `{"usr":"grace"}`,
		`{"user":"grace","grace_ms":-1}`, `{"user":"grace","block_ms":-1}`,
		`{"user":"grace","message":"` + strings.Repeat("ä", 2001) + `"}`, `{"user":7}`,
		`{"everyone":true,"except_self":true}`, `{"session":"` + ref + `","block_ms":1}`,
		`{"user":"grace","grace_ms":1e300}`, `{"USER":"grace"}`, `{"uſer":"grace"}`, `{"user":"ada","user":"grace"}`,
		`{"user":"grace","user":"grace"}`,
		`{"user":"grace","dry_run":true,"Dry_Run":false}`, `{"user":"grace","\u0075ser":"grace"}`,
	} {
		admin.call("POST", "/logouts", bad, 422)
	}
	admin.call("POST", "/logouts", `{"user":`, 400)
	admin.call("POST", "/logouts", `{"user":"grace"} {}`, 400)
	for _, bad := range []string{`{"user":"grace"}`, `{"message":"x"}`, `{"user":"grace","message":" \n"}`,
		`{"user":"grace","message":"x","Message":"y"}`, `{"session":"` + ref + `","message":"x"}`} {
		admin.call("POST", "/notices", bad, 422)
	}
	if code, _ := p.status(cookie); code != 200 {
		t.Errorf("after calls that were refused: %d", code)
	}
	if lines := items(admin.call("GET", "/audit?actor=robot-admin", "", 200)); len(lines) != 0 {
		t.Errorf("audit = %v, want nothing that an administrator did", lines)
	}
}

// logsOnOneLine checks that each line of the log with word has it as it is escaped there.
func (p *process) logsOnOneLine(word, escaped string) {
	p.t.Helper()
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, word) && !strings.Contains(line, escaped) {
			p.t.Errorf("a message broke a log line: %q", line)
		}
	}
}

// wantsLines counts what the audit trail has for each query.
func (a *asking) wantsLines(counts map[string]int) {
	a.t.Helper()
	for query, want := range counts {
		if got := items(a.call("GET", "/audit"+query, "", 200)); len(got) != want {
			a.t.Errorf("audit%s: %d lines, want %d: %v", query, len(got), want, got)
		}
	}
}

// readsPagesOfTheAudit reads two pages of two lines, and asks for some that are not there.
func (a *asking) readsPagesOfTheAudit() {
	a.t.Helper()
	first := a.call("GET", "/audit?limit=2", "", 200)
	second := a.call("GET", "/audit?limit=2&cursor="+first["next_cursor"].(string), "", 200)
	if items(first)[1].(map[string]any)["number"].(float64) != items(second)[0].(map[string]any)["number"].(float64)+1 {
		a.t.Errorf("pages do not follow each other: %v, %v", first, second)
	}
	for _, bad := range []string{"?since=yesterday", "?event=fire", "?cursor=AA"} {
		a.call("GET", "/audit"+bad, "", 422)
	}
}

func TestAPILogoutsAndNotices(t *testing.T) {
	t.Parallel()
	p, reader, admin := startAPI(t)
	cookie, ref := p.session("grace", "staff")
	bystander, _ := p.session("linus")
	p.acking(cookie)
	p.eventually("the tab is open", func() bool { return reader.call("GET", "/sessions/"+ref, "", 200)["tabs"] == 1. })

	dry := admin.call("POST", "/logouts", `{"user":"grace","dry_run":true}`, 200)
	if dry["sessions"] != 1. || dry["tabs"] != 1. || dry["id"] != nil {
		t.Errorf("dry run = %v", dry)
	}
	if code, _ := p.status(cookie); code != 200 {
		t.Errorf("after a dry run: %d", code)
	}
	if n := admin.call("POST", "/notices", `{"user":"grace","message":"Hello\n<b>"}`, 200); n["tabs"] != 1. {
		t.Errorf("notice = %v", n)
	}
	done := admin.call("POST", "/logouts", `{"user":"grace","message":"`+strings.Repeat("ä", 2000)+`"}`, 200)
	if done["sessions"] != 1. || done["tabs"] != 1. {
		t.Errorf("logout = %v", done)
	}
	code, status := p.status(cookie)
	if code != 401 || status["reason"] != "admin" || !strings.HasPrefix(status["message"].(string), "ää") {
		t.Errorf("status = %d %v", code, status)
	}
	id := done["id"].(string)
	p.eventually("the tab has acknowledged", func() bool {
		return reader.call("GET", "/logouts/"+id, "", 200)["acked"] == 1.
	})
	if code, _ := p.status(bystander); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	pending := admin.call("POST", "/logouts", `{"everyone":true,"grace_ms":60000,"block_ms":1000}`, 200)
	if code, status := p.status(bystander); code != 200 || status["state"] != "warned" || status["warn_in_ms"] != 0. {
		t.Errorf("in the grace: %d %v", code, status)
	}
	if list := items(reader.call("GET", "/logouts", "", 200)); len(list) != 2 {
		t.Errorf("%d logouts, want 2", len(list))
	}
	if off := admin.call("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
		t.Errorf("called off: %v", off)
	}
	if _, status := p.status(bystander); status["state"] == "warned" {
		t.Errorf("after it was called off: %v", status)
	}
	admin.call("DELETE", "/logouts/unknown", "", 404)
	admin.call("GET", "/logouts/unknown", "", 404)
	reader.wantsLines(map[string]int{
		"?event=logout":                 3,
		"?event=notice":                 1,
		"?actor=robot-admin":            5,
		"?user=grace&event=session-end": 1,
		"?since=2100-01-01T00:00:00Z":   0,
	})
	reader.readsPagesOfTheAudit()
	p.logsOnOneLine("Hello", `Hello\n`)
}

func TestAPIIsForAdministratorsOnly(t *testing.T) {
	t.Parallel()
	p, reader, admin := startAPI(t)
	ada, _ := p.session("ada", "admins")
	grace, ref := p.session("grace", "staff")
	byAda, byGrace := p.by(ada, admin.spec), p.by(grace, admin.spec)
	stranger := &asking{p, http.Header{}, admin.spec}
	forged := &asking{p, http.Header{"Authorization": {"Bearer curfew_x"}, "Cookie": {ada}}, admin.spec}
	noToken := &asking{p, http.Header{"Cookie": {ada}}, admin.spec}
	crossSite := &asking{p, byAda.header.Clone(), admin.spec}
	crossSite.header.Set("Sec-Fetch-Site", "cross-site")
	logout := `{"session":"` + ref + `","grace_ms":60000}`
	for _, path := range []string{"/presence", "/sessions", "/sessions/" + ref, "/logouts", "/audit"} {
		stranger.call("GET", path, "", 401)
		forged.call("GET", path, "", 401)
		byGrace.call("GET", path, "", 403)
		byAda.call("GET", path, "", 200)
		reader.call("GET", path, "", 200)
	}
	for _, path := range []string{"/logouts", "/notices"} {
		stranger.call("POST", path, logout, 401)
		forged.call("POST", path, logout, 401)
		byGrace.call("POST", path, logout, 403)
		reader.call("POST", path, logout, 403)
		noToken.call("POST", path, logout, 403)
		crossSite.call("POST", path, logout, 403)
	}
	done := byAda.call("POST", "/logouts", logout, 200)
	if done["actor"] != "ada" {
		t.Errorf("logout = %v", done)
	}
	byGrace.call("DELETE", "/logouts/"+done["id"].(string), "", 403)
	authorization := reader.header.Get("Authorization")
	if response, _ := p.do("/metrics", nil, "Authorization", authorization); response.StatusCode != 200 {
		t.Errorf("metrics by a token: %s", response.Status)
	}
	if response, _ := p.do("/metrics", nil, "Cookie", grace); response.StatusCode != 403 {
		t.Errorf("metrics by a non-admin: %s", response.Status)
	}
	self := byAda.call("POST", "/logouts", `{"everyone":true,"except_self":true}`, 200)
	if code, _ := p.status(grace); code != 401 || self["sessions"] != 1. {
		t.Errorf("grace: %d, logout %v", code, self)
	}
	byAda.call("GET", "/presence", "", 200)
}

func TestForcedLogoutHoldsThoughTheProcessIsKilled(t *testing.T) {
	t.Parallel()
	p, _, admin := startAPI(t)
	cookies := map[string]string{}
	for i := range 20 {
		user := fmt.Sprint("user", i)
		cookies[user], _ = p.session(user)
	}
	spared, _ := p.session("spared")
	for user := range cookies {
		admin.call("POST", "/logouts", `{"user":"`+user+`"}`, 200)
	}
	p.kill() // right after the last answer
	p.run()
	for user, cookie := range cookies {
		if code, status := p.status(cookie); code != 401 || status["reason"] != "admin" {
			t.Errorf("%s after the restart: %d %v", user, code, status)
		}
	}
	if code, _ := p.status(spared); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	p.eventually("each end has its line", func() bool {
		return len(items(admin.call("GET", "/audit?event=session-end&limit=1000", "", 200))) == len(cookies)
	})
}

func TestBlockRefusesSignInsWithTheMessage(t *testing.T) {
	t.Parallel()
	p, _, admin := startAPI(t)
	done := admin.call("POST", "/logouts", `{"everyone":true,"message":"Back at <noon>","block_ms":600000}`, 200)
	for range 7 { // a block is no failure: it does not throttle
		if response, body := p.login("grace", "grace-demo"); response.StatusCode != 403 ||
			!strings.Contains(body, "Back at &lt;noon&gt;") {
			t.Fatalf("grace: %s %s", response.Status, body)
		}
	}
	p.signIn("ada") // an administrator is exempt
	admin.call("DELETE", "/logouts/"+done["id"].(string), "", 200)
	p.signIn("grace")
}

func TestAPILogoutsOfNobody(t *testing.T) {
	t.Parallel()
	p, reader, admin := startAPI(t)
	cookie, ref := p.session("grace", "staff")
	for _, scope := range []string{`{"user":"nobody"`, `{"group":"nobody"`} {
		if none := admin.call("POST", "/logouts", scope+`}`, 200); none["sessions"] != 0. {
			t.Errorf("%s: %v", scope, none)
		}
	}
	for _, more := range []string{``, `,"dry_run":true`, `,"grace_ms":1000`} {
		admin.call("POST", "/logouts", `{"session":"unknown"`+more+`}`, 404)
	}
	if lines := items(reader.call("GET", "/logouts", "", 200)); len(lines) != 2 {
		t.Errorf("%d logouts, want those of the user and the group", len(lines))
	}
	admin.call("POST", "/logouts", `{"session":"`+ref+`","dry_run":true}`, 200)
	if code, _ := p.status(cookie); code != 200 {
		t.Errorf("after calls that mean nobody: %d", code)
	}
	done := admin.call("POST", "/logouts", `{"session":"`+ref+`"}`, 200)
	admin.call("POST", "/logouts", `{"session":"`+ref+`"}`, 404)
	if late := admin.call("DELETE", "/logouts/"+done["id"].(string), "", 409); late["error"] != "too-late" {
		t.Errorf("calling off what has taken effect: %v", late)
	}
	pending := admin.call("POST", "/logouts", `{"user":"nobody","grace_ms":60000}`, 200)
	for range 2 { // the second call finds nothing left to do, and says how it stands
		if off := admin.call("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
			t.Errorf("called off: %v", off)
		}
	}
}

func TestAPILogoutsArePagedByTheirNumbers(t *testing.T) {
	t.Parallel()
	_, reader, admin := startAPI(t)
	var want []string
	for range 5 {
		done := admin.call("POST", "/logouts", `{"user":"nobody"}`, 200)
		want = append([]string{done["id"].(string)}, want...)
	}
	var got []string
	for path := "/logouts?limit=2"; path != ""; {
		page := reader.call("GET", path, "", 200)
		for _, item := range items(page) {
			got = append(got, item.(map[string]any)["id"].(string))
		}
		path = ""
		if cursor, more := page["next_cursor"].(string); more {
			path = "/logouts?limit=2&cursor=" + cursor
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages hold %v, want %v", got, want)
	}
	// What a page ended with may be forgotten before the next one is asked for: it goes on after
	// that all the same.
	encode := func(cursor string) string { return base64.RawURLEncoding.EncodeToString([]byte(cursor)) }
	after := "/logouts?cursor=" + encode("1")
	if page := reader.call("GET", after, "", 200); len(items(page)) != 0 || page["next_cursor"] != nil {
		t.Errorf("after the last one: %v", page)
	}
	for _, cursor := range []string{"x", encode(want[0]), encode("-1")} {
		reader.call("GET", "/logouts?cursor="+cursor, "", 422)
	}
}

func TestAPITakesNamesHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	p, reader, admin := startAPI(t)
	cookie, _ := p.session("Grace", "Staff")
	for _, path := range []string{"/presence?user=gRACE", "/presence?group=STAFF", "/sessions?user=grace",
		"/sessions?group=staff&q=GRA", "/audit?event=sign-in&user=GRACE"} {
		if got := items(reader.call("GET", path, "", 200)); len(got) != 1 ||
			got[0].(map[string]any)["user"] != "Grace" {
			t.Errorf("%s: %v, want one, shown as the directory writes it", path, got)
		}
	}
	if n := admin.call("POST", "/notices", `{"group":"sTAFF","message":"Hello"}`, 200); n["sessions"] != 1. {
		t.Errorf("notice = %v", n)
	}
	if done := admin.call("POST", "/logouts", `{"user":"\uff47RACE","block_ms":60000}`, 200); done["sessions"] != 1. {
		t.Errorf("logout = %v", done)
	}
	if code, _ := p.status(cookie); code != 401 {
		t.Errorf("she is still signed in: %d", code)
	}
}
