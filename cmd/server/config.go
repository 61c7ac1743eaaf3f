package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
	"curfew/views"
)

// config is all that can be set, in the groups of the README. [load] fills and validates it; nobody
// changes it after that.
type config struct {
	http        httpConfig
	application applicationConfig
	site        siteConfig
	sessions    sessionsConfig
	store       storeConfig
	directory   directoryConfig
	events      eventsConfig
	operation   operationConfig
}

// httpConfig says where Curfew is reached, and what it believes of a request.
type httpConfig struct {
	listen          string
	publicURL       *url.URL // nil: http://localhost:PORT
	basePath        string   // without a slash at its end
	adminListen     string   // of the console; empty: it is on the main address
	adminURL        *url.URL // set together with adminListen
	tlsCert, tlsKey string
	trustedProxies  []netip.Prefix
	allowedOrigins  []string
	verifyListen    string // of the doors; empty: there are none
	hsts            hstsConfig
}

// sessionsConfig says how long sessions live, and what keeps them.
type sessionsConfig struct {
	policies     session.Policies
	passivePaths []string
}

// storeConfig says where sessions are kept, and with which other nodes.
type storeConfig struct {
	dataDir     string
	redisURL    string // empty: the embedded store
	redisPrefix string
	nodeName    string // empty: one is made up
}

// directoryConfig says who may sign in.
type directoryConfig struct {
	ldap      directory.Config // without URLs: the demo directory
	watch     directory.WatchMode
	pollEvery time.Duration
}

// operationConfig says who administers a server, and what it shows of itself.
type operationConfig struct {
	readyFile     string
	presence      hub.PresenceFor
	tokens        []views.APIToken
	adminGroups   []string
	auditKeep     time.Duration
	metricsListen string // empty: on the main address
	logFormat     string
	logLevel      slog.Level
	testing       bool
}

// demo says that the directory for demonstrations is used.
func (c *config) demo() bool { return len(c.directory.ldap.URLs) == 0 }

// showsDemo says that the users of the demo directory can sign in from elsewhere, through what
// stands in front of this machine's loopback address.
func (c *config) showsDemo() bool {
	return c.demo() && c.http.publicURL != nil && !views.Loopback(c.http.publicURL.Hostname())
}

// validate checks what goes beyond one setting, and lists all mistakes in the order of their texts.
// given has what sources have for settings.
func (c *config) validate(given map[string]value) []error {
	mistakes := slices.Concat(
		c.sessions.validate(c.operation.testing),
		c.validateAddresses(),
		c.validateConsole(given),
		c.validateHSTS(),
		c.validateApplication(given),
		c.validateDirectory(given),
		c.events.validate(given),
		c.store.complete(),
	)
	slices.SortFunc(mistakes, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	return mistakes
}

func (c *sessionsConfig) validate(testing bool) (mistakes []error) {
	if c.policies.Global.ExtendOn != "" { // else the profile is unknown, which was said
		if err := c.policies.Global.Validate(testing); err != nil {
			mistakes = append(mistakes, err)
		}
		for i, g := range c.policies.Groups {
			if err := g.Validate(testing); err != nil {
				mistakes = append(mistakes, fmt.Errorf("policies, entry %d (%s): %w", i+1, g.Group, err))
			}
		}
	}
	for _, p := range c.passivePaths {
		if !strings.HasPrefix(p, "/") || strings.Contains(strings.TrimSuffix(p, "*"), "*") {
			mistakes = append(mistakes,
				fmt.Errorf("passive-paths %q: must begin with / and have a * at its end only", p))
		}
	}
	return mistakes
}

// validateAddresses refuses addresses that let strangers in: to a server for testing, or to one
// whose users and passwords everybody knows.
func (c *config) validateAddresses() (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	listen, metrics := c.http.listen, c.operation.metricsListen
	host, _, _ := net.SplitHostPort(listen)
	if c.operation.testing && listen != "" && !views.Loopback(host) {
		refuse("testing with listen %q: must be a loopback address as 127.0.0.1:0, "+
			"because anybody who reaches it can sign in", listen)
	}
	if c.demo() && listen != "" && !views.Loopback(host) {
		refuse("listen %q: must be a loopback address while the demo directory is used; "+
			"set ldap-url for your own directory", listen)
	}
	if (c.http.tlsCert == "") != (c.http.tlsKey == "") {
		refuse("tls-cert and tls-key: must be set together")
	}
	for _, separate := range []listener{
		{"metrics-listen", metrics},
		{"verify-listen", c.http.verifyListen},
	} {
		if separate.address == "" {
			continue
		}
		host, _, err := net.SplitHostPort(separate.address)
		switch {
		case err != nil:
			refuse("%s %q: must be HOST:PORT", separate.name, separate.address)
		case c.operation.testing && !views.Loopback(host):
			refuse("testing with %s %q: must be a loopback address as 127.0.0.1:0", separate.name, separate.address)
		}
	}
	for _, pair := range [][2]listener{
		{{"admin-listen", c.http.adminListen}, {"listen", listen}},
		{{"metrics-listen", metrics}, {"listen", listen}},
		{{"metrics-listen", metrics}, {"admin-listen", c.http.adminListen}},
	} {
		if overlap(pair[0].address, pair[1].address) {
			refuse("%s %q: must be another address than %s %q", pair[0].name, pair[0].address, pair[1].name,
				pair[1].address)
		}
	}
	return append(mistakes, c.validateDoors()...)
}

// listener is a setting that has an address to listen on.
type listener struct{ name, address string }

// validateDoors refuses an address of the doors that browsers may reach, or strangers while
// everybody knows a password.
func (c *config) validateDoors() (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	doors := c.http.verifyListen
	host, _, err := net.SplitHostPort(doors)
	if doors == "" || err != nil {
		return nil
	}
	if c.demo() && !c.operation.testing && !views.Loopback(host) {
		refuse("verify-listen %q: must be a loopback address while the demo directory is used; "+
			"set ldap-url for your own directory", doors)
	}
	for _, other := range []struct{ name, address, why string }{
		{"listen", c.http.listen, ", which browsers reach: the doors show what no page may read"},
		{"admin-listen", c.http.adminListen, ", which browsers reach: the doors show what no page may read"},
		{"metrics-listen", c.operation.metricsListen, ""},
	} {
		if overlap(doors, other.address) {
			refuse("verify-listen %q: must be another address than %s %q%s", doors, other.name, other.address,
				other.why)
		}
	}
	return mistakes
}

// overlap reports whether two addresses cannot be listened on at once, or mean the same to whoever
// connects. Ports that the system picks are never the same.
func overlap(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" || portA == "" {
		return false
	}
	return hostA == hostB || everyAddress(hostA) || everyAddress(hostB) ||
		views.Loopback(hostA) && views.Loopback(hostB)
}

// everyAddress reports whether a host stands for all addresses of this machine.
func everyAddress(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

// validateDirectory checks the directory that is named, or refuses settings that would need one.
func (c *config) validateDirectory(given map[string]value) (mistakes []error) {
	if !c.demo() {
		if err := c.directory.ldap.Validate(); err != nil {
			return []error{err}
		}
		return nil
	}
	for name := range given {
		if strings.HasPrefix(name, "ldap-") && name != "ldap-watch" && name != "ldap-poll-every" {
			mistakes = append(mistakes, fmt.Errorf("%s: needs ldap-url", name))
		}
	}
	return mistakes
}

// complete finds a folder for the embedded store where none is set.
func (c *storeConfig) complete() []error {
	if c.dataDir != "" {
		return nil
	}
	state := os.Getenv("XDG_STATE_HOME")
	if home, err := os.UserHomeDir(); state == "" && err == nil {
		state = filepath.Join(home, ".local", "state")
	}
	if state == "" {
		return []error{errors.New("data-dir: must be set where the user has no home folder")}
	}
	c.dataDir = filepath.Join(state, "curfew")
	return nil
}
