package views

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// newSite is a server whose pages nobody signs in to.
func newSite(t *testing.T, public, base string) *Server {
	t.Helper()
	u, err := ParseOrigin(public)
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{
		PublicURL: u,
		BasePath:  base,
		Proxies:   NewProxies(nil),
		Secret:    make([]byte, 32),
		Log:       slog.New(slog.DiscardHandler),
	})
}

func (s *Server) get(method, host, target string, header ...string) *http.Response {
	r := httptest.NewRequest(method, "/", nil)
	r.RequestURI = target
	path, query, _ := strings.Cut(target, "?")
	r.URL = &url.URL{RawQuery: query}
	r.URL.Path, _ = url.PathUnescape(path)
	if r.URL.EscapedPath() != path {
		r.URL.RawPath = path
	}
	r.Host = host
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func TestRedirectsStayOnTheSiteAndBelowTheBasePath(t *testing.T) {
	paths := []string{
		"//", "///", "//evil.example", "//evil.example/", "//evil.example/%2e%2e", "/static", "/static/",
		"/static//curfew.js", "/static/../login", "/api", "/api/", "/api//v1",
		"/login/", "//login", "/.//evil.example", "/./login", "/../login", "/%2e%2e/%2e%2e/", "/%2f%2fevil.example",
		"/%5cevil.example", "/\\evil.example", "/admin/", "/admin//audit",
		"/a/../../../..//evil.example", "//evil.example:80/..", "/login?next=//evil.example", "/" +
			strings.Repeat("a", 5000), "/admin/sessions//x", "/session/", "", "/",
		"/x?" + strings.Repeat("a", 5000), "/?a=b c", "/?ü", "/ü",
	}
	for _, base := range []string{"", "/guard", "/a/b"} {
		s := startSite(t, base)
		for _, p := range paths {
			for _, method := range []string{"GET", "HEAD", "POST", "DELETE", "OPTIONS"} {
				for _, target := range []string{p, base + p, "/" + base + p} {
					response := s.Server.get(method, "site.example", target, "Sec-Fetch-Mode", "navigate")
					location := response.Header.Get("Location")
					if (response.StatusCode/100 == 3) != (location != "") {
						t.Errorf("%s %.80s: %d to %q", method, target, response.StatusCode, location)
					}
					if location == "" {
						continue
					}
					u, err := url.Parse(location)
					if err != nil || u.Host != "" || u.Scheme != "" || strings.HasPrefix(location, "//") ||
						!strings.HasPrefix(location, base+"/") || strings.Contains(location, "\\") {
						t.Errorf("%s %.80s leads to %q, %v", method, target, location, err)
					}
					if len(location) > 3*maxNext+100 && len(target) < maxNext {
						t.Errorf("%s %.80s leads to %d bytes", method, target, len(location))
					}
				}
			}
		}
	}
}

func TestUncleanPathsLeadToCleanOnes(t *testing.T) {
	tests := []struct{ base, asked, location string }{
		{"", "//login", "/login"},
		{"", "//login?next=/x", "/login?next=/x"},
		{"", "/a/../login/", "/login/"},
		{"/guard", "/guard", "/guard/"},
		{"/guard", "/guard//login", "/guard/login"},
		{"/guard", "//guard/login", "/guard/login"},
		{"/guard", "/guard//", "/guard/"},
		{"/guard", "/guard/../login", ""},
		{"/guard", "/guardian", ""},
		{"/guard", "/guard/static", ""},
		{"/guard", "/guard/static/", ""},
	}
	for _, tt := range tests {
		response := newSite(t, "http://localhost:8080", tt.base).get("GET", "localhost:8080", tt.asked)
		want := http.StatusTemporaryRedirect
		if tt.location == "" {
			want = http.StatusNotFound
		}
		if response.StatusCode != want || response.Header.Get("Location") != tt.location {
			t.Errorf("%s below %q: %d to %q, want %d to %q", tt.asked, tt.base, response.StatusCode,
				response.Header.Get("Location"), want, tt.location)
		}
	}
}

func TestAnotherLoopbackNameLeadsToThePublicURL(t *testing.T) {
	tests := []struct{ public, host, asked, location string }{
		{"http://localhost:8080", "127.0.0.1:8080", "/x?y=z", "http://localhost:8080/x?y=z"},
		{"http://localhost:8080", "[::1]:8080", "/", "http://localhost:8080/"},
		{"http://localhost:8080", "127.0.0.1:8080", "//evil.example", "http://localhost:8080/evil.example"},
		{"http://localhost:80", "127.0.0.1", "/healthz", "http://localhost/healthz"},
		{"http://localhost:80", "localhost", "/healthz", ""},
		{"http://localhost", "localhost:80", "/healthz", ""},
		{"https://localhost:443", "localhost", "/healthz", ""},
		{"http://localhost:8080", "LOCALHOST:8080", "/healthz", ""},
		{"http://localhost:8080", "app.example", "/healthz", ""},
		{"https://app.example", "127.0.0.1:8080", "/healthz", ""},
	}
	for _, tt := range tests {
		response := newSite(t, tt.public, "").get("GET", tt.host, tt.asked, "Sec-Fetch-Mode", "navigate")
		if got := response.Header.Get("Location"); got != tt.location {
			t.Errorf("%s asked at %s for %s: %d to %q, want %q", tt.public, tt.host, tt.asked, response.StatusCode,
				got, tt.location)
		}
	}
}

func TestWrongMethodsAreToldTheRightOnes(t *testing.T) {
	s := newSite(t, "http://localhost:8080", "/guard")
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"POST", "/healthz", 405, "GET, HEAD"},
		{"DELETE", "/login", 405, "GET, HEAD, POST"},
		{"PUT", "/session/extend", 405, "POST"},
		{"GET", "/session/extend", 405, "POST"},
		{"POST", "/static/curfew.js", 405, "GET, HEAD"},
		{"PATCH", "/nowhere", 404, ""},
		{"HEAD", "/healthz", 200, ""},
		{"HEAD", "/static/curfew.js", 200, ""},
	}
	for _, tt := range tests {
		response := s.get(tt.method, "localhost:8080", "/guard"+tt.path)
		if response.StatusCode != tt.status || response.Header.Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, Allow %q, want %d, %q", tt.method, tt.path, response.StatusCode,
				response.Header.Get("Allow"), tt.status, tt.allow)
		}
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "Cache-Control",
			"Referrer-Policy"} {
			if response.Header.Get(name) == "" {
				t.Errorf("%s %s: no %s", tt.method, tt.path, name)
			}
		}
	}
}

func TestNextOfARefusedRequest(t *testing.T) {
	s := newSite(t, "https://site.example:443", "/guard")
	long := strings.Repeat("a", maxNext)
	tests := []struct{ name, method, path, referer, location string }{
		{"a page", "GET", "/guard/account?a=b", "", "/guard/login?next=%2Fguard%2Faccount%3Fa%3Db"},
		{"a page with a path too long to come back to", "GET", "/guard/account?" + long, "", "/guard/login"},
		{"a form", "POST", "/guard/account", "https://site.example/guard/account?x",
			"/guard/login?next=%2Fguard%2Faccount%3Fx"},
		{"a form, the scheme's port given", "POST", "/guard/account", "https://site.example:443/app",
			"/guard/login?next=%2Fapp"},
		{"a form of nobody knows where", "POST", "/guard/account", "", "/guard/login"},
		{"a form of another site", "POST", "/guard/account", "https://evil.example/guard/account", "/guard/login"},
		{"a form of another port", "POST", "/guard/account", "https://site.example:444/guard/account", "/guard/login"},
		{"a form of a page too long to come back to", "POST", "/guard/account", "https://site.example/" + long,
			"/guard/login"},
		{"a deletion", "DELETE", "/guard/login", "https://site.example/app", ""},
	}
	for _, tt := range tests {
		response := s.get(tt.method, "site.example", tt.path, "Sec-Fetch-Mode", "navigate", "Referer", tt.referer)
		if got := response.Header.Get("Location"); got != tt.location {
			t.Errorf("%s: %d to %q, want %q", tt.name, response.StatusCode, got, tt.location)
		}
	}
}
