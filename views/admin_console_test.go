package views

import (
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"curfew/hub/wire"
	"curfew/locale"
)

// users lists who stands in the console, in its order.
func (a answer) users() (users []string) {
	for _, row := range strings.Split(a.text, `<tr data-ref="`)[1:] {
		_, after, _ := strings.Cut(row, `/admin/sessions/`)
		_, after, _ = strings.Cut(after, `">`)
		user, _, _ := strings.Cut(after, `</a>`)
		users = append(users, user)
	}
	return users
}

func TestTheConsoleSortsFiltersAndPages(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for _, user := range []string{"linus", "grace"} {
		s.session(user, "staff")
	}
	for _, c := range []struct {
		asked string
		want  []string
	}{
		{"?sort=user", []string{"ada", "grace", "linus"}},
		{"?sort=user&desc=true", []string{"linus", "grace", "ada"}},
		{"?sort=nonsense&state=nonsense&page=-1", []string{"ada", "grace", "linus"}},
		{"?q=LINUS", []string{"linus"}},
		{"?group=admins", []string{"ada"}},
		{"?state=warned", nil},
	} {
		got := ada.get("/admin" + c.asked).users()
		if strings.Contains(c.asked, "nonsense") {
			slices.Sort(got) // by the time of the sign-in, which may be the same
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.asked, got, c.want)
		}
	}
	ada.get("/admin?sort=user").wants(t, "sorted by user", 200,
		`data-sort="user" aria-sort="ascending"`, `href="/admin?desc=true&amp;sort=user"`, `href="/admin?sort=tabs"`)
	ada.get("/admin?sort=user&desc=true").wants(t, "sorted the other way", 200,
		`data-sort="user" aria-sort="descending"`, `href="/admin?sort=user"`)
	for i := range rowsPerPage {
		s.session(fmt.Sprintf("user%02d", i))
	}
	first := ada.get("/admin?sort=user")
	first.wants(t, "the first page", 200, "53 sessions, page 1 of 2", "page=2&amp;sort=user")
	second := ada.get("/admin?sort=user&page=7")
	second.wants(t, "a page after the last", 200, "53 sessions, page 2 of 2", `href="/admin?sort=user" rel="prev"`)
	if n := len(first.users()) + len(second.users()); n != 53 || len(first.users()) != rowsPerPage {
		t.Errorf("%d rows on both pages, want 53", n)
	}
}

// openConsole opens the console's socket from a page of that origin.
func (b *browser) openConsole(origin string) (*websocket.Conn, int, error) {
	server := httptest.NewServer(b.Server)
	b.t.Cleanup(server.Close)
	conn, response, err := websocket.Dial(b.t.Context(), server.URL+b.base+"/admin/ws", &websocket.DialOptions{
		Subprotocols: []string{ConsoleSubprotocol},
		HTTPHeader:   map[string][]string{"Origin": {origin}, "Cookie": {b.cookie}, "Sec-Fetch-Mode": {"websocket"}},
	})
	if response == nil {
		return nil, 0, err
	}
	return conn, response.StatusCode, err
}

func TestTheConsoleIsSentAnewWhereSomethingChanges(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	conn, _, err := ada.openConsole(siteOrigin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := wsjson.Write(t.Context(), conn, consoleQuery{Query: "gra", Sort: "user"}); err != nil {
		t.Fatal(err)
	}
	next := func() (v consoleView) {
		t.Helper()
		if err := wsjson.Read(t.Context(), conn, &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := next(); v.Type != "view" || v.Found != 0 || v.Totals.Users != 1 {
		t.Errorf("at first: %+v", v)
	}
	s.signIn("grace")
	if v := next(); v.Found != 1 || v.Rows[0].User != "grace" || v.Totals.Users != 2 {
		t.Errorf("after a sign-in: %+v", v)
	}
	if err := s.sessions.SignOut(ada.request("POST", "/logout", nil)); err != nil {
		t.Fatal(err)
	}
	for err == nil { // a view may be on its way
		_, _, err = conn.Read(t.Context())
	}
	if code := websocket.CloseStatus(err); code != wire.StatusExpired {
		t.Errorf("after the administrator's sign-out: %v", err)
	}
}

func TestTheConsoleFollowsAForcedLogout(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	conn, _, err := ada.openConsole(siteOrigin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	follow := func(id string) (state string) {
		t.Helper()
		if err := wsjson.Write(t.Context(), conn, consoleQuery{Logout: id}); err != nil {
			t.Fatal(err)
		}
		var v struct{ Type, ID, State string }
		if err := wsjson.Read(t.Context(), conn, &v); err != nil {
			t.Fatal(err)
		}
		return strings.Join([]string{v.Type, v.ID, v.State}, " ")
	}
	logout := ada.call("POST", "/api/v1/logouts", `{"user":"nobody","grace_ms":3600000}`)
	id, _ := logout.json("id").(string)
	if got := follow(id); got != "progress "+id+" pending" {
		t.Errorf("in its grace: %s", got)
	}
	ada.call("DELETE", "/api/v1/logouts/"+id, "").wants(t, "calling it off", 200)
	if got := follow(id); got != "progress "+id+" cancelled" {
		t.Errorf("called off: %s", got)
	}
	if got := follow("nothing"); got != "unknown  " {
		t.Errorf("one that is not there: %s", got)
	}
}

func TestTheConsoleIsForPagesOfAdministratorsHere(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	for _, c := range []struct {
		who    *browser
		origin string
		status int
	}{
		{ada, siteOrigin, 101},
		{ada, "https://evil.example", 403},
		{ada, siteOrigin + ":8443", 403},
		{grace, siteOrigin, 403},
		{&browser{site: s}, siteOrigin, 401},
	} {
		conn, status, _ := c.who.openConsole(c.origin)
		if status != c.status {
			t.Errorf("%q from %s: %d, want %d", c.who.cookie, c.origin, status, c.status)
		}
		if conn != nil {
			conn.CloseNow()
		}
	}
	if a := ada.get("/admin/ws", "Sec-Fetch-Mode", "websocket"); a.StatusCode != 403 {
		t.Errorf("without an Origin: %s", a)
	}
}

func TestAgo(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Minute - 1:             "just now",
		time.Minute:                 "1 minute ago",
		2*time.Hour - 1:             "1 hour ago",
		48*time.Hour - 1:            "47 hours ago",
		48 * time.Hour:              "2 days ago",
		10*24*time.Hour + time.Hour: "10 days ago",
	} {
		if got := ago(locale.English(), d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
