package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
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
	upstream    *front.Upstream // nil: no application is behind this server
	ca          *x509.CertPool  // nil: those of the system
	timeout     time.Duration
	publicPaths []string
	cookies     []string       // as they are set
	ends        []front.Cookie // as they were read
	home        string         // empty: the base path, or / where there is an application
}

// hasApplication reports whether Curfew guards an application, and serves no sample: as its reverse
// proxy, or for one that asks the doors.
func (c *config) hasApplication() bool {
	return c.application.upstream != nil || c.http.verifyListen != "" && c.http.basePath != ""
}

func (c *applicationConfig) settings() []setting {
	return []setting{
		{
			name:    "upstream",
			meaning: "application that Curfew stands in front of: `http://HOST:PORT`, `https://…` or `unix:/PATH`",
			set: func(v value) (err error) {
				c.upstream, err = front.ParseUpstream(v.text)
				return err
			},
		},
		{
			name:    "upstream-ca-file",
			meaning: "certificates (PEM) that an `https` upstream's is checked against",
			set: contents(func(_ string, pem []byte) error {
				c.ca = x509.NewCertPool()
				if !c.ca.AppendCertsFromPEM(pem) {
					return errors.New("must hold certificates in PEM")
				}
				return nil
			}),
		},
		{
			name:     "upstream-timeout",
			standard: "5m",
			meaning:  "time until the first byte of an answer of the application",
			set:      positive(&c.timeout),
		},
		{
			name:    "public-paths",
			meaning: "paths of the application that need no session: exact, or a prefix ending in `*`",
			kind:    manyValues,
			set:     texts(&c.publicPaths),
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

// validateApplication completes what follows from there being an application, and checks what goes
// beyond one setting. given has what sources have for settings.
func (c *config) validateApplication(given map[string]value) (mistakes []error) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Errorf(format, args...)) }
	a := &c.application
	mistakes = c.readCookies()
	if a.upstream == nil {
		for _, name := range []string{"upstream-ca-file", "upstream-timeout", "public-paths"} {
			if _, ok := given[name]; ok {
				refuse("%s: needs upstream", name)
			}
		}
		return append(mistakes, c.completeHome()...)
	}
	if err := front.PublicPaths(a.publicPaths).Validate(); err != nil {
		refuse("public-paths: %w", err)
	}
	if a.ca != nil && !a.upstream.IsTLS() {
		refuse("upstream-ca-file: needs an upstream that begins with https://")
	}
	a.upstream.CA = a.ca
	if _, ok := given["base-path"]; !ok {
		c.http.basePath = applicationBase
	}
	if c.http.basePath == "" {
		refuse("base-path \"/\": must be another one with upstream, as %s, for / is the application's", applicationBase)
	}
	return append(mistakes, c.completeHome()...)
}

// readCookies reads what the settings say of the application's cookies.
func (c *config) readCookies() (mistakes []error) {
	a := &c.application
	if len(a.cookies) > 0 && a.upstream == nil && c.http.verifyListen == "" {
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
	if strings.TrimSuffix(a.home, "/") == c.http.basePath {
		return []error{fmt.Errorf("home %q: must be a page of the application", a.home)}
	}
	return nil
}

// webApplication is what pages know of the application.
func (s *server) webApplication() views.Application {
	return views.Application{
		Exists:      s.cfg.hasApplication(),
		PublicPaths: s.cfg.application.publicPaths,
		Origins:     s.cfg.http.allowedOrigins,
		Cookies:     s.cfg.application.ends,
	}
}

// forward makes the server the application's reverse proxy, if there is an upstream.
func (s *server) forward() {
	a := &s.cfg.application
	if a.upstream == nil {
		return
	}
	var proxy http.Handler = front.NewProxy(front.ProxyOptions{
		Upstream: a.upstream,
		Timeout:  a.timeout,
		Log:      s.log,
		Fail:     s.web.FailApplication,
	})
	s.web.SetApplication(proxy)
}
