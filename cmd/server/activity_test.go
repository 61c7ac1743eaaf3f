package main

import (
	"strings"
	"testing"
	"time"
)

func TestWhatCountsAsActivity(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing", "--passive-paths", "/passive*,/?poll")
	person := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document"}
	tests := []struct {
		name, path string
		header     []string
		counts     bool
	}{
		{"a person's navigation", "/", person, true},
		{"a navigation by script", "/", []string{"Sec-Fetch-Mode", "navigate"}, false},
		{"a request by script", "/", []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-User", "?1"}, false},
		{"a prefetch", "/", append([]string{"Sec-Purpose", "prefetch;prerender"}, person...), false},
		{"status", "/session/status", nil, false},
		{"status that a person opens", "/session/status", person, false},
		{"a page that is not there", "/nowhere", nil, false},
		{"an asset", "/static/curfew.js", person, false},
	}
	for _, tt := range tests {
		cookie := p.signIn("ada")
		p.testing("clock", `{"advance_ms":60000}`)
		p.do(tt.path, nil, append(tt.header, "Cookie", cookie)...)
		_, answer := p.status(cookie)
		if got := answer["expire_in_ms"].(float64) > 590_000; got != tt.counts {
			t.Errorf("%s: %v left, want it to count: %v", tt.name, answer["expire_in_ms"], tt.counts)
		}
	}
}

func TestWhatKeepsASessionWhoseLastTabWasClosed(t *testing.T) {
	t.Parallel()
	p := start(t, "--testing")
	person := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Fetch-Dest", "document"}
	tests := []struct {
		name, path string
		before     bool // the tab is closed
		header     []string
		keeps      bool
	}{
		{"a page", "/account", false, person, true},
		{"a page before the tab says goodbye", "/account", true, person, true},
		{"status", "/session/status", false, nil, false},
		{"status that a person opens", "/session/status", false, person, false},
		{"status before the tab says goodbye", "/session/status", true, person, false},
		{"a download, which shows that the browser is there", "/admin/audit?format=csv", false, person, true},
		{"a download before the tab says goodbye", "/admin/audit?format=csv", true, person, false},
	}
	for _, tt := range tests {
		cookie := p.signIn("ada")
		tab := p.openTab(cookie)
		ask := func() { p.do(tt.path, nil, append(tt.header, "Cookie", cookie)...) }
		if tt.before {
			ask()
			p.advance(10 * time.Second)
		}
		tab.Leave("close")
		seen := "last tab closed"
		if tt.before && tt.keeps {
			seen = "tab left" // for another page
		}
		p.eventually(tt.name+": "+seen, func() bool { return strings.Contains(p.timeline(), seen) })
		if !tt.before {
			ask()
		}
		p.advance(25 * time.Second)
		code, answer := p.status(cookie)
		if (code == 200) != tt.keeps || code == 401 && answer["reason"] != "browser-closed" {
			t.Errorf("%s: %d %v, want it to keep the session: %v", tt.name, code, answer, tt.keeps)
		}
		p.testing("reset", "")
	}
}
