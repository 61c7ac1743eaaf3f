package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/session"
)

// writeFile writes a file of settings, and returns its path.
func writeFile(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// loadFile loads a file of settings.
func loadFile(t *testing.T, text string) (*config, error) {
	t.Helper()
	return load([]string{"--config", writeFile(t, text)}, nil)
}

func TestTextsOfTheFileAreTakenAsTheyAreWritten(t *testing.T) {
	for _, text := range []string{
		"0123", "0o17", "0x1F", "1_000", "1e3", "1.50", ".5", "-0", "+1", "12345678901234567890", "on", "off", "yes",
		"No", "TRUE", "y", "n", "2026-01-01", "2026-01-01T10:00:00Z",
		"12:30:45", "0b1", ".inf", ".NaN", "Jürgen Größ", "J\u0075\u0308rgen", "日本", "a, b", "#a", "a: b", "~x", "=",
		"<<", " spaces around ", "null", "it's", `back\slash`,
	} {
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
		written := []string{quoted, "'" + strings.ReplaceAll(text, "'", "''") + "'"}
		if !slices.Contains([]string{"#a", "a: b", "=", "<<", " spaces around ", "null"}, text) {
			written = append(written, text)
		}
		for _, w := range written {
			c, err := loadFile(t, "node-name: "+w+"\nadmin-groups: ["+quoted+", "+w+"]\n"+
				"policies:\n  - group: "+w+"\n    max-sessions: 3\n")
			if err != nil {
				t.Errorf("%s: %v", w, err)
				continue
			}
			wantGroups := []string{text, text}
			if w == "a, b" { // without quotes two items
				wantGroups = []string{"a, b", "a", "b"}
			}
			if c.store.nodeName != text || !slices.Equal(c.operation.adminGroups, wantGroups) ||
				len(c.sessions.policies.Groups) != 1 || c.sessions.policies.Groups[0].Group != text {
				t.Errorf("%s: node %q, groups %q, policies of %+v, want %q", w, c.store.nodeName,
					c.operation.adminGroups, c.sessions.policies.Groups, text)
			}
		}
	}
}

func TestValuesOfTheFile(t *testing.T) {
	c, err := loadFile(t, `
warn-after: 10m
expire-after: "20m"
max-lifetime: 0
max-sessions: 3
testing: true
presence: off
passive-paths: /poll, /stream*
allowed-origins:
  - https://bücher.example
  - https://b.example:443
policies:
  - &strict
    group: one
    max-sessions: 1
    expire-after: 15m
  - <<: *strict
    group: two
`)
	if err != nil {
		t.Fatal(err)
	}
	g := c.sessions.policies.Global
	if g.WarnAfter != 10*time.Minute || g.ExpireAfter != 20*time.Minute || g.MaxLifetime != 0 || g.MaxSessions != 3 ||
		!c.operation.testing || c.operation.presence != "off" {
		t.Errorf("config = %+v", c)
	}
	if !slices.Equal(c.sessions.passivePaths, []string{"/poll", "/stream*"}) ||
		!slices.Equal(c.http.allowedOrigins, []string{"https://xn--bcher-kva.example", "https://b.example"}) {
		t.Errorf("passive paths %q, origins %q", c.sessions.passivePaths, c.http.allowedOrigins)
	}
	want := func(group string) session.GroupPolicy {
		p := g
		p.MaxSessions, p.ExpireAfter = 1, 15*time.Minute
		return session.GroupPolicy{Group: group, Policy: p}
	}
	if !slices.Equal(c.sessions.policies.Groups, []session.GroupPolicy{want("one"), want("two")}) {
		t.Errorf("policies = %+v", c.sessions.policies.Groups)
	}
	for _, empty := range []string{"", "# nothing\n", "---\n", "{}\n"} {
		if _, err := loadFile(t, empty); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestMistakesOfTheFileSayWhatWouldBeRight(t *testing.T) {
	for _, tt := range []struct{ file, told string }{
		{"warn-after: 9\n", `warn-after "9": must be a duration as 90s`},
		{"warn-after: 9.5\n", `warn-after "9.5": must be a duration as 90s`},
		{"warn-after: 1:30\n", `warn-after "1:30": must be a duration as 90s`},
		{"ldap-poll-every: 15\n", `ldap-poll-every "15": must be a duration`},
		{"audit-keep: 2026-01-01\n", `audit-keep "2026-01-01": must be a duration`},
		{"testing: on\n", `testing "on": must be true or false`},
		{"max-sessions: 1.0\n", `max-sessions "1.0": must be a number, 0 or more`},
		{"max-sessions: -1\n", "max-sessions -1: must be 0 (no limit) or more"},
		{"node-name: [a, b]\n", `node-name "a,b": must be one value, not a list`},
		{"listen: ['127.0.0.1:1', '127.0.0.1:2']\n", "must be one value, not a list"},
		{"node-name: {a: b}\n", "node-name: must be a plain value or a list"},
		{"admin-groups: [a, [b]]\n", "admin-groups: must be a list of plain values"},
		{"admin-groups: [a, '']\n", "none of them empty"},
		{"node-name: a\nnode-name: b\n", `"node-name" stands twice`},
		{"- a\n", "must be keys with values"},
		{"a\n", "must be keys with values"},
		{"node-name: a\n---\nnode-name: b\n", "must be one document"},
		{"node-name: \xe4\n", "must be YAML"},
		{"Node-Name: a\n", `there is no setting "Node-Name"`},
		{"policies: {group: a}\n", "policies: must be a list of entries"},
		{"policies:\n  - a\n", "policies, entry 1: must have a group"},
		{"policies:\n  - group: [a]\n", `group "a": must be one value, not a list`},
		{"policies:\n  - group: ' '\n", "policies, entry 1: must name its group"},
		{"policies:\n  - group: a\n    group: b\n", `"group" stands twice`},
		{"policies:\n  - group: a\n    warn-after: 60\n", `policies, entry 1 (a): warn-after "60": must be a duration`},
		{"metrics-listen: 0.0.0.0:9\ntesting: true\n",
			`testing with metrics-listen "0.0.0.0:9": must be a loopback address`},
	} {
		c, err := loadFile(t, tt.file)
		if err == nil {
			t.Errorf("%q is taken: %+v", tt.file, c)
		} else if !strings.Contains(err.Error(), tt.told) {
			t.Errorf("%q: told\n%v\nwant %s", tt.file, err, tt.told)
		}
	}
}

// nested is a mapping that merges ten times the one before it, and so on.
func nested(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: y}\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%[1]d {<<: [%s]}\n", i,
			strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestAnchorsOfTheFileThatHoldThemselvesOrTooMuchAreRefused(t *testing.T) {
	began := time.Now()
	for _, tt := range []struct{ name, file, told string }{
		{"a list in itself", "admin-groups: &a [*a]\n",
			"admin-groups: must be a list of plain values, none of them empty"},
		{"a list in a list in itself", "admin-groups: &a [b, [*a]]\n",
			"must be a list of plain values, none of them empty"},
		{"a mapping merged into itself", "&a\n<<: *a\nnode-name: b\n", "anchors that hold themselves"},
		{"a mapping merged into itself many times", "&a\n<<: [*a, *a, *a]\n", "anchors that hold themselves"},
		{"two that merge each other", "&a\n<<: {<<: *a}\n", "anchors that hold themselves"},
		{"a policy", "policies:\n  - &a\n    <<: *a\n    group: b\n",
			"policies, entry 1: must have a group and settings of its policy: line 2: anchors that hold themselves"},
		{"policies in themselves", "policies: &a [*a]\n", "policies, entry 1: must have a group"},
		{"a value in itself", "node-name: &a {b: *a}\n", "node-name: must be a plain value or a list"},
		{"merges of merges", nested(20) + "<<: *a20\n", "anchors that stand for more than 4 MiB"},
		{"a long value many times", "node-name: &a " + strings.Repeat("x", 100_000) + "\npolicies: [" +
			strings.Repeat("{group: [*a]}, ", 10_000) + "]\n", "anchors that stand for more than 4 MiB"},
		{"a long file", "# " + strings.Repeat("x", maxFile), "has more than 1048576 bytes"},
	} {
		_, err := loadFile(t, tt.file)
		if err == nil || !strings.Contains(err.Error(), tt.told) {
			t.Errorf("%s: told\n%.500v\nwant %s", tt.name, err, tt.told)
		} else if n := len(err.Error()); n > 4*maxSaid {
			t.Errorf("%s: told in %d bytes", tt.name, n)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "---\n", "--- # c\n", "node-name: a\n---\nb: c\n", "admin-groups: &a [*a]\n", "&a\n<<: *a\n",
		"policies:\n  - &x {group: a}\n  - <<: [*x, *x]\n    group: b\n",
		"? [a]\n: b\n", "!!merge a: b\n", "a: !!binary x\n", "a: !!float x\n", "policies: [*a]",
		"upstreams:\n  - {path: /a, url: http://b}\n  - &x {path: /}\n  - <<: *x\n    url: [c]\n", "upstreams: &a [*a]",
		"expire-after: 20m\nadmin-groups: [a, 'b, c']\n", nested(3) + "<<: *a3\n",
	} {
		f.Add([]byte(seed))
	}
	known := (&config{}).settings()
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "curfew.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		c, mistakes := readFile(known, file)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		if len(mistakes) > 0 {
			return
		}
		for name, v := range c.given {
			for _, one := range v.list {
				if strings.TrimSpace(one) == "" {
					t.Errorf("%s holds an empty text", name)
				}
			}
		}
		for _, g := range c.policies {
			if strings.TrimSpace(g.group) == "" {
				t.Errorf("a policy without a group: %+v", g)
			}
		}
	})
}
