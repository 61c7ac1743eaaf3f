package views

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
)

const consoleOrigin = "https://site.example:8443"

// startConsole starts a site whose console has an origin of its own, and returns both.
func startConsole(t *testing.T, base string) (main, console *site) {
	t.Helper()
	main = startSite(t, base)
	admin, err := ParseOrigin(consoleOrigin)
	if err != nil {
		t.Fatal(err)
	}
	main.admin = admin
	main.route()
	there := *main
	there.Server = main.Console().(*Server)
	return main, &there
}

// leads judges a redirect.
func (a answer) leads(t *testing.T, what, location string) {
	t.Helper()
	if a.StatusCode != http.StatusSeeOther || a.Header.Get("Location") != location {
		t.Errorf("%s: %s, want 303 to %s", what, a, location)
	}
}

// at is the browser at another address of the same host: it sends the same cookie.
func (b *browser) at(s *site) *browser { return &browser{site: s, cookie: b.cookie, token: b.token} }

func TestTheConsoleIsElsewhere(t *testing.T) {
	for _, base := range []string{"", "/guard"} {
		main, _ := startConsole(t, base)
		for name, b := range map[string]*browser{
			"an administrator": main.signIn("ada"),
			"a user":           main.signIn("grace"),
			"a stranger":       {site: main},
		} {
			for _, path := range []string{
				"/admin", "/admin?group=staff&q=%20x", "/admin/audit", "/admin/sessions/x%2Fy", "/admin/ws",
			} {
				b.get(base+path).leads(t, name+" at "+path, consoleOrigin+base+path)
				b.post(base+path, url.Values{}).leads(t, "a form of "+name+" to "+path, consoleOrigin+base+path)
				if a := b.get(base+path, "Sec-Fetch-Mode", "cors"); a.StatusCode != 404 {
					t.Errorf("a script of %s at %s: %s, want 404", name, path, a)
				}
			}
			a := b.post(base+"/admin/logouts", url.Values{"scope": {"everyone"}}, "Sec-Fetch-Mode", "cors")
			if a.StatusCode != 404 {
				t.Errorf("a forced logout by a script of %s: %s, want 404", name, a)
			}
			if a := b.get(base+"/administration", "Sec-Fetch-Mode", "navigate"); a.StatusCode != 404 {
				t.Errorf("%s at a path that is none of the console: %s", name, a)
			}
		}
	}
}

func TestAnAdministratorsSessionIsNoUseAtThePublicURL(t *testing.T) {
	main, console := startConsole(t, "/guard")
	ada, grace, program := main.signIn("ada"), main.signIn("grace"), main.program(ScopeAdmin)
	for _, b := range []*browser{ada, grace, {site: main, cookie: "__Host-curfew=x"}} {
		b.api("GET", "/presence", "", 403)
		b.api("GET", "/sessions/"+grace.ref(), "", 403)
		b.api("POST", "/logouts", `{"everyone":true}`, 403)
		for _, mode := range []string{"navigate", "cors"} {
			if a := b.get("/guard/metrics", "Sec-Fetch-Mode", mode); a.StatusCode != 403 {
				t.Errorf("metrics: %s, want 403", a)
			}
		}
	}
	(&browser{site: main}).api("GET", "/presence", "", 401)
	for _, cookie := range []string{"", ada.cookie} {
		b := &browser{site: main, token: program.token, cookie: cookie}
		b.api("GET", "/presence", "", 200)
		b.api("POST", "/logouts", `{"user":"grace","dry_run":true}`, 200)
		b.get("/guard/metrics", "Authorization", "Bearer "+b.token).wants(t, "metrics by a token", 200)
	}
	if code, _ := grace.status(); code != 200 {
		t.Errorf("grace was signed out: %d", code)
	}
	// at the console's own origin it is
	there := ada.at(console)
	there.api("GET", "/presence", "", 200)
	there.api("POST", "/logouts", `{"user":"grace"}`, 200)
	there.get("/guard/metrics").wants(t, "metrics at the admin URL", 200)
	if code, _ := grace.status(); code != 401 {
		t.Errorf("grace is still signed in: %d", code)
	}
	grace.at(console).api("GET", "/presence", "", 401)
	linus := main.session("linus", "staff")
	linus.at(console).api("GET", "/presence", "", 403)
	linus.at(console).get("/guard/admin").wants(t, "the console for somebody else", 403)
}

func TestTheAdminURLStandsForThePublicURL(t *testing.T) {
	for _, base := range []string{"", "/guard"} {
		main, console := startConsole(t, base)
		home := base + "/admin"
		stranger := &browser{site: console}
		stranger.get(base+"/").leads(t, "the home page", home)
		stranger.get("/").leads(t, "the root", home)
		stranger.get(home+"?q=x").leads(t, "the console", base+"/login?next="+url.QueryEscape(home+"?q=x"))
		for next, want := range map[string]string{
			"":                            home,
			base + "/account":             base + "/account",
			consoleOrigin + base:          home,
			siteOrigin + "/":              home,
			"//site.example:8443/account": home,
		} {
			a := stranger.post(base+"/login", url.Values{"username": {"ada"}, "password": {"pw"}, "next": {next}})
			a.leads(t, "a sign-in that leads to "+next, want)
			if cookie := a.Header.Get("Set-Cookie"); !strings.Contains(cookie, "; Path=/; ") {
				t.Errorf("the cookie is %q", cookie)
			}
		}
		ada := main.signIn("ada").at(console)
		ada.get(home).wants(t, "the console with the session of the public URL", 200, `href="`+siteOrigin+base+`/"`)
		ada.post(base+"/logout", url.Values{"csrf": {"wrong"}}).wants(t, "a sign-out without token", 403)
		for name, tt := range map[string]struct {
			header []string
			want   int
		}{
			"a page of the console":         {[]string{"Sec-Fetch-Site", "same-origin", "Origin", consoleOrigin}, 303},
			"a page of the public URL":      {[]string{"Sec-Fetch-Site", "same-site", "Origin", siteOrigin}, 403},
			"such a page in an old browser": {[]string{"Sec-Fetch-Site", "", "Origin", siteOrigin}, 403},
			"the console in an old browser": {[]string{"Sec-Fetch-Site", "", "Origin", consoleOrigin}, 303},
		} {
			form := url.Values{"scope": {"everyone"}, "message": {"Tea is ready."}}
			header := append(tt.header, "Sec-Fetch-Mode", "navigate")
			r := ada.request("POST", base+"/admin/notices", form, header...)
			if r.Header.Get("Sec-Fetch-Site") == "" {
				r.Header.Del("Sec-Fetch-Site")
			}
			if a := ada.send(r); a.StatusCode != tt.want {
				t.Errorf("a form of %s: %s, want %d", name, a, tt.want)
			}
		}
		a := ada.post(base+"/session/extend", url.Values{}, "Referer", consoleOrigin+base+"/admin/audit")
		a.leads(t, "a form that leads back", base+"/admin/audit")
		a = ada.post(base+"/session/extend", url.Values{}, "Referer", siteOrigin+base+"/account")
		a.leads(t, "a form of a page of another origin", home)
	}
}

func TestNoApplicationIsAtTheAdminURL(t *testing.T) {
	main, console := startConsole(t, "/.curfew")
	main.guard.exists, console.guard.exists = true, true
	main.SetApplication(http.HandlerFunc(healthz))
	ada := main.signIn("ada")
	if a := ada.get("/page"); a.StatusCode != 200 || a.text != "ok\n" {
		t.Errorf("the application: %s", a)
	}
	for _, path := range []string{
		"/page", "/.curfew.js", "/login", "/admin", "/session/verify", "/.curfew/session/verify",
	} {
		if a := ada.at(console).get(path); a.StatusCode != 404 {
			t.Errorf("%s at the admin URL: %s, want 404", path, a)
		}
	}
	ada.at(console).get("/.curfew/healthz").wants(t, "a route of Curfew's", 200, "ok")
	ada.at(console).get("/.curfew/admin").wants(t, "the console", 200, `href="`+siteOrigin+`/.curfew/">Application<`)
}

func TestAnotherLoopbackNameLeadsToTheAdminURL(t *testing.T) {
	main := newSite(t, "http://localhost:8080", "")
	main.admin = &url.URL{Scheme: "http", Host: "localhost:9090"}
	response := main.newConsole().get("GET", "127.0.0.1:9090", "/admin?q=x", "Sec-Fetch-Mode", "navigate")
	if got := response.Header.Get("Location"); got != "http://localhost:9090/admin?q=x" {
		t.Errorf("%d to %q", response.StatusCode, got)
	}
}

// open opens a socket of a page at an origin, and returns nil with the status where it is refused.
func (b *browser) open(origin string) (*hubtest.Page, int) {
	b.t.Helper()
	server := httptest.NewServer(b.Server)
	b.t.Cleanup(server.Close)
	page, response, err := hubtest.Dial(b.t.Context(), hubtest.Options{
		URL:    server.URL + b.base + "/session/ws",
		Header: http.Header{"Origin": {origin}, "Cookie": {b.cookie}},
		AckAll: true,
	})
	if err != nil {
		return nil, response.StatusCode
	}
	b.t.Cleanup(page.Break)
	return page, response.StatusCode
}

func TestSocketsAreOpenedByPagesOfTheirOwnOrigin(t *testing.T) {
	main, console := startConsole(t, "/guard")
	ada := main.signIn("ada")
	for _, tt := range []struct {
		at     *site
		origin string
		want   int
	}{
		{main, siteOrigin, 101},
		{main, consoleOrigin, 403},
		{console, consoleOrigin, 101},
		{console, siteOrigin, 403},
		{console, "null", 403},
		{console, "https://site.example:8444", 403},
	} {
		if _, got := ada.at(tt.at).open(tt.origin); got != tt.want {
			t.Errorf("a page of %s at %s: %d, want %d", tt.origin, tt.at.origin, got, tt.want)
		}
	}
	for origin, want := range map[string]int{consoleOrigin: 101, siteOrigin: 403} {
		r := httptest.NewRequest("GET", "/guard/admin/ws", nil)
		r.Header = http.Header{"Origin": {origin}, "Cookie": {ada.cookie}}
		w := httptest.NewRecorder()
		console.ServeHTTP(w, r)
		if refused := w.Code == 403; refused != (want == 403) {
			t.Errorf("the console's socket for a page of %s: %d, want %d", origin, w.Code, want)
		}
	}
}

func TestOnlyPagesOfTheConsoleWatchPresence(t *testing.T) {
	main, console := startConsole(t, "")
	ada := main.signIn("ada")
	main.signIn("grace")
	for _, tt := range []struct {
		at     *site
		origin string
		want   []string
	}{
		{main, siteOrigin, nil},
		{console, consoleOrigin, []string{"grace"}},
	} {
		page, code := ada.at(tt.at).open(tt.origin)
		if page == nil {
			t.Fatalf("a page of %s: %d", tt.origin, code)
		}
		page.Next(wire.KindHello)
		page.Send(`{"type":"watch","users":["grace"]}`)
		told := page.Next(wire.KindPresence)["users"].(map[string]any)
		var names []string
		for name := range told {
			names = append(names, name)
		}
		if !slices.Equal(names, tt.want) {
			t.Errorf("a page of %s is told %v, want %v", tt.origin, told, tt.want)
		}
	}
	if page := ada.get("/"); strings.Contains(page.text, "data-curfew-presence") {
		t.Errorf("a page at the public URL shows who is here: %s", page)
	}
}

func TestTheSignInPageLetsItsFormLeadOnToAnotherOrigin(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	for name, a := range map[string]answer{
		"the page":             b.get("/login"),
		"after a failure":      b.post("/login", url.Values{"username": {"ada"}, "password": {"wrong"}}),
		"somebody else's page": s.signIn("grace").get("/account"),
	} {
		policy := a.Header.Get("Content-Security-Policy")
		if has := strings.Contains(policy, "form-action"); has != (name == "somebody else's page") {
			t.Errorf("%s: %s", name, policy)
		}
		if !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %s", name, policy)
		}
	}
}
