package main

import (
	"encoding/json"
	"mime"
	"net/url"
	"strings"
	"testing"
	"time"

	"curfew/session"
)

func TestEveryAnswerCarriesItsHeaders(t *testing.T) {
	t.Parallel()
	p := start(t)
	cookie := p.signIn("ada")
	_, script := p.do("/static/curfew.js", nil)
	for _, path := range []string{"/", "/login", "/nowhere", "/session/status", "/session/ws", "/healthz", "/readyz",
		"/static/curfew.js", "/static/nothing"} {
		for _, c := range []string{"", cookie} {
			response, body := p.do(path, nil, "Cookie", c, "Accept", "text/html")
			h := response.Header
			if h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Referrer-Policy") != "same-origin" {
				t.Errorf("%s: %v", path, h)
			}
			if got := h.Get("Cross-Origin-Resource-Policy"); got != "same-origin" {
				t.Errorf("%s: Cross-Origin-Resource-Policy %q", path, got)
			}
			if path == "/static/curfew.js" && body != script {
				t.Error("somebody who is signed in gets another script")
			}
			if static := strings.HasPrefix(path, "/static/curfew"); (h.Get("Cache-Control") == "no-store") == static {
				t.Errorf("%s: Cache-Control %q", path, h.Get("Cache-Control"))
			}
			if kind, _, err := mime.ParseMediaType(h.Get("Content-Type")); err != nil && body != "" {
				t.Errorf("%s: Content-Type %q: %v", path, kind, err)
			}
			csp := h.Get("Content-Security-Policy")
			if !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "frame-ancestors 'none'") ||
				!strings.Contains(csp, "base-uri 'none'") || strings.Contains(csp, "unsafe-") {
				t.Errorf("%s: CSP %q", path, csp)
			}
			for name := range h {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("%s: has %s", path, name)
				}
			}
		}
	}
}

func TestWithoutASession(t *testing.T) {
	t.Parallel()
	p := start(t)
	tests := []struct {
		name, path string
		form       url.Values
		header     []string
		code       int
		location   string
	}{
		{"a page", "/?a=1", nil, []string{"Sec-Fetch-Mode", "navigate"}, 303, "/login?next=%2F%3Fa%3D1"},
		{"a page of an old browser", "/", nil, []string{"Accept", "text/html,*/*"}, 303, "/login?next=%2F"},
		{"a posted form", "/", url.Values{"note": {"x"}},
			[]string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Site", "same-origin"}, 303, "/login"},
		{"a script's request", "/", nil, []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 401, ""},
		{"a program's request", "/session/status", nil, nil, 401, ""},
		{"a made-up cookie", "/session/status", nil, []string{"Cookie", "__Host-curfew=" + strings.Repeat("A", 43)},
			401, ""},
		{"a malformed cookie", "/session/status", nil, []string{"Cookie", `__Host-curfew="; DROP`}, 401, ""},
		{"an extension", "/session/extend", url.Values{}, nil, 401, ""},
		{"a sign-out", "/logout", url.Values{}, nil, 303, "/login"},
		{"metrics", "/metrics", nil, nil, 401, ""},
	}
	for _, tt := range tests {
		response, body := p.do(tt.path, tt.form, tt.header...)
		if response.StatusCode != tt.code || response.Header.Get("Location") != tt.location {
			t.Errorf("%s: %s to %q, want %d to %q", tt.name, response.Status, response.Header.Get("Location"), tt.code,
				tt.location)
		}
		if tt.code == 401 && (!strings.Contains(body, `"error":"no-session"`) || strings.Contains(body, "reason")) {
			t.Errorf("%s: %s", tt.name, body)
		}
	}
}

func TestCrossSiteRequestsAreRefused(t *testing.T) {
	t.Parallel()
	p := start(t)
	cookie := p.signIn("ada")
	_, answer := p.status(cookie)
	csrf := url.Values{"csrf": {answer["csrf"].(string)}}
	other := p.signIn("grace")
	_, answer = p.status(other)
	foreign := url.Values{"csrf": {answer["csrf"].(string)}}
	tests := []struct {
		name   string
		path   string
		form   url.Values
		header []string
		code   int
	}{
		{"no token", "/session/extend", url.Values{}, nil, 403},
		{"another session's token", "/session/extend", foreign, nil, 403},
		{"another site", "/session/extend", csrf, []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a sister site", "/session/extend", csrf, []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"another origin", "/session/extend", csrf, []string{"Origin", "https://evil.example"}, 403},
		{"null origin", "/session/extend", csrf, []string{"Origin", "null"}, 403},
		{"another port", "/session/extend", csrf, []string{"Origin", "http://localhost:1"}, 403},
		{"the right token", "/session/extend", csrf, []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{"the right token and origin", "/session/activity", csrf, []string{"Origin", p.url}, 200},
		{"the token as a header", "/session/activity", url.Values{}, []string{"X-CSRF-Token", csrf.Get("csrf")}, 200},
		{"a form", "/session/extend", csrf, []string{"Sec-Fetch-Mode", "navigate"}, 303},
		{"a bad age", "/session/activity", url.Values{"csrf": csrf["csrf"], "idle_ms": {"-1"}}, nil, 400},
		{"a note without token", "/", url.Values{"note": {"x"}}, nil, 403},
		{"sign-out without token", "/logout", url.Values{}, nil, 403},
		{"sign-in from another site", "/login", url.Values{"username": {"ada"}, "password": {"ada-demo"}},
			[]string{"Sec-Fetch-Site", "cross-site"}, 403},
	}
	for _, tt := range tests {
		response, body := p.do(tt.path, tt.form, append(tt.header, "Cookie", cookie)...)
		if response.StatusCode != tt.code {
			t.Errorf("%s: %s %s, want %d", tt.name, response.Status, body, tt.code)
		}
	}
	if code, _ := p.status(cookie); code != 200 {
		t.Errorf("the session is gone: %d", code)
	}
}

func TestOriginsInOtherLettersAreComparedAsBrowsersSendThem(t *testing.T) {
	t.Parallel()
	p := start(t, "--public-url", "https://BÜCHER.example:443/",
		"--allowed-origins", "https://straße.example,http://APP.example:80")
	const public = "https://xn--bcher-kva.example"
	cookie := p.signIn("ada", "Origin", public)
	for origin, code := range map[string]int{
		public:                              426,
		"https://xn--strae-oqa.example":     426,
		"http://app.example":                426,
		"https://xn--bcher-kva.example:444": 403,
		"https://bücher.example":            403,
	} {
		// An origin that may open the socket is asked for the upgrade, which does not come here.
		response, body := p.do("/session/ws", nil,
			"Cookie", cookie, "Origin", origin, "Sec-WebSocket-Protocol", "curfew.v1")
		if response.StatusCode != code {
			t.Errorf("socket of %s: %s %s, want %d", origin, response.Status, body, code)
		}
	}
	_, answer := p.status(cookie)
	csrf := url.Values{"csrf": {answer["csrf"].(string)}}
	if response, body := p.do("/session/extend", csrf, "Cookie", cookie, "Origin", public); response.StatusCode != 200 {
		t.Errorf("extension: %s %s", response.Status, body)
	}
}

func TestBasePath(t *testing.T) {
	t.Parallel()
	p := start(t, "--base-path", "/guard/")
	root := p.url
	response, _ := p.do("/guard/", nil, "Accept", "text/html")
	if got := response.Header.Get("Location"); got != "/guard/login?next=%2Fguard%2F" {
		t.Errorf("Location = %q", got)
	}
	if response, _ := p.do("/login", nil); response.StatusCode != 404 {
		t.Errorf("outside the base path: %s", response.Status)
	}
	p.url = root + "/guard"
	cookie := p.signIn("ada")
	_, page := p.do("/", nil, "Cookie", cookie, "Accept", "text/html")
	for _, want := range []string{`action="/guard/logout"`, `src="/guard/static/curfew.js"`,
		`data-socket="/guard/session/ws"`} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %s", want)
		}
	}
}

func TestForwardedHeadersCountFromTrustedProxiesOnly(t *testing.T) {
	t.Parallel()
	trusting, strict := start(t, "--trusted-proxies", "127.0.0.0/8"), start(t)
	for _, p := range []*process{trusting, strict} {
		p.signIn("ada", "X-Forwarded-For", "203.0.113.9, 127.0.0.2")
	}
	trusting.eventually("the log names the browser's address",
		func() bool { return strings.Contains(trusting.log.String(), "address=203.0.113.9") })
	strict.eventually("the log names the peer's address",
		func() bool { return strings.Contains(strict.log.String(), "address=127.0.0.1") })
	if _, body := strict.do("/readyz", nil); !strings.Contains(body, `"ignored_forwarded_headers":1`) {
		t.Errorf("readyz = %s", body)
	}
}

func TestAuditLinesInTheLogAreJSON(t *testing.T) {
	t.Parallel()
	p := start(t) // whose log is text
	p.signIn("ada")
	p.login("grace", "guess")
	for kind, user := range map[session.EventKind]string{
		session.EventSignIn:       "ada",
		session.EventSignInFailed: "grace",
	} {
		p.eventually("the log has "+string(kind), func() bool {
			for line := range strings.Lines(p.log.String()) {
				var logged struct{ Event session.Event }
				err := json.Unmarshal([]byte(line), &logged)
				e := logged.Event
				if err == nil && e.Kind == kind && e.User == user && e.Address != "" && e.At.Location() == time.UTC {
					return true
				}
			}
			return false
		})
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	p := start(t, "--log-level", "debug", "--log-format", "json")
	cookie := p.signIn("ada")
	p.do("/login", url.Values{"username": {"grace"}, "password": {"Tr0ub4dor"}})
	p.kill()
	_, secret, _ := strings.Cut(cookie, "=")
	for _, s := range []string{secret, "ada-demo\",", "Tr0ub4dor"} {
		if strings.Contains(p.log.String(), s) {
			t.Errorf("the log holds %s", s)
		}
	}
}
