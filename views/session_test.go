package views

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

func TestOnlyWhatAPersonDoesIsActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		s.SetPassive([]string{"/admin/audit", "/acc*"})
		ada := s.signIn("ada")
		whole := session.Profiles()[0].Policy.ExpireAfter
		person := []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1"}
		for _, c := range []struct {
			what, path string
			header     []string
			isActivity bool
		}{
			{"a link that a person follows", "/", person, true},
			{"a page that navigates by itself", "/", []string{"Sec-Fetch-Mode", "navigate"}, false},
			{"a page fetched ahead", "/", append([]string{"Sec-Purpose", "prefetch;prerender"}, person...), false},
			{"a script", "/", scripted, false},
			{"a passive path", "/admin/audit", person, false},
			{"a passive prefix", "/account", person, false},
			{"a path beside a passive one", "/admin", person, true},
		} {
			ada.post("/session/extend", url.Values{}, scripted...).wants(t, "staying signed in", 200)
			time.Sleep(time.Minute)
			ada.get(c.path, c.header...).wants(t, c.what, 200)
			left := ada.get("/session/status", scripted...).expiresIn()
			if isActivity := left == whole; isActivity != c.isActivity {
				t.Errorf("%s: %s left of %s, want activity: %v", c.what, left, whole, c.isActivity)
			}
		}
	})
}

func TestAFormOfAnotherSiteChangesNothing(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	note := func() url.Values { return url.Values{"note": {"forged"}} }
	ada.post("/", url.Values{"note": {"forged"}, "csrf": {"x"}}, scripted...).wants(t, "another token", 403,
		`"error":"csrf"`)
	for what, header := range map[string][]string{
		"another site":                    {"Sec-Fetch-Site", "cross-site"},
		"a site beside this one":          {"Sec-Fetch-Site", "same-site"},
		"another origin":                  {"Sec-Fetch-Site", "", "Origin", "https://evil.example"},
		"a page without an origin":        {"Sec-Fetch-Site", "", "Origin", "null"},
		"this host by another scheme":     {"Sec-Fetch-Site", "", "Origin", "http://site.example"},
		"this host with a port of others": {"Sec-Fetch-Site", "", "Origin", siteOrigin + ":8443"},
	} {
		ada.post("/", note(), append(header, scripted...)...).wants(t, what, 403, `"error":"cross-site"`)
	}
	ada.post("/", note(), append([]string{"Sec-Fetch-Site", "", "Origin", siteOrigin}, scripted...)...).wants(t,
		"this origin", 303)
	ada.post("/login", url.Values{"username": {"ada"}, "password": {"pw"}}, "Sec-Fetch-Site", "cross-site").wants(t,
		"a sign-in from another site", 403)
	large := url.Values{"note": {string(make([]byte, maxForm+1))}}
	ada.post("/", large, scripted...).wants(t, "a form too large", 400, `"error":"bad-form"`)
}
