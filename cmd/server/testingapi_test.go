package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/views/apitest"
)

func TestTestingClockMovesEverything(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	var made struct{ Cookie, Ref string }
	if err := json.Unmarshal([]byte(p.testing("session", `{"user":"zoe","groups":["staff"]}`)), &made); err != nil ||
		made.Ref == "" {
		t.Fatal(made, err)
	}
	page := p.openTab(made.Cookie)
	p.testing("clock", `{"advance_ms":300000}`)
	if m := page.Next(wire.KindActive); m["expire_in_ms"].(float64) > 300_000 {
		t.Errorf("active = %v", m)
	}
	p.testing("clock", `{"advance_ms":3600000}`)
	page.Next(wire.KindWarn)
	if m := page.Next(wire.KindExpire); m["reason"] != "idle" {
		t.Errorf("expire = %v", m)
	}
	p.testing("reset", `{}`)
	if code, answer := p.status(made.Cookie); code != 401 || answer["reason"] != nil {
		t.Errorf("after the reset: %d %v", code, answer)
	}
	for range maxAhead / maxLeap {
		p.advance(maxLeap)
	}
	for path, body := range map[string]string{"clock": `{"advance_ms":1}`, "clock?": `{"advance_ms":-1}`,
		"session": `{"user":""}`,
		"fault":   `{"kind":"fire"}`, "session?": `{"name":"x"}`} {
		response, err := client.Post(p.url+"/testing/"+path, "application/json", strings.NewReader(body))
		if err != nil || response.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %v, %v, want 422", path, body, response, err)
		}
		response.Body.Close()
	}
	for _, header := range [][]string{{"Origin", "https://evil.example"}, {"Sec-Fetch-Site", "cross-site"}} {
		if response, _ := p.do("/testing/timeline", nil, header...); response.StatusCode != 403 {
			t.Errorf("%v: %s, want 403", header, response.Status)
		}
	}
}

func TestASessionForTestingHasTheMarksOfASignIn(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing", "--verify-listen", "127.0.0.1:0")
	response, _ := p.login("ada", "ada-demo")
	cookies := map[string]string{}
	for _, c := range response.Cookies() {
		cookies[c.Name] = c.Value
	}
	_, signedIn := p.status("__Host-curfew=" + cookies["__Host-curfew"])
	who, _, _ := strings.Cut(cookies["__Host-curfew-seen"], ".")
	if who == "" || signedIn["who"] != who || signedIn["rights"] == "" {
		t.Fatalf("a sign-in sets %v; its status is %v", cookies, signedIn)
	}
	for user, same := range map[string]bool{"ada": true, "ADA": true, "grace": false, "zoe": false} {
		var made struct{ Cookie, Seen, Ref string }
		text := p.testing("session", `{"user":"`+user+`","groups":["admins","staff"]}`)
		if err := json.Unmarshal([]byte(text), &made); err != nil {
			t.Fatal(err)
		}
		_, status := p.status(made.Cookie)
		name, seen, _ := strings.Cut(made.Seen, "=")
		seenWho, number, _ := strings.Cut(seen, ".")
		if (status["who"] == who) != same || seenWho != status["who"] || name != "__Host-curfew-seen" || number == "" ||
			status["rights"] != signedIn["rights"] {
			t.Errorf("%s: %s with status %v; the sign-in's %v", user, text, status, signedIn)
		}
	}
	// Another process on the same store knows who was last.
	p.kill()
	p.run()
	for user, ends := range map[string]bool{"ada": false, "grace": true} {
		response, _ := p.login(user, user+"-demo", "Cookie", "app=x; __Host-curfew-last="+cookies["__Host-curfew-last"])
		if ended := strings.Contains(strings.Join(response.Header["Set-Cookie"], "\n"), "app=; "); ended != ends {
			t.Errorf("%s after ada: the application's cookie ended %v, want %v", user, ended, ends)
		}
	}
}

func TestTestingAgesOneSessionAlone(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	session := func() (made struct{ Cookie, Ref string }) {
		if err := json.Unmarshal([]byte(p.testing("session", `{"user":"zoe"}`)), &made); err != nil {
			t.Fatal(err)
		}
		return made
	}
	older, other := session(), session()
	page := p.openTab(older.Cookie)
	age := func(by string) { p.testing("age", `{"ref":"`+older.Ref+`","by_ms":`+by+`}`) }
	age("300000")
	if m := page.Next(wire.KindActive); m["expire_in_ms"].(float64) > 300_000 {
		t.Errorf("5 minutes older: active = %v", m)
	}
	_, key := p.do("/session/draft-key", nil, "Cookie", older.Cookie)
	p.kill()
	p.run()
	if _, again := p.do("/session/draft-key", nil, "Cookie", older.Cookie); again != key || key == "" {
		t.Errorf("after a crash: the key of drafts is %q, want %q", again, key)
	}
	if code, answer := p.status(older.Cookie); code != 200 || answer["expire_in_ms"].(float64) > 300_000 {
		t.Errorf("after a crash: %d %v, want it 5 minutes older", code, answer)
	}
	page = p.openTab(older.Cookie)
	age("3600000")
	page.Next(wire.KindWarn)
	if m := page.Next(wire.KindExpire); m["reason"] != "idle" {
		t.Errorf("an hour older: expire = %v", m)
	}
	age("7200000")
	code, answer := p.status(older.Cookie)
	// It has ended after 5 of the 60 minutes, and 2 hours have passed since.
	if keep, _ := answer["keep_ms"].(float64); code != 401 || keep > 65*60e3 || keep < 64*60e3 {
		t.Errorf("2 hours after its end: %d %v, want 65 minutes of keep_ms left", code, answer)
	}
	age("86400000")
	if code, answer := p.status(older.Cookie); code != 401 || answer["reason"] != nil {
		t.Errorf("a day later: %d %v, want it unknown", code, answer)
	}
	if code, answer := p.status(other.Cookie); code != 200 || answer["expire_in_ms"].(float64) < 590_000 {
		t.Errorf("another session: %d %v, want it untouched", code, answer)
	}
	wantAgeAnswers(p, older.Ref, other.Ref)
}

// wantAgeAnswers takes /testing/age through what it refuses, and what it does not.
func wantAgeAnswers(p *process, forgotten, known string) {
	p.t.Helper()
	for body, want := range map[string]int{
		`{"ref":"` + forgotten + `","by_ms":1}`:          404,
		`{"ref":"nobody","by_ms":1}`:                     404,
		`{"ref":"` + known + `","by_ms":0}`:              200,
		`{"ref":"","by_ms":1}`:                           422,
		`{"by_ms":1}`:                                    422,
		`{"ref":"` + known + `"}`:                        422,
		`{"ref":"` + known + `","by_ms":-1}`:             422,
		`{"ref":"` + known + `","by_ms":"1"}`:            422,
		`{"ref":"` + known + `","by_ms":1,"more":1}`:     422,
		`{"ref":"` + known + `","by_ms":31536000000000}`: 422,
		`null`: 422,
		``:     422,
	} {
		response, err := client.Post(p.url+"/testing/age", "application/json", strings.NewReader(body))
		if err != nil {
			p.t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			p.t.Errorf("age %s: %s, want %d", body, response.Status, want)
		}
	}
}

func TestCallsForTestingAreRefusedFromOtherSites(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	for _, tt := range []struct {
		name   string
		header []string
		code   int
	}{
		{"a program", nil, 200},
		{"a page of ours", []string{"Origin", p.url, "Sec-Fetch-Site", "same-origin"}, 200},
		{"another site", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister site", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", []string{"Origin", "https://evil.example"}, 403},
		{"another port", []string{"Origin", "http://localhost:1"}, 403},
		{"no origin to speak of", []string{"Origin", "null"}, 403},
	} {
		if response, body := p.do("/testing/timeline", nil, tt.header...); response.StatusCode != tt.code {
			t.Errorf("timeline for %s: %s %.100s, want %d", tt.name, response.Status, body, tt.code)
		}
		if response, body := p.do("/testing/reset", url.Values{}, tt.header...); response.StatusCode != tt.code {
			t.Errorf("reset by %s: %s %.100s, want %d", tt.name, response.Status, body, tt.code)
		}
	}
	for path, body := range map[string]string{
		"clock": `{"advance_ms":1,"ADVANCE_MS":2}`, "session": `{"user":"ada","User":"grace"}`,
		"fault": `{"kind":"none","kind":"drop"}`,
	} {
		response, err := client.Post(p.url+"/testing/"+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s %s: %s", path, body, response.Status)
		}
	}
}

func TestASessionForTestingHasThePlaceOfASignIn(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing", "--max-sessions", "1", "--required-groups", "staff")
	if response, _ := p.login("eve", "eve-demo"); response.StatusCode == http.StatusSeeOther {
		t.Error("--required-groups refuses nobody")
	}
	first, _ := p.session("eve", "visitors")
	second, _ := p.session("eve", "visitors")
	if code, answer := p.status(first); code != 401 || answer["reason"] != "replaced" {
		t.Errorf("the first of two sessions, where one is allowed: %d %v", code, answer)
	}
	if code, answer := p.status(second); code != 200 || answer["user"] != "eve" {
		t.Errorf("the second: %d %v", code, answer)
	}
}

func TestAResetTakesBackAllThatTestsDid(t *testing.T) {
	t.Parallel()
	p, reader, admin := startAPI(t)
	ended, _ := p.session("zoe")
	admin.call("POST", "/logouts", `{"everyone":true,"block_ms":3600000}`, 200)
	for range 6 {
		p.login("ada", "wrong")
	}
	if response, _ := p.login("ada", "ada-demo"); response.StatusCode != http.StatusTooManyRequests {
		t.Fatalf("a sign-in after six that failed: %s", response.Status)
	}
	p.testing("fault", `{"kind":"refuse"}`)
	p.testing("store", `{"method":"Touch","before":1}`)
	p.testing("skew", `{"by_ms":1000}`)
	p.advance(30 * time.Second) // the throttle lasts for a minute
	blocked, err := client.Post(p.url+"/testing/session", "application/json", strings.NewReader(`{"user":"zoe"}`))
	if err != nil || blocked.StatusCode != http.StatusUnprocessableEntity {
		t.Fatalf("a session in spite of the block: %v %v", blocked, err)
	}
	blocked.Body.Close()

	p.testing("reset", "")
	if code, answer := p.status(ended); code != 401 || answer["reason"] != nil {
		t.Errorf("a tombstone is left: %d %v", code, answer)
	}
	for _, list := range []string{"/audit", "/logouts", "/sessions"} {
		if left := items(reader.call("GET", list, "", 200)); len(left) != 0 {
			t.Errorf("%s has %v", list, left)
		}
	}
	if timeline := p.timeline(); timeline != `{"items":[]}`+"\n" {
		t.Errorf("the timeline has %s", timeline)
	}
	var clock struct{ Now time.Time }
	if err := json.Unmarshal([]byte(p.testing("clock", `{"advance_ms":0}`)), &clock); err != nil ||
		time.Until(clock.Now).Abs() > 30*time.Second {
		t.Errorf("the clock shows %s, %v, want the time of now", clock.Now, err)
	}
	p.openTab(p.signIn("ada"))
	p.session("zoe")
}

func TestCallsOfTheStoreFailByTheirFormerNamesToo(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	for _, method := range []string{"LastFact", "LastRevocation"} { // read before a sign-in asks the directory
		p.testing("store", `{"method":"`+method+`","before":1}`) // each call: housekeeping calls it, too
		form := url.Values{"username": {"ada"}, "password": {"ada-demo"}}
		if response, _ := p.do("/login", form); response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("a sign-in while %s fails: %s, want 503", method, response.Status)
		}
		p.testing("store", `{}`)
		if response, _ := p.do("/login", form); response.StatusCode != http.StatusSeeOther {
			t.Errorf("a sign-in after %s is healed: %s, want 303", method, response.Status)
		}
	}
}

func TestTestingIsOffByDefault(t *testing.T) {
	t.Parallel()
	p := start(t)
	if response, _ := p.do("/testing/timeline", nil); response.StatusCode != 404 {
		t.Errorf("%s, want 404", response.Status)
	}
	if _, description := p.do("/api/v1/openapi.json", nil); strings.Contains(description, "/testing/") {
		t.Error("the description has calls that this server lacks")
	}
}

// describedCalls are the calls for testing of a server, each answer held against the server's own
// description.
type describedCalls struct {
	*process
	spec *apitest.Description
}

func (d *describedCalls) wants(status int, path, body string, header ...string) (answer map[string]any) {
	d.t.Helper()
	method := http.MethodPost
	if path == "timeline" {
		method = http.MethodGet
	}
	r, err := http.NewRequestWithContext(d.t.Context(), method, d.url+"/testing/"+path, strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status || json.Unmarshal(data, &answer) != nil {
		d.t.Fatalf("%s %s: %s %.300s %v, want %d", path, body, response.Status, data, err, status)
	}
	d.spec.Check(d.t, r, []byte(body), status, response.Header, data)
	return answer
}

// TestEveryDescribedCallForTestingIsAnsweredSo provokes each answer that is described.
func TestEveryDescribedCallForTestingIsAnsweredSo(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing", "--base-path", "/guard")
	origin := p.url
	p.url += "/guard"
	_, text := p.do("/api/v1/openapi.json", nil)
	d := &describedCalls{p, apitest.Read(t, []byte(text))}
	made := d.wants(200, "session", `{"user":"zoe"}`)
	at := p.page(made["cookie"].(string))
	at.Header.Set("Origin", origin)
	page := hubtest.Open(t, at)
	calls := map[string]string{
		"clock":    `{"advance_ms":1}`,
		"session":  `{"user":"zoe","groups":["staff"]}`,
		"age":      `{"ref":"` + made["ref"].(string) + `","by_ms":1}`,
		"fault":    `{"kind":"none"}`,
		"timeline": "",
		"reset":    "",
	}
	for path, body := range calls {
		d.wants(403, path, body, "Origin", "https://evil.example")
		if path != "reset" {
			d.wants(200, path, body)
		}
		if path != "reset" && path != "timeline" {
			d.wants(422, path, `{}`)
		}
	}
	d.wants(404, "age", `{"ref":"nobody","by_ms":1}`)
	p.testing("store", `{"method":"*","before":1}`)
	page.Send(`{"type":"activity","idle_ms":0}`) // is to be stored before time goes on
	p.eventually("the act has arrived", func() bool { return strings.Contains(p.timeline(), `"what":"activity"`) })
	for _, path := range []string{"clock", "session", "age"} {
		d.wants(503, path, calls[path])
	}
	d.wants(200, "reset", `{}`) // which heals the store
	for _, answer := range d.spec.Unseen() {
		// Nothing but that takes a store out of the reach of a reset.
		if strings.Contains(answer, " /testing/") && answer != "POST /testing/reset 503" {
			t.Errorf("described, and not seen: %s", answer)
		}
	}
}
