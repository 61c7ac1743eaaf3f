package views

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/hub"
	"curfew/session"
	"curfew/session/gorilla"
)

func TestAPIRefusesLogoutsAndNoticesThatCanBeMisunderstood(t *testing.T) {
	s, _, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	for _, bad := range []string{
		`{}`, `{"user":"grace","everyone":true}`, `{"everyone":false}`, `{"usr":"grace"}`,
		`{"user":"grace","grace_ms":-1}`, `{"user":"grace","block_ms":-1}`,
		`{"user":"grace","message":"` + strings.Repeat("ä", 2001) + `"}`, `{"user":7}`,
		`{"everyone":true,"except_self":true}`, `{"session":"` + ref + `","block_ms":1}`,
		`{"user":"grace","grace_ms":1e300}`, `{"USER":"grace"}`, `{"uſer":"grace"}`, `{"user":"ada","user":"grace"}`,
		`{"user":"grace","user":"grace"}`,
		`{"user":"grace","dry_run":true,"Dry_Run":false}`, `{"user":"grace","\u0075ser":"grace"}`,
	} {
		admin.api("POST", "/logouts", bad, 422)
	}
	admin.api("POST", "/logouts", `{"user":`, 400)
	admin.api("POST", "/logouts", `{"user":"grace"} {}`, 400)
	for _, bad := range []string{`{"user":"grace"}`, `{"message":"x"}`, `{"user":"grace","message":" \n"}`,
		`{"user":"grace","message":"x","Message":"y"}`, `{"session":"` + ref + `","message":"x"}`} {
		admin.api("POST", "/notices", bad, 422)
	}
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after calls that were refused: %d", code)
	}
	if lines := items(admin.api("GET", "/audit?actor=robot-admin", "", 200)); len(lines) != 0 {
		t.Errorf("audit = %v, want nothing that an administrator did", lines)
	}
}

func TestAPILogoutsAndNotices(t *testing.T) {
	s, reader, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	bystander := s.session("linus")
	grace.openTab()
	s.eventually("the tab is open", func() bool { return reader.api("GET", "/sessions/"+ref, "", 200)["tabs"] == 1. })

	dry := admin.api("POST", "/logouts", `{"user":"grace","dry_run":true}`, 200)
	if dry["sessions"] != 1. || dry["tabs"] != 1. || dry["id"] != nil {
		t.Errorf("dry run = %v", dry)
	}
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after a dry run: %d", code)
	}
	if n := admin.api("POST", "/notices", `{"user":"grace","message":"Hello\n<b>"}`, 200); n["tabs"] != 1. {
		t.Errorf("notice = %v", n)
	}
	done := admin.api("POST", "/logouts", `{"user":"grace","message":"`+strings.Repeat("ä", 2000)+`"}`, 200)
	if done["sessions"] != 1. || done["tabs"] != 1. {
		t.Errorf("logout = %v", done)
	}
	code, status := grace.status()
	if code != 401 || status["reason"] != "admin" || !strings.HasPrefix(status["message"].(string), "ää") {
		t.Errorf("status = %d %v", code, status)
	}
	id := done["id"].(string)
	s.eventually("the tab has acknowledged", func() bool {
		return reader.api("GET", "/logouts/"+id, "", 200)["acked"] == 1.
	})
	if code, _ := bystander.status(); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	pending := admin.api("POST", "/logouts", `{"everyone":true,"grace_ms":60000,"block_ms":1000}`, 200)
	if code, status := bystander.status(); code != 200 || status["state"] != "warned" || status["warn_in_ms"] != 0. {
		t.Errorf("in the grace: %d %v", code, status)
	}
	if list := items(reader.api("GET", "/logouts", "", 200)); len(list) != 2 {
		t.Errorf("%d logouts, want 2", len(list))
	}
	if off := admin.api("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
		t.Errorf("called off: %v", off)
	}
	if _, status := bystander.status(); status["state"] == "warned" {
		t.Errorf("after it was called off: %v", status)
	}
	admin.api("DELETE", "/logouts/unknown", "", 404)
	admin.api("GET", "/logouts/unknown", "", 404)
	reader.wantsLines(map[string]int{
		"?event=logout":                 3,
		"?event=notice":                 1,
		"?actor=robot-admin":            5,
		"?user=grace&event=session-end": 1,
		"?since=2100-01-01T00:00:00Z":   0,
	})
	reader.readsPagesOfTheAudit()
}

func TestAPILogoutsOfNobody(t *testing.T) {
	s, reader, admin := startAPI(t)
	grace := s.session("grace", "staff")
	ref := grace.ref()
	for _, scope := range []string{`{"user":"nobody"`, `{"group":"nobody"`} {
		if none := admin.api("POST", "/logouts", scope+`}`, 200); none["sessions"] != 0. {
			t.Errorf("%s: %v", scope, none)
		}
	}
	for _, more := range []string{``, `,"dry_run":true`, `,"grace_ms":1000`} {
		admin.api("POST", "/logouts", `{"session":"unknown"`+more+`}`, 404)
	}
	if lines := items(reader.api("GET", "/logouts", "", 200)); len(lines) != 2 {
		t.Errorf("%d logouts, want those of the user and the group", len(lines))
	}
	admin.api("POST", "/logouts", `{"session":"`+ref+`","dry_run":true}`, 200)
	if code, _ := grace.status(); code != 200 {
		t.Errorf("after calls that mean nobody: %d", code)
	}
	done := admin.api("POST", "/logouts", `{"session":"`+ref+`"}`, 200)
	admin.api("POST", "/logouts", `{"session":"`+ref+`"}`, 404)
	if late := admin.api("DELETE", "/logouts/"+done["id"].(string), "", 409); late["error"] != "too-late" {
		t.Errorf("calling off what has taken effect: %v", late)
	}
	pending := admin.api("POST", "/logouts", `{"user":"nobody","grace_ms":60000}`, 200)
	for range 2 { // the second call finds nothing left to do, and says how it stands
		if off := admin.api("DELETE", "/logouts/"+pending["id"].(string), "", 200); off["state"] != "cancelled" {
			t.Errorf("called off: %v", off)
		}
	}
}

func TestAPILogoutsArePagedByTheirNumbers(t *testing.T) {
	_, reader, admin := startAPI(t)
	var want []string
	for range 5 {
		done := admin.api("POST", "/logouts", `{"user":"nobody"}`, 200)
		want = append([]string{done["id"].(string)}, want...)
	}
	var got []string
	for path := "/logouts?limit=2"; path != ""; {
		page := reader.api("GET", path, "", 200)
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
	if page := reader.api("GET", after, "", 200); len(items(page)) != 0 || page["next_cursor"] != nil {
		t.Errorf("after the last one: %v", page)
	}
	for _, cursor := range []string{"x", encode(want[0]), encode("-1")} {
		reader.api("GET", "/logouts?cursor="+cursor, "", 422)
	}
}

// endsByTime ends a browser's session as if its time had come.
func (b *browser) endsByTime() {
	b.t.Helper()
	token, err := session.ParseToken(strings.TrimPrefix(b.cookie, gorilla.CookieName+"="))
	if err != nil {
		b.t.Fatal(err)
	}
	end := session.End{Reason: session.ReasonIdle, At: session.Millis(time.Now())}
	if first, err := b.hub.End(b.t.Context(), token.ID(), end); err != nil || !first {
		b.t.Fatalf("End = %v, %v", first, err)
	}
}

// wantsNumbers compares numbers of an answer.
func wantsNumbers(t *testing.T, what string, got map[string]any, want map[string]float64) {
	t.Helper()
	for name, n := range want {
		if got[name] != n {
			t.Errorf("%s: %s is %v, want %v", what, name, got[name], n)
		}
	}
}

func TestAPILogoutsOfManySessions(t *testing.T) {
	s, reader, admin := startAPI(t)
	one, two, waits, bystander := s.session("one"), s.session("two"), s.session("waits"), s.session("bystander")
	out, ada := s.session("out"), s.signIn("ada")
	one.openTab()
	s.eventually("the tab is open", func() bool {
		return reader.api("GET", "/sessions/"+one.ref(), "", 200)["tabs"] == 1.
	})
	admin.api("POST", "/logouts", `{"session":"`+out.ref()+`"}`, 200)
	waits.endsByTime()
	unknown := session.NewToken().ID().Ref()
	list := func(refs ...string) string { return `{"sessions":["` + strings.Join(refs, `","`) + `"]` }
	refs := list(two.ref(), one.ref(), two.ref(), waits.ref(), waits.ref(), out.ref(), unknown, unknown, "unknown", "")
	want := map[string]float64{
		"sessions": 2,
		"tabs":     1,
		"waiting":  1,
		"skipped":  4,
	}
	dry := admin.api("POST", "/logouts", refs+`,"dry_run":true}`, 200)
	wantsNumbers(t, "a dry run", dry, want)
	for _, b := range []*browser{one, two, bystander} {
		if code, _ := b.status(); code != 200 {
			t.Errorf("after a dry run: %d", code)
		}
	}
	if _, status := waits.status(); status["keep_ms"] == 0. {
		t.Errorf("after a dry run: %v", status)
	}
	done := admin.api("POST", "/logouts", refs+`,"message":"Bye"}`, 200)
	wantsNumbers(t, "the logout", done, want)
	if done["effective_at"] == nil || done["state"] != "effective" {
		t.Errorf("the logout: %v", done)
	}
	for _, b := range []*browser{one, two} {
		if code, status := b.status(); code != 401 || status["reason"] != "admin" || status["message"] != "Bye" {
			t.Errorf("after the logout: %d %v", code, status)
		}
	}
	if code, status := waits.status(); code != 401 || status["reason"] != "idle" || status["keep_ms"] != 0. {
		t.Errorf("a page that waited is told %d %v, want idle and keep_ms 0", code, status)
	}
	if code, _ := bystander.status(); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	progress := reader.api("GET", "/logouts/"+done["id"].(string), "", 200)
	wantsNumbers(t, "its progress", progress, want)
	if scope := progress["scope"].(map[string]any); len(scope["sessions"].([]any)) != 5 {
		t.Errorf("scope = %v, want the 5 refs that can be any", scope)
	}
	own := ada.api("POST", "/logouts", list(ada.ref(), unknown)+`,"except_self":true}`, 200)
	wantsNumbers(t, "but for one's own", own, map[string]float64{"sessions": 0, "skipped": 1})
	lines := items(reader.api("GET", "/audit?event=logout&actor=robot-admin", "", 200))
	if detail := lines[0].(map[string]any)["detail"].(string); !strings.HasPrefix(detail, "5 sessions: ") ||
		!strings.Contains(detail, "(sessions: 2, tabs: 1, waiting: 1, skipped: 4): Bye") {
		t.Errorf("audit line: %q", detail)
	}
}

func TestAPILogoutsNameUpToTenThousandSessions(t *testing.T) {
	s, reader, admin := startAPI(t)
	ada := s.session("ada")
	body := func(n int) string {
		refs := make([]string, n)
		for i := range refs {
			refs[i] = session.ID{byte(i), byte(i >> 8), 1}.Ref()
		}
		refs[n-1] = ada.ref()
		text, err := json.MarshalIndent(map[string]any{"sessions": refs}, "", "        ")
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	admin.api("POST", "/logouts", body(10_001), 422)
	for _, bad := range []string{`[]`, `[7]`, `"` + ada.ref() + `"`, `{}`} {
		admin.api("POST", "/logouts", `{"sessions":`+bad+`}`, 422)
	}
	ref := `"` + ada.ref() + `"`
	for _, bad := range []string{`"user":"ada"`, `"session":` + ref, `"everyone":true`, `"group":"x"`, `"block_ms":1`} {
		admin.api("POST", "/logouts", `{"sessions":[`+ref+`],`+bad+`}`, 422)
	}
	if code, _ := ada.status(); code != 200 {
		t.Errorf("after calls that were refused: %d", code)
	}
	done := admin.api("POST", "/logouts", body(10_000), 200)
	wantsNumbers(t, "ten thousand", done, map[string]float64{"sessions": 1, "waiting": 0, "skipped": 9_999})
	if listed := done["scope"].(map[string]any)["sessions"].([]any); len(listed) != shownSessions {
		t.Errorf("the answer lists %d sessions, want %d", len(listed), shownSessions)
	}
	if code, _ := ada.status(); code != 401 {
		t.Errorf("after the logout: %d", code)
	}
	nobody := admin.api("POST", "/logouts", `{"sessions":["unknown"]}`, 200)
	wantsNumbers(t, "nobody", nobody, map[string]float64{"sessions": 0, "tabs": 0, "waiting": 0, "skipped": 1})
	reader.api("GET", "/logouts/"+nobody["id"].(string), "", 200)
	if n := len(items(reader.api("GET", "/logouts", "", 200))); n != 2 {
		t.Errorf("%d logouts, want 2", n)
	}
}

func TestAPILogoutsTakeWaitingPagesAway(t *testing.T) {
	s, _, admin := startAPI(t)
	for _, scope := range []string{"user", "group", "session", "everyone"} {
		waits := s.session("waits "+scope, "waiting "+scope)
		_, live := waits.status()
		waits.endsByTime()
		body := map[string]string{
			"user":     `{"user":"Waits user"`,
			"group":    `{"group":"waiting group"`,
			"session":  `{"session":"` + waits.ref() + `"`,
			"everyone": `{"everyone":true`,
		}[scope]
		want := map[string]float64{"sessions": 0, "tabs": 0, "waiting": 1, "skipped": 0}
		wantsNumbers(t, scope+", a dry run", admin.api("POST", "/logouts", body+`,"dry_run":true}`, 200), want)
		pending := admin.api("POST", "/logouts", body+`,"grace_ms":60000}`, 200)
		wantsNumbers(t, scope+", with a grace", pending, want)
		if _, status := waits.status(); status["keep_ms"].(float64) <= 0 {
			t.Errorf("%s, in the grace: %v", scope, status)
		}
		admin.api("DELETE", "/logouts/"+pending["id"].(string), "", 200)
		if _, status := waits.status(); status["keep_ms"].(float64) <= 0 {
			t.Errorf("%s, called off: %v", scope, status)
		}
		wantsNumbers(t, scope+", at once", admin.api("POST", "/logouts", body+`}`, 200), want)
		if code, status := waits.status(); code != 401 || status["keep_ms"] != 0. || status["reason"] != "idle" {
			t.Errorf("%s: %d %v, want keep_ms 0", scope, code, status)
		}
		// the browser has another session by now, and the page asks about its own
		next := s.signIn("grace")
		ask := next.get("/session/status?handle="+live["handle"].(string), "Sec-Fetch-Mode", "cors",
			"Accept", "application/json")
		if own, _ := ask.json("ended").(map[string]any); own["revoked"] != true || own["reason"] != "idle" {
			t.Errorf("%s: beside another session the page is told %s, want that it was revoked", scope, ask)
		}
		admin.api("POST", "/logouts", `{"session":"`+next.ref()+`"}`, 200)
		status := 200
		if scope == "session" {
			status = 404
		}
		admin.api("POST", "/logouts", body+`,"dry_run":true}`, status)
	}
}

func TestAPILogoutsLeaveOutWhatWasNotCounted(t *testing.T) {
	for n, want := range map[int]string{0: `"waiting":0,`, 7: `"waiting":7,`, session.NotCounted: ""} {
		text, err := json.Marshal(logoutOf(hub.ForcedLogout{Revocation: session.Revocation{Waiting: n}}))
		told := string(text)
		if err != nil || strings.Contains(told, "waiting") != (want != "") || !strings.Contains(told, want) {
			t.Errorf("%d wait: %s, %v, want %q", n, text, err, want)
		}
	}
}
