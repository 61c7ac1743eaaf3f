package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"curfew/directory"
	"curfew/hub"
	"curfew/session/redis"
	"curfew/views"
)

// settingGroup is what a reader looks for together.
type settingGroup struct {
	title    string
	settings []setting
}

// groups are all settings of c, in the order in which they are documented and set.
func (c *config) groups() []settingGroup {
	return []settingGroup{
		{"HTTP", c.http.settings()},
		{"Application", c.application.settings()},
		{"Pages", c.site.settings()},
		{"Sessions", c.sessions.settings()},
		{"Store", c.store.settings()},
		{"Directory", c.directory.settings()},
		{"Events", c.events.settings()},
		{"Operation", c.operation.settings()},
	}
}

// settings are all settings of c, in the order of its groups.
func (c *config) settings() (all []setting) {
	for _, g := range c.groups() {
		all = append(all, g.settings...)
	}
	return all
}

func (c *httpConfig) settings() []setting {
	return slices.Concat(c.addressSettings(), c.consoleSettings(), c.trustSettings())
}

// addressSettings say where Curfew is reached.
func (c *httpConfig) addressSettings() []setting {
	return []setting{
		{
			name:     "listen",
			standard: "127.0.0.1:8080",
			meaning:  "address; port 0 picks a free one",
			set: func(v value) error {
				if _, _, err := net.SplitHostPort(v.text); err != nil {
					return errors.New("must be HOST:PORT")
				}
				c.listen = v.text
				return nil
			},
		},
		{
			name:    "public-url",
			unset:   "`http://localhost:PORT`",
			meaning: "origin that browsers see, umlauts and all; `https` unless on loopback",
			set: func(v value) (err error) {
				c.publicURL, err = parsePublic(v.text)
				return err
			},
		},
		{
			name:    "base-path",
			unset:   "`/`; `/.curfew` with an upstream",
			meaning: "prefix of every route, to live under another site's path",
			set: func(v value) error {
				if !strings.HasPrefix(v.text, "/") || strings.ContainsAny(v.text, "?#%\\ ") ||
					strings.Contains(v.text, "//") || hasDotSegment(v.text) {
					return errors.New("must be a plain path as /curfew")
				}
				c.basePath = strings.TrimSuffix(v.text, "/")
				return nil
			},
		},
		{
			name:    "verify-listen",
			unset:   "none",
			meaning: "separate address of the forward-auth doors, for proxies only, without the base path",
			set:     text(&c.verifyListen),
		},
		{
			name:    "tls-cert",
			meaning: "serve TLS with this certificate; reloaded when the file changes",
			kind:    aFile,
			set:     text(&c.tlsCert),
		},
		{
			name:    "tls-key",
			meaning: "private key of the certificate",
			kind:    aFile,
			set:     text(&c.tlsKey),
		},
		c.hsts.setting(),
	}
}

// parsePublic reads an origin that browsers keep the cookie at.
func parsePublic(text string) (*url.URL, error) {
	u, err := views.ParseOrigin(text)
	if err == nil && u.Scheme != "https" && !views.Loopback(u.Hostname()) {
		return nil, errors.New("must be https unless its host is loopback: browsers keep the cookie on https only")
	}
	return u, err
}

// trustSettings say which proxies and pages are believed.
func (c *httpConfig) trustSettings() []setting {
	return []setting{
		{
			name:    "trusted-proxies",
			meaning: "networks whose `X-Forwarded-*` and `X-Request-ID` headers are believed",
			kind:    manyValues,
			set: func(v value) error {
				c.trustedProxies = nil
				for _, item := range v.items() {
					p, err := netip.ParsePrefix(item)
					if err != nil {
						return fmt.Errorf("%q must be a network in CIDR notation as 10.0.0.0/8", item)
					}
					c.trustedProxies = append(c.trustedProxies, p.Masked())
				}
				return nil
			},
		},
		{
			name:    "allowed-origins",
			meaning: "further origins whose pages may open the socket with a script of their own",
			kind:    manyValues,
			set: func(v value) error {
				c.allowedOrigins = nil
				for _, item := range v.items() {
					u, err := views.ParseOrigin(item)
					if err != nil {
						return fmt.Errorf("%q %w", item, err)
					}
					c.allowedOrigins = append(c.allowedOrigins, u.String())
				}
				return nil
			},
		},
	}
}

func (c *storeConfig) settings() []setting {
	return []setting{
		{
			name:    "data-dir",
			unset:   "a folder of the user's state",
			meaning: "where the embedded store lives",
			kind:    aFolder,
			set:     text(&c.dataDir),
		},
		{
			name: "redis-url",
			meaning: "Redis that several nodes share instead of the embedded store: `redis://`, `rediss://`, " +
				"Cluster, or Sentinel with `?master_set=NAME`; see `docs/nodes.md`",
			set: func(v value) error {
				c.redisURL = v.text
				if v.text == "" {
					return nil
				}
				return redis.ParseURL(v.text)
			},
		},
		{
			name:     "redis-prefix",
			standard: "curfew:",
			meaning:  "what its keys begin with",
			set: func(v value) error {
				if v.text == "" || strings.ContainsAny(v.text, "{} \t\r\n") {
					return errors.New("must be a text such as curfew: without spaces and braces")
				}
				c.redisPrefix = v.text
				return nil
			},
		},
		{
			name:    "node-name",
			unset:   "the host name and a random end",
			meaning: "how this process is called in presence and logs",
			set:     text(&c.nodeName),
		},
	}
}

func (c *directoryConfig) settings() []setting {
	return slices.Concat(c.connectionSettings(), c.searchSettings(), []setting{
		{
			name:    "required-groups",
			meaning: "only members of one of these may sign in",
			kind:    manyValues,
			set:     texts(&c.ldap.Required),
		},
		{
			name:     "ldap-watch",
			standard: "auto",
			meaning:  "how directory changes are noticed: `syncrepl`, `poll`, `auto` or `off`",
			choices:  []string{"syncrepl", "poll", "auto", "off"},
			set: func(v value) error {
				c.watch = directory.WatchMode(v.text)
				return c.watch.Validate()
			},
		},
		{
			name:     "ldap-poll-every",
			standard: "15s",
			meaning:  "how often the directory is asked where it is polled",
			kind:     aDuration,
			set:      positive(&c.pollEvery),
		},
	})
}

// connectionSettings say which directory is asked, and as whom.
func (c *directoryConfig) connectionSettings() []setting {
	return []setting{
		{
			name:    "ldap-url",
			unset:   "the demo directory",
			meaning: "`ldap://` or `ldaps://`, several for fail-over; plain `ldap://` goes to loopback only",
			kind:    manyValues,
			set:     texts(&c.ldap.URLs),
		},
		{
			name:     "ldap-start-tls",
			standard: "false",
			meaning:  "encrypt `ldap://` connections",
			kind:     yesNo,
			set:      boolean(&c.ldap.StartTLS),
		},
		{
			name:    "ldap-ca-file",
			meaning: "certificates (PEM) that the directory's is checked against",
			kind:    aFile,
			set:     certificates(&c.ldap.CA),
		},
		{
			name:    "ldap-bind-dn",
			meaning: "service account for the search",
			set:     text(&c.ldap.BindDN),
		},
		{
			name:    "ldap-bind-password-file",
			meaning: "file with its password",
			kind:    aFile,
			set: contents(func(path string, password []byte) error {
				c.ldap.BindPassword, c.ldap.BindPasswordFile = strings.TrimRight(string(password), "\r\n"), path
				return nil
			}),
		},
	}
}

// searchSettings say how users and their groups are found.
func (c *directoryConfig) searchSettings() []setting {
	return []setting{
		{
			name:    "ldap-base-dn",
			meaning: "where users are found",
			set:     text(&c.ldap.BaseDN),
		},
		{
			name:     "ldap-user-filter",
			standard: "(uid={username})",
			meaning:  "how a user is found",
			set:      text(&c.ldap.UserFilter),
		},
		{
			name:    "ldap-group-base-dn",
			unset:   "that of `--ldap-base-dn`",
			meaning: "where groups are found",
			set:     text(&c.ldap.GroupBaseDN),
		},
		{
			name:     "ldap-group-filter",
			standard: "(member={dn})",
			meaning:  "how a user's groups are found",
			set:      text(&c.ldap.GroupFilter),
		},
		{
			name:     "ldap-user-attribute",
			standard: "uid",
			meaning:  "attribute with the canonical user name (`sAMAccountName` in AD)",
			set:      text(&c.ldap.UserAttribute),
		},
	}
}

func (c *operationConfig) settings() []setting {
	return slices.Concat([]setting{
		{
			name:    "config",
			meaning: "YAML file with settings",
			kind:    aFile,
		},
		{
			name:    "ready-file",
			meaning: "path written once requests are accepted, with the URL of this process",
			kind:    aFile,
			set:     text(&c.readyFile),
		},
	}, c.administrationSettings(), c.observationSettings(), []setting{
		{
			name:     "testing",
			standard: "false",
			meaning: "offer `/testing/`, which moves the clock, mints sessions, breaks sockets " +
				"and has calls of the store fail; loopback only",
			kind: yesNo,
			set:  boolean(&c.testing),
		},
	})
}

// administrationSettings say who may watch and administer others, and what is kept of that.
func (c *operationConfig) administrationSettings() []setting {
	return []setting{
		{
			name:     "presence",
			standard: "admins",
			meaning:  "whose pages may watch others' presence: `off`, `admins` or `users`",
			choices:  []string{"off", "admins", "users"},
			set: func(v value) error {
				c.presence = hub.PresenceFor(v.text)
				return c.presence.Validate()
			},
		},
		{
			name:    "api-tokens-file",
			meaning: "bearer tokens of the API, one `name:scope:sha256-hex` a line",
			kind:    aFile,
			set: func(v value) error {
				c.tokens = nil
				return contents(func(_ string, lines []byte) (err error) {
					if c.tokens, err = views.ParseAPITokens(string(lines)); err != nil {
						return fmt.Errorf("must hold tokens: %w", err)
					}
					return nil
				})(v)
			},
		},
		{
			name:     "admin-groups",
			standard: "admins",
			meaning:  "groups whose members may administer",
			kind:     manyValues,
			set:      texts(&c.adminGroups),
		},
		{
			name:     "audit-keep",
			standard: "2160h",
			meaning:  "how long audit entries are kept",
			kind:     aDuration,
			set:      positive(&c.auditKeep),
		},
	}
}

// observationSettings say what operators see of the process.
func (c *operationConfig) observationSettings() []setting {
	return []setting{
		{
			name:    "metrics-listen",
			unset:   "the main address, for admins and tokens only",
			meaning: "separate address for `/metrics`, and for profiles of the process at `/debug/pprof/`",
			set:     text(&c.metricsListen),
		},
		{
			name:     "log-format",
			standard: "text",
			meaning:  "format of the log: `text` or `json`",
			choices:  []string{"text", "json"},
			set: func(v value) error {
				if v.text != "text" && v.text != "json" {
					return errors.New("must be text or json")
				}
				c.logFormat = v.text
				return nil
			},
		},
		{
			name:     "log-level",
			standard: "info",
			meaning:  "least level that is logged: `debug`, `info`, `warn` or `error`",
			choices:  []string{"debug", "info", "warn", "error"},
			set: func(v value) error {
				if err := c.logLevel.UnmarshalText([]byte(v.text)); err != nil {
					return errors.New("must be debug, info, warn or error")
				}
				return nil
			},
		},
	}
}
