package main

import (
	"cmp"
	"errors"
	"fmt"
	"html"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// proxySite is what templates put into the configuration of a proxy. Its texts are of letters that
// need no quotes in any of their languages; KeepForms may be any text, see [scriptTag].
type proxySite struct {
	Public     string // the origin that browsers see
	Scheme     string // its scheme
	Host       string // its host, with the port if that is not the scheme's
	ServerName string // its host alone
	Base       string // the base path, without a slash at its end
	At         proxyAddress
	TLS        bool // the proxy serves TLS
	Curfew     proxyAddress
	CurfewTLS  bool
	Doors      proxyAddress
	App        proxyApp
	Inject     bool
	KeepForms  string // CSS selector of the forms whose text is kept; may be empty

	notes []string // for people: what may be meant as it is, and is mostly not
}

// proxyAddress is an address that is listened on, or connected to.
type proxyAddress struct {
	Host string // empty: all addresses
	Port int
}

// Address is the address as nginx, HAProxy and Go write it.
func (a proxyAddress) Address() string { return net.JoinHostPort(a.Host, strconv.Itoa(a.Port)) }

// proxyApp is the application, as proxies name it.
type proxyApp struct {
	Socket  string // the path of its Unix socket, or else empty
	TLS     bool
	Address proxyAddress
	Origin  string // how it may name itself in redirects; empty at a Unix socket
}

var (
	plainHost = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$`)
	plainPath = regexp.MustCompile(`^(/[A-Za-z0-9._~-]+)+$`)
)

// newProxySite is the site of these settings. Its error names all that is missing, or not to be
// had from a proxy.
func newProxySite(c *config, o proxyOptions) (*proxySite, error) {
	if o.kind.name != "" && o.inject && !o.kind.injects {
		return nil, fmt.Errorf("--inject is for nginx; put this first into the head of your pages: %s",
			scriptTag(c.http.basePath, "", c.application.keepForms))
	}
	if missing := missingForProxy(c, o); len(missing) > 0 {
		return nil, fmt.Errorf("needs %s", strings.Join(missing, " and "))
	}
	s := &proxySite{
		Base:      c.http.basePath,
		Inject:    o.inject,
		CurfewTLS: c.http.tlsCert != "",
		KeepForms: c.application.keepForms,
	}
	var mistakes []error
	wants := func(what, value string, err error) {
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s %q: %w", what, value, err))
		}
	}
	var err error
	s.Curfew, err = parseConnectable(c.http.listen)
	wants("listen", c.http.listen, err)
	s.Doors, err = parseConnectable(c.http.verifyListen)
	wants("verify-listen", c.http.verifyListen, err)
	s.App, err = parseProxyApp(o.app, o.kind.sockets)
	wants("app", o.app, err)
	if !plainPath.MatchString(s.Base) {
		wants("base-path", s.Base, errors.New("must be of letters, digits and ._~- for a proxy, as /.curfew"))
	}
	if o.inject && len(s.NginxTag()) > maxNginxTag {
		wants("keep-forms", s.KeepForms, errors.New("is too long for the configuration of nginx"))
	}
	err = s.setPublic(c, o.at)
	wants("at", o.at, err)
	s.note(c)
	return s, errors.Join(mistakes...)
}

// note notes what keeps a proxy from working as it should, and is no mistake of its configuration.
func (s *proxySite) note(c *config) {
	here := netip.MustParseAddr("127.0.0.1") // where a proxy on this machine asks from
	if ip, err := netip.ParseAddr(s.Doors.Host); err == nil && ip.IsLoopback() && ip.Is6() {
		here = ip
	}
	trusted := slices.ContainsFunc(c.http.trustedProxies, func(p netip.Prefix) bool {
		return !isLoopback(s.Doors.Host) || p.Contains(here)
	})
	if !trusted {
		s.notes = append(s.notes, fmt.Sprintf("trusted-proxies lacks the proxy: from it the server does not learn who "+
			"asks from where, and for what; if it is on this machine, set it to %s/%d", here, here.BitLen()))
	}
	if s.At == s.Curfew || s.At == s.Doors {
		s.notes = append(s.notes, fmt.Sprintf("the proxy listens on %s, as Curfew does: both want a public-url "+
			"with another port, or --at says where the proxy listens", s.At.Address()))
	}
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// missingForProxy names what must be set for a proxy, and is not.
func missingForProxy(c *config, o proxyOptions) (missing []string) {
	if o.app == "" {
		missing = append(missing, "--app URL (where the application is)")
	}
	if c.http.verifyListen == "" {
		missing = append(missing, "--verify-listen ADDRESS (where the proxy asks)")
	}
	if c.http.basePath == "" {
		missing = append(missing, "--base-path PATH (other than /, as "+applicationBase+")")
	}
	return missing
}

// setPublic sets what follows from the public URL, and where the proxy listens.
func (s *proxySite) setPublic(c *config, at string) (err error) {
	public := c.http.publicURL
	if public == nil {
		public = &url.URL{Scheme: "http", Host: net.JoinHostPort("localhost", strconv.Itoa(s.Curfew.Port))}
	}
	s.Public, s.Scheme, s.Host, s.ServerName = public.String(), public.Scheme, public.Host, public.Hostname()
	port := defaultPort(public)
	if at == "" {
		s.At = proxyAddress{Port: port}
		if isLoopback(s.ServerName) {
			s.At.Host = strings.Replace(s.ServerName, "localhost", "127.0.0.1", 1)
		}
	} else if s.At, err = parseListen(at); err != nil {
		return err
	}
	s.TLS = s.Scheme == "https" && s.At.Port == port
	return nil
}

func defaultPort(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	if u.Scheme == "https" {
		return 443
	}
	return 80
}

// parseListen reads HOST:PORT of what is listened on. A host that stands for all is left empty.
func parseListen(text string) (a proxyAddress, err error) {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		return a, errors.New("must be HOST:PORT")
	}
	if a.Port, err = strconv.Atoi(port); err != nil || a.Port < 1 || a.Port > 65535 {
		return a, errors.New("must name its port, from 1 to 65535: a proxy must know where it leads to")
	}
	a.Host = host
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		a.Host = ""
	} else if err != nil && host != "" && !plainHost.MatchString(host) || err == nil && ip.Zone() != "" {
		return a, errors.New("must have a plain host name or address")
	}
	return a, nil
}

// parseConnectable reads HOST:PORT of what Curfew listens on, and says where that is reached.
func parseConnectable(text string) (proxyAddress, error) {
	a, err := parseListen(text)
	if a.Host == "" || a.Host == "localhost" {
		a.Host = "127.0.0.1"
	}
	return a, err
}

// parseProxyApp reads the address of the application.
func parseProxyApp(text string, sockets bool) (app proxyApp, err error) {
	wrong := errors.New("must be http://HOST:PORT, https://HOST:PORT or unix:/PATH, without anything behind it")
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		switch {
		case !sockets:
			return app, errors.New("must be http:// or https://: this proxy reaches no Unix socket")
		case !plainPath.MatchString(path):
			return app, errors.New("must be a path of letters, digits and ._~-")
		}
		return proxyApp{Socket: path}, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Path != "" && u.Path != "/" ||
		u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#") || u.Hostname() == "" {
		return app, wrong
	}
	app.TLS = u.Scheme == "https"
	app.Address, err = parseListen(net.JoinHostPort(u.Hostname(), strconv.Itoa(defaultPort(u))))
	if err == nil && app.Address.Host == "" {
		return app, errors.New("must name the application's host")
	}
	app.Origin = u.Scheme + "://" + u.Host
	return app, err
}

// maxNginxTag is how long a tag may be for nginx, which reads at most 4,096 bytes of a parameter
// (NGX_CONF_BUFFER).
const maxNginxTag = 4000

// scriptTag is the tag of the browser client, as a page behind a guard has it. forms is the CSS
// selector of forms whose text is kept; what could mean something in HTML, or between the quotes of
// nginx, is written as a character reference.
func scriptTag(base, attributes, forms string) string {
	base = html.EscapeString(base)
	tag := `<script type="module"` + attributes + ` src="` + base + `/static/curfew.js" data-socket="` + base +
		`/session/ws" data-required`
	if forms != "" {
		var b strings.Builder
		for _, r := range forms {
			isWord := r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r))
			if isWord || strings.ContainsRune(" .,:#=_-[]()*+|", r) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, "&#%d;", r)
			}
		}
		tag += ` data-keep="` + b.String() + `"`
	}
	return tag + "></script>"
}

// The methods below are for nginx.conf.tmpl.

// Listen has the addresses that nginx listens on.
func (s *proxySite) Listen() []string {
	if s.At.Host != "" {
		return []string{s.At.Address()}
	}
	return []string{strconv.Itoa(s.At.Port), fmt.Sprintf("[::]:%d", s.At.Port)}
}

// HAProxyBind has the addresses that HAProxy listens on.
func (s *proxySite) HAProxyBind() []string {
	if s.At.Host != "" {
		return []string{s.At.Address()}
	}
	return []string{fmt.Sprintf(":%d", s.At.Port), fmt.Sprintf(":::%d v6only", s.At.Port)}
}

// CaddySite is the name of Caddy's site: a host that it gets a certificate for, or whatever is
// asked for.
func (s *proxySite) CaddySite() string {
	if s.TLS {
		return s.Public
	}
	return fmt.Sprintf("http://:%d", s.At.Port)
}

// CaddyBind is the host that Caddy listens on, empty for all.
func (s *proxySite) CaddyBind() string { return s.At.Host }

// TraefikAddress is where Traefik listens.
func (s *proxySite) TraefikAddress() string {
	if s.At.Host == "" {
		return fmt.Sprintf(":%d", s.At.Port)
	}
	return s.At.Address()
}

// EnvoyAddress is the host that Envoy listens on.
func (s *proxySite) EnvoyAddress() string { return cmp.Or(s.At.Host, "0.0.0.0") }

// CurfewURL is where Curfew's own pages are.
func (s *proxySite) CurfewURL() string {
	return withTLS("http", s.CurfewTLS) + "://" + s.Curfew.Address()
}

// NginxTag is the tag with the nonce, if the page has one.
func (s *proxySite) NginxTag() string { return scriptTag(s.Base, "$curfew_nonce", s.KeepForms) }

// BaseRegexp matches the base path.
func (s *proxySite) BaseRegexp() string { return regexp.QuoteMeta(s.Base) }

// CurfewPass is where requests of Curfew's own pages go.
func (s *proxySite) CurfewPass() string { return withTLS("http", s.CurfewTLS) + "://curfew" }

func withTLS(scheme string, tls bool) string {
	if tls {
		return scheme + "s"
	}
	return scheme
}

// Server is the application as a server of nginx.
func (a proxyApp) Server() string {
	if a.Socket != "" {
		return "unix:" + a.Socket
	}
	return a.Address.Address()
}

// HAProxyServer is the application as a server of HAProxy.
func (a proxyApp) HAProxyServer() string {
	if a.Socket != "" {
		return "unix@" + a.Socket
	}
	return a.Address.Address()
}

// Pass is where requests to the application go.
func (a proxyApp) Pass() string { return withTLS("http", a.TLS) + "://application" }

// CaddyURL is the application as an upstream of Caddy.
func (a proxyApp) CaddyURL() string {
	if a.Socket != "" {
		return "unix/" + a.Socket
	}
	return a.URL()
}

// URL is the application's address with its port.
func (a proxyApp) URL() string { return withTLS("http", a.TLS) + "://" + a.Address.Address() }
