package views

import (
	"fmt"
	"net/url"
	"strings"
)

// maxNext is the longest return path in bytes.
const maxNext = 2048

// safeNext confines a return path to this origin, query and fragment kept: what is anything but an
// absolute path, or leads back to the sign-in page, becomes the home page. Browsers drop tabs and
// newlines and read a backslash as a slash, so those are refused.
func (s *Server) safeNext(next string) string {
	home := s.home
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) {
		return home
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return home
	}
	if strings.HasPrefix(withoutDots(u.EscapedPath()), "//") {
		return home // on this origin, but only to those who read a path as browsers do
	}
	switch strings.TrimSuffix(cleanPath(u.Path), "/") {
	case s.base + "/login", s.base + "/logout":
		return home
	}
	return printable(u.String())
}

// withoutDots is a path without its dot segments, encoded ones too (URL Standard, "path state").
func withoutDots(path string) string {
	var kept []string
	for segment := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		switch strings.ReplaceAll(strings.ToLower(segment), "%2e", ".") {
		case ".":
		case "..":
			kept = kept[:max(0, len(kept)-1)]
		default:
			kept = append(kept, segment)
		}
	}
	return "/" + strings.Join(kept, "/")
}

// printable encodes what a header cannot carry: a query is kept as it was typed.
func printable(location string) string {
	var b strings.Builder
	for i := range len(location) {
		if c := location[i]; c <= ' ' || c > '~' {
			fmt.Fprintf(&b, "%%%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
