package views

import (
	"net/url"
	"regexp"
	"strings"
	"testing"
)

var hiddenInput = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// continueForm is what the button of a page that offers to go on sends.
func (a answer) continueForm() (action string, form url.Values) {
	_, page, _ := strings.Cut(a.text, `<main>`)
	if m := regexp.MustCompile(`<form method="post" action="([^"]+)"`).FindStringSubmatch(page); m != nil {
		action = m[1]
	}
	form = url.Values{}
	for _, m := range hiddenInput.FindAllStringSubmatch(page, -1) {
		form.Add(m[1], strings.NewReplacer("&lt;", "<", "&gt;", ">").Replace(m[2]))
	}
	return action, form
}

// outdated is a form of ada's with the token of an earlier session.
func (s *site) outdated(form url.Values) url.Values {
	form.Set("csrf", "of-an-earlier-session")
	form.Set("stamp", s.stamp("ada"))
	return form
}

func TestAFormOutOfDateKeepsItsTextAndOffersToGoOn(t *testing.T) {
	s := startSite(t, "/guard")
	ada := s.signIn("ada")
	a := ada.post("/guard/", s.outdated(url.Values{"note": {"Call <Grace>"}}), "Referer", siteOrigin+"/guard/?x=1")
	a.wants(t, "the form", 403, "Go on?", "Your note will be saved:", "Call &lt;Grace&gt;</blockquote>",
		`<a class="button" href="/guard/?x=1">`)
	if page := ada.get("/guard/"); strings.Contains(page.text, "Grace&gt;") {
		t.Error("the note was saved without a click")
	}
	action, form := a.continueForm()
	ada.post(action, form).wants(t, "going on", 303, "/guard/")
	ada.get("/guard/").wants(t, "after it", 200, "Call &lt;Grace&gt;</textarea>")
}

func TestSigningOutByAFormOutOfDateTakesAnotherClick(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	a := ada.post("/logout", s.outdated(url.Values{}))
	a.wants(t, "the form", 403, "You will be signed out.")
	ada.get("/session/status", scripted...).wants(t, "after it", 200)
	action, form := a.continueForm()
	ada.post(action, form).wants(t, "going on", 303, "/login")
	ada.get("/session/status", scripted...).wants(t, "at the end", 401)
}

func TestAForcedLogoutOutOfDateIsCountedAnew(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.signIn("grace")
	a := ada.post("/admin/logouts", s.outdated(url.Values{"scope": {"user"}, "user": {"grace"}, "typed": {"1"}}))
	a.wants(t, "the form", 403, "confirm it there")
	action, form := a.continueForm()
	if action != "/admin/review" || form.Has("typed") || form.Get("user") != "grace" {
		t.Errorf("the button sends %v to %s, want the order to be confirmed anew", form, action)
	}
	ada.post(action, form).wants(t, "going on", 200, "Sign out")
}

func TestOnlyOurOwnFormsOfTheSameUserAreOfferedAgain(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	abroad := []string{"Sec-Fetch-Site", "", "Origin", "https://x.example"}
	for what, tt := range map[string]struct {
		stamp  string
		header []string
		word   string
	}{
		"another site":           {s.stamp("ada"), []string{"Sec-Fetch-Site", "cross-site"}, "another site"},
		"another origin":         {s.stamp("ada"), []string{"Sec-Fetch-Site", "same-site"}, "another site"},
		"typed in":               {s.stamp("ada"), []string{"Sec-Fetch-Site", "none"}, "another site"},
		"no word of the browser": {s.stamp("ada"), []string{"Sec-Fetch-Site", ""}, "out of date"},
		"no word, elsewhere":     {s.stamp("ada"), abroad, "another site"},
		"another user":           {s.stamp("grace"), nil, "out of date"},
		"no stamp":               {"", nil, "out of date"},
		"a script":               {s.stamp("ada"), scripted, `"error":"csrf"`},
	} {
		form := url.Values{"note": {"forged"}, "csrf": {"x"}, "stamp": {tt.stamp}}
		a := ada.post("/", form, tt.header...)
		a.wants(t, what, 403, tt.word)
		if action, _ := a.continueForm(); action != "" {
			t.Errorf("%s: offered to go on: %s", what, a)
		}
	}
	form := url.Values{"note": {"ours"}, "csrf": {"x"}, "stamp": {s.stamp("ADA")}}
	ada.post("/", form, "Sec-Fetch-Site", "", "Origin", siteOrigin).wants(t, "a browser that tells the origin", 403,
		"Go on?")
	(&browser{site: s}).post("/", form).wants(t, "nobody", 303, "/login")
}

func TestAnErrorLeadsBackToWhereOneWas(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for what, tt := range map[string]struct {
		path, referer, want string
	}{
		"the page before":       {"/none", siteOrigin + "/account?a=1", `href="/account?a=1"`},
		"the home page":         {"/none", siteOrigin + "/", ""},
		"another site's page":   {"/none", "https://x.example/account", ""},
		"none":                  {"/none", "", ""},
		"itself, loaded anew":   {"/none", siteOrigin + "/none", ""},
		"the sign-in page":      {"/none", siteOrigin + "/login", ""},
		"out of the site again": {"/none", siteOrigin + "//x.example", ""},
	} {
		a := ada.get(tt.path, "Referer", tt.referer)
		a.wants(t, what, 404, `href="/">Go to the home page`, tt.want)
		if got := strings.Contains(a.text, "Go back"); got != (tt.want != "") {
			t.Errorf("%s: leads back is %t: %s", what, got, a)
		}
	}
	s.putAway(ada)
	ada.get("/account?x").wants(t, "a page that may be there soon", 503, `href="/account?x">Try again`)
}
