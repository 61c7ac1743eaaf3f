package views

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub"
	"curfew/session"
)

// once reads the text of a page's forms.
func (a answer) once(t *testing.T) string {
	t.Helper()
	_, after, found := strings.Cut(a.text, `name="once" value="`)
	if !found {
		t.Fatalf("no form of its own: %s", a)
	}
	text, _, _ := strings.Cut(after, `"`)
	return text
}

// doubleClick sends the sign-in form, breaks that request off while the directory is asked, and
// sends the form again.
func (b *browser) doubleClick(form url.Values) (first, second answer) {
	b.t.Helper()
	asked := b.directory.asked.Load()
	b.directory.mu.Lock()
	ctx, breakOff := context.WithCancel(b.t.Context())
	header := []string{"Sec-Fetch-Mode", "navigate"}
	one, two := b.request("POST", "/login", form, header...), b.request("POST", "/login", form, header...)
	answers := make(chan answer, 2)
	go func() { answers <- b.send(one.WithContext(ctx)) }()
	b.eventually("the directory is asked", func() bool { return b.directory.asked.Load() > asked })
	breakOff()
	go func() { answers <- b.send(two) }()
	b.directory.mu.Unlock()
	return <-answers, <-answers
}

func (s *site) eventually(what string, ok func() bool) {
	s.t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	deadline := time.After(10 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			s.t.Fatalf("waited in vain until %s", what)
		}
	}
}

func TestDoubleClickOnSignInSignsInOnce(t *testing.T) {
	s := startSite(t, "")
	b := &browser{site: s}
	form := url.Values{"username": {"ada"}, "password": {"pw"}, "next": {"/account"}, "once": {b.get("/login").once(t)}}
	var seen []answer
	first, second := b.doubleClick(form)
	for _, a := range []answer{first, second, b.post("/login", form)} {
		if a.StatusCode == http.StatusSeeOther { // the one that was broken off has no answer
			seen = append(seen, a)
		}
	}
	if len(seen) < 2 {
		t.Fatalf("answers %s and %s", first, second)
	}
	for _, a := range seen {
		if a.Header.Get("Location") != "/account" || a.Header.Get("Set-Cookie") != seen[0].Header.Get("Set-Cookie") ||
			a.Header.Get("Set-Cookie") == "" {
			t.Errorf("%s with cookie %q, want that of the others", a, a.Header.Get("Set-Cookie"))
		}
	}
	b.take(seen[1])
	b.get("/session/status").wants(t, "after the double click", 200)
	if n, asked := len(s.hub.Sessions(hub.Filter{})), s.directory.asked.Load(); n != 1 || asked != 1 {
		t.Errorf("%d sessions, the directory was asked %d times, want once each", n, asked)
	}

	b.post("/logout", url.Values{})
	b.take(b.post("/login", form))
	b.get("/session/status").wants(t, "the same form after a sign-out", 200)

	wrong := url.Values{"username": {"ada"}, "password": {"no"}, "once": {"x"}}
	b.post("/login", wrong).wants(t, "a wrong password", 401)
	b.post("/login", wrong).wants(t, "a wrong password again", 401)
	if n := len(s.events(session.EventSignInFailed)); n != 2 {
		t.Errorf("%d failures in the trail, want both", n)
	}
	other := &browser{site: s}
	other.post("/login", url.Values{"username": {"ada"}, "password": {"no"}, "next": {"/account"},
		"once": form["once"]}).wants(t, "somebody with the form's text alone", 401)
}

func TestFormsThatAreSentTwiceDoTheirWorkOnce(t *testing.T) {
	s := startSite(t, "")
	ada, other := s.signIn("ada"), s.signIn("ada")
	s.signIn("grace")
	logout := ada.call("POST", "/api/v1/logouts", `{"group":"staff","grace_ms":3600000,"except_self":true}`).json("id")
	tests := []struct {
		name, page, path string
		form             url.Values
		event            session.EventKind // of the trail
	}{
		{"a note", "/", "/", url.Values{"note": {"x"}}, ""},
		{"the end of another session", "/account", "/account", url.Values{"ref": {other.ref()}},
			session.EventSessionEnd},
		{"a notice", "/admin", "/admin/notices", url.Values{"scope": {"everyone"}, "message": {"Hello"}},
			session.EventNotice},
		{"a forced logout", "/admin", "/admin/logouts", url.Values{"scope": {"user"}, "user": {"grace"},
			"grace_s": {"3600"}}, session.EventLogout},
		{"calling it off", fmt.Sprint("/admin/logouts/", logout), fmt.Sprint("/admin/logouts/", logout, "/cancel"),
			url.Values{}, session.EventLogout},
	}
	for _, tt := range tests {
		if tt.page != "/" { // the note needs none
			tt.form.Set("once", ada.get(tt.page).once(t))
		}
		before := 0
		if tt.event != "" {
			before = len(s.events(tt.event))
		}
		answers := make(chan answer, 4)
		for range cap(answers) {
			go func() { answers <- ada.post(tt.path, cloned(tt.form)) }()
		}
		location := ""
		for range cap(answers) {
			a := <-answers
			a.wants(t, tt.name, http.StatusSeeOther)
			if l := a.Header.Get("Location"); location == "" {
				location = l
			} else if l != location {
				t.Errorf("%s leads to %s and to %s", tt.name, location, l)
			}
		}
		if tt.event != "" {
			if n := len(s.events(tt.event)) - before; n != 1 {
				t.Errorf("%s: %d lines in the trail, want 1", tt.name, n)
			}
		}
		if tt.name == "a notice" {
			tt.form.Set("message", "Hello again")
			ada.post(tt.path, tt.form)
			if n := len(s.events(tt.event)) - before; n != 2 {
				t.Errorf("another message of the same page: %d lines in the trail, want 2", n)
			}
		}
	}
}

func TestNoteOfAnEarlierPageIsSavedAgain(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	page := func() (hidden url.Values) {
		hidden = url.Values{}
		if text := ada.get("/").text; strings.Contains(text, `name="once"`) {
			hidden.Set("once", answer{text: text}.once(t))
		}
		return hidden
	}
	first, second := page(), page()
	first.Set("note", "the first note")
	second.Set("note", "the second note")
	for _, form := range []url.Values{first, second, first} {
		ada.post("/", cloned(form)).wants(t, "a note", 303)
		ada.get("/").wants(t, "the page afterwards", 200, form.Get("note"))
	}
}

func TestAllOthersAreEndedAgainFromTheSamePage(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.signIn("ada")
	form := url.Values{"others": {"all"}, "once": {ada.get("/account").once(t)}}
	for range 2 {
		ada.post("/account", cloned(form)).wants(t, "the end of all others", 303)
		ada.post("/account", cloned(form)).wants(t, "a second click", 303)
		if n := len(s.hub.Sessions(hub.Filter{User: "ada"})); n != 1 {
			t.Errorf("%d sessions are left, want the one that asked", n)
		}
		s.signIn("ada")
	}
	if n := len(s.events(session.EventSessionEnd)); n != 2 {
		t.Errorf("%d ends in the trail, want 2", n)
	}
}

func TestForcedLogoutIsOrderedAgainFromTheSamePage(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for _, tt := range []struct {
		name, grace string
		between     func(location string)
	}{
		{"after it was called off", "3600", func(location string) {
			ada.post(location+"/cancel", url.Values{}).wants(t, "calling it off", 303)
		}},
		{"after its user has signed in again", "", func(string) { s.signIn("grace") }},
	} {
		s.signIn("grace")
		form := url.Values{"scope": {"user"}, "user": {"grace"}, "grace_s": {tt.grace},
			"once": {ada.get("/admin").once(t)}}
		order := func() string {
			a := ada.post("/admin/logouts", cloned(form))
			a.wants(t, tt.name, 303)
			return a.Header.Get("Location")
		}
		first := order()
		if again := order(); again != first {
			t.Errorf("a second click leads to %s, want %s", again, first)
		}
		tt.between(first)
		second := order()
		if second == first {
			t.Errorf("%s: the answer of the first, want another forced logout", tt.name)
		}
		if again := order(); again != second {
			t.Errorf("%s: a second click leads to %s, want %s", tt.name, again, second)
		}
		if tt.grace == "" {
			s.eventually("no session of the user lives",
				func() bool { return len(s.hub.Sessions(hub.Filter{User: "grace"})) == 0 })
		}
	}
}

func TestSignOutThatIsSentTwiceEndsOnce(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	answers := make(chan answer, 4)
	for range cap(answers) {
		go func() { answers <- ada.post("/logout", url.Values{}) }()
	}
	for range cap(answers) {
		a := <-answers
		a.wants(t, "sign-out", http.StatusSeeOther, "/login")
	}
	if n := len(s.events(session.EventSessionEnd)); n != 1 {
		t.Errorf("%d ends in the trail, want 1", n)
	}
}

func cloned(v url.Values) url.Values {
	c := make(url.Values)
	for name, values := range v {
		c[name] = values
	}
	return c
}

func TestFormThatFailedIsTriedAgain(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	form := url.Values{"scope": {"everyone"}, "message": {"Hello"}, "once": {ada.get("/admin").once(t)}}
	s.store.takesReads.Store(true)
	s.store.away.Store(true)
	ada.post("/admin/notices", form).wants(t, "while the store takes nothing", 503)
	s.store.away.Store(false)
	ada.post("/admin/notices", form).wants(t, "afterwards", 303)
	if n := len(s.events(session.EventNotice)); n != 1 {
		t.Errorf("%d notices in the trail, want 1", n)
	}
}

func TestFormsAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f forms
		key := func(n int) formKey { return formKey{byte(n), byte(n >> 8)} }
		for n := range maxForms + 10 {
			one, isFirst := f.begin(key(n))
			if !isFirst {
				t.Fatalf("form %d is known", n)
			}
			one.answer.status = 303
			f.settle(one)
		}
		if len(f.order) != maxForms || len(f.sent) != maxForms {
			t.Errorf("%d and %d forms are remembered, want %d", len(f.order), len(f.sent), maxForms)
		}
		if _, isFirst := f.begin(key(maxForms)); isFirst {
			t.Error("a late form is forgotten")
		}
		time.Sleep(rememberFor + time.Second)
		if _, isFirst := f.begin(key(maxForms)); !isFirst || len(f.order) != 1 || len(f.sent) != 1 {
			t.Errorf("after %s %d forms are remembered", rememberFor, len(f.order)-1)
		}
	})
}
