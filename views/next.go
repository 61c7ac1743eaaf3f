package views

import (
	"net/url"
	"strings"
)

// maxNext is the longest return path in bytes.
const maxNext = 2048

// safeNext confines a return path to this site: what is anything but an absolute path, or leads back to the sign-in page,
// becomes the home page. Browsers drop tabs and newlines and read a backslash as a slash, so those are refused.
func (s *Server) safeNext(next string) string {
	home := s.base + "/"
	if len(next) > maxNext || !strings.HasPrefix(next, "/") || strings.HasPrefix(next, "//") ||
		strings.ContainsFunc(next, func(c rune) bool { return c < ' ' || c == 0x7f || c == '\\' }) {
		return home
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return home
	}
	switch u.Path {
	case s.base + "/login", s.base + "/logout":
		return home
	}
	return u.String()
}
