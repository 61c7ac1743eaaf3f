package views

import "testing"

func TestOwnPagesArePartedFromTheirOpenersAsTheBrowserKnowsHow(t *testing.T) {
	const (
		chrome  = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/"
		apple   = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
		android = "Mozilla/5.0 (Linux; Android 4.4; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 Chrome/"
	)
	tests := []struct{ agent, policy string }{
		{chrome + "131.0.0.0 Safari/537.36", "noopener-allow-popups"},
		{chrome + "156.0.0.0 Safari/537.36 Edg/156.0.0.0", "noopener-allow-popups"},
		{"Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0", "noopener-allow-popups"},
		{apple + "Version/18.4 Safari/605.1.15", "noopener-allow-popups"},
		{apple + "Version/26.0 Mobile/15E148 Safari/604.1", "noopener-allow-popups"},

		// They know no such word, and would take it for no policy.
		{chrome + "130.0.0.0 Safari/537.36", "same-origin"},
		{apple + "Version/18.3 Safari/605.1.15", "same-origin"},
		{apple + "Version/17 Safari/605.1.15", "same-origin"},
		{"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0", "same-origin"},
		{android + "156.0.0.0 Mobile Safari/537.36", "same-origin"}, // a WebView has no windows
		{chrome + "999999999999999999999 Safari/537.36", "noopener-allow-popups"},
		{chrome + " Safari/537.36", "same-origin"},
		{"curl/8.5.0", "same-origin"},
		{"", "same-origin"},
	}
	for _, base := range []string{"", "/.curfew"} {
		s := startSite(t, base).Server
		for _, tt := range tests {
			for _, path := range []string{"/login?window=1", "/static/login.js", "/none"} {
				response := s.get("GET", "site.example", base+path, "User-Agent", tt.agent)
				if got := response.Header["Cross-Origin-Opener-Policy"]; len(got) != 1 || got[0] != tt.policy {
					t.Errorf("%s for %q: %q, want %q", path, tt.agent, got, tt.policy)
				}
			}
		}
	}
}
