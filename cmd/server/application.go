package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"curfew/front"
	"curfew/views"
)

// The application that Curfew stands in front of.

// applicationBase is the base path where an application has all other paths. No framework uses it.
const applicationBase = "/.curfew"

// applicationConfig says what Curfew stands in front of.
type applicationConfig struct {
	upstream    *front.Upstream // nil: there is none but those of upstreams
	upstreams   []route         // all of them; empty: no application is behind this server
	isMeant     bool            // there is to be one, whether or not its address is right
	ca          *x509.CertPool  // nil: those of the system
	timeout     time.Duration
	publicPaths []string
	keepForms   string
	cookies     []string       // as they are set
	ends        []front.Cookie // as they were read
	home        string         // empty: the base path, or / where there is an application
}

// route is an application below a path.
type route struct {
	path     string
	upstream *front.Upstream
}

// isProxy reports whether Curfew is the reverse proxy of an application.
func (c *config) isProxy() bool { return len(c.application.upstreams) > 0 }

// hasApplication reports whether Curfew guards an application, and serves no sample: as its reverse
// proxy, or for one that asks the doors.
func (c *config) hasApplication() bool {
	return c.isProxy() || c.http.verifyListen != "" && c.http.basePath != ""
}

func (c *applicationConfig) settings() []setting {
	return append(c.upstreamSettings(), c.ruleSettings()...)
}

// upstreamSettings say where the application is.
func (c *applicationConfig) upstreamSettings() []setting {
	return []setting{
		{
			name:    "upstream",
			meaning: "application that Curfew stands in front of: `http://HOST:PORT`, `https://…` or `unix:/PATH`",
			set: func(v value) (err error) {
				c.isMeant = true
				c.upstream, err = front.ParseUpstream(v.text)
				return err
			},
		},
		{
			name: "upstreams",
			meaning: "several applications: list of `{path, url}`; the longest path wins, `/api/` is what is " +
				"below it, `/api` that and itself",
			kind: fileOnly,
		},
		{
			name:    "upstream-ca-file",
			meaning: "certificates (PEM) that an `https` upstream's is checked against",
			kind:    aFile,
			set:     certificates(&c.ca),
		},
		{
			name:     "upstream-timeout",
			standard: "5m",
			meaning:  "time until the first byte of an answer of the application",
			kind:     aDuration,
			set:      positive(&c.timeout),
		},
	}
}

// ruleSettings say what is expected of the application, and granted to it.
func (c *applicationConfig) ruleSettings() []setting {
	return []setting{
		{
			name:    "public-paths",
			meaning: "paths of the application that need no session: exact, or a prefix ending in `*`",
			kind:    manyValues,
			set:     texts(&c.publicPaths),
		},
		{
			name:    "keep-forms",
			meaning: "CSS selector of forms of the application whose text is kept as if marked `data-curfew-keep`",
			set: func(v value) error {
				c.keepForms = v.text
				return front.ValidateForms(v.text)
			},
		},
		{
			name: "app-cookies",
			meaning: "further cookies of the application that end with its user, beside those that a sign-in " +
				"gets to see: `NAME` with `;path=…` and `;domain=…` where they have them",
			kind: manyValues,
			set:  texts(&c.cookies),
		},
		{
			name:    "home",
			unset:   "the base path; `/` with an upstream, or with doors where the base path is not `/`",
			meaning: "path of this origin where a sign-in without a return path leads",
			set: func(v value) error {
				if !strings.HasPrefix(v.text, "/") || strings.HasPrefix(v.text, "//") ||
					strings.ContainsFunc(v.text, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '\\' }) {
					return errors.New("must be a path of this origin as /start")
				}
				c.home = v.text
				return nil
			},
		},
	}
}

// addUpstreams adds those of the file to the one that is set by itself, which answers for all other
// paths.
func (c *applicationConfig) addUpstreams(entries []upstreamEntry) (mistakes []error) {
	if c.upstream != nil {
		c.upstreams = append(c.upstreams, route{"/", c.upstream})
	}
	c.isMeant = c.isMeant || len(entries) > 0
	known := make(map[string]string) // who has a path
	for i, e := range entries {
		name := fmt.Sprintf("entry %d", i+1)
		refuse := func(err error) { mistakes = append(mistakes, fmt.Errorf("upstreams, %s: %w", name, err)) }
		err := front.ValidateRoute(e.path)
		if other, ok := known[e.path]; ok {
			err = fmt.Errorf("is the one of %s as well", other)
		} else if e.path == "/" && c.upstream != nil {
			err = errors.New("is the one of upstream as well")
		}
		if err != nil {
			refuse(fmt.Errorf("path %q: %w", e.path, err))
		}
		known[e.path] = name
		upstream, err := front.ParseUpstream(e.url)
		if err != nil {
			refuse(fmt.Errorf("url %q: %w", withoutPassword(e.url), err))
			continue
		}
		c.upstreams = append(c.upstreams, route{e.path, upstream})
	}
	return mistakes
}

// validateApplication completes what follows from there being an application, and checks what goes
// beyond one setting. given has what sources have for settings.
func (c *config) validateApplication(given map[string]value) (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	a := &c.application
	mistakes = c.readCookies()
	if !a.isMeant {
		for _, name := range []string{"upstream-ca-file", "upstream-timeout", "public-paths"} {
			if _, ok := given[name]; ok {
				refuse("%s: needs upstream", name)
			}
		}
		if a.keepForms != "" && c.http.verifyListen == "" {
			refuse("keep-forms: needs upstream or verify-listen")
		}
		return append(mistakes, c.completeHome()...)
	}
	if err := front.PublicPaths(a.publicPaths).Validate(); err != nil {
		refuse("public-paths: %w", err)
	}
	hasTLS := !c.isProxy() // or nobody knows, as its address is wrong, which was said
	for _, one := range a.upstreams {
		one.upstream.CA = a.ca
		hasTLS = hasTLS || one.upstream.IsTLS()
		if name := c.listensAt(one.upstream.URL()); name != "" {
			refuse("upstream %q: must be the application's address, and is the one of %s", one.upstream, name)
		}
	}
	if a.ca != nil && !hasTLS {
		refuse("upstream-ca-file: needs an upstream that begins with https://")
	}
	if _, ok := given["base-path"]; !ok {
		c.http.basePath = applicationBase
	}
	if c.http.basePath == "" {
		refuse("base-path \"/\": must be another one with upstream, as %s, for / is the application's", applicationBase)
	}
	for _, one := range a.upstreams {
		below, ok := strings.CutPrefix(one.path, c.http.basePath)
		if c.http.basePath != "" && ok && (below == "" || below[0] == '/') {
			refuse("upstreams: path %q is Curfew's own, by base-path", one.path)
		}
	}
	return append(mistakes, c.completeHome()...)
}

// listensAt is the setting by which this server itself listens at an address, empty if none does.
// Behind an upstream that is Curfew, requests would go round, each sign-in with them.
func (c *config) listensAt(u *url.URL) string {
	if u == nil {
		return ""
	}
	host := func(name string) string { return strings.Replace(name, "localhost", "127.0.0.1", 1) }
	for _, own := range []struct{ name, address string }{
		{"listen", c.http.listen},
		{"verify-listen", c.http.verifyListen},
		{"admin-listen", c.http.adminListen},
		{"metrics-listen", c.operation.metricsListen},
	} {
		name, port, err := net.SplitHostPort(own.address)
		if err != nil || port != strconv.Itoa(defaultPort(u)) {
			continue
		}
		if host(name) == host(u.Hostname()) || everyAddress(name) && views.Loopback(u.Hostname()) {
			return fmt.Sprintf("%s %q", own.name, own.address)
		}
	}
	return ""
}

// readCookies reads what the settings say of the application's cookies.
func (c *config) readCookies() (mistakes []error) {
	a := &c.application
	if len(a.cookies) > 0 && !a.isMeant && c.http.verifyListen == "" {
		return []error{errors.New("app-cookies: needs upstream or verify-listen")}
	}
	host := "localhost"
	if c.http.publicURL != nil {
		host = c.http.publicURL.Hostname()
	}
	for _, text := range a.cookies {
		cookie, err := front.ParseCookie(text, host)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("app-cookies: %q %w", text, err))
		}
		a.ends = append(a.ends, cookie)
	}
	return mistakes
}

// completeHome finds the application's home page where none is set. Without an application there is
// the sample's.
func (c *config) completeHome() []error {
	a := &c.application
	if !c.hasApplication() {
		return nil
	}
	if a.home == "" {
		a.home = "/"
	}
	base := c.http.basePath
	if base == "" {
		return nil
	}
	path, _, _ := strings.Cut(a.home, "?")
	switch strings.TrimSuffix(path, "/") {
	case base, base + "/login", base + "/logout":
		return []error{fmt.Errorf("home %q: must be a page of the application", a.home)}
	}
	return nil
}

// webApplication is what pages know of the application.
func (s *server) webApplication() views.Application {
	app := views.Application{
		Exists:      s.cfg.hasApplication(),
		PublicPaths: s.cfg.application.publicPaths,
		Origins:     s.cfg.http.allowedOrigins,
		Cookies:     s.cfg.application.ends,
		KeepForms:   s.cfg.application.keepForms,
	}
	for _, one := range s.cfg.application.upstreams {
		if u := one.upstream.URL(); u != nil {
			app.Inner = append(app.Inner, u)
		}
	}
	return app
}

// forward makes the server the application's reverse proxy, if there is an upstream.
func (s *server) forward() {
	var routes []front.Route
	for _, one := range s.cfg.application.upstreams {
		proxy := front.NewProxy(front.ProxyOptions{
			Upstream: one.upstream,
			Timeout:  s.cfg.application.timeout,
			Log:      s.log,
			Fail:     s.web.FailApplication,
		})
		s.closers = append(s.closers, func() error { proxy.Close(); return nil })
		routes = append(routes, front.Route{Path: one.path, Handler: proxy})
	}
	if len(routes) > 0 {
		s.web.SetApplication(front.NewRoutes(routes, s.web.FailApplication))
	}
}
