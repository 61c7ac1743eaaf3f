package front

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
)

// RequestID is the header that names a request. It goes on to the application as it stands in the
// request that [Front.Serve] gets: whoever calls that has put it there in place of what a client
// sends. The answer has the same, whatever the application says.
const RequestID = "X-Request-Id"

// SignedInMark is the name of the one cookie of Curfew's without a prefix: plain http has no other
// that all browsers keep.
const SignedInMark = "curfew-signed-in"

// isOwnCookie reports whether a cookie is one of Curfew's, whose names no application may use.
// Browsers compare the prefix without regard to case (RFC 6265bis §4.1.3).
func isOwnCookie(name string) bool {
	return strings.HasPrefix(strings.ToLower(strings.TrimSpace(name)), "__host-curfew")
}

// prepare makes of a browser's request the one that an application gets: without Curfew's cookies
// and without what claims to be told by Curfew, and with the identity of s, unless s is nil. ctx is
// its context.
func (f *Front) prepare(ctx context.Context, r *http.Request, s *Session) *http.Request {
	out := r.WithContext(ctx)
	out.Header = copyHeader(r.Header)
	stripClaims(out.Header)
	keepForeignCookies(out.Header)
	out.Host = f.o.Public.Host
	out.Header["X-Forwarded-Host"] = []string{f.o.Public.Host}
	out.Header["X-Forwarded-Proto"] = []string{f.o.Public.Scheme}
	out.Header["X-Forwarded-For"] = []string{f.forwardedFor(r)}
	if id, ok := r.Header[RequestID]; ok {
		out.Header[RequestID] = id
	}
	if s != nil {
		f.Tell(s.Identity, out.Header)
	}
	return out
}

// copyHeader copies a header, with room for what prepare sets: a map that must grow for that costs
// more than the copy.
func copyHeader(h http.Header) http.Header {
	const told = 9
	n := 0
	for _, values := range h {
		n += len(values)
	}
	all := make([]string, 0, n)
	out := make(http.Header, len(h)+told)
	for name, values := range h {
		from := len(all)
		all = append(all, values...)
		out[name] = all[from:len(all):len(all)]
	}
	return out
}

// claims are headers by which a proxy tells an application who asks, and for what. Their names are
// as [foldName] writes them.
var claims = []string{"remote-user", "remote-name", "remote-email", "remote-groups", "remote-session", "forwarded",
	"proxy", "x-real-ip", "x-original-uri", "x-original-url", "x-rewrite-url", "x-request-id"}

// claimFamilies are what names of further such headers begin with.
var claimFamilies = []string{"remote-", "x-forwarded-", "x-original-"}

// foldName is the name of a header as a CGI, WSGI or PHP server may read it, where all that is
// neither letter nor digit is the same (RFC 3875 §4.1.18; lighttpd and PHP go further than that).
func foldName(name string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
			return c
		case 'A' <= c && c <= 'Z':
			return c - 'A' + 'a'
		}
		return '-'
	}, name)
}

// isClaim reports whether an application could take a header for one of a proxy.
func isClaim(name string) bool {
	if name == "" || !strings.ContainsRune("rfpx", rune(name[0]|0x20)) {
		return false // none of them begins so, and most headers of a browser do
	}
	name = foldName(name)
	return slices.Contains(claims, name) ||
		slices.ContainsFunc(claimFamilies, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// stripClaims removes the headers by which a client could pose as a proxy, in any spelling. A
// client cannot have them removed later, either: what Connection names is removed here (RFC
// 9110 §7.6.1), before the headers of this proxy are set.
func stripClaims(h http.Header) {
	isUpgrade := false
	for _, value := range h["Connection"] {
		for name := range strings.SplitSeq(value, ",") {
			name = strings.TrimSpace(name)
			if strings.EqualFold(name, "upgrade") {
				isUpgrade = true
				continue
			}
			if strings.EqualFold(name, "te") {
				continue // the reverse proxy keeps "trailers" of it, and needs to see that
			}
			h.Del(name)
		}
	}
	delete(h, "Connection")
	if isUpgrade && strings.EqualFold(strings.TrimSpace(h.Get("Upgrade")), "websocket") {
		h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	} else {
		delete(h, "Upgrade")
	}
	for name := range h {
		if isClaim(name) {
			delete(h, name)
		}
	}
}

// keepForeignCookies takes Curfew's cookies out of a request. The others stay as they were sent.
func keepForeignCookies(h http.Header) {
	filter(h, "Cookie", func(line string) (string, bool) {
		all := strings.Split(line, ";")
		kept := slices.DeleteFunc(slices.Clone(all), isOwnPair)
		if len(kept) == len(all) {
			return line, true
		}
		rest := strings.TrimLeft(strings.Join(kept, ";"), " \t")
		return rest, rest != ""
	})
}

// isOwnPair reports whether NAME=VALUE is one of Curfew's cookies.
func isOwnPair(pair string) bool {
	name, _, _ := strings.Cut(pair, "=")
	return isOwnCookie(name) || strings.TrimSpace(name) == SignedInMark
}

// ForeignCookies are the cookies of a request that are none of Curfew's, each as it was sent:
// NAME=VALUE.
func ForeignCookies(h http.Header) (kept []string) {
	for _, line := range h["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			if pair = strings.TrimSpace(pair); pair != "" && !isOwnPair(pair) {
				kept = append(kept, pair)
			}
		}
	}
	return kept
}

// forwardedFor is the chain of addresses that a request came by: the peer's, after what a trusted
// proxy tells.
func (f *Front) forwardedFor(r *http.Request) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		peer = r.RemoteAddr
	}
	if before := strings.Join(r.Header.Values("X-Forwarded-For"), ", "); before != "" && f.o.Trusted(r) {
		return before + ", " + peer
	}
	return peer
}
