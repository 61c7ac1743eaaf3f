package views

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"curfew/directory"
	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/locale"
)

func TestWhoHasTheRightPasswordIsToldWhyItLetsNobodyIn(t *testing.T) {
	s := startSite(t, "")
	s.site.HelpURL = "https://help.example/password"
	program := s.program(ScopeRead)
	const link = ` <a href="https://help.example/password">Hilfe zur Anmeldung</a></p>`
	for _, tt := range []struct {
		user          string
		refusal       error
		code          string
		text, english string
		counts        Refusal
	}{
		{"ada", directory.ErrPasswordExpired, "password-expired", "Ihr Passwort ist abgelaufen. Ändern Sie es",
			"Your password has expired. Change it", RefusedPassword},
		{"ada", directory.ErrPasswordMustChange, "password-must-change", "Ihr Passwort muss geändert werden",
			"Your password must be changed before", RefusedPassword},
		{"grace", directory.ErrLocked, "locked", "Dieses Konto ist gesperrt", "This account is locked", RefusedLocked},
		{"grace", directory.ErrNotAllowed, "not-allowed", "Dieses Konto darf sich hier nicht anmelden",
			"This account may not sign in here", RefusedNotAllowed},
	} {
		s.directory.refusal = fmt.Errorf("refused by the test: %w", tt.refusal)
		b := &browser{site: s}
		page := b.post("/login", signInForm(tt.user, "pw"), "Accept-Language", "de")
		page.wants(t, tt.code, 401, tt.text)
		helps := tt.counts == RefusedPassword
		if len(page.Cookies()) > 0 || strings.Contains(page.text, link) != helps ||
			strings.Count(page.text, "Hilfe zur Anmeldung") != 1 {
			t.Errorf("%s: cookies %v, want none, and one link to help: %s", tt.code, page.Cookies(), page.text)
		}
		told := b.post("/login", signInForm(tt.user, "pw"), append(inJSON, "Accept-Language", "de")...)
		told.wants(t, "a script", 401, `"error":"`+tt.code+`"`, `"message":"`+tt.english, `"said":"`+tt.text)
		if help := told.json("help"); (help == s.site.HelpURL) != helps {
			t.Errorf("a script is led to %v for help: %s", help, told)
		}
		if got := refusalOf(s.directory.refusal); got != tt.counts {
			t.Errorf("%s counts as %q, want %q", tt.code, got, tt.counts)
		}
		line := dig(items(program.api("GET", "/audit?event=sign-in-failed", "", 200))[0])
		if cause := dig(line, "data")["cause"]; cause != tt.code || line["user"] != tt.user {
			t.Errorf("the trail has %v, want the cause %s", line, tt.code)
		}
	}
}

func TestAPasswordThatMustBeChangedIsToldToNobodyElse(t *testing.T) {
	s := startSite(t, "")
	s.directory.refusal = directory.ErrPasswordExpired
	b := &browser{site: s}
	unknown := b.post("/login", signInForm("nobody", "wrong"), inJSON...)
	wrong := b.post("/login", signInForm("grace", "wrong"), inJSON...)
	if wrong.text != unknown.text || wrong.json("error") != "credentials" {
		t.Errorf("a wrong password is answered %s, an unknown name %s", wrong, unknown)
	}
}

func TestAPasswordThatMustBeChangedCountsAsAFailure(t *testing.T) {
	s := startSite(t, "")
	s.directory.refusal = directory.ErrPasswordMustChange
	b := &browser{site: s}
	for range maxPairFails {
		b.post("/login", signInForm("grace", "pw")).wants(t, "a right password", 401, "must be changed")
	}
	b.post("/login", signInForm("grace", "pw")).wants(t, "one more", 429)
}

func TestAPasswordEndsInWords(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		warning directory.PasswordWarning
		want    string
	}{
		{directory.PasswordWarning{Left: 14 * day}, "Your password expires in 14 days. Please change it before then."},
		{directory.PasswordWarning{Left: 3*day - time.Second}, "Your password expires in 2 days."},
		{directory.PasswordWarning{Left: 2*day - time.Second}, "Your password expires in 47 hours."},
		{directory.PasswordWarning{Left: time.Hour}, "Your password expires in 1 hour."},
		{directory.PasswordWarning{Left: time.Hour - time.Second}, "Your password expires in less than an hour."},
		{directory.PasswordWarning{}, "Your password expires in less than an hour."},
		{directory.PasswordWarning{Expired: true, SignIns: 2}, "has expired. You can sign in with it 2 more times:"},
		{directory.PasswordWarning{Expired: true, SignIns: 1}, "You can sign in with it 1 more time:"},
		{directory.PasswordWarning{Expired: true}, "this was the last time that you could sign in with it"},
	} {
		toast := passwordToast(tt.warning)
		said := text{key: toast.Key, data: toast.Data}.in(locale.English())
		if !strings.Contains(said, tt.want) {
			t.Errorf("%+v: %q, want %q", tt.warning, said, tt.want)
		}
		if passwordUnits[toast.Key] == "" {
			t.Errorf("%+v is told by %s, of which no page hears", tt.warning, toast.Key)
		}
	}
}

// warned is a browser that has just signed in with a password that has three days left.
func (s *site) warned(user string) *browser {
	s.directory.warning = &directory.PasswordWarning{Left: 75 * time.Hour}
	b := &browser{site: s}
	a := b.post("/login", signInForm(user, "pw"))
	b.take(a)
	b, _ = b.told(a)
	return b
}

func TestTheEndOfAPasswordIsToldOnceByAPageOfCurfew(t *testing.T) {
	s := startSite(t, "")
	ada := s.warned("ada")
	page := ada.get("/", "Accept-Language", "de")
	page.wants(t, "the first page", 200, `<p class="toast" role="status">Ihr Passwort läuft in 3 Tagen ab.`)
	if _, c := ada.told(page); c == nil || c.MaxAge >= 0 {
		t.Errorf("it was told, and the cookie stays: %+v", c)
	}
	if page := ada.get("/"); strings.Contains(page.text, "toast") {
		t.Errorf("a page that was asked for at the same time tells it, too: %s", page)
	}
}

func TestTheEndOfAPasswordIsToldOnceByAPageOfTheApplication(t *testing.T) {
	s := startSite(t, "")
	b := s.warned("grace")
	refused := b.get("/session/ws", "Origin", "https://evil.example")
	if refused.wants(t, "a page of another site", 403); len(refused.Cookies()) > 0 {
		t.Errorf("it has taken the warning away: %v", refused.Cookies())
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	first, response, err := hubtest.Dial(t.Context(), hubtest.Options{
		URL:    server.URL + "/session/ws",
		Header: http.Header{"Origin": {siteOrigin}, "Cookie": {b.cookie}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.Break)
	first.Next(wire.KindHello)
	notice := first.Next(wire.KindNotice)
	if notice["kind"] != "password" || dig(map[string]any(notice), "data")["days"] != "3" ||
		notice["message"] != "Your password expires in 3 days. Please change it before then." {
		t.Errorf("the first page is told %v", notice)
	}
	if cookies := response.Cookies(); len(cookies) != 1 || cookies[0].Name != toastCookie || cookies[0].MaxAge >= 0 {
		t.Errorf("it was told, and the cookie stays: %v", cookies)
	}
	second := b.openTab() // with the cookie all the same, as pages that come back together
	second.Send(`{"type":"sync"}`)
	second.Next(wire.KindActive) // and not the notice
}
