package views

import (
	"net/url"
	"sync"
	"testing"

	"curfew/hub"
	"curfew/session"
)

func TestRefusalsAreCountedByKind(t *testing.T) {
	s, reader, _ := startAPI(t)
	var mu sync.Mutex
	counted := map[Refusal]int{}
	s.listeners.Refused = func(why Refusal) {
		mu.Lock()
		defer mu.Unlock()
		counted[why]++
	}
	ada, grace, stranger := s.signIn("ada"), s.signIn("grace"), &browser{site: s}
	signIn := func(user, password string) {
		stranger.post("/login", url.Values{"username": {user}, "password": {password}})
	}
	steps := []struct {
		want Refusal
		do   func()
	}{
		{RefusedCredentials, func() { signIn("ada", "wrong") }},
		{RefusedCredentials, func() { signIn("tab\tbed", "wrong") }},
		{RefusedOrigin, func() { ada.post("/logout", url.Values{}, "Sec-Fetch-Site", "cross-site") }},
		{RefusedOrigin, func() { ada.get("/session/ws", "Origin", "https://evil.example") }},
		{RefusedCSRF, func() { ada.post("/logout", url.Values{"csrf": {"old"}}) }},
		{RefusedRights, func() { grace.get("/admin") }},
		{RefusedRights, func() { reader.call("POST", "/api/v1/logouts", `{}`) }},
		{RefusedToken, func() { (&browser{site: s, token: "curfew_x"}).call("GET", "/api/v1/sessions", "") }},
		{RefusedBlocked, func() {
			if _, err := s.hub.ForceLogout(t.Context(), hub.LogoutRequest{Scope: session.Scope{User: "grace"},
				Block: 1e12}); err != nil {
				t.Fatal(err)
			}
			signIn("grace", "pw")
		}},
		{RefusedThrottled, func() {
			for range maxPairFails + 1 {
				signIn("nobody", "wrong")
			}
		}},
	}
	for i, step := range steps {
		mu.Lock()
		before := counted[step.want]
		mu.Unlock()
		step.do()
		mu.Lock()
		if after := counted[step.want]; after != before+1 {
			t.Errorf("step %d: %s counted %d times, want %d; all: %v", i, step.want, after, before+1, counted)
		}
		mu.Unlock()
	}
}
