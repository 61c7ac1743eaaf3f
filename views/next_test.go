package views

import (
	"net/url"
	"strings"
	"testing"
)

func TestNextIsConfinedToThisSite(t *testing.T) {
	s := &Server{}
	below := &Server{base: "/guard"}
	tests := []struct{ next, want string }{
		{"/", "/"},
		{"/a/b?c=d&e=/x#f", "/a/b?c=d&e=/x#f"},
		{"/ünï", "/%C3%BCn%C3%AF"},
		{"/%2f%2fevil.example", "/%2f%2fevil.example"},
		{"", "/"},
		{"a", "/"},
		{"//evil.example", "/"},
		{"///evil.example", "/"},
		{`/\evil.example`, "/"},
		{`\\evil.example`, "/"},
		{"/\t/evil.example", "/"},
		{"/\n/evil.example", "/"},
		{"\t//evil.example", "/"},
		{"https://evil.example", "/"},
		{"https:evil.example", "/"},
		{"javascript:alert(1)", "/"},
		{"/login", "/"},
		{"/login?next=/login", "/"},
		{"/logout", "/"},
		{"/" + strings.Repeat("a", maxNext), "/"},
	}
	for _, tt := range tests {
		if got := s.safeNext(tt.next); got != tt.want {
			t.Errorf("safeNext(%q) = %q, want %q", tt.next, got, tt.want)
		}
	}
	for next, want := range map[string]string{"//evil.example": "/guard/", "/guard/login": "/guard/", "/app": "/app", "/guard/x": "/guard/x"} {
		if got := below.safeNext(next); got != want {
			t.Errorf("below /guard: safeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b#c", "/\x00", "/%09/x", "/.//x"} {
		f.Add(s)
	}
	site, _ := url.Parse("https://site.example/login")
	f.Fuzz(func(t *testing.T, next string) {
		got := (&Server{}).safeNext(next)
		u, err := site.Parse(got)
		if err != nil || u.Host != "site.example" || u.Scheme != "https" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.ContainsAny(got, "\\\r\n\t") {
			t.Errorf("safeNext(%q) = %q leads to %v, %v", next, got, u, err)
		}
	})
}
