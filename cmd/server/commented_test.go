package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// commentedFile is the configuration that the package installs.
const commentedFile = "../../deploy/package/curfew.yaml"

// packaged are the settings that hold once the package is installed, in place of the defaults.
var packaged = map[string]string{"data-dir": "/var/lib/curfew"}

// examples are shown where a setting has no default, so that nobody has to look up how its value is
// written. One that is not here is shown without a value.
var examples = map[string]string{
	"public-url":              "https://app.example.org",
	"base-path":               "/.curfew",
	"verify-listen":           "127.0.0.1:8081",
	"tls-cert":                "/etc/curfew/tls.crt",
	"tls-key":                 "/etc/curfew/tls.key",
	"hsts":                    "max-age=31536000",
	"admin-listen":            "127.0.0.1:8443",
	"admin-url":               "https://app.example.org:8443",
	"trusted-proxies":         "[127.0.0.0/8, 10.0.0.0/8]",
	"allowed-origins":         "[https://other.example.org]",
	"upstream":                "http://127.0.0.1:3000",
	"upstreams":               "[{path: /api/, url: 'http://127.0.0.1:4000'}, {path: /, url: 'http://127.0.0.1:3000'}]",
	"upstream-ca-file":        "/etc/curfew/application-ca.pem",
	"public-paths":            "[/favicon.ico, /assets/*]",
	"keep-forms":              "form.ticket",
	"app-cookies":             "[sessionid, 'csrftoken;path=/app']",
	"home":                    "/start",
	"help-url":                "https://help.example.org",
	"languages":               "[en, de]",
	"warn-after":              "9m",
	"expire-after":            "10m",
	"max-lifetime":            "22h",
	"close-grace":             "20s",
	"extend-on":               "activity",
	"max-sessions":            "0",
	"keep-page":               "4h",
	"policies":                "[{group: kiosk, warn-after: 90s, expire-after: 2m, extend-on: confirm}]",
	"passive-paths":           "[/poll, /feed/*]",
	"redis-url":               "redis://127.0.0.1:6379",
	"node-name":               "node-1",
	"ldap-url":                "[ldaps://dc1.example.org, ldaps://dc2.example.org]",
	"ldap-ca-file":            "/etc/curfew/directory-ca.pem",
	"ldap-bind-dn":            "uid=curfew,ou=services,dc=example,dc=org",
	"ldap-bind-password-file": "/etc/curfew/directory-password",
	"ldap-base-dn":            "ou=people,dc=example,dc=org",
	"ldap-group-base-dn":      "ou=groups,dc=example,dc=org",
	"required-groups":         "[staff]",
	"webhook-url":             "https://app.example.org/curfew/events",
	"webhook-secret-file":     "/etc/curfew/webhook-secret",
	"webhook-ca-file":         "/etc/curfew/webhook-ca.pem",
	"audit-syslog":            "syslog+tls://logs.example.org:6514",
	"audit-syslog-ca-file":    "/etc/curfew/logs-ca.pem",
	"api-tokens-file":         "/etc/curfew/api-tokens",
	"metrics-listen":          "127.0.0.1:9090",
	"ready-file":              "/run/curfew/ready",
}

// commented is the configuration that the package installs, from the table of settings.
func commented() string {
	var b strings.Builder
	b.WriteString(`# yaml-language-server: $schema=/usr/share/curfew/curfew.schema.json
#
# Settings of Curfew. A line without # before its name holds; the others show what holds without them,
# or an example. "curfew check-config --config /etc/curfew/curfew.yaml" tells all mistakes, and what the
# policies come to. After a change: "systemctl restart curfew", or "systemctl reload curfew", which
# applies policies, passive paths and API tokens, and ends no session that the new policies allow.
#
# Without ldap-url the directory is one for demonstrations, whose passwords everybody knows.
# Files with secrets should belong to root and the group curfew, with mode 0640.
`)
	for _, g := range (&config{}).groups() {
		fmt.Fprintf(&b, "\n\n## %s\n", g.title)
		for _, s := range g.settings {
			if s.name == "config" {
				continue
			}
			meaning := s.meaning
			if s.unset != "" {
				meaning += " (default " + s.unset + ")"
			}
			b.WriteString("\n")
			line := "#"
			for word := range strings.FieldsSeq(strings.ReplaceAll(meaning, "`", "")) {
				if len(line)+1+len(word) > 100 {
					fmt.Fprintln(&b, line)
					line = "#"
				}
				line += " " + word
			}
			fmt.Fprintln(&b, line)
			if v, ok := packaged[s.name]; ok {
				fmt.Fprintf(&b, "%s: %s\n", s.name, v)
				continue
			}
			fmt.Fprintln(&b, strings.TrimSpace("#"+s.name+": "+cmp.Or(examples[s.name], quoted(s.standard))))
		}
	}
	return b.String()
}

// quoted is a text as YAML has it: what means something there is quoted.
func quoted(text string) string {
	if strings.ContainsAny(text, "{}") || strings.HasSuffix(text, ":") {
		return "'" + text + "'"
	}
	return text
}

func TestCommentedConfigurationAndDocsHaveTheSameSettings(t *testing.T) {
	want := commented()
	if *update {
		if err := os.WriteFile(commentedFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(commentedFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not that of the settings: run go test ./cmd/server -run Docs -update", commentedFile)
	}
	all := (&config{}).settings()
	for name := range examples {
		if !slices.ContainsFunc(all, func(s setting) bool { return s.name == name }) {
			t.Errorf("there is an example for %s, which is no setting", name)
		}
	}
}

func TestCommentedConfigurationIsRight(t *testing.T) {
	schema := compiledSchema(t)
	data, err := os.ReadFile(commentedFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := validates(t, schema, string(data)); err != nil {
		t.Errorf("the file: %v", err)
	}
	cfg, err := load([]string{"--config", commentedFile}, nil)
	if err != nil || cfg.store.dataDir != packaged["data-dir"] {
		t.Errorf("the file: %v, %+v", err, cfg)
	}
	seen := make(map[string]bool)
	for line := range bytes.Lines(data) {
		text := strings.TrimPrefix(string(line), "#")
		if text == string(line) || strings.HasPrefix(text, " ") || strings.HasPrefix(text, "#") ||
			strings.HasSuffix(text, ":\n") || text == "\n" {
			continue
		}
		checkExample(t, text, seen)
		if err := validates(t, schema, text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for name := range examples {
		if !seen[name] {
			t.Errorf("the example of %s is not there", name)
		}
	}
}

// checkExample has the settings take a line of the file whose # is taken away.
func checkExample(t *testing.T, line string, seen map[string]bool) {
	t.Helper()
	var given map[string]yaml.Node
	if err := yaml.Unmarshal([]byte(line), &given); err != nil || len(given) != 1 {
		t.Errorf("%q is no setting: %v", line, err)
		return
	}
	all := (&config{}).settings()
	contents, mistakes := readFile(all, writeFile(t, line))
	for name := range given {
		seen[name] = true
		at := slices.IndexFunc(all, func(s setting) bool { return s.name == name })
		if at >= 0 && all[at].kind != aFile {
			mistakes = append(mistakes, set(all, contents.given)...)
		}
	}
	for _, mistake := range mistakes {
		t.Errorf("%q: %v", line, mistake)
	}
}
