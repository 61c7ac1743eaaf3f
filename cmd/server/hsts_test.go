package main

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestTheHSTSHeaderIsReadStrictly(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for text, want := range map[string]hstsConfig{
		"":                 {},
		"max-age=31536000": {"max-age=31536000", year},
		" includesubdomains;MAX-AGE=31536000 ; preload": {"max-age=31536000; includeSubDomains; preload", year},
		"max-age=0": {"max-age=0", 0},
	} {
		if got, err := parseHSTS(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"31536000", "max-age", "max-age=", "max-age=-1", "max-age=1y", "max-age=1; max-age=2",
		"includeSubDomains", "max-age=1; includeSubDomains=yes", "max-age=1, preload", "max-age=1;", "max-age=1; x",
		"max-age=315360001", "max-age=1\r\nX: y"} {
		if c, err := parseHSTS(text); err == nil {
			t.Errorf("%q: %+v, want a mistake", text, c)
		}
	}
}

// TestEveryAnswerSaysThatTheHostIsForHTTPSWhereThatIsSet asks for pages of Curfew's and of an
// application that says something else.
func TestEveryAnswerSaysThatTheHostIsForHTTPSWhereThatIsSet(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Strict-Transport-Security", "max-age=0")
	}))
	t.Cleanup(app.Close)
	set := start(t, "--testing", "--upstream", app.URL, "--public-url", "https://app.example.org",
		"--verify-listen", "127.0.0.1:0", "--hsts", "max-age=31536000;includeSubDomains")
	unset := start(t, "--testing", "--upstream", app.URL, "--public-url", "https://app.example.org")
	const ours = "max-age=31536000; includeSubDomains"
	for path, unasked := range map[string]string{
		"/.curfew/login":            "",
		"/.curfew/account":          "",
		"/.curfew/nowhere":          "",
		"/.curfew/static/curfew.js": "",
		"/gone":                     "", // Curfew answers for the application
		"/":                         "max-age=0",
	} {
		for _, p := range []*process{set, unset} {
			want := unasked
			if p == set {
				want = ours
			}
			response, _ := p.do(path, nil, "Cookie", p.visitor("ada"), "Host", "app.example.org")
			if got := response.Header["Strict-Transport-Security"]; strings.Join(got, " and ") != want {
				t.Errorf("%s: %q, want %q", path, got, want)
			}
		}
	}
	if response, _ := set.do("/", nil); response.Header.Get("Strict-Transport-Security") != ours {
		t.Errorf("a stranger is told %v", response.Header)
	}
	if got := set.knock("GET", "/session/verify").Header.Get("Strict-Transport-Security"); got == "" {
		t.Error("what a door refuses, which a proxy passes on, says nothing")
	}
}

func TestHSTSIsRefusedWhereBrowsersIgnoreItOrItConcernsAWholeMachine(t *testing.T) {
	for public, isRight := range map[string]bool{
		"https://app.example.org": true,
		"https://localhost:8443":  false,
		"http://localhost:8080":   false,
		"":                        false,
	} {
		_, err := load([]string{"--public-url", public, "--hsts", "max-age=1"}, nil)
		if (err == nil) != isRight {
			t.Errorf("public-url %q: %v", public, err)
		}
	}
}
