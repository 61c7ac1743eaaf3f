package views

import (
	"net/http"
	"net/url"
	"strings"

	"curfew/front"
)

// original is a request as a browser made it. For a request that has reached this server it is that
// one; for the check of a proxy it is what the proxy tells of it, while headers such as
// Sec-Fetch-Mode are passed on with the check. What follows from a request, for activity and for
// the way back after a sign-in, is judged here alone.
type original struct {
	method string
	path   string // as it was sent; empty where nobody tells
	query  string // with its question mark
	told   bool   // by a proxy, which vouches for these and for no header that leads back
}

// originalOf is the request that has reached this server.
func originalOf(r *http.Request) original {
	path, query := front.SentTarget(r)
	return original{method: r.Method, path: path, query: query}
}

// toldOriginal is the request that a proxy tells of.
func toldOriginal(method, uri string) original {
	path, query := uri, ""
	if i := strings.IndexByte(uri, '?'); i >= 0 {
		path, query = uri[:i], uri[i:]
	}
	return original{method, path, query, true}
}

// isActivity reports whether a person made the request to see another page, outside the passive
// paths.
func (s *Server) isActivity(r *http.Request, o original) bool {
	return strings.HasPrefix(o.path, "/") && byPerson(r) && !s.isPassive(o.path)
}

// isPassive compares a path as it was sent, and with its escapes resolved.
func (s *Server) isPassive(path string) bool {
	plain, err := url.PathUnescape(path)
	for _, p := range *s.passive.Load() {
		if front.MatchesPath(p, path) || err == nil && front.MatchesPath(p, plain) {
			return true
		}
	}
	return false
}

// next is where a person goes on after the sign-in that a navigation has led to: the page that was
// asked for. Where something was sent, that is lost, and the page that it was typed into is not.
// Empty stands for the home page.
func (s *Server) next(r *http.Request, o original) (next string) {
	switch {
	case o.method == http.MethodGet:
		next = o.path + o.query
		if o.told && !isOwnPath(next) {
			return ""
		}
	case o.method == http.MethodPost && !o.told:
		next, _ = s.referer(r)
	}
	if len(next) > maxNext {
		return ""
	}
	return next
}

// isOwnPath reports whether the target of a request is one that a browser can have sent: a proxy
// may pass on what a client has made up.
func isOwnPath(target string) bool {
	return strings.HasPrefix(target, "/") && !strings.HasPrefix(target, "//") &&
		!strings.ContainsFunc(target, func(c rune) bool { return c < ' ' || c == 0x7f || c == '#' })
}

// signInPath leads to the sign-in page, and from there to next.
func (s *Server) signInPath(next string) string {
	if next == "" {
		return s.base + "/login"
	}
	return s.base + "/login?next=" + url.QueryEscape(next)
}
