package views

import (
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

// scripted are the headers of a request that a script makes.
var scripted = []string{"Sec-Fetch-Mode", "cors"}

// expiresIn is how long a session still lives, as a status says.
func (a answer) expiresIn() time.Duration {
	ms, _ := a.json("expire_in_ms").(float64)
	return time.Duration(ms) * time.Millisecond
}

func TestStatusIsNoActivityAndActsAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada := s.signIn("ada")
		whole := session.Profiles()[0].Policy.ExpireAfter
		time.Sleep(5 * time.Minute)
		for range 2 { // the second finds what the first has left
			status := ada.get("/session/status", scripted...)
			status.wants(t, "the status", 200, `"user":"ada"`, `"name":"ADA"`, `"csrf":"`)
			if left := status.expiresIn(); left != whole-5*time.Minute {
				t.Errorf("the status five minutes after the sign-in: %s left of %s", left, whole)
			}
		}
		for _, c := range []struct {
			what, path string
			form       url.Values
			left       time.Duration
		}{
			{"an act two minutes ago", "/session/activity", url.Values{"idle_ms": {"120000"}}, whole - 2*time.Minute},
			{"one before that", "/session/activity", url.Values{"idle_ms": {"240000"}}, whole - 2*time.Minute},
			{"one now", "/session/activity", url.Values{}, whole},
			{"staying signed in", "/session/extend", url.Values{}, whole},
		} {
			if left := ada.post(c.path, c.form, scripted...).expiresIn(); left != c.left {
				t.Errorf("%s: %s left, want %s", c.what, left, c.left)
			}
		}
	})
}

func TestStatusTellsWhoAndWithWhichRightsForADayAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startSite(t, "")
		ada, again, grace := s.signIn("ada"), s.signIn("ada"), s.signIn("grace")
		_, first := ada.status()
		_, second := again.status()
		_, other := grace.status()
		if first["who"] == "" || first["who"] != second["who"] || first["who"] == other["who"] {
			t.Errorf("who: %v and %v for ada, %v for grace", first["who"], second["who"], other["who"])
		}
		if first["rights"] == "" || first["rights"] != second["rights"] || first["rights"] == other["rights"] {
			t.Errorf("rights: %v and %v for ada, %v for grace", first["rights"], second["rights"], other["rights"])
		}
		ada.post("/logout", url.Values{})
		for _, c := range []struct {
			after       time.Duration
			who, rights any
		}{
			{0, first["who"], first["rights"]},
			{session.TombstoneFor - time.Millisecond, first["who"], first["rights"]},
			{time.Millisecond, nil, nil},
		} {
			time.Sleep(c.after)
			code, status := ada.status()
			if code != 401 || status["who"] != c.who || status["rights"] != c.rights {
				t.Errorf("%s later: %d %v, want who %v and rights %v", c.after, code, status, c.who, c.rights)
			}
		}
	})
}

func TestAnActWithNonsenseIsRefused(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for _, idle := range []string{"x", "-1", "1.5", "9223372036854775807", "99999999999999999999"} {
		ada.post("/session/activity", url.Values{"idle_ms": {idle}}, scripted...).wants(t, "idle for "+idle, 400,
			`"error":"bad-form"`)
	}
}

func TestAFormThatExtendsLeadsBackToItsPage(t *testing.T) {
	s := startSite(t, "/guard")
	ada := s.signIn("ada")
	for from, to := range map[string]string{
		"":                                "/guard/",
		siteOrigin + "/app/page?x=y":      "/app/page?x=y",
		siteOrigin + "/guard/login":       "/guard/",
		"https://evil.example/page":       "/guard/",
		siteOrigin + "//evil.example/":    "/guard/",
		siteOrigin + ":8443/another/port": "/guard/",
	} {
		a := ada.post("/guard/session/extend", url.Values{}, "Referer", from)
		if a.StatusCode != 303 || a.Header.Get("Location") != to {
			t.Errorf("from %q: %s, want it to lead to %q", from, a, to)
		}
	}
}
