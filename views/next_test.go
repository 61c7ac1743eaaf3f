package views

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
)

// nextTests are return paths, and where they lead at a site at the root.
var nextTests = []struct{ next, want string }{
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
	{"/a?b=c d&e=ü", "/a?b=c%20d&e=%C3%BC"},
	{"/a?next=//evil.example#//evil.example", "/a?next=//evil.example#//evil.example"},
	{"/a#", "/a"},
	{"/a#/login?next=/b", "/a#/login?next=/b"},
	{"/a#é", "/a#%C3%A9"},
	{"/.//evil.example", "/"},
	{"/a/..//evil.example", "/"},
	{"/%2e//evil.example", "/"},
	{"/a//b", "/a//b"},
	{"/a/./b/", "/a/./b/"},
	{"/../x", "/../x"},
	{"/@evil.example", "/@evil.example"},
	{"/:80/x", "/:80/x"},
	{"http://localhost/x", "/"},
	{"http://localhost:80/x", "/"},
	{"https://localhost:443/x", "/"},
	{":80/x", "/"},
	{"/%zz", "/"},
	{"/x%00", "/x%00"},
	{"/ //evil.example", "/%20//evil.example"},
	{"?x", "/"},
	{"#x", "/"},
	{"/./login", "/"},
	{"/a/../login?x", "/"},
	{"//login", "/"},
	{"/a//../login", "/"},
	{"/%6cogin", "/"},
	{"/%2e/login#x", "/"},
	{"/login/", "/"},
	{"/" + strings.Repeat("ü", maxNext/2-1), "/" + strings.Repeat("%C3%BC", maxNext/2-1)},
	{"/login", "/"},
	{"/login?next=/login", "/"},
	{"/logout", "/"},
	{"/" + strings.Repeat("a", maxNext), "/"},
}

func TestNextIsConfinedToThisSite(t *testing.T) {
	for _, tt := range nextTests {
		if got := (&Server{place: place{home: "/"}}).safeNext(tt.next); got != tt.want {
			t.Errorf("safeNext(%q) = %q, want %q", tt.next, got, tt.want)
		}
	}
	below := &Server{place: place{base: "/guard", home: "/guard/"}}
	for next, want := range map[string]string{
		"//evil.example": "/guard/",
		"/guard/login":   "/guard/",
		"/app":           "/app",
		"/guard/x":       "/guard/x",
	} {
		if got := below.safeNext(next); got != want {
			t.Errorf("below /guard: safeNext(%q) = %q, want %q", next, got, want)
		}
	}
}

func TestHomeIsEncodedAsAnyReturnPath(t *testing.T) {
	u, err := ParseOrigin("https://site.example")
	if err != nil {
		t.Fatal(err)
	}
	s := New(Options{
		PublicURL: u,
		Home:      "/ünï?b=ü",
		Proxies:   NewProxies(nil),
		Secret:    make([]byte, 32),
		Log:       slog.New(slog.DiscardHandler),
	})
	if got := s.safeNext(""); got != "/%C3%BCn%C3%AF?b=%C3%BC" {
		t.Errorf("home is %q", got)
	}
}

func FuzzNext(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "/a?b#c", "/\x00", "/%09/x", "/.//x", "/..//x", "/./login",
		"/a?b c", "/a#b#c", "/a?#", "http://site.example:80/", "/%2f/x", "/%5cx", "/ü?ü#ü", "/;@x", "/:80", "/?\\"} {
		f.Add(s)
	}
	site, _ := url.Parse("https://site.example/login")
	f.Fuzz(func(t *testing.T, next string) {
		got := (&Server{place: place{home: "/"}}).safeNext(next)
		u, err := site.Parse(got)
		if err != nil || u.Host != "site.example" || u.Scheme != "https" || !strings.HasPrefix(got, "/") ||
			strings.HasPrefix(got, "//") || strings.ContainsFunc(got,
			func(c rune) bool { return c <= ' ' || c > '~' || c == '\\' }) ||
			len(got) > 3*maxNext {
			t.Errorf("safeNext(%q) = %q leads to %v, %v", next, got, u, err)
		}
	})
}
