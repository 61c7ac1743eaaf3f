package front_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"curfew/front"
)

// newRules are those of a site with a friend and public paths.
func newRules() *front.Front {
	return front.New(front.Options{
		Public:      &url.URL{Scheme: "https", Host: "app.example"},
		Origins:     []string{"https://friend.example"},
		PublicPaths: front.PublicPaths{"/public/*"},
		Fail:        fail,
	})
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	f := newRules()
	own, friend, evil := "Origin: https://app.example", "Origin: https://friend.example", "Origin: https://evil.example"
	same, cross := "Sec-Fetch-Site: same-origin", "Sec-Fetch-Site: cross-site"
	socket := "Upgrade: websocket"
	for _, c := range []struct {
		request string
		lines   []string
		want    front.Refusal
	}{
		{"GET /", nil, front.NotRefused},
		{"GET /", []string{evil, cross}, front.NotRefused},
		{"HEAD /", []string{evil}, front.NotRefused},
		{"POST /", nil, front.NotRefused},
		{"POST /", []string{own}, front.NotRefused},
		{"POST /", []string{friend}, front.NotRefused},
		{"POST /", []string{evil}, front.CrossSite},
		{"POST /", []string{"Origin: null"}, front.CrossSite},
		{"POST /", []string{"Origin: "}, front.CrossSite},
		{"POST /", []string{"Origin: http://app.example"}, front.CrossSite},
		{"POST /", []string{"Origin: https://app.example:444"}, front.CrossSite},
		{"POST /", []string{"Origin: https://app.example/"}, front.CrossSite},
		{"POST /", []string{own, own}, front.CrossSite},
		{"POST /", []string{own, evil}, front.CrossSite},
		{"POST /", []string{friend, evil}, front.CrossSite},
		{"POST /", []string{same}, front.NotRefused},
		{"POST /", []string{"Sec-Fetch-Site: none"}, front.NotRefused},
		{"POST /", []string{cross}, front.CrossSite},
		{"POST /", []string{"Sec-Fetch-Site: same-site"}, front.CrossSite},
		{"POST /", []string{"Sec-Fetch-Site: "}, front.CrossSite},
		{"POST /", []string{"Sec-Fetch-Site: Same-Origin"}, front.CrossSite},
		{"POST /", []string{cross, own}, front.CrossSite}, // the header that pages cannot set goes first
		{"POST /", []string{same, evil}, front.NotRefused},
		{"POST /", []string{same, "Origin: null"}, front.NotRefused}, // no-referrer
		{"POST /", []string{same, cross}, front.CrossSite},
		{"POST /", []string{cross, friend}, front.NotRefused},
		{"PUT /", []string{evil}, front.CrossSite},
		{"DELETE /", []string{evil}, front.CrossSite},
		{"PROPFIND /", []string{evil}, front.CrossSite},
		{"get /", []string{evil}, front.CrossSite},
		{"POST /public/x", []string{evil, cross}, front.NotRefused},
		{"POST /public/../x", []string{evil}, front.CrossSite},
		{"GET /", []string{socket}, front.NotRefused},
		{"GET /", []string{socket, own}, front.NotRefused},
		{"GET /", []string{socket, friend}, front.NotRefused},
		{"GET /", []string{socket, evil}, front.CrossSite},
		{"GET /", []string{"Upgrade: WebSocket", evil}, front.CrossSite},
		{"GET /", []string{socket, cross, own}, front.CrossSite},
		{"GET /public/x", []string{socket, evil}, front.NotRefused},
		{"TRACE /", nil, front.BadMethod},
		{"TRACE /public/x", nil, front.BadMethod},
		{"CONNECT /", nil, front.BadMethod},
	} {
		r := requestOf(t, c.request, c.lines...)
		if got := f.Refuse(r); got != c.want {
			t.Errorf("%s with %q: %v, want %v", c.request, c.lines, got, c.want)
		}
	}
}

// requestOf makes a request of "METHOD TARGET" and header lines.
func requestOf(t *testing.T, request string, lines ...string) *http.Request {
	t.Helper()
	method, target, _ := strings.Cut(request, " ")
	r := &http.Request{Method: method, RequestURI: target, Header: make(http.Header)}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func TestAPreflightOfAFriendNeedsNoSession(t *testing.T) {
	t.Parallel()
	f := newRules()
	asks := "Access-Control-Request-Method: PUT"
	for _, c := range []struct {
		request string
		lines   []string
		want    bool
	}{
		{"OPTIONS /", []string{asks, "Origin: https://friend.example"}, true},
		{"OPTIONS /", []string{asks, "Origin: https://friend.example", "Sec-Fetch-Site: cross-site"}, true},
		{"OPTIONS /", []string{asks, "Origin: https://evil.example"}, false},
		{"OPTIONS /", []string{asks, "Origin: https://app.example"}, false},
		{"OPTIONS /", []string{asks, "Origin: https://friend.example", "Origin: https://evil.example"}, false},
		{"OPTIONS /", []string{asks, "Origin: https://friend.example", "Upgrade: websocket"}, false},
		{"OPTIONS /", []string{asks}, false},
		{"OPTIONS /", []string{"Origin: https://friend.example"}, false},
		{"PUT /", []string{asks, "Origin: https://friend.example"}, false},
	} {
		r := requestOf(t, c.request, c.lines...)
		if got := f.NeedsNoSession(r); got != c.want || f.Refuse(r) != front.NotRefused {
			t.Errorf("%s with %q: %t, want %t; %v", c.request, c.lines, got, c.want, f.Refuse(r))
		}
	}
}

func TestPublicPathsAreComparedByteForByte(t *testing.T) {
	t.Parallel()
	paths := front.PublicPaths{"/exact", "/open/*", "/pre*", "/caf%C3%A9", "/d/"}
	for target, want := range map[string]bool{
		"/exact": true, "/exact?q=/../": true, "/exact/": false, "/Exact": false, "/exac%74": false, "/exact%20": false,
		"/open/": true, "/open/a/b%20c": true, "/open": false, "/pre": true, "/prefix/x": true, "/caf%C3%A9": true,
		"/caf%c3%a9": false, "/caf\u00e9": false, "/d/": true, "/d": false, "/d/x": false, "/open/a.b..c/...": true,
		"/open/../x": false, "/open/..": false, "/open/.": false, "/open/./x": false, "/open//x": false,
		`/open/\..\x`: false, "/open/a;b": false, "/open/%2e%2e/x": false, "/open/%2E./x": false, "/open/%2fx": false,
		"/open/%2Fx": false, "/open/%5c": false, "/open/%5C": false, "/open/%3b": false, "/open/%3B": false,
		"/open/%25": false, "/open/%252e": false, "/open/%00": false, "//open/x": false, "/open/%c0%ae": false,
		"/open/%C1%9c": false, "/open/%e0%80%af": false, "/open/%F0%80%80%ae": false, "/open/%e0%a4%85": true,
		"/open/%f0%9f%98%80": true, "/open/%E9": true,
		"http://app.example/exact": true, "http://app.example/open/../x": false, "*": false, "": false,
	} {
		r := &http.Request{Method: "GET", RequestURI: target, URL: &url.URL{Path: "/none"}}
		if got := paths.Has(r); got != want {
			t.Errorf("%q is public: %t", target, got)
		}
	}
	if (front.PublicPaths{}).Has(&http.Request{RequestURI: "/"}) {
		t.Error("without public paths there are some")
	}
}

func TestPublicPathsThatMeanAnotherAreRefused(t *testing.T) {
	t.Parallel()
	for path, ok := range map[string]bool{
		"/a": true, "/a*": true, "/a/*": true, "/*": true, "*": false, "a": false, "/a*b": false, "/a**": false,
		"/a?b": false, "/a#": false, "/a/../b": false, "/a//b": false, "/a;b": false, "/%2e": false, `/\`: false,
	} {
		if err := (front.PublicPaths{path}).Validate(); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// readings are paths that an application may take a path for: each rule of some server, applied as
// often as it changes something, in any order.
func readings(path string) map[string]bool {
	rules := []func(string) string{
		func(p string) string { // escapes, and what goes by for UTF-8
			var b strings.Builder
			for i := 0; i < len(p); i++ {
				if p[i] == '%' && i+2 < len(p) {
					if text, err := url.PathUnescape(p[i : i+3]); err == nil {
						b.WriteString(text)
						i += 2
						continue
					}
				}
				b.WriteByte(p[i])
			}
			return overlong.Replace(b.String())
		},
		func(p string) string { return strings.ReplaceAll(p, `\`, "/") },
		func(p string) string { return strings.ReplaceAll(p, "//", "/") },
		func(p string) string { before, _, _ := strings.Cut(p, "\x00"); return before },
		func(p string) string { // parameters of segments
			segments := strings.Split(p, "/")
			for i := range segments {
				segments[i], _, _ = strings.Cut(segments[i], ";")
			}
			return strings.Join(segments, "/")
		},
		func(p string) string { return (&url.URL{}).ResolveReference(&url.URL{Path: p}).Path }, // dot segments
	}
	seen := map[string]bool{path: true}
	for queue := []string{path}; len(queue) > 0 && len(seen) < 500; queue = queue[1:] {
		for _, rule := range rules {
			if p := rule(queue[0]); !seen[p] {
				seen[p] = true
				queue = append(queue, p)
			}
		}
	}
	return seen
}

// overlong decodes what some servers take for dots and slashes (RFC 3629 §10).
var overlong = strings.NewReplacer("\xc0\xae", ".", "\xc0\xaf", "/", "\xc1\x9c", `\`, "\xe0\x80\xae", ".",
	"\xe0\x80\xaf", "/", "\xf0\x80\x80\xae", ".", "\xf0\x80\x80\xaf", "/")

// FuzzPublicPaths looks for a spelling that is public and that some application reads as a path
// which is not.
func FuzzPublicPaths(f *testing.F) {
	for _, seed := range []string{
		"/open/a", "/open/../x", "/open/%2e%2e/x", "/open/..;/x", "/open/%252e%252e/x", "/open//x", `/open/..\x`,
		"/open/%c0%ae%c0%ae/x", "/open/%00/../x", "/exact", "/exact%00", "/exact/..", "/open/.%2e/",
		"/open/%2fx", "/open/a?b", "/open/%5c..%5c", "http://h/open/../x", "/open/%e0%80%ae./x",
		"/open/\xc0\xae\xc0\xae/x", "/open/..\x00",
	} {
		f.Add(seed)
	}
	paths := front.PublicPaths{"/exact", "/open/*"}
	f.Fuzz(func(t *testing.T, target string) {
		if !paths.Has(&http.Request{Method: "GET", RequestURI: target, URL: &url.URL{Path: "/none"}}) {
			return
		}
		path, _ := front.SentTarget(&http.Request{RequestURI: target})
		for read := range readings(path) {
			if read != "/exact" && !strings.HasPrefix(read, "/open/") {
				t.Errorf("%q is public, and may be read as %q", target, read)
			}
		}
	})
}
