package front

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// The end of an application's cookies: what one user has left in a browser is not for the next.

// Cookie is a cookie that an application keeps in browsers. Its name, path and domain tell it from
// others (RFC 6265bis §5.7).
type Cookie struct {
	Name   string
	Path   string // empty: /
	Domain string // without a dot at its beginning; empty: the public URL's host alone
}

// ParseCookie reads NAME, with ;path=… and ;domain=… where the cookie has them. host is that of the
// public URL: no other can have a cookie ended.
func ParseCookie(text, host string) (c Cookie, err error) {
	name, attributes, hasAttributes := strings.Cut(text, ";")
	if c.Name = strings.TrimSpace(name); c.Name == "" || !isCookieName(c.Name) || strings.ContainsAny(c.Name, " ,") {
		return c, errors.New("must begin with the name of a cookie, as sessionid")
	}
	if isOwnCookie(c.Name) || c.Name == SignedInMark {
		return c, errors.New("is a cookie of Curfew's own, which a sign-in sets")
	}
	for hasAttributes {
		var attribute string
		attribute, attributes, hasAttributes = strings.Cut(attributes, ";")
		key, value, _ := strings.Cut(attribute, "=")
		value = strings.TrimSpace(value)
		switch key = strings.ToLower(strings.TrimSpace(key)); {
		case key == "path" && c.Path == "" && isCookiePath(value):
			c.Path = value
		case key == "path":
			return c, errors.New("must have at most one path, which begins with /")
		case key == "domain" && c.Domain == "" && value != "":
			c.Domain = strings.ToLower(strings.TrimPrefix(value, "."))
		default:
			return c, errors.New("must have nothing but ;path=/… and ;domain=… behind its name, each once")
		}
	}
	if c.Domain != "" && !isWithin(host, c.Domain) {
		return c, errors.New("must have the public URL's host " + host + ", or one above it, as its domain: " +
			"browsers take no other")
	}
	if strings.HasPrefix(strings.ToLower(c.Name), "__host-") && (c.Domain != "" || c.Path != "" && c.Path != "/") {
		return c, errors.New("has a name that browsers take on the path / without a domain only (__Host-)")
	}
	return c, nil
}

func isCookiePath(path string) bool {
	isControl := func(c rune) bool { return c < ' ' || c == 0x7f }
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, isControl)
}

// isWithin reports whether a host is a domain or below it.
func isWithin(host, domain string) bool {
	if host == domain {
		return true
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err != nil && strings.HasSuffix(host, "."+domain)
}

// isCookieName reports whether browsers can be told of a cookie of that name. They take more names
// than RFC 6265 §4.1.1 lets servers use: PHP has cookies with brackets in their names.
func isCookieName(name string) bool {
	return len(name) <= 4096 &&
		!strings.ContainsFunc(name, func(c rune) bool { return c < ' ' || c == 0x7f || c == ';' || c == '=' })
}

// maxExpired is how many cookies of a request are ended. Browsers keep fewer of a site.
const maxExpired = 1000

// ExpireCookies has the browser forget the cookies of an application: those of the request that are
// not Curfew's, as host-only cookies of the path /, and the further ones that are listed.
func ExpireCookies(w http.ResponseWriter, r *http.Request, further []Cookie) {
	expired := make(map[Cookie]bool)
	expire := func(c Cookie) {
		if c.Path == "" {
			c.Path = "/"
		}
		if !expired[c] {
			expired[c] = true
			w.Header().Add("Set-Cookie", c.expiry())
		}
	}
	for _, pair := range ForeignCookies(r.Header) {
		name, _, hasName := strings.Cut(pair, "=")
		if name = strings.TrimSpace(name); !hasName {
			name = "" // it has a value only (RFC 6265bis §5.6)
		}
		if isCookieName(name) && len(expired) < maxExpired {
			expire(Cookie{Name: name})
		}
	}
	for _, c := range further {
		expire(c)
	}
}

// expiry is the Set-Cookie that ends a cookie. It is Secure and HttpOnly whatever the cookie was,
// because browsers ask that of some names (__Host-, __Secure-, __Http-), and of nobody who ends a
// cookie that is.
func (c Cookie) expiry() string {
	line := c.Name + "="
	if c.Name == "" {
		line = "=-" // one that has neither name nor value is ignored
	}
	line += "; Path=" + c.Path
	if c.Domain != "" {
		line += "; Domain=" + c.Domain
	}
	return line + "; Max-Age=0; Secure; HttpOnly"
}
