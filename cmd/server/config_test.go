package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ldapFlags name a directory that no test asks.
var ldapFlags = []string{"--ldap-url", "ldaps://ldap.example", "--ldap-base-dn", "dc=example"}

func TestSettingsThatDoNotGoTogetherAreRefused(t *testing.T) {
	checkRefusals(t, []refusal{
		{"the demo directory on loopback", []string{"--listen", "[::1]:0"}, ""},
		{"the demo directory for strangers", []string{"--listen", "0.0.0.0:80"},
			`listen "0.0.0.0:80": must be a loopback address while the demo`},
		{"a directory for strangers", append([]string{"--listen", ":80"}, ldapFlags...), ""},
		{"testing for strangers", append([]string{"--listen", ":80", "--testing"}, ldapFlags...),
			`testing with listen ":80"`},
		{"metrics for strangers", []string{"--metrics-listen", ":9"}, ""},
		{"metrics for strangers in testing", []string{"--metrics-listen", ":9", "--testing"},
			`testing with metrics-listen ":9"`},
		{"metrics without a port", []string{"--metrics-listen", "localhost"},
			`metrics-listen "localhost": must be HOST:PORT`},
		{"a certificate without its key", []string{"--tls-cert", "a"}, "tls-cert and tls-key: must be set together"},
		{"a key without its certificate", []string{"--tls-key", "a"}, "tls-cert and tls-key: must be set together"},
		{"a directory's setting without one", []string{"--ldap-bind-dn", "a"}, "ldap-bind-dn: needs ldap-url"},
		{"how the demo directory is watched", []string{"--ldap-watch", "poll", "--ldap-poll-every", "1s"}, ""},
		{"required groups of the demo directory", []string{"--required-groups", "staff"}, ""},
		{"plain text to another machine", []string{"--ldap-url", "ldap://ldap.example", "--ldap-base-dn", "dc=a"},
			"ldap-url"},
		{"a passive path with a star at its end", []string{"--passive-paths", "/poll*,/*"}, ""},
		{"a passive path with a star within", []string{"--passive-paths", "/a*b"},
			`passive-paths "/a*b": must begin with /`},
		{"a passive path that is none", []string{"--passive-paths", "poll"}, `passive-paths "poll": must begin with /`},
		{"a warning at the end", []string{"--warn-after", "10m"}, "expire-after"},
		{"a warning that is too short to read", []string{"--warn-after", "9m41s"}, "warn-after"},
		{"a short warning in testing", []string{"--warn-after", "9m41s", "--testing"}, ""},
		{"an unknown profile says nothing of its values", []string{"--profile", "none"},
			`profile "none": must be one of default`},
	})
}

// refusal is what a command line is answered with.
type refusal struct {
	name string
	args []string
	told string // empty: nothing is refused
}

// checkRefusals loads each, and wants a refusal of one line or none.
func checkRefusals(t *testing.T, all []refusal) {
	t.Helper()
	for _, tt := range all {
		c, err := load(tt.args, nil)
		switch {
		case tt.told == "" && err != nil:
			t.Errorf("%s: refused: %v", tt.name, err)
		case tt.told != "" && err == nil:
			t.Errorf("%s: taken: %+v", tt.name, c)
		case tt.told != "" && (!strings.Contains(err.Error(), tt.told) || strings.Contains(err.Error(), "\n")):
			t.Errorf("%s: told\n%v\nwant one line that says %s", tt.name, err, tt.told)
		}
	}
}

func TestDataOfTheEmbeddedStoreLieInAFolderOfTheUsersState(t *testing.T) {
	for _, tt := range []struct{ state, home, flag, want string }{
		{"/state", "/home/ada", "", "/state/curfew"},
		{"", "/home/ada", "", "/home/ada/.local/state/curfew"},
		{"/state", "/home/ada", "/data", "/data"},
		{"", "", "/data", "/data"},
		{"", "", "", ""},
	} {
		t.Setenv("XDG_STATE_HOME", tt.state)
		t.Setenv("HOME", tt.home)
		c, err := load([]string{"--data-dir", tt.flag}, nil)
		switch {
		case tt.want == "" && (err == nil || !strings.Contains(err.Error(), "data-dir: must be set")):
			t.Errorf("%+v: told %v, want that it must be set", tt, err)
		case tt.want != "" && (err != nil || c.store.dataDir != filepath.FromSlash(tt.want)):
			t.Errorf("%+v: %+v, %v", tt, c, err)
		}
	}
}

func TestStandards(t *testing.T) {
	c, err := load(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	p, _ := profileNamed("default")
	if c.sessions.policies.Global != p || p.WarnAfter != 9*time.Minute || p.ExpireAfter != 10*time.Minute ||
		p.MaxLifetime != 22*time.Hour {
		t.Errorf("policy = %+v", c.sessions.policies.Global)
	}
	if c.http.basePath != "" || !c.demo() || c.operation.testing || c.operation.presence != "admins" ||
		c.operation.auditKeep != 90*24*time.Hour ||
		c.store.redisURL != "" || c.store.redisPrefix != "curfew:" || c.directory.pollEvery != 15*time.Second {
		t.Errorf("config = %+v", c)
	}
}
