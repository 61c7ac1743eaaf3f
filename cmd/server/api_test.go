package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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
	if slices.Contains(args, "--upstream") {
		p.url += applicationBase
	}
	_, text := p.do("/api/v1/openapi.json", nil)
	spec := apitest.Read(t, []byte(text))
	for _, a := range askers {
		a.process, a.spec = p, spec
	}
	return p, askers[views.ScopeRead], askers[views.ScopeAdmin]
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

// The API's own tests are those of package views.

func TestAMessageStaysOnOneLineOfTheLog(t *testing.T) {
	t.Parallel()
	p, _, admin := startAPI(t)
	p.session("grace")
	admin.call("POST", "/notices", `{"user":"grace","message":"Hello\n<b>"}`, 200)
	admin.call("POST", "/logouts", `{"user":"grace","message":"Hello\n<b>"}`, 200)
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "Hello") && !strings.Contains(line, `Hello\n`) {
			t.Errorf("a message broke a log line: %q", line)
		}
	}
}

func TestMetricsAreForAdministratorsAndTokens(t *testing.T) {
	t.Parallel()
	p, reader, _ := startAPI(t)
	grace, _ := p.session("grace", "staff")
	authorization := reader.header.Get("Authorization")
	if response, _ := p.do("/metrics", nil, "Authorization", authorization); response.StatusCode != 200 {
		t.Errorf("metrics by a token: %s", response.Status)
	}
	if response, _ := p.do("/metrics", nil, "Cookie", grace); response.StatusCode != 403 {
		t.Errorf("metrics by a non-admin: %s", response.Status)
	}
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
	waits, refOfWaits := p.session("waits")
	p.testing("age", `{"ref":"`+refOfWaits+`","by_ms":3600000}`) // it has ended by time
	for user := range cookies {
		admin.call("POST", "/logouts", `{"user":"`+user+`"}`, 200)
	}
	refs := []string{refOfWaits}
	for i := range 50 {
		user := fmt.Sprint("listed", i)
		cookie, ref := p.session(user)
		cookies[user], refs = cookie, append(refs, ref)
	}
	admin.call("POST", "/logouts", `{"sessions":["`+strings.Join(refs, `","`)+`"]}`, 200)
	p.kill() // right after the last answer
	p.run()
	if code, status := p.status(waits); code != 401 || status["reason"] != "idle" || status["keep_ms"] != 0. {
		t.Errorf("a page that waited: %d %v, want idle and keep_ms 0", code, status)
	}
	for user, cookie := range cookies {
		if code, status := p.status(cookie); code != 401 || status["reason"] != "admin" {
			t.Errorf("%s after the restart: %d %v", user, code, status)
		}
	}
	if code, _ := p.status(spared); code != 200 {
		t.Errorf("the bystander: %d", code)
	}
	p.eventually("each end has its line", func() bool {
		return len(items(admin.call("GET", "/audit?event=session-end&limit=1000", "", 200))) == len(cookies)+1
	})
}
