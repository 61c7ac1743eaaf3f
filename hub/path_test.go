package hub

import (
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzPath tells the paths of pages as anybody may. What is kept is short, can be shown, and is the
// path that net/url finds.
func FuzzPath(f *testing.F) {
	for _, s := range []string{"/", "", "/a?b#c", "/a#b?c", "x", "//host/x", "/\xff", "/\x00", "/\u0085", "/ü%20 b",
		"/%zz", "/" + strings.Repeat("ä", maxPath-1), "/" + strings.Repeat("a", maxPath), "http://h/a", "/\u202e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, told string) {
		path := pathOf(told)
		if path == "" {
			return
		}
		if !strings.HasPrefix(told, path) || strings.ContainsAny(path, "?#") || !utf8.ValidString(path) ||
			utf8.RuneCountInString(path) > maxPath || strings.ContainsFunc(path, unicode.IsControl) ||
			pathOf(path) != path {
			t.Errorf("%q is told, and %q kept", told, path)
		}
		whole, _, _ := strings.Cut(told, "#")
		u, err := url.ParseRequestURI(whole)
		if err != nil {
			return // it has escapes that are none
		}
		if plain, err := url.PathUnescape(path); err != nil || plain != u.Path {
			t.Errorf("%q is told, and %q kept, %v; net/url finds %q", told, plain, err, u.Path)
		}
	})
}
