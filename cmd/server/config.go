package main

import (
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
	"curfew/session/redis"
	"curfew/views"
)

// config is all that can be set. load fills and validates it.
type config struct {
	listen, readyFile string
	publicURL         *url.URL // nil: http://localhost:PORT
	basePath          string   // without a slash at its end
	tlsCert, tlsKey   string
	trustedProxies    []netip.Prefix
	allowedOrigins    []string
	policies          session.Policies
	passivePaths      []string
	dataDir           string
	redisURL          string
	redisPrefix       string
	nodeName          string
	directory         directory.Config // without URLs: the demo directory
	ldapWatch         directory.WatchMode
	ldapPollEvery     time.Duration
	presence          hub.PresenceFor
	tokens            []views.APIToken
	adminGroups       []string
	auditKeep         time.Duration
	metricsListen     string
	logFormat         string
	logLevel          slog.Level
	testing           bool
}

var errHelp = flag.ErrHelp

// setting is one that can be a flag, an environment variable or a key of the YAML file.
type setting struct {
	name, standard, help string
	isBool               bool
	set                  func(value) error // the error says what would be right
}

// value is what was given for a setting, as it was written. A YAML list keeps commas within its items.
type value struct {
	text string
	list []string
}

func (v value) items() []string {
	if v.list != nil {
		return v.list
	}
	var items []string
	for item := range strings.SplitSeq(v.text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (v value) String() string {
	if v.list != nil {
		return strings.Join(v.list, ",")
	}
	return v.text
}

// listSettings may be several values.
var listSettings = []string{"trusted-proxies", "allowed-origins", "passive-paths", "ldap-url", "required-groups", "admin-groups"}

// settings are all settings of c, in the order in which they are documented and set: the profile comes before what
// overrides it.
func settings(c *config) []setting {
	text := func(to *string) func(value) error {
		return func(v value) error { *to = v.text; return nil }
	}
	list := func(to *[]string) func(value) error {
		return func(v value) error { *to = v.items(); return nil }
	}
	boolean := func(to *bool) func(value) error {
		return func(v value) (err error) {
			if *to, err = strconv.ParseBool(v.text); err != nil {
				return errors.New("must be true or false")
			}
			return nil
		}
	}
	all := []setting{
		{"config", "", "YAML file with settings", false, func(value) error { return nil }},
		{"listen", "127.0.0.1:8080", "address; port 0 picks a free one", false, func(v value) error {
			if _, _, err := net.SplitHostPort(v.text); err != nil {
				return errors.New("must be HOST:PORT")
			}
			c.listen = v.text
			return nil
		}},
		{"ready-file", "", "path written once requests are accepted, with the URL of this process", false, text(&c.readyFile)},
		{"public-url", "", "origin that browsers see; http://localhost:PORT if not set", false, func(v value) (err error) {
			c.publicURL, err = views.ParseOrigin(v.text)
			if err == nil && c.publicURL.Scheme != "https" && !views.Loopback(c.publicURL.Hostname()) {
				return errors.New("must be https unless its host is loopback: browsers keep the cookie on https only")
			}
			return err
		}},
		{"base-path", "/", "prefix of every route, to live under another site's path", false, func(v value) error {
			if !strings.HasPrefix(v.text, "/") || strings.ContainsAny(v.text, "?#%\\ ") || strings.Contains(v.text, "//") || strings.Contains(v.text, "/.") {
				return errors.New("must be a plain path as /curfew")
			}
			c.basePath = strings.TrimSuffix(v.text, "/")
			return nil
		}},
		{"tls-cert", "", "serve TLS with this certificate; reloaded when the file changes", false, text(&c.tlsCert)},
		{"tls-key", "", "private key of the certificate", false, text(&c.tlsKey)},
		{"trusted-proxies", "", "networks whose X-Forwarded-* headers are believed", false, func(v value) error {
			c.trustedProxies = nil
			for _, item := range v.items() {
				p, err := netip.ParsePrefix(item)
				if err != nil {
					return fmt.Errorf("%q must be a network in CIDR notation as 10.0.0.0/8", item)
				}
				c.trustedProxies = append(c.trustedProxies, p.Masked())
			}
			return nil
		}},
		{"allowed-origins", "", "further origins whose pages may open the socket", false, func(v value) error {
			c.allowedOrigins = nil
			for _, item := range v.items() {
				u, err := views.ParseOrigin(item)
				if err != nil {
					return fmt.Errorf("%q %w", item, err)
				}
				c.allowedOrigins = append(c.allowedOrigins, u.String())
			}
			return nil
		}},
		{"profile", session.DefaultProfile, "preset of the six settings that follow", false, func(v value) error {
			var names []string
			for _, p := range session.Profiles() {
				if p.Name == v.text {
					c.policies.Global = p.Policy
					return nil
				}
				names = append(names, p.Name)
			}
			return fmt.Errorf("must be one of %s", strings.Join(names, ", "))
		}},
	}
	all = append(all, policySettings(&c.policies.Global)...)
	return append(all,
		setting{"passive-paths", "", "paths whose navigations are no activity: exact, or a prefix ending in *", false, list(&c.passivePaths)},
		setting{"data-dir", "", "where the embedded store lives; a folder of the user's state if not set", false, text(&c.dataDir)},
		setting{"redis-url", "", "Redis that several nodes share instead of the embedded store: redis://, rediss://, with ?master_set=NAME for Sentinel", false, func(v value) error {
			c.redisURL = v.text
			if v.text == "" {
				return nil
			}
			return redis.ParseURL(v.text)
		}},
		setting{"redis-prefix", "curfew:", "what its keys begin with", false, func(v value) error {
			if v.text == "" || strings.ContainsAny(v.text, "{} \t\r\n") {
				return errors.New("must be a text such as curfew: without spaces and braces")
			}
			c.redisPrefix = v.text
			return nil
		}},
		setting{"node-name", "", "how this process is called in logs; the host name and a random end if not set", false, text(&c.nodeName)},
		setting{"ldap-url", "", "ldap:// or ldaps://, several for fail-over; the demo directory if not set", false, list(&c.directory.URLs)},
		setting{"ldap-start-tls", "false", "encrypt ldap:// connections", true, boolean(&c.directory.StartTLS)},
		setting{"ldap-ca-file", "", "certificates (PEM) that the directory's is checked against", false, func(v value) error {
			if v.text == "" {
				return nil
			}
			pem, err := os.ReadFile(v.text)
			if err != nil {
				return fmt.Errorf("must be a readable file: %w", err)
			}
			c.directory.CA = x509.NewCertPool()
			if !c.directory.CA.AppendCertsFromPEM(pem) {
				return errors.New("must hold certificates in PEM")
			}
			return nil
		}},
		setting{"ldap-bind-dn", "", "service account for the search", false, text(&c.directory.BindDN)},
		setting{"ldap-bind-password-file", "", "file with its password", false, func(v value) error {
			if v.text == "" {
				return nil
			}
			password, err := os.ReadFile(v.text)
			if err != nil {
				return fmt.Errorf("must be a readable file: %w", err)
			}
			c.directory.BindPassword, c.directory.BindPasswordFile = strings.TrimRight(string(password), "\r\n"), v.text
			return nil
		}},
		setting{"ldap-base-dn", "", "where users are found", false, text(&c.directory.BaseDN)},
		setting{"ldap-user-filter", "(uid={username})", "how a user is found", false, text(&c.directory.UserFilter)},
		setting{"ldap-group-base-dn", "", "where groups are found; ldap-base-dn if not set", false, text(&c.directory.GroupBaseDN)},
		setting{"ldap-group-filter", "(member={dn})", "how a user's groups are found", false, text(&c.directory.GroupFilter)},
		setting{"ldap-user-attribute", "uid", "attribute with the canonical user name", false, text(&c.directory.UserAttribute)},
		setting{"required-groups", "", "only members of one of these may sign in", false, list(&c.directory.Required)},
		setting{"ldap-watch", "auto", "how directory changes are noticed: syncrepl, poll, auto or off", false, func(v value) error {
			c.ldapWatch = directory.WatchMode(v.text)
			return c.ldapWatch.Validate()
		}},
		setting{"ldap-poll-every", "15s", "how often the directory is asked where it is polled", false, positive(&c.ldapPollEvery)},
		setting{"presence", "admins", "whose pages may watch others' presence: off, admins or users", false, func(v value) error {
			c.presence = hub.PresenceFor(v.text)
			return c.presence.Validate()
		}},
		setting{"api-tokens-file", "", "bearer tokens of the API, one name:scope:sha256-hex a line", false, func(v value) error {
			c.tokens = nil
			if v.text == "" {
				return nil
			}
			text, err := os.ReadFile(v.text)
			if err != nil {
				return fmt.Errorf("must be a readable file: %w", err)
			}
			if c.tokens, err = views.ParseAPITokens(string(text)); err != nil {
				return fmt.Errorf("must hold tokens: %w", err)
			}
			return nil
		}},
		setting{"admin-groups", "admins", "groups whose members may administer", false, list(&c.adminGroups)},
		setting{"audit-keep", "2160h", "how long audit entries are kept", false, positive(&c.auditKeep)},
		setting{"metrics-listen", "", "separate address for /metrics; on the main one, for admins and tokens only, if not set", false, text(&c.metricsListen)},
		setting{"log-format", "text", "text or json", false, func(v value) error {
			if v.text != "text" && v.text != "json" {
				return errors.New("must be text or json")
			}
			c.logFormat = v.text
			return nil
		}},
		setting{"log-level", "info", "debug, info, warn or error", false, func(v value) error {
			if err := c.logLevel.UnmarshalText([]byte(v.text)); err != nil {
				return errors.New("must be debug, info, warn or error")
			}
			return nil
		}},
		setting{"testing", "false", "offer /testing/, on loopback only", true, boolean(&c.testing)},
	)
}

func duration(to *time.Duration) func(value) error {
	return func(v value) error {
		if v.text == "0" {
			*to = 0
			return nil
		}
		d, err := time.ParseDuration(v.text)
		if err != nil || d < 0 {
			return errors.New("must be a duration as 90s, 10m or 22h")
		}
		*to = d
		return nil
	}
}

func positive(to *time.Duration) func(value) error {
	return func(v value) error {
		if err := duration(to)(v); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("must be more than 0")
		}
		return nil
	}
}

// policySettings are the six that a profile presets and that an entry of policies may have.
func policySettings(p *session.Policy) []setting {
	return []setting{
		{"warn-after", "", "idle time until the warning", false, duration(&p.WarnAfter)},
		{"expire-after", "", "idle time until the session ends", false, duration(&p.ExpireAfter)},
		{"max-lifetime", "", "age at which a session ends whatever happens; 0 for none", false, duration(&p.MaxLifetime)},
		{"close-grace", "", "how long a session outlives the closing of its last tab; 0 turns this off", false, duration(&p.CloseGrace)},
		{"extend-on", "", "what withdraws an idle warning: activity, or only confirm", false, func(v value) error { p.ExtendOn = session.ExtendOn(v.text); return nil }},
		{"max-sessions", "", "sessions per user; 0 for no limit", false, func(v value) error {
			n, err := strconv.Atoi(v.text)
			if err != nil {
				return errors.New("must be a number, 0 or more")
			}
			p.MaxSessions = n
			return nil
		}},
	}
}

// load reads file, environment and flags, the later ones winning, and validates all. Mistakes are reported together.
func load(args, environ []string) (*config, error) {
	c := &config{}
	all := settings(c)
	given := make(map[string]value)
	var mistakes []error
	flags, err := readFlags(all, args)
	mistakes = append(mistakes, err...)
	if slices.ContainsFunc(err, func(e error) bool { return errors.Is(e, errHelp) }) {
		return nil, errHelp
	}
	env := readEnv(all, environ)
	path, ok := flags["config"]
	if !ok {
		path = env["config"]
	}
	var groups []groupEntry
	if path.text != "" {
		file, entries, err := readFile(all, path.text)
		mistakes = append(mistakes, err...)
		groups = entries
		for name, v := range file {
			given[name] = v
		}
	}
	for _, source := range []map[string]value{env, flags} {
		for name, v := range source {
			given[name] = v
		}
	}
	for _, s := range all {
		v, ok := given[s.name]
		if !ok {
			if s.standard == "" {
				continue
			}
			v = value{text: s.standard}
		}
		err := s.set(v)
		if v.list != nil && !slices.Contains(listSettings, s.name) {
			err = errors.New("must be one value, not a list")
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s %q: %w", s.name, withoutPassword(v.String()), err))
		}
	}
	for i, g := range groups {
		p, err := g.policy(c.policies.Global)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("policies, entry %d (%s): %w", i+1, g.group, err))
		}
		c.policies.Groups = append(c.policies.Groups, session.GroupPolicy{Group: g.group, Policy: p})
	}
	mistakes = append(mistakes, c.validate(given)...)
	if len(mistakes) == 0 {
		if err := c.policies.Validate(c.testing); err != nil {
			mistakes = append(mistakes, fmt.Errorf("policies: %w", err))
		}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return c, nil
}

// withoutPassword is a value as it may be shown: of a URL with an account, what follows that.
func withoutPassword(text string) string {
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			return scheme + "://…" + rest[at:]
		}
	}
	return text
}

// readFlags collects the flags and goes on after a mistake.
func readFlags(all []setting, args []string) (map[string]value, []error) {
	given := make(map[string]value)
	fs := flag.NewFlagSet("curfew", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, s := range all {
		note := func(text string) error { given[s.name] = value{text: text}; return nil }
		if s.isBool {
			fs.BoolFunc(s.name, s.help, note)
		} else {
			fs.Func(s.name, s.help, note)
		}
	}
	var mistakes []error
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			mistakes = append(mistakes, err)
			if args = fs.Args(); len(args) > 0 && !strings.HasPrefix(args[0], "-") {
				args = args[1:] // the value of a flag that is not known
			}
			continue
		}
		if args = fs.Args(); len(args) > 0 {
			mistakes = append(mistakes, fmt.Errorf("argument %q: there is no such command, or the flag before it needs no value", args[0]))
			args = args[1:]
		}
	}
	return given, mistakes
}

func readEnv(all []setting, environ []string) map[string]value {
	given := make(map[string]value)
	for _, s := range all {
		name := "CURFEW_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_")) + "="
		for _, e := range environ {
			if text, ok := strings.CutPrefix(e, name); ok && text != "" { // set and empty counts as not set
				given[s.name] = value{text: text}
			}
		}
	}
	return given
}

// groupEntry is an entry of policies.
type groupEntry struct {
	group string
	given map[string]value
}

// policy completes the entry from the global one and validates it as far as it stands alone.
func (g groupEntry) policy(global session.Policy) (session.Policy, error) {
	p := global
	var mistakes []error
	for _, s := range policySettings(&p) {
		if v, ok := g.given[s.name]; ok {
			if err := s.set(v); err != nil {
				mistakes = append(mistakes, fmt.Errorf("%s %q: %w", s.name, v, err))
			}
		}
	}
	return p, errors.Join(mistakes...)
}

// validate checks what goes beyond one setting, and completes what was not given.
func (c *config) validate(given map[string]value) (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	if c.policies.Global.ExtendOn != "" { // else the profile is unknown, which was said
		if err := c.policies.Global.Validate(c.testing); err != nil {
			mistakes = append(mistakes, err)
		}
		for i, g := range c.policies.Groups {
			if err := g.Validate(c.testing); err != nil {
				refuse("policies, entry %d (%s): %w", i+1, g.Group, err)
			}
		}
	}
	host, _, _ := net.SplitHostPort(c.listen)
	if c.testing && c.listen != "" && !views.Loopback(host) {
		refuse("testing with listen %q: must be a loopback address as 127.0.0.1:0, because anybody who reaches it can sign in", c.listen)
	}
	if (c.tlsCert == "") != (c.tlsKey == "") {
		refuse("tls-cert and tls-key: must be set together")
	}
	for _, p := range c.passivePaths {
		if !strings.HasPrefix(p, "/") || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			refuse("passive-paths %q: must begin with / and have a * at its end only", p)
		}
	}
	if c.metricsListen != "" {
		host, _, err := net.SplitHostPort(c.metricsListen)
		switch {
		case err != nil:
			refuse("metrics-listen %q: must be HOST:PORT", c.metricsListen)
		case c.testing && !views.Loopback(host):
			refuse("testing with metrics-listen %q: must be a loopback address as 127.0.0.1:0", c.metricsListen)
		}
	}
	if len(c.directory.URLs) > 0 {
		if err := c.directory.Validate(); err != nil {
			mistakes = append(mistakes, err)
		}
	} else {
		if c.listen != "" && !views.Loopback(host) {
			refuse("listen %q: must be a loopback address while the demo directory is used; set ldap-url for your own directory", c.listen)
		}
		for name := range given {
			if strings.HasPrefix(name, "ldap-") && name != "ldap-watch" && name != "ldap-poll-every" {
				refuse("%s: needs ldap-url", name)
			}
		}
	}
	if c.dataDir == "" {
		state := os.Getenv("XDG_STATE_HOME")
		if home, err := os.UserHomeDir(); state == "" && err == nil {
			state = filepath.Join(home, ".local", "state")
		}
		if state == "" {
			refuse("data-dir: must be set where the user has no home folder")
		}
		c.dataDir = filepath.Join(state, "curfew")
	}
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return mistakes
}

func usage(w io.Writer) {
	fmt.Fprintln(w, "Usage: curfew [flags]               serve")
	fmt.Fprintln(w, "       curfew check-config [flags]  print the effective policies")
	fmt.Fprintln(w, "       curfew version")
	fmt.Fprintln(w, "       curfew token|who|logout|notify|audit   administer a running server; --help after one of them tells more")
	fmt.Fprintln(w, "\nEach flag can also be an environment variable (CURFEW_LISTEN) or a key of the YAML file (listen).")
	for _, s := range settings(&config{}) {
		standard := ""
		if s.standard != "" {
			standard = " (default " + s.standard + ")"
		}
		fmt.Fprintf(w, "  --%-26s %s%s\n", s.name, s.help, standard)
	}
}
