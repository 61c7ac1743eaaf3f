package main

import (
	"encoding/json"
	"strings"
	"testing"

	"curfew/front/spoofing"
)

// TestNothingIsSlippedPastTheReverseProxy sends the whole corpus through --upstream, to an
// application that shows what arrives, and to one whose server is careless about names.
func TestNothingIsSlippedPastTheReverseProxy(t *testing.T) {
	t.Parallel()
	for name, app := range map[string]string{"net/http": startEchoApp(t).URL, "gunicorn": startVictim(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "--upstream", app, "--testing")
			at := strings.TrimPrefix(p.url, "http://")
			var made struct{ Cookie, Ref string }
			p.url += "/.curfew"
			if err := json.Unmarshal([]byte(p.testing("session", `{"user":"ada"}`)), &made); err != nil {
				t.Fatal(err)
			}
			verified := map[string]string{
				"Remote-User":    "ada",
				"Remote-Name":    "ada",
				"Remote-Email":   "",
				"Remote-Groups":  "",
				"Remote-Session": made.Ref,
			}
			arrived := 0
			for _, a := range spoofing.Attempts() {
				e, code := attempt(t, at, a, "Cookie: "+made.Cookie)
				if code == 200 {
					arrived++
					for _, through := range a.Through(e.Fields, verified) {
						t.Errorf("%s: %s", a.Name, through)
					}
				} else if code < 400 || code == 401 || code > 501 {
					t.Errorf("%s: status %d, want 200 or that the request is refused", a.Name, code)
				}
			}
			if all := len(spoofing.Attempts()); arrived < all/2 {
				t.Errorf("%d of %d requests arrived", arrived, all)
			}
		})
	}
}
