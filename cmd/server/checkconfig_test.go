package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
)

func TestCheckConfigSaysWhatProfilesWouldSay(t *testing.T) {
	var stdout, stderr bytes.Buffer
	args := []string{"check-config", "--warn-after", "25m", "--expire-after", "30m"}
	if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	for _, want := range []string{`\(everybody\)\s+25m\s+30m\s+22h\s+20s\s+activity\s+none`, `nist-aal2\s+meets it`,
		`pci\s+is laxer: expire-after 30m instead of 15m, max-lifetime 22h instead of 12h`} {
		if !regexp.MustCompile(want).Match(stdout.Bytes()) {
			t.Errorf("not said: %s\n%s", want, stdout.String())
		}
	}
}

func TestCheckConfigWarnsOfAConsoleWithinReachOfTheApplication(t *testing.T) {
	app := []string{"--upstream", "http://127.0.0.1:9000"}
	own := []string{"--admin-listen", "127.0.0.1:9", "--admin-url", "http://localhost:9"}
	for _, tt := range []struct {
		name  string
		args  []string
		warns bool
	}{
		{"the sample application", nil, false},
		{"an application", app, true},
		{"doors", []string{"--verify-listen", "127.0.0.1:9001"}, true},
		{"an application, and a console of its own", append(app, own...), false},
	} {
		var stdout, stderr bytes.Buffer
		args := append([]string{"check-config"}, tt.args...)
		if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("%s: status %d: %s", tt.name, code, stderr.String())
		}
		got := strings.Contains(stdout.String(), "warning: admin-listen and admin-url are not set")
		if got != tt.warns {
			t.Errorf("%s: warned %v, want %v\n%s", tt.name, got, tt.warns, stdout.String())
		}
	}
}

func TestCheckConfigWarnsOfGroupsThatAnybodyMayMake(t *testing.T) {
	for _, tt := range []struct {
		groups string
		warns  bool
	}{{"", true}, {"ou=groups,dc=example,dc=org", false}} {
		var stdout, stderr bytes.Buffer
		args := []string{"check-config", "--ldap-url", "ldaps://ldap.example.org",
			"--ldap-base-dn", "dc=example,dc=org", "--ldap-group-base-dn", tt.groups}
		if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("status %d: %s", code, stderr.String())
		}
		if got := strings.Contains(stdout.String(), "warning: ldap-group-base-dn is not set"); got != tt.warns {
			t.Errorf("group base %q: warned %v, want %v\n%s", tt.groups, got, tt.warns, stdout.String())
		}
	}
}
