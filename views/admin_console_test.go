package views

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/coder/websocket/wsjson"

	"curfew/hub"
	"curfew/hub/wire"
	"curfew/locale"
	"curfew/session"
)

// users lists who stands in the console, in its order.
func (a answer) users() (users []string) {
	for _, row := range strings.Split(a.text, `<tr data-ref="`)[1:] {
		_, after, _ := strings.Cut(row, `/admin/sessions/`)
		_, after, _ = strings.Cut(after, `"><bdi>`)
		user, _, _ := strings.Cut(after, `</bdi></a>`)
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
	for i := range pageSizes[0] {
		s.session(fmt.Sprintf("user%02d", i))
	}
	first := ada.get("/admin?sort=user")
	first.wants(t, "the first page", 200, ">53 sessions<", "page=2&amp;sort=user")
	second := ada.get("/admin?sort=user&page=7")
	second.wants(t, "a page after the last", 200, ">53 sessions<", `aria-label="Page 2" aria-current="page"`)
	if n := len(first.users()) + len(second.users()); n != 53 || len(first.users()) != pageSizes[0] {
		t.Errorf("%d rows on both pages, want 53", n)
	}
}

func TestTheConsoleGroupsByUser(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for _, user := range []string{"grace", "grace", "linus"} {
		s.session(user, "staff")
	}
	closed := ada.get("/admin?by=user")
	closed.wants(t, "grouped", 200, ">3 users, 4 sessions<", `<tr data-user="grace">`,
		`href="/admin?by=user&amp;open=grace&amp;sort=user" aria-expanded="false"`)
	if n := strings.Count(closed.text, `<tr data-ref=`); n != 0 {
		t.Errorf("%d sessions are listed, and nobody is open", n)
	}
	open := ada.get("/admin?by=user&open=GRACE&open=nobody")
	if n := strings.Count(open.text, `class="part"`); n != 2 {
		t.Errorf("%d sessions of grace are listed, want 2", n)
	}
	ada.get("/admin?by=user&user=GRACE").wants(t, "one user", 200, ">1 user, 2 sessions<")
}

func TestTheConsoleOffersWhatCanBeFilteredBy(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for range 3 {
		s.session("linus", "staff", "R & D")
	}
	page := ada.get("/admin?group=nowhere&state=away")
	page.wants(t, "the filters", 200, `<option value="R &amp; D">R &amp; D (3)</option>`,
		`<option value="staff">staff (4)</option>`, `<option value="nowhere" selected>nowhere (0)</option>`,
		`<option value="away" selected>Away</option>`, "No session matches", `data-total="away">4</a>`,
		`href="/admin?desc=true&amp;sort=signed_in&amp;state=warned" data-total="warned"`)
	if strings.Contains(page.text, `name="node"`) {
		t.Error("there is one node, and it can be filtered by")
	}
}

func TestAllThatMatchAreSelectedWithoutScript(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for range 60 {
		s.session("linus", "staff")
	}
	page := ada.get("/admin?user=linus&select=all")
	_, refs, _ := strings.Cut(page.text, `name="refs" value="`)
	refs, _, _ = strings.Cut(refs, `"`)
	if n := len(strings.Split(refs, ",")); n != 60 {
		t.Errorf("%d refs, want those of both pages", n)
	}
	page.wants(t, "selected", 200, ">60 selected<")
}

func TestPageNumbers(t *testing.T) {
	for _, c := range []struct {
		page, pages int
		want        string
	}{
		{1, 1, "[1]"},
		{2, 3, "[1 2 3]"},
		{1, 9, "[1 2 0 9]"},
		{5, 9, "[1 0 4 5 6 0 9]"},
		{9, 9, "[1 0 8 9]"},
	} {
		if got := fmt.Sprint(pageNumbers(c.page, c.pages)); got != c.want {
			t.Errorf("page %d of %d: %s, want %s", c.page, c.pages, got, c.want)
		}
	}
}

func TestScaleOfThePlotIsRound(t *testing.T) {
	for n, want := range map[int]int{0: 2, 2: 2, 3: 4, 9: 10, 11: 20, 262: 400, 3000: 4000, 10_001: 20_000} {
		if got := scaleFor(n); got != want {
			t.Errorf("%d sessions: %d, want %d", n, got, want)
		}
	}
}

func TestPlotSaysWhatItShows(t *testing.T) {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	sample := func(minutes, sessions int, ends map[session.Reason]int) hub.Sample {
		return hub.Sample{At: at.Add(time.Duration(minutes) * time.Minute), Sessions: sessions, Active: 1, Ends: ends}
	}
	p := plotOf([]hub.Sample{
		sample(0, 4, nil),
		sample(10, 6, map[session.Reason]int{session.ReasonIdle: 1}),
		sample(40, 2, map[session.Reason]int{session.ReasonIdle: 1, session.ReasonAdmin: 3}),
	})
	if p.Most != 6 || p.Scale != 6 || p.Ended != 5 || p.Ends[0] != (endsOf{session.ReasonAdmin, 3}) {
		t.Errorf("%+v", p)
	}
	if want := "200,34 300,0 600,67"; p.Sessions != want {
		t.Errorf("the line is %s, want %s", p.Sessions, want)
	}
	want := []plotAt{{0, 2, 1, 4}, {15, 6, 1, 0}, {30, 6, 1, 1}}
	if !slices.Equal(p.Times, want) {
		t.Errorf("the table is %v, want %v", p.Times, want)
	}
}

// crowd are so many sessions of different people, as the hub lists them.
func crowd(n int) []hub.Session {
	states := []hub.State{hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway}
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	list := make([]hub.Session, n)
	for i := range list {
		r := &session.Record{
			ID:        session.ID{byte(i), byte(i >> 8), byte(i >> 16)},
			User:      fmt.Sprintf("user%d", i/2),
			Groups:    []session.Group{{Name: "staff"}, {Name: fmt.Sprintf("group%d", i%7)}},
			Address:   fmt.Sprintf("10.0.%d.%d", i%4, i%250),
			CreatedAt: at.Add(time.Duration(i) * time.Second),
		}
		names := r.Names()
		list[i] = hub.Session{
			Record:       r,
			Names:        &names,
			State:        states[i%4],
			Node:         []string{"a", "b"}[i%2],
			LastActiveAt: r.CreatedAt,
			Tabs:         i % 3,
			Unconfirmed:  i % 3 / 2,
		}
	}
	return list
}

func TestConsoleAsksTheHubForItsFilters(t *testing.T) {
	for asked, want := range map[string]hub.Filter{
		"":                                {},
		"state=idle&user=USER3":           {State: hub.StateIdle, User: "USER3"},
		"state=unconfirmed&group=Staff":   {Unconfirmed: true, Group: "Staff"},
		"state=nonsense&node=a":           {Node: "a"},
		"address=10.0.1.&q=+user1+&desc=": {Address: "10.0.1.", Query: "user1"},
	} {
		v, err := url.ParseQuery(asked)
		if err != nil {
			t.Fatal(err)
		}
		if got := readConsoleQuery(v).inHub().Filter; got != want {
			t.Errorf("%s: %+v, want %+v", asked, got, want)
		}
	}
	for _, name := range consoleColumns {
		if !slices.Contains(hub.Orders, hub.Order(name)) {
			t.Errorf("a column is sorted by %s, which the hub does not know", name)
		}
	}
}

func TestTheRowOfAUserSumsTheirSessionsUp(t *testing.T) {
	list := crowd(6)
	slices.Reverse(list) // newest first, two of each user
	draw := rows{locale: locale.English(), now: list[0].Record.CreatedAt, withNodes: true}
	rows := draw.users(list, []string{"USER1"})
	if len(rows) != 5 || rows[1].User != "user1" || !rows[1].IsOpen || !rows[2].IsPart || !rows[3].IsPart {
		t.Fatalf("%+v, want three users, the second with two sessions", rows)
	}
	newer, older := list[2], list[3]
	sum := rows[1]
	if sum.State != older.State || sum.Tabs != newer.Tabs+older.Tabs || sum.Address != newer.Record.Address ||
		sum.Addresses != 2 || sum.Node != "" || !slices.Equal(sum.Refs, []string{newer.Names.Ref, older.Names.Ref}) {
		t.Errorf("%+v does not sum up %+v and %+v", sum, newer, older)
	}
}

func TestAPageWhoseRowsStandStillIsToldWhatDiffers(t *testing.T) {
	all := crowd(100)
	ref := func(i int) string { return all[i].Names.Ref }
	q := consoleQuestion{
		Shown:    []string{ref(99), ref(3), "gone-a"},
		Selected: []string{ref(7), "gone-b", "gone-a"},
	}.tidy()
	live := make(map[string]*hub.Session)
	for i := range all {
		live[ref(i)] = &all[i]
	}
	draw := rows{locale: locale.English(), now: time.Now()}
	a := consoleAnswer{consoleView: consoleView{Rows: draw.sessions(all[50:])}}
	a.compare(q, 0, live, draw)
	if len(a.Kept) != 1 || a.Kept[0].Ref != ref(3) {
		t.Errorf("kept: %+v, want the row that is on another page now", a.Kept)
	}
	if want := []string{"gone-a", "gone-b"}; !slices.Equal(a.Ended, want) {
		t.Errorf("ended: %v, want %v", a.Ended, want)
	}
}

// Rows change no more often than their words do.
func TestCoarseTimesSaySoMuchAsTheWords(t *testing.T) {
	for _, d := range []time.Duration{0, 59 * time.Second, 61 * time.Second, 3599 * time.Second, 90 * time.Minute,
		47 * time.Hour, 50 * time.Hour, 100 * time.Hour} {
		l := locale.English()
		if got, want := ago(l, time.Duration(coarse(d))*time.Second), ago(l, d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}

// openConsole opens the console's socket from a page of that origin.
func (b *browser) openConsole(origin string) (*websocket.Conn, int, error) {
	return b.openConsoleAs(ConsoleSubprotocol, origin)
}

func (b *browser) openConsoleAs(subprotocol, origin string) (*websocket.Conn, int, error) {
	server := httptest.NewServer(b.Server)
	b.t.Cleanup(server.Close)
	conn, response, err := websocket.Dial(b.t.Context(), server.URL+b.base+"/admin/ws", &websocket.DialOptions{
		Subprotocols: []string{subprotocol},
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
	if err := wsjson.Write(t.Context(), conn, map[string]any{"q": "gra", "sort": "user", "n": 3}); err != nil {
		t.Fatal(err)
	}
	next := func() (v consoleAnswer) {
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
	for since, want := range map[time.Time]int{time.Now().Add(-time.Hour): 1, time.Now().Add(time.Hour): 0} {
		question := map[string]any{"q": "gra", "sort": "user", "n": 4 + want, "since": since.UnixMilli()}
		if err := wsjson.Write(t.Context(), conn, question); err != nil {
			t.Fatal(err)
		}
		v := next()
		for v.Number != 4+want {
			v = next()
		}
		if v.New != want {
			t.Errorf("%d have signed in since %s, want %d", v.New, since, want)
		}
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

// Scripts of the first version load the page anew after a 1008, and after nothing else.
func TestAConsoleOfAnEarlierVersionIsMadeToLoadItsPageAnew(t *testing.T) {
	s := startSite(t, "")
	conn, _, err := s.signIn("ada").openConsoleAs("curfew.console.v1", siteOrigin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if got := conn.Subprotocol(); got != "curfew.console.v1" {
		t.Errorf("subprotocol %q: browsers take no other than they have asked for", got)
	}
	_, data, err := conn.Read(t.Context())
	if code := websocket.CloseStatus(err); code != websocket.StatusPolicyViolation {
		t.Errorf("got %s, %v, want 1008 at once", data, err)
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
		if err := wsjson.Write(t.Context(), conn, map[string]any{"logout": id}); err != nil {
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
