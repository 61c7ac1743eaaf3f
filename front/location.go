package front

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// An application that does not know where it stands names its inner address in redirects, or the
// public one under http. Browsers are led to the public URL instead.

// address is where a URL leads: scheme, host and effective port.
type address struct{ scheme, host, port string }

func addressOf(u *url.URL) address {
	scheme := strings.ToLower(u.Scheme)
	return address{scheme, foldHost(u.Hostname()), cmp.Or(u.Port(), defaultPort(scheme))}
}

// foldHost is a host as it is compared: names without regard to case and to the dot at the end of
// a full one, addresses by their bits.
func foldHost(host string) string {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return "443"
	}
	return "80"
}

// innerAddresses are those that stand for the public URL. The value tells whether it is one of an
// upstream; else it is the public URL's own under http.
func innerAddresses(public *url.URL, upstreams []*url.URL) map[address]bool {
	inner := make(map[address]bool)
	if at := addressOf(public); at.scheme == "https" {
		inner[address{"http", at.host, at.port}] = false
		if at.port == "443" {
			inner[address{"http", at.host, "80"}] = false
		}
	}
	for _, u := range upstreams {
		inner[addressOf(u)] = true
	}
	return inner
}

// leadToPublic changes the redirects of an answer.
func (f *Front) leadToPublic(h http.Header) {
	for _, name := range []string{"Location", "Content-Location"} {
		for n, link := range h[name] {
			h[name][n] = f.publicURL(link)
		}
	}
	for n, line := range h["Refresh"] {
		before, link, after := splitRefresh(line)
		h["Refresh"][n] = before + f.publicURL(link) + after
	}
}

// publicURL is a link of the application as browsers shall follow it: at the public URL if it is
// absolute and leads to an inner address. Path, query and fragment stay as they are.
func (f *Front) publicURL(link string) string {
	scheme, rest, ok := cutAuthority(link)
	if !ok {
		return link
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	u, err := url.Parse("//" + rest[:end])
	if err != nil || u.Host == "" {
		return link
	}
	schemes := []string{scheme}
	if scheme == "" { // the application means its own, whichever it believes to be asked by
		schemes = []string{"http", "https"}
	}
	for _, u.Scheme = range schemes {
		if isUpstream, ok := f.inner[addressOf(u)]; ok && (scheme != "" || isUpstream) {
			return f.origin + rest[end:]
		}
	}
	return link
}

// cutAuthority returns the scheme of an absolute URL and what follows its two slashes. The scheme
// of a URL that begins with them is empty.
func cutAuthority(link string) (scheme, rest string, ok bool) {
	if rest, ok := strings.CutPrefix(link, "//"); ok {
		return "", rest, true
	}
	scheme, rest, ok = strings.Cut(link, "://")
	scheme = strings.ToLower(scheme)
	return scheme, rest, ok && (scheme == "http" || scheme == "https")
}

// splitRefresh finds the URL in a Refresh header (HTML Standard, "shared declarative refresh
// steps"). Where there is none, link is empty.
func splitRefresh(line string) (before, link, after string) {
	const space = " \t\n\f\r"
	rest := strings.TrimLeft(strings.TrimLeft(strings.TrimLeft(line, space), "0123456789"), "0123456789.")
	trimmed := strings.TrimLeft(rest, space)
	if trimmed == rest && !strings.HasPrefix(rest, ";") && !strings.HasPrefix(rest, ",") {
		return line, "", ""
	}
	rest = trimmed
	if rest != "" && (rest[0] == ';' || rest[0] == ',') {
		rest = strings.TrimLeft(rest[1:], space)
	}
	if len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if value, ok := strings.CutPrefix(strings.TrimLeft(rest[3:], space), "="); ok {
			rest = strings.TrimLeft(value, space)
			if rest != "" && (rest[0] == '\'' || rest[0] == '"') {
				quote := rest[:1]
				rest = rest[1:]
				if end := strings.Index(rest, quote); end >= 0 {
					return line[:len(line)-len(rest)], rest[:end], rest[end:]
				}
			}
		}
	}
	return line[:len(line)-len(rest)], rest, ""
}
