package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// curfew runs a sub-command as a shell would.
func curfew(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = dispatch(t.Context(), args, []string{"HOME=" + t.TempDir()}, &out, &errs)
	return status, out.String(), errs.String()
}

func TestCLIAdministersARunningServer(t *testing.T) {
	t.Parallel()
	status, out, _ := curfew(t, "token", "robot", "admin")
	lines := strings.Split(out, "\n")
	if status != 0 || len(lines) < 5 {
		t.Fatalf("token: %d %q", status, out)
	}
	folder := t.TempDir()
	secret, tokens := filepath.Join(folder, "secret"), filepath.Join(folder, "tokens")
	for path, text := range map[string]string{secret: lines[1], tokens: lines[4]} {
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := start(t, "--testing", "--api-tokens-file", tokens)
	at := func(args ...string) []string { return append(args, "--server", p.url, "--token-file", secret) }
	run := func(args ...string) string {
		t.Helper()
		status, out, errs := curfew(t, at(args...)...)
		if status != 0 || errs != "" {
			t.Fatalf("%v: %d %s", args, status, errs)
		}
		return out
	}
	cookie, _ := p.session("grace", "staff")
	hostile, _ := p.session("linus", "kiosk")
	if out := run("who"); !strings.Contains(out, "USER") || !strings.Contains(out, "grace") || strings.Count(out, "\n") != 3 {
		t.Errorf("who = %q", out)
	}
	if out := run("who", "--sessions", "--group", "staff"); !strings.Contains(out, "grace") || strings.Contains(out, "linus") {
		t.Errorf("who --sessions = %q", out)
	}
	if out := run("notify", "--everyone", "--message", "Hello\nthere \x1b[31m"); !strings.Contains(out, "sessions  2") {
		t.Errorf("notify = %q", out)
	}
	if out := run("logout", "--everyone", "--dry-run"); !strings.Contains(out, "sessions      2") {
		t.Errorf("dry run = %q", out)
	}
	var done map[string]any
	if out := run("logout", "--user", "grace", "--message", "Bye", "--output", "json"); json.Unmarshal([]byte(out), &done) != nil || done["sessions"] != 1. {
		t.Errorf("logout = %q", out)
	}
	if code, _ := p.status(cookie); code != 401 {
		t.Errorf("grace: %d, want 401", code)
	}
	if out := run("logout", "--group", "kiosk", "--grace", "1h", "--output", "json"); json.Unmarshal([]byte(out), &done) != nil {
		t.Errorf("logout = %q", out)
	}
	if out := run("logout", "--status", done["id"].(string)); !strings.Contains(out, "pending") {
		t.Errorf("status = %q", out)
	}
	if out := run("logout", "--cancel", done["id"].(string)); !strings.Contains(out, "cancelled") {
		t.Errorf("cancel = %q", out)
	}
	if code, _ := p.status(hostile); code != 200 {
		t.Errorf("linus: %d, want 200", code)
	}
	if out := run("audit", "--event", "notice"); strings.Count(out, "\n") != 2 || strings.Contains(out, "\x1b") || !strings.Contains(out, "Hello there") {
		t.Errorf("audit = %q, want the header and one line", out)
	}
	if out := run("audit", "--limit", "2", "--output", "json"); json.Unmarshal([]byte(out), &done) != nil || len(items(done)) != 2 {
		t.Errorf("audit = %q", out)
	}

	for _, args := range [][]string{
		{"who", "--user", "graec"}, {"who", "--sessions", "--group", "graec", "--state", "idle"}, {"logout", "--user", "graec"},
		{"logout", "--group", "graec", "--dry-run"},
	} {
		status, out, errs := curfew(t, at(args...)...)
		if status != 0 || out == "" || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, "nobody of that name is signed in") || !strings.Contains(errs, "graec") {
			t.Errorf("%v: status %d, %q, %q; want the answer, and one line that nobody has that name", args, status, out, errs)
		}
	}
	if out := run("who", "--user", "LINUS"); !strings.Contains(out, "linus") {
		t.Errorf("who by a name in capitals = %q", out)
	}
	run("who", "--user", "linus", "--state", "idle") // nobody is, but the name is right
	if out := run("logout", "--user", " Linus", "--dry-run"); !strings.Contains(out, "sessions      1") {
		t.Errorf("dry run by a name in capitals = %q", out)
	}

	for _, tt := range []struct {
		name   string
		args   []string
		status int
		says   string
	}{
		{"nobody is there to be told", at("notify", "--user", "graec", "--message", "Hello"), 1, "Nobody of that name is signed in"},
		{"a session that does not live", at("logout", "--session", "unknown"), 1, "No session of that ref"},
		{"nobody is meant", at("logout"), 2, "exactly one of"},
		{"two are meant", at("logout", "--user", "ada", "--everyone"), 2, "exactly one of"},
		{"an unknown flag", at("who", "--usr", "ada"), 2, "usr"},
		{"a bad format", at("who", "--output", "xml"), 2, "table or json"},
		{"no token", []string{"who", "--server", p.url}, 2, "token"},
		{"plain text to another machine", []string{"who", "--server", "http://curfew.example", "--token-file", secret}, 2, "https"},
		{"the server refuses", at("logout", "--user", "ada", "--grace", "-1s"), 1, "grace_ms"},
		{"a state that is none", at("who", "--state", "asleep"), 1, "asleep"},
		{"a wrong token", []string{"who", "--server", p.url, "--token-file", tokens}, 1, "no such bearer token"},
		{"nobody answers", []string{"who", "--server", "http://127.0.0.1:1", "--token-file", secret}, 1, "refused"},
		{"a scope that is none", []string{"token", "x", "root"}, 2, "read or admin"},
	} {
		status, out, errs := curfew(t, tt.args...)
		if status != tt.status || !strings.Contains(errs, tt.says) || strings.Count(errs, "\n") != 1 || out != "" {
			t.Errorf("%s: status %d, %q, %q; want %d and one line that says %q", tt.name, status, out, errs, tt.status, tt.says)
		}
	}
}
