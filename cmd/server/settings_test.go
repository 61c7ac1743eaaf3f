package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write anew what the documentation has from the program")

// settingTables are the tables of settings as docs/settings.md has them.
func settingTables() string {
	var b strings.Builder
	for _, g := range (&config{}).groups() {
		fmt.Fprintf(&b, "## %s\n\n| flag | default | meaning |\n|---|---|---|\n", g.title)
		for _, s := range g.settings {
			name := "`--" + s.name + "`"
			if s.kind == fileOnly {
				name = "`" + s.name + "` (file only)"
			}
			standard := ""
			if shown := s.shownDefault(); shown != "" {
				standard = shown + " "
			}
			fmt.Fprintf(&b, "| %s | %s| %s |\n", name, standard, s.meaning)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestDocsHaveTheSettings(t *testing.T) {
	const (
		file  = "../../docs/settings.md"
		begin = "<!-- settings: printed by go test ./cmd/server -run Docs -update -->\n"
		end   = "<!-- end of settings -->\n"
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, began := strings.Cut(string(data), begin)
	got, after, ended := strings.Cut(rest, end)
	if !began || !ended {
		t.Fatalf("docs/settings.md lacks %q or %q", begin, end)
	}
	want := "\n" + settingTables()
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("docs/settings.md has other settings: run go test ./cmd/server -run Docs -update\n"+
			"got:\n%s\nwant:\n%s", got, want)
	}
}

func TestEverySettingSaysWhatItIs(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range (&config{}).settings() {
		switch {
		case known[s.name]:
			t.Errorf("%s stands twice", s.name)
		case s.meaning == "" || strings.ContainsAny(s.meaning+s.shownDefault(), "|\n"):
			t.Errorf("%s: meaning %q, default %q: must be something that fits in a row", s.name, s.meaning,
				s.shownDefault())
		case s.standard != "" && s.unset != "":
			t.Errorf("%s: has the standard %q, and says that %q holds without it", s.name, s.standard, s.unset)
		}
		known[s.name] = true
		if s.standard != "" {
			if err := s.set(value{text: s.standard}); err != nil {
				t.Errorf("%s: its standard %q is a mistake: %v", s.name, s.standard, err)
			}
		}
	}
}

// settingNames are the names and standards that the outside relies on. One that is added is added
// here; one that changes breaks whoever has set it.
const settingNames = `
listen=127.0.0.1:8080 CURFEW_LISTEN
public-url= CURFEW_PUBLIC_URL
base-path= CURFEW_BASE_PATH
verify-listen= CURFEW_VERIFY_LISTEN
tls-cert= CURFEW_TLS_CERT
tls-key= CURFEW_TLS_KEY
hsts= CURFEW_HSTS
admin-listen= CURFEW_ADMIN_LISTEN
admin-url= CURFEW_ADMIN_URL
trusted-proxies= CURFEW_TRUSTED_PROXIES
allowed-origins= CURFEW_ALLOWED_ORIGINS
upstream= CURFEW_UPSTREAM
upstreams= CURFEW_UPSTREAMS
upstream-ca-file= CURFEW_UPSTREAM_CA_FILE
upstream-timeout=5m CURFEW_UPSTREAM_TIMEOUT
public-paths= CURFEW_PUBLIC_PATHS
keep-forms= CURFEW_KEEP_FORMS
app-cookies= CURFEW_APP_COOKIES
home= CURFEW_HOME
site-name=Curfew CURFEW_SITE_NAME
help-url= CURFEW_HELP_URL
languages= CURFEW_LANGUAGES
profile=default CURFEW_PROFILE
warn-after= CURFEW_WARN_AFTER
expire-after= CURFEW_EXPIRE_AFTER
max-lifetime= CURFEW_MAX_LIFETIME
close-grace= CURFEW_CLOSE_GRACE
extend-on= CURFEW_EXTEND_ON
max-sessions= CURFEW_MAX_SESSIONS
keep-page= CURFEW_KEEP_PAGE
policies= CURFEW_POLICIES
passive-paths= CURFEW_PASSIVE_PATHS
data-dir= CURFEW_DATA_DIR
redis-url= CURFEW_REDIS_URL
redis-prefix=curfew: CURFEW_REDIS_PREFIX
node-name= CURFEW_NODE_NAME
ldap-url= CURFEW_LDAP_URL
ldap-start-tls=false CURFEW_LDAP_START_TLS
ldap-ca-file= CURFEW_LDAP_CA_FILE
ldap-bind-dn= CURFEW_LDAP_BIND_DN
ldap-bind-password-file= CURFEW_LDAP_BIND_PASSWORD_FILE
ldap-base-dn= CURFEW_LDAP_BASE_DN
ldap-user-filter=(uid={username}) CURFEW_LDAP_USER_FILTER
ldap-group-base-dn= CURFEW_LDAP_GROUP_BASE_DN
ldap-group-filter=(member={dn}) CURFEW_LDAP_GROUP_FILTER
ldap-user-attribute=uid CURFEW_LDAP_USER_ATTRIBUTE
required-groups= CURFEW_REQUIRED_GROUPS
ldap-watch=auto CURFEW_LDAP_WATCH
ldap-poll-every=15s CURFEW_LDAP_POLL_EVERY
webhook-url= CURFEW_WEBHOOK_URL
webhook-secret-file= CURFEW_WEBHOOK_SECRET_FILE
webhook-ca-file= CURFEW_WEBHOOK_CA_FILE
audit-syslog= CURFEW_AUDIT_SYSLOG
audit-syslog-ca-file= CURFEW_AUDIT_SYSLOG_CA_FILE
config= CURFEW_CONFIG
ready-file= CURFEW_READY_FILE
presence=admins CURFEW_PRESENCE
api-tokens-file= CURFEW_API_TOKENS_FILE
admin-groups=admins CURFEW_ADMIN_GROUPS
audit-keep=2160h CURFEW_AUDIT_KEEP
metrics-listen= CURFEW_METRICS_LISTEN
log-format=text CURFEW_LOG_FORMAT
log-level=info CURFEW_LOG_LEVEL
testing=false CURFEW_TESTING
`

func TestSettingsKeepTheirNames(t *testing.T) {
	got := "\n"
	for _, s := range (&config{}).settings() {
		got += fmt.Sprintf("%s=%s %s\n", s.name, s.standard, s.variable())
	}
	if got != settingNames {
		t.Errorf("settings:%s\nwant:%s", got, settingNames)
	}
}
