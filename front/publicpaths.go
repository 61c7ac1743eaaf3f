package front

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
)

// PublicPaths are the paths of an application that need no session: exact, or a prefix that ends in
// *. They are compared byte for byte with a path as it was sent.
type PublicPaths []string

// Validate reports a pattern that can never match, or that would match more than its author can
// see.
func (p PublicPaths) Validate() error {
	for _, pattern := range p {
		path, _ := strings.CutSuffix(pattern, "*")
		switch {
		case !strings.HasPrefix(path, "/"):
			return patternError(pattern, "must begin with /")
		case strings.Contains(path, "*"):
			return patternError(pattern, "may have a * at its end only")
		case strings.ContainsAny(path, "?#"):
			return patternError(pattern, "is a path, without query and fragment")
		case isTwisted(path):
			return patternError(pattern, `has //, \, ;, a dot segment or one of these encoded, and is never public`)
		}
	}
	return nil
}

func patternError(pattern, what string) error {
	return errors.New("public path " + pattern + " " + what)
}

// Has reports whether a request needs no session. What could lead an application to another path
// than the one that stands there is never public.
func (p PublicPaths) Has(r *http.Request) bool {
	if len(p) == 0 {
		return false
	}
	path := sentPath(r)
	if isTwisted(path) {
		return false
	}
	for _, pattern := range p {
		if MatchesPath(pattern, path) {
			return true
		}
	}
	return false
}

// MatchesPath reports whether a path is the one of a pattern, or begins with it where a * ends
// that.
func MatchesPath(pattern, path string) bool {
	prefix, open := strings.CutSuffix(pattern, "*")
	return path == prefix || open && strings.HasPrefix(path, prefix)
}

// sentPath is the path of a request byte for byte as it was sent.
func sentPath(r *http.Request) string {
	path, _ := SentTarget(r)
	return path
}

// SentTarget is the path of a request byte for byte as it was sent, and the rest of its target: the
// query with its question mark. A target in absolute form counts from its path on (RFC 9112 §3.2).
func SentTarget(r *http.Request) (path, rest string) {
	target := r.RequestURI
	if target == "" { // the request was made in this process
		target = r.URL.RequestURI()
	}
	if !strings.HasPrefix(target, "/") {
		if _, after, ok := strings.Cut(target, "://"); ok {
			i := strings.IndexAny(after, "/?")
			switch {
			case i < 0:
				return "/", ""
			case after[i] == '?':
				return "/", after[i:]
			}
			target = after[i:]
		}
	}
	if i := strings.IndexByte(target, '?'); i >= 0 {
		return target[:i], target[i:]
	}
	return target, ""
}

// isTwisted reports whether an application may read a path as another one.
func isTwisted(path string) bool {
	isControl := func(c rune) bool { return c < ' ' || c == 0x7f }
	if strings.Contains(path, "//") || strings.ContainsAny(path, `\;`) || strings.ContainsFunc(path, isControl) {
		return true
	}
	for i := range len(path) - 2 {
		if path[i] != '%' {
			continue
		}
		switch strings.ToLower(path[i+1 : i+3]) {
		case "2e", "2f", "5c", "3b", "25", "00":
			return true
		}
	}
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return hasOverlong(path)
}

// hasOverlong reports whether a path, once its escapes are resolved, writes a character in more
// bytes than it needs. Some decoders take that for a dot or a slash (RFC 3629 §10).
func hasOverlong(path string) bool {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return true
	}
	for i := range len(plain) {
		var next byte
		if i+1 < len(plain) {
			next = plain[i+1]
		}
		switch c := plain[i]; {
		case c == 0xc0, c == 0xc1, c == 0xe0 && 0x80 <= next && next < 0xa0, c == 0xf0 && 0x80 <= next && next < 0x90:
			return true
		}
	}
	return false
}
