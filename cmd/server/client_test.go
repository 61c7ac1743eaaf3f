package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/gorilla"
)

// curfew runs a sub-command as a shell would.
func curfew(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = dispatch(t.Context(), args, []string{"HOME=" + t.TempDir()}, &out, &errs)
	return status, out.String(), errs.String()
}

// administered is a running server, with the token of an administrator that the commands use.
type administered struct {
	*process
	secret string // file of the token
	tokens string // file of its line for the server
}

func startAdministered(t *testing.T) *administered {
	t.Helper()
	token := newToken(t, "admin")
	return &administered{start(t, "--testing", "--api-tokens-file", token.line), token.secret, token.line}
}

// tokenFiles are the files of a bearer token: of itself, and of its line for the server.
type tokenFiles struct{ secret, line string }

func newToken(t *testing.T, scope string) tokenFiles {
	t.Helper()
	status, out, _ := curfew(t, "token", "robot-"+scope, scope)
	lines := strings.Split(out, "\n")
	if status != 0 || len(lines) < 5 {
		t.Fatalf("token: %d %q", status, out)
	}
	return tokenFiles{writeFile(t, lines[1]+"\n"), writeFile(t, lines[4]+"\n")}
}

// at adds to a command where the server is, and the token.
func (a *administered) at(args ...string) []string {
	return append(args, "--server", a.url, "--token-file", a.secret)
}

// does runs a command that succeeds without a note, and returns what it prints.
func (a *administered) does(args ...string) string {
	a.t.Helper()
	status, out, errs := curfew(a.t, a.at(args...)...)
	if status != 0 || errs != "" {
		a.t.Fatalf("%v: %d %s", args, status, errs)
	}
	return out
}

// decodes is does for output in JSON.
func (a *administered) decodes(args ...string) (answer map[string]any) {
	a.t.Helper()
	out := a.does(append(args, "--output", "json")...)
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		a.t.Fatalf("%v: %q: %v", args, out, err)
	}
	return answer
}

func TestCommandsAdministerARunningServer(t *testing.T) {
	t.Parallel()
	p := startAdministered(t)
	cookie, _ := p.session("grace", "staff")
	hostile, _ := p.session("linus", "kiosk")
	out := p.does("who")
	if !strings.Contains(out, "USER") || !strings.Contains(out, "grace") || strings.Count(out, "\n") != 3 {
		t.Errorf("who = %q", out)
	}
	out = p.does("who", "--sessions", "--group", "staff")
	if !strings.Contains(out, "grace") || strings.Contains(out, "linus") {
		t.Errorf("who --sessions = %q", out)
	}
	out = p.does("notify", "--everyone", "--message", "Hello\nthere \x1b[31m")
	if !strings.Contains(out, "sessions  2") {
		t.Errorf("notify = %q", out)
	}
	if out := p.does("logout", "--everyone", "--dry-run"); !strings.Contains(out, "sessions      2") {
		t.Errorf("dry run = %q", out)
	}
	if done := p.decodes("logout", "--user", "grace", "--message", "Bye"); done["sessions"] != 1. {
		t.Errorf("logout = %v", done)
	}
	if code, _ := p.status(cookie); code != 401 {
		t.Errorf("grace: %d, want 401", code)
	}
	pending := p.decodes("logout", "--group", "kiosk", "--grace", "1h")["id"].(string)
	if out := p.does("logout", "--status", pending); !strings.Contains(out, "pending") {
		t.Errorf("status = %q", out)
	}
	if out := p.does("logout", "--cancel", pending); !strings.Contains(out, "cancelled") {
		t.Errorf("cancel = %q", out)
	}
	if code, _ := p.status(hostile); code != 200 {
		t.Errorf("linus: %d, want 200", code)
	}
	out = p.does("audit", "--event", "notice")
	if strings.Count(out, "\n") != 2 || strings.Contains(out, "\x1b") || !strings.Contains(out, "Hello there") {
		t.Errorf("audit = %q, want the header and one line", out)
	}
	at, _, _ := strings.Cut(out, "REQUEST ID")
	lines := strings.Split(out, "\n")
	id, _, _ := strings.Cut(lines[1][min(len(at), len(lines[1])):], " ")
	if same := p.does("audit", "--request", id); id == "" || strings.Count(same, "\n") != 2 ||
		!strings.Contains(same, "Hello there") {
		t.Errorf("audit of the request %q = %q, want the notice alone", id, same)
	}
	before := p.signIn("ada")
	p.signIn("ada", "Cookie", before)
	out = p.does("audit", "--event", "sign-in", "--user", "ada", "--limit", "1")
	if head, line, _ := strings.Cut(out, "\n"); !strings.HasSuffix(strings.TrimSpace(head), "CONTINUES") ||
		!strings.HasSuffix(strings.TrimSpace(line), refOf(t, before)) {
		t.Errorf("audit = %q, want that the sign-in continues the session before", out)
	}
	if list := p.decodes("audit", "--limit", "2"); len(items(list)) != 2 {
		t.Errorf("audit = %v", list)
	}
}

func TestCommandsTakeWaitingPagesAway(t *testing.T) {
	t.Parallel()
	p := startAdministered(t)
	cookie, ref := p.session("grace", "staff")
	p.session("linus", "staff")
	p.advance(time.Hour) // both end by time
	if _, status := p.status(cookie); status["keep_ms"].(float64) <= 0 {
		t.Fatalf("status = %v, want a page that waits", status)
	}
	status, out, errs := curfew(t, p.at("logout", "--user", "grace", "--dry-run")...)
	if status != 0 || errs != "" || !strings.Contains(out, "waiting       1") ||
		!strings.Contains(out, "sessions      0") {
		t.Errorf("dry run: %d, %q, %q, want one that waits, and no word that nobody has the name", status, out, errs)
	}
	if done := p.decodes("logout", "--session", ref); done["waiting"] != 1. || done["sessions"] != 0. {
		t.Errorf("logout = %v", done)
	}
	if _, status := p.status(cookie); status["keep_ms"] != 0. || status["reason"] != "idle" {
		t.Errorf("status = %v, want that no page waits any more", status)
	}
	if status, _, errs := curfew(t, p.at("logout", "--session", ref)...); status != 1 || errs == "" {
		t.Errorf("once more: %d, %q, want a refusal", status, errs)
	}
	line := "session " + ref + " (sessions: 0, tabs: 0, waiting: 1)"
	if out := p.does("audit", "--event", "logout"); !strings.Contains(out, line) {
		t.Errorf("audit = %q, want %q", out, line)
	}
}

func TestCommandsSayThatNobodyHasAName(t *testing.T) {
	t.Parallel()
	p := startAdministered(t)
	p.session("linus", "kiosk")
	for _, args := range [][]string{
		{"who", "--user", "graec"},
		{"who", "--sessions", "--group", "graec", "--state", "idle"},
		{"logout", "--user", "graec"},
		{"logout", "--group", "graec", "--dry-run"},
	} {
		status, out, errs := curfew(t, p.at(args...)...)
		if status != 0 || out == "" || strings.Count(errs, "\n") != 1 ||
			!strings.Contains(errs, "nobody of that name is signed in") || !strings.Contains(errs, "graec") {
			t.Errorf("%v: status %d, %q, %q; want the answer, and one line that nobody has that name",
				args, status, out, errs)
		}
	}
	if out := p.does("who", "--user", "LINUS"); !strings.Contains(out, "linus") {
		t.Errorf("who by a name in capitals = %q", out)
	}
	p.does("who", "--user", "linus", "--state", "idle") // nobody is, but the name is right
	if out := p.does("logout", "--user", " Linus", "--dry-run"); !strings.Contains(out, "sessions      1") {
		t.Errorf("dry run by a name in capitals = %q", out)
	}
}

func TestCommandsRefuseInOneLine(t *testing.T) {
	t.Parallel()
	p := startAdministered(t)
	to := func(server, token string) []string { return []string{"who", "--server", server, "--token-file", token} }
	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"nobody is there to be told", p.at("notify", "--user", "graec", "--message", "Hello"), 1,
			"Nobody of that name is signed in"},
		{"a session that does not live", p.at("logout", "--session", "unknown"), 1, "No session of that ref"},
		{"nobody is meant", p.at("logout"), 2, "exactly one of"},
		{"two are meant", p.at("logout", "--user", "ada", "--everyone"), 2, "exactly one of"},
		{"an unknown flag", p.at("who", "--usr", "ada"), 2, "usr"},
		{"a bad format", p.at("who", "--output", "xml"), 2, "table or json"},
		{"no token", []string{"who", "--server", p.url}, 2, "token"},
		{"plain text to another machine", to("http://curfew.example", p.secret), 2, "https"},
		{"the server refuses", p.at("logout", "--user", "ada", "--grace", "-1s"), 1, "grace_ms"},
		{"a state that is none", p.at("who", "--state", "asleep"), 1, "asleep"},
		{"a wrong token", to(p.url, p.tokens), 1, "no such bearer token"},
		{"nobody answers", to("http://127.0.0.1:1", p.secret), 1, "refused"},
		{"a scope that is none", []string{"token", "x", "root"}, 2, "read or admin"},
	} {
		status, out, errs := curfew(t, tt.args...)
		if status != tt.status || !strings.Contains(errs, tt.says) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: status %d, %q, %q; want %d and one line that says %q",
				tt.name, status, out, errs, tt.status, tt.says)
		}
	}
}

// refOf is the public name of a cookie's session.
func refOf(t *testing.T, cookie string) string {
	t.Helper()
	token, err := session.ParseToken(strings.TrimPrefix(cookie, gorilla.CookieName+"="))
	if err != nil {
		t.Fatal(err)
	}
	return token.ID().Ref()
}
