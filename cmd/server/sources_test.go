package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMistakesOfAllSourcesAreToldTogether(t *testing.T) {
	file := writeFile(t, `
lisen: x
max-sessions: many
policies:
  - group: a
    warn-after: 1h
  - warn-after: 1m
    colour: red
`)
	args := []string{"--config", file, "--public-url", "http://app.example", "--no-such-flag",
		"--trusted-proxies", "10.0.0.0", "--redis-url", "http://me:hunter2@db"}
	environ := []string{"CURFEW_AUDIT_KEEP=forever", "CURFEW_LISTEN=0.0.0.0:80", "CURFEW_TESTING=true"}
	var stdout, stderr bytes.Buffer
	code := dispatch(t.Context(), args, environ, &stdout, &stderr)
	if code != 2 || stdout.Len() > 0 {
		t.Errorf("status %d, stdout %q, want 2 and nothing", code, stdout.String())
	}
	for _, want := range []string{`"lisen"`, `max-sessions "many"`, "warn-after (1h0m0s)", `"colour"`,
		"must name its group", `public-url "http://app.example"`, "-no-such-flag",
		`trusted-proxies "10.0.0.0"`, `redis-url "http://…@db"`, `audit-keep "forever"`, `"0.0.0.0:80"`} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("not told: %s\n%s", want, stderr.String())
		}
	}
	if strings.Contains(stderr.String(), "hunter2") {
		t.Errorf("a password is shown: %s", stderr.String())
	}
}

func TestWhatIsNoFlagAtAllIsToldOnce(t *testing.T) {
	_, err := load([]string{"---listen", "--=x", "--no-such", "-=", "--listen", "here", "--node-name"}, nil)
	if err == nil {
		t.Fatal("it is taken")
	}
	for _, want := range []string{"bad flag syntax: ---listen", "bad flag syntax: --=x", "not defined: -no-such",
		"bad flag syntax: -=", `listen "here"`, "needs an argument: -node-name"} {
		if n := strings.Count(err.Error(), want+"\n") + strings.Count(err.Error()+"\n", want+":"); n != 1 &&
			!strings.HasSuffix(err.Error(), want) {
			t.Errorf("told %d times: %s\n%v", n, want, err)
		}
	}
}

func TestPrecedenceOfSources(t *testing.T) {
	file := writeFile(t, `
profile: kiosk
listen: 127.0.0.1:1
node-name: file
admin-groups: ['a, b', c]
`)
	c, err := load([]string{"--node-name", "flag", "--warn-after", "1m"},
		[]string{"CURFEW_CONFIG=" + file, "CURFEW_NODE_NAME=env", "CURFEW_LISTEN=127.0.0.1:2"})
	if err != nil {
		t.Fatal(err)
	}
	p := c.sessions.policies.Global
	if c.store.nodeName != "flag" || c.http.listen != "127.0.0.1:2" ||
		p.WarnAfter != time.Minute || p.ExpireAfter != 2*time.Minute || p.MaxSessions != 1 ||
		len(c.operation.adminGroups) != 2 || c.operation.adminGroups[0] != "a, b" {
		t.Errorf("config = %+v", c)
	}
}

func TestEmptyEnvironmentVariableCountsAsNotSet(t *testing.T) {
	file := writeFile(t, "node-name: file\n")
	environ := []string{"CURFEW_CONFIG=" + file}
	for _, s := range (&config{}).settings() {
		if s.name != "config" {
			environ = append(environ, s.variable()+"=")
		}
	}
	c, err := load(nil, environ)
	if err != nil {
		t.Fatal(err)
	}
	if c.store.nodeName != "file" || !slices.Equal(c.operation.adminGroups, []string{"admins"}) ||
		c.http.listen != "127.0.0.1:8080" {
		t.Errorf("config = %+v", c)
	}
	c, err = load(nil, []string{"CURFEW_NODE_NAME= é ", "CURFEW_ADMIN_GROUPS= a ,, Bär,"})
	if err != nil || c.store.nodeName != " é " || !slices.Equal(c.operation.adminGroups, []string{"a", "Bär"}) {
		t.Errorf("config = %+v, %v", c, err)
	}
}
