package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMistakesOfAllSourcesAreToldTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte("lisen: x\nmax-sessions: many\npolicies:\n  - group: a\n    warn-after: 1h\n  - warn-after: 1m\n    colour: red\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	code := dispatch(t.Context(), []string{"--config", file, "--public-url", "http://app.example", "--no-such-flag", "--trusted-proxies", "10.0.0.0", "--redis-url", "http://me:hunter2@db"},
		[]string{"CURFEW_AUDIT_KEEP=forever", "CURFEW_LISTEN=0.0.0.0:80", "CURFEW_TESTING=true"}, &stdout, &stderr)
	if code != 2 || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q, want 2 and nothing", code, stdout.String())
	}
	for _, want := range []string{`"lisen"`, `max-sessions "many"`, "warn-after (1h0m0s)", `"colour"`, "must name its group", `public-url "http://app.example"`, "-no-such-flag",
		`trusted-proxies "10.0.0.0"`, `redis-url "http://…@db"`, `audit-keep "forever"`, `"0.0.0.0:80"`} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("not told: %s\n%s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "hunter2") {
		t.Errorf("a password is shown: %s", stderr.String())
	}
}

func TestPrecedenceOfSources(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte("profile: kiosk\nlisten: 127.0.0.1:1\nnode-name: file\nadmin-groups: ['a, b', c]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load([]string{"--node-name", "flag", "--warn-after", "1m"}, []string{"CURFEW_CONFIG=" + file, "CURFEW_NODE_NAME=env", "CURFEW_LISTEN=127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	if c.store.nodeName != "flag" || c.http.listen != "127.0.0.1:2" || c.sessions.policies.Global.WarnAfter != time.Minute || c.sessions.policies.Global.ExpireAfter != 2*time.Minute || c.sessions.policies.Global.MaxSessions != 1 ||
		len(c.operation.adminGroups) != 2 || c.operation.adminGroups[0] != "a, b" {
		t.Errorf("config = %+v", c)
	}
}

func TestEmptyEnvironmentVariableCountsAsNotSet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte("node-name: file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	environ := []string{"CURFEW_CONFIG=" + file}
	for _, s := range (&config{}).settings() {
		if s.name != "config" {
			environ = append(environ, "CURFEW_"+strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))+"=")
		}
	}
	c, err := load(nil, environ)
	if err != nil {
		t.Fatal(err)
	}
	if c.store.nodeName != "file" || !slices.Equal(c.operation.adminGroups, []string{"admins"}) || c.http.listen != "127.0.0.1:8080" {
		t.Errorf("config = %+v", c)
	}
	if c, err := load(nil, []string{"CURFEW_NODE_NAME= é ", "CURFEW_ADMIN_GROUPS= a ,, Bär,"}); err != nil || c.store.nodeName != " é " || !slices.Equal(c.operation.adminGroups, []string{"a", "Bär"}) {
		t.Errorf("config = %+v, %v", c, err)
	}
}
