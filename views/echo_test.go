package views

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/front"
	"curfew/front/spoofing"
)

// openEcho opens the echo, and returns its path.
func (b *browser) openEcho() string {
	b.t.Helper()
	opened := b.api("POST", "/echo", "", 200)
	if opened["open_ms"] != 60_000. {
		b.t.Errorf("opened for %v ms, want a minute", opened["open_ms"])
	}
	return opened["path"].(string)
}

// echoed asks for the echo, with further lines of a header in pairs. What it returns is without the
// ID that the request has here.
func (b *browser) echoed(path string, lines ...string) (a echoAnswer, status int) {
	b.t.Helper()
	r := b.request("GET", path, nil)
	for i := 0; i < len(lines); i += 2 {
		r.Header[lines[i]] = append(r.Header[lines[i]], lines[i+1])
	}
	got := b.send(r)
	if got.StatusCode == http.StatusOK {
		if err := json.Unmarshal([]byte(got.text), &a); err != nil {
			b.t.Errorf("%s: %v", got, err)
		}
		id := spoofing.Field{Name: front.RequestID, Value: got.Header.Get(front.RequestID)}
		at := slices.Index(a.Headers, id)
		if at < 0 {
			b.t.Fatalf("%s: want the ID of the request, %s", got, id.Value)
		}
		a.Headers = slices.Delete(a.Headers, at, at+1)
	}
	return a, got.StatusCode
}

func TestTheEchoIsOpenForAMinute(t *testing.T) {
	s := startSite(t, "/guard")
	stranger, program := &browser{site: s}, s.program(ScopeAdmin)
	wants := func(what, path string, want int) {
		t.Helper()
		if _, got := stranger.echoed(path); got != want {
			t.Errorf("%s: %d, want %d", what, got, want)
		}
	}
	path := program.openEcho()
	wants("with a ticket", path, 200)
	wants("with a ticket, again", path, 200)
	wants("without a ticket", "/guard/session/echo", 404)
	wants("with half a ticket", path[:len(path)-1], 404)
	wants("with a later ticket", strings.Replace(path, "ticket=", "ticket=9", 1), 404)
	wants("with an empty one", "/guard/session/echo?ticket=", 404)
	if a := stranger.post(path, nil); a.StatusCode != 405 {
		t.Errorf("a POST: %s, want 405", a)
	}
	at := func(d time.Duration) string { return "/guard/session/echo?ticket=" + s.ticket(time.Now().Add(d)) }
	wants("with a ticket for a second", at(time.Second), 200)
	wants("with one of the past", at(-time.Millisecond), 404)
	wants("with one of a clock that is ahead", at(echoFor+time.Minute), 404)
	other := startSite(t, "/guard") // with the same secret, as all nodes that share a store
	if _, got := (&browser{site: other}).echoed(path); got != 200 {
		t.Errorf("at another node: %d, want 200", got)
	}
	s.secret = []byte("another server's")
	wants("with a ticket of another server", path, 404)
}

func TestTheEchoTellsWhatAProxyTells(t *testing.T) {
	s := startSite(t, "/guard")
	a, status := (&browser{site: s}).echoed(s.program(ScopeAdmin).openEcho(),
		"Remote-User", "ada", "Remote_Groups", "x", "Remote-Groups", "a", "Remote-Groups", "b",
		"X-Real-Ip", "192.0.2.1", "X.forwarded.for", "y", "Authorization", "Bearer x", "X-Other", "z",
		"Cookie", "a=secret; b = c", "Cookie", "a=d")
	want := []spoofing.Field{
		{Name: "Remote-Groups", Value: "a"},
		{Name: "Remote-Groups", Value: "b"},
		{Name: "Remote-User", Value: "ada"},
		{Name: "Remote_Groups", Value: "x"},
		{Name: "X-Real-Ip", Value: "192.0.2.1"},
		{Name: "X.forwarded.for", Value: "y"},
	}
	if status != 200 || !slices.Equal(a.Headers, want) || !slices.Equal(a.Cookies, []string{"a", "b ", "a"}) {
		t.Errorf("%d: %+v, want %v", status, a, want)
	}
}

func TestTheEchoTellsWhatAnApplicationIsToldHere(t *testing.T) {
	s := startSite(t, "/guard")
	s.SetApplication(http.NotFoundHandler())
	path := s.program(ScopeAdmin).openEcho()
	if _, status := (&browser{site: s}).echoed(path, "Remote-User", "ada"); status != 401 {
		t.Errorf("without a session: %d, want 401", status)
	}
	ada := s.signIn("ada")
	a, status := ada.echoed(path, "Remote-User", "grace", "Remote_User", "grace", "Cookie", "own=1")
	want := map[string]string{"Remote-User": "ada", "Remote-Name": "ADA", "Remote-Email": "",
		"Remote-Groups": "admins,staff", "Remote-Session": ada.ref()}
	for name, value := range want {
		if !slices.Contains(a.Headers, spoofing.Field{Name: name, Value: value}) {
			t.Errorf("told %v, want %s: %s", a.Headers, name, value)
		}
	}
	for _, f := range a.Headers {
		if f.Value == "grace" {
			t.Errorf("told %s: grace", f.Name)
		}
	}
	if status != 200 || !slices.Equal(a.Cookies, []string{"own"}) {
		t.Errorf("%d, cookies %q", status, a.Cookies)
	}
	a, status = ada.echoed(path+"&received", "Remote_User", "grace", "Cookie", "own=1")
	if status != 200 || !slices.Equal(a.Cookies, []string{"__Host-curfew", "own"}) ||
		!slices.Equal(a.Headers, []spoofing.Field{{Name: "Remote_User", Value: "grace"}}) {
		t.Errorf("received: %d, %+v", status, a)
	}
}

func TestNoEchoIsAtTheAdminURL(t *testing.T) {
	main, console := startConsole(t, "/guard")
	path := main.signIn("ada").at(console).openEcho()
	if _, status := (&browser{site: console}).echoed(path); status != 404 {
		t.Errorf("at the admin URL: %d, want 404", status)
	}
	if _, status := (&browser{site: main}).echoed(path); status != 200 {
		t.Errorf("at the public URL: %d, want 200", status)
	}
}
