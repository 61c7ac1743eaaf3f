package main

import (
	"bytes"
	"os"
	"path/filepath"
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
	for _, want := range []string{
		`\(everybody\)\s+25m\s+30m\s+22h\s+20s\s+activity\s+none\s+4h`,
		`nist-aal2\s+meets it`,
		`pci\s+is laxer: expire-after 30m instead of 15m, max-lifetime 22h instead of 12h\n`,
		`hipaa\s+is laxer: .*, max-lifetime 22h instead of 12h, keep-page 4h instead of 0\n`} {
		if !regexp.MustCompile(want).Match(stdout.Bytes()) {
			t.Errorf("not said: %s\n%s", want, stdout.String())
		}
	}
}

func TestCheckConfigPrintsHowLongPagesWait(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	text := "keep-page: 2h\npolicies:\n  - {group: lab, keep-page: 24h}\n  - {group: ward, keep-page: 0}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	if code := dispatch(t.Context(), []string{"check-config", "--config", file}, nil, &stdout, &stderr); code != 0 {
		t.Fatalf("status %d: %s", code, stderr.String())
	}
	for _, want := range []string{`KEEP PAGE\n`, `\(everybody\) .* 2h\n`, `lab .* 24h\n`, `ward .* off\n`} {
		if !regexp.MustCompile(want).Match(stdout.Bytes()) {
			t.Errorf("not said: %s\n%s", want, stdout.String())
		}
	}
	faults := map[string]string{"25h": "must be from 0", "-1s": "must be", "long": "must be a duration"}
	for value, fault := range faults {
		stderr.Reset()
		args := []string{"check-config", "--keep-page", value}
		if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code == 0 ||
			!strings.Contains(stderr.String(), "keep-page") || !strings.Contains(stderr.String(), fault) {
			t.Errorf("keep-page %s: status %d %q, want that it %s", value, code, stderr.String(), fault)
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

func TestDemoUsersBehindAPublicNameAreWarnedOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		args  []string
		warns bool
	}{
		{nil, false},
		{[]string{"--public-url", "http://localhost:8080"}, false},
		{[]string{"--public-url", "https://app.example.org"}, true},
		{[]string{"--public-url", "https://app.example.org", "--ldap-url", "ldaps://ldap.example.org",
			"--ldap-base-dn", "dc=example,dc=org"}, false},
	} {
		status, said, errs := curfew(t, append([]string{"check-config"}, tt.args...)...)
		if got := strings.Contains(said, "warning: ldap-url is not set"); status != 0 || got != tt.warns {
			t.Errorf("%v: status %d, warned %v, want %v\n%s", tt.args, status, got, tt.warns, errs)
		}
	}
	p := start(t, "--public-url", "https://app.example.org")
	p.eventually("the log warns", func() bool {
		return strings.Contains(p.log.String(), "level=WARN msg=\"ldap-url is not set")
	})
}
