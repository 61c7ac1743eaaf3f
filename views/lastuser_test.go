package views

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"curfew/front"
	"curfew/session"
)

// startGuarding starts a site that stands in front of an application.
func startGuarding(t *testing.T, further ...front.Cookie) *site {
	t.Helper()
	s := startSite(t, "/.curfew")
	s.SetApplication(http.NotFoundHandler())
	s.browsers.further = further
	return s
}

// signInHere signs a user in in a browser that sends these cookies. It returns what the answer sets
// of Curfew's own, and the names that it ends.
func (s *site) signInHere(user, cookies string) (set map[string]*http.Cookie, ended []string) {
	s.t.Helper()
	b := &browser{site: s, cookie: cookies}
	a := b.post(s.base+"/login", url.Values{"username": {user}, "password": {"pw"}})
	if a.StatusCode != 303 {
		s.t.Fatalf("sign-in of %s: %s", user, a)
	}
	set = make(map[string]*http.Cookie)
	for _, c := range a.Cookies() {
		if c.MaxAge < 0 {
			ended = append(ended, c.Name)
		} else {
			set[c.Name] = c
		}
	}
	return set, ended
}

func TestASignInLeavesTwoCookiesMore(t *testing.T) {
	t.Parallel()
	s := startSite(t, "")
	set, _ := s.signInHere("ada", "")
	again, _ := s.signInHere("ada", "")
	seen, last := set[seenCookie], set[lastCookie]
	if seen == nil || !seen.Secure || seen.HttpOnly || seen.SameSite != http.SameSiteLaxMode || seen.Path != "/" ||
		seen.Domain != "" || seen.MaxAge != 0 {
		t.Errorf("seen is %v", seen)
	}
	if last == nil || !last.Secure || !last.HttpOnly || last.Path != "/" || last.Domain != "" ||
		last.MaxAge != 400*24*60*60 {
		t.Errorf("last is %v", last)
	}
	_, status := (&browser{site: s, cookie: "__Host-curfew=" + set["__Host-curfew"].Value}).status()
	who, number, _ := strings.Cut(seen.Value, ".")
	whoAgain, numberAgain, _ := strings.Cut(again[seenCookie].Value, ".")
	if who != status["who"] || whoAgain != who || number == "" || number == numberAgain {
		t.Errorf("seen is %s and then %s, want %s and another number each", seen, again[seenCookie], status["who"])
	}
	if strings.Contains(last.Value, who) {
		t.Error("last has in it what scripts can read")
	}
}

func TestTheNextUserInheritsNoCookies(t *testing.T) {
	t.Parallel()
	s := startGuarding(t, front.Cookie{Name: "wide", Domain: "site.example"})
	set, _ := s.signInHere("ada", "")
	of := func(set map[string]*http.Cookie, names ...string) (line string) {
		for _, name := range names {
			line += "; " + name + "=" + set[name].Value
		}
		return line
	}
	graces, _ := s.signInHere("grace", "")
	other := startGuarding(t)
	other.secret = []byte("another store")
	elsewhere, _ := other.signInHere("ada", "")
	last := set[lastCookie].Value
	for _, c := range []struct {
		what, cookies string
		inherits      bool
	}{
		{"the same user", of(set, lastCookie), true},
		{"the same user, still signed in", of(set, lastCookie, "__Host-curfew"), true},
		{"a browser that nobody has signed in to", "", false},
		{"a browser that was quit, whose session has gone", of(set, "__Host-curfew", seenCookie), false},
		{"another user", of(graces, lastCookie), false},
		{"another user, still signed in", of(graces, lastCookie, "__Host-curfew"), false},
		{"what scripts can read", "; " + lastCookie + "=" + set[seenCookie].Value, false},
		{"a name", "; " + lastCookie + "=ada", false},
		{"an empty one", "; " + lastCookie + "=", false},
		{"one that was cut", "; " + lastCookie + "=" + last[:len(last)-1], false},
		{"one that was changed", "; " + lastCookie + "=" + string(last[0]^1) + last[1:], false},
		{"one of another store", of(elsewhere, lastCookie), false},
		{"two", of(set, lastCookie) + of(graces, lastCookie), false},
	} {
		now, ended := s.signInHere("ada", "sessionid=x; __Secure-b=y"+c.cookies)
		want := []string{"sessionid", "__Secure-b", "wide"}
		if c.inherits {
			want = nil
		}
		if !slices.Equal(ended, want) {
			t.Errorf("%s: %q are ended, want %q", c.what, ended, want)
		}
		if now["__Host-curfew"] == nil || now[seenCookie] == nil || now[lastCookie] == nil {
			t.Errorf("%s: the sign-in sets %v", c.what, now)
		}
	}
}

func TestANameThatPassesToAnotherEntryIsAnotherUser(t *testing.T) {
	t.Parallel()
	s := startGuarding(t)
	s.directory.entry = "entry-1"
	set, _ := s.signInHere("ada", "")
	cookies := "sessionid=x; " + lastCookie + "=" + set[lastCookie].Value
	if _, ended := s.signInHere("ada", cookies); len(ended) > 0 {
		t.Errorf("the same entry: %q are ended", ended)
	}
	s.directory.entry = "entry-2"
	if _, ended := s.signInHere("ada", cookies); !slices.Equal(ended, []string{"sessionid"}) {
		t.Errorf("another entry of that name: %q are ended", ended)
	}
}

func TestCookiesEndWhereAnApplicationKeepsThem(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what  string
		setUp func(*site)
		ends  bool
	}{
		{"the sample application", func(*site) {}, false},
		{"behind doors", func(s *site) { s.Doors() }, true},
		{"in the process", func(s *site) { s.Require(http.NotFoundHandler()) }, true},
	} {
		s := startSite(t, "")
		c.setUp(s)
		if _, ended := s.signInHere("ada", "sessionid=x"); (len(ended) == 1) != c.ends {
			t.Errorf("%s: %q are ended", c.what, ended)
		}
	}
}

// Two users sign in in one browser at once: the second to be answered sent the cookies of before.
func TestASignInThatAnotherUsersHasOvertakenInheritsNothing(t *testing.T) {
	t.Parallel()
	s := startGuarding(t)
	before := func() string {
		set, _ := s.signInHere("ada", "")
		return "sessionid=x; " + lastCookie + "=" + set[lastCookie].Value +
			"; __Host-curfew=" + set["__Host-curfew"].Value
	}
	cookies := before()
	s.signInHere("grace", cookies)
	if _, ended := s.signInHere("ada", cookies); !slices.Equal(ended, []string{"sessionid"}) {
		t.Errorf("after the other's: %q are ended", ended)
	}
	// One of the same user changes nothing.
	cookies = before()
	s.signInHere("ada", cookies)
	if _, ended := s.signInHere("ada", cookies); len(ended) > 0 {
		t.Errorf("after their own: %q are ended", ended)
	}
}

// The console's origin has the same cookies: ports do not keep them apart.
func TestASignInAtTheAdminURLEndsCookiesToo(t *testing.T) {
	t.Parallel()
	main, console := startConsole(t, "/.curfew")
	main.SetApplication(http.NotFoundHandler())
	if _, ended := console.signInHere("ada", "sessionid=x"); !slices.Equal(ended, []string{"sessionid"}) {
		t.Errorf("%q are ended", ended)
	}
}

func TestOnlyASignInChangesTheCookies(t *testing.T) {
	t.Parallel()
	s := startGuarding(t)
	ada := s.signIn("ada")
	for _, a := range []answer{
		ada.get("/.curfew/login"),
		ada.get("/.curfew/account"),
		ada.get("/.curfew/session/status", scripted...),
		ada.post("/.curfew/login", url.Values{"username": {"ada"}, "password": {"guess"}}),
		ada.post("/.curfew/logout", url.Values{}),
		ada.get("/.curfew/login"),
	} {
		if len(a.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s sets %q", a, a.Header["Set-Cookie"])
		}
	}
}

func TestASignInThatFailedEndsNothing(t *testing.T) {
	t.Parallel()
	s := startGuarding(t)
	w := httptest.NewRecorder()
	r := (&browser{site: s, cookie: "sessionid=x"}).request("POST", "/.curfew/login",
		url.Values{"username": {"ada"}, "password": {"pw"}})
	s.store.takesReads.Store(true)
	s.store.away.Store(true)
	s.ServeHTTP(w, r)
	if w.Code != 503 || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("a sign-in that is not stored: %d with %q", w.Code, w.Header()["Set-Cookie"])
	}
	if s.wasOvertaken(r, &session.Record{User: "ada"}) {
		t.Error("a browser without a session was overtaken")
	}
}
