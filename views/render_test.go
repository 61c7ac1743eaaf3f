package views

import (
	"flag"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

var update = flag.Bool("update", false, "write testdata/pages anew, instead of comparing with it")

// signedInLayout is the layout of a page of an administrator's session.
func signedInLayout(here string) layout {
	return layout{
		Locale:   locale.English(),
		Title:    "A title",
		Site:     "Curfew",
		Base:     "/guard",
		App:      link{"/guard/", "Staff directory"},
		Testing:  true,
		User:     "ada",
		Name:     "Ada <Lovelace>",
		CSRF:     "csrf-of-ada",
		Stamp:    "stamp-of-ada",
		Once:     "once-of-this-page",
		IdleTime: "15 minutes",
		IsAdmin:  true,
		Here:     here,
	}
}

// strangersLayout is that of a page for somebody who is not signed in.
func strangersLayout(title string) layout {
	return layout{
		Locale:   locale.English(),
		Title:    title,
		Site:     "Curfew",
		Base:     "/guard",
		Once:     "once",
		IdleTime: "15 minutes",
	}
}

func exampleRows() []consoleRow {
	return []consoleRow{
		{
			Ref:         "ref-1",
			User:        "ada",
			Name:        "Ada Lovelace",
			Groups:      "admins, staff",
			State:       hub.StateActive,
			Tabs:        3,
			Hidden:      2,
			Unconfirmed: 1,
			Node:        "node-a",
			Device:      "Firefox on Linux",
			Address:     "192.0.2.1",
			SignedIn:    "2 hours ago",
			Active:      "just now",
		},
		{
			Ref:      "ref-2",
			User:     "grace",
			State:    hub.StateAway,
			Device:   "Safari",
			Address:  "192.0.2.2",
			SignedIn: "1 hour ago",
		},
	}
}

// exampleUsers are the rows of two users, of whom the first is open.
func exampleUsers() []consoleRow {
	part := exampleRows()[0]
	part.IsPart = true
	return []consoleRow{
		{
			Refs:      []string{"ref-1", "ref-3"},
			User:      "ada",
			Name:      "Ada Lovelace",
			Groups:    "admins, staff",
			State:     hub.StateActive,
			Tabs:      3,
			Addresses: 2,
			SignedIn:  "2 hours ago",
			Active:    "just now",
			IsOpen:    true,
		},
		part,
		{Refs: []string{"ref-2"}, User: "grace", State: hub.StateAway, Address: "192.0.2.2", Addresses: 1},
	}
}

func exampleView() consoleView {
	return consoleView{
		Totals: consoleTotals{2, 1234, 3, map[hub.State]int{"active": 1, "away": 1}},
		Groups: []consoleCount{{"finance", 428}, {"staff", 2}},
		Nodes:  []consoleCount{{"node-a", 1}, {"node-b", 1}},
		Plot: plot{
			Sessions: "0,100 600,0",
			Active:   "0,100 600,50",
			Scale:    20,
			Most:     14,
			Ended:    3,
			Ends:     []endsOf{{session.ReasonIdle, 2}, {session.ReasonAdmin, 1}},
			Bars:     []plotBar{{10, 50}, {20, 25}},
			Times:    []plotAt{{0, 2, 1, 1}, {15, 14, 3, 2}},
		},
		Rows:  exampleRows(),
		Found: 1234,
		Page:  2,
		Pages: 30,
		Logouts: []consoleLogout{
			{"logout-1", "group", "staff", 0, "ada", hub.LogoutPending, 1, 2, 3, 4},
			{"logout-2", "sessions", "", 3, "ada", hub.LogoutEffective, 0, 0, 0, 0},
		},
	}
}

// Each page stands here with something in each of its parts, and with nothing in them.

func pagesOfPeople() map[string]page {
	return map[string]page{
		"account": accountPage{signedInLayout("account"),
			&ownSession{"ref-1", "Firefox on Linux", "192.0.2.1", "2 hours ago", "just now",
				badge{hub.StateActive, "Active"}, 3},
			[]ownSession{{"ref-2", "Safari", "192.0.2.2", "1 hour ago", "1 hour ago",
				badge{hub.StateAway, "Away"}, 0}}},
		"account-alone": accountPage{layout: signedInLayout("account")},
		"error":         errorPage{strangersLayout("Sorry"), 503, "Not now.", "/guard/account?a=1", "/guard/x", "k7"},
		"error-plain":   errorPage{strangersLayout("Sorry"), 404, "There is no such page.", "", "", "k7"},
		"home": homePage{
			layout:   homeTold("The note is saved."),
			Note:     "First line\n  second <line>",
			Problem:  "The note is too long.",
			MayWatch: true,
			People: []person{
				{"ada", "Ada Lovelace", "Analyst", "ada@example.org", "+44 1"},
				{"grace", "Grace Hopper", "Admiral", "", ""},
			},
		},
		"home-directory-away": homePage{layout: layout{Locale: locale.English(), Site: "Curfew",
			Base: "/guard",
			App:  link{"/guard/", "Staff directory"},
			Here: "home",
			Name: "Grace",
		}, PeopleAway: true},
		"home-plain": homePage{
			layout: layout{Locale: locale.English(), Site: "Curfew", App: link{"/", "Staff directory"}, Name: "Grace"},
			People: []person{{Name: "Ada"}},
		},
		"login": loginPage{
			layout:        strangersLayout("Sign in"),
			Next:          "/guard/app?x",
			Username:      "ada",
			Problem:       "The user name or the password is wrong.",
			Wrong:         true,
			WaitS:         30,
			Ended:         "You were signed out by an administrator.",
			Said:          "First line\n  second <line>",
			CookieDropped: true,
			Help:          "mailto:help@example.org",
		},
		"login-window": loginPage{layout: strangersLayout("Sign in"), Window: true},
		"login-done":   loginPage{layout: strangersLayout("Sign in"), Window: true, SignedIn: true},
		"login-plain":  loginPage{layout: strangersLayout("Sign in")},
		"logout":       logoutPage{signedInLayout(""), "/guard/app?x"},
		"again": againPage{
			layout: signedInLayout(""),
			What:   "Your note will be saved:",
			Texts:  []string{"First line\n  second <line>"},
			Action: "/guard/",
			Fields: []hiddenField{{"note", "First line\n  second <line>"}},
			Back:   "/guard/",
		},
	}
}

// homeTold is the layout of a home page that says what an action did.
func homeTold(toast string) layout {
	l := signedInLayout("home")
	l.Toast = toast
	return l
}

func pagesOfTheConsole() map[string]page {
	return map[string]page{
		"console": consolePage{
			layout:      signedInLayout("admin"),
			consoleView: exampleView(),
			Asked: consoleQuery{
				consoleFilter: consoleFilter{Query: "a <b>", State: hub.StateAway, Group: "staff", Address: "192."},
				Sort:          "user",
				Desc:          true,
				Page:          2,
				Size:          100,
			},
			States:   consoleStates,
			Sizes:    pageSizes,
			Columns:  []consoleColumn{{"user", "/guard/admin?sort=user", "descending"}, {"tabs", "/guard/x", ""}},
			Numbers:  pageNumbers(2, 30),
			Selected: "ref-1,ref-2",
			Chosen:   2,
			Most:     10_000,
		},
		"console-users": consolePage{
			layout:      signedInLayout("admin"),
			consoleView: consoleView{Rows: exampleUsers(), Found: 3, FoundUsers: 2, Page: 1, Pages: 1},
			Asked:       consoleQuery{By: byUser, Open: []string{"ada"}, Sort: "user", Size: 50},
			TooMany:     true,
			Most:        10_000,
		},
		"console-empty": consolePage{
			layout:      signedInLayout("admin"),
			consoleView: consoleView{Page: 1, Pages: 1},
			Asked:       consoleQuery{consoleFilter: consoleFilter{Group: "nobody"}, Size: 50},
		},
		"session":       exampleSession(),
		"session-over":  sessionPage{layout: signedInLayout("admin"), Ref: "ref-1", Of: "ada", End: &exampleLines()[1]},
		"session-quiet": sessionPage{layout: signedInLayout("admin"), Ref: "ref-1", Of: "ada", Live: &liveFacts{}},

		"session-unsearched": sessionPage{layout: signedInLayout("admin"), Ref: "ref-1", IsUnsearched: true},
	}
}

func exampleSession() sessionPage {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	return sessionPage{
		layout:  signedInLayout("admin"),
		Ref:     "ref-1",
		Of:      "ada",
		Console: "/guard/admin",
		Trail:   "/guard/admin/audit?user=ada",
		Live: &liveFacts{
			Name:     "Ada <Lovelace>",
			Groups:   "admins, staff",
			Device:   "Firefox on Linux",
			Agent:    "Mozilla/5.0",
			Address:  "192.0.2.1",
			Node:     "node-a",
			State:    badge{hub.StateActive, "Active"},
			SignedIn: instantPart(at),
			Since:    "2 hours ago",
			Active:   "just now",
			Warns:    sentence{{Text: "in "}, leftPart(9 * time.Minute)},
			Ends:     sentence{{Text: "in "}, leftPart(90 * time.Minute)},
			Tabs: []tabRow{
				{"/staff/<1>", "5 minutes ago", true, false, "node-a"},
				{"", "just now", false, true, "node-b"},
			},
		},
		Others: []otherSession{{"/guard/admin/sessions/ref-2", "Safari", "192.0.2.2", badge{hub.StateAway, "Away"},
			"1 hour ago", "0"}},
		Lines:  exampleLines(),
		Graces: []option{{"0", "At once"}, {"60", "In 1 minute"}},
	}
}

func exampleForm() logoutForm {
	return logoutForm{
		Scope:      "group",
		Group:      "st<ff",
		Refs:       []string{"ref-1", "ref-2"},
		Message:    "First line\n  second <line>",
		Grace:      moment{Choice: "90"},
		Block:      moment{Choice: at, Clock: "14:30"},
		Offset:     "60",
		ExceptSelf: true,
	}
}

func exampleProgressView() progressView {
	instant := piece{Text: "14:30 UTC", At: "2026-11-24T14:30:00Z"}
	return progressView{
		ID:     "logout-1",
		State:  hub.LogoutEffective,
		Word:   "Signed out",
		Lines:  [][]piece{{{Text: "3 sessions were signed out."}}, {{Text: "Refused until "}, instant, {Text: "."}}},
		Action: "Lift",
		Done:   2,
		Total:  3,
		Said:   "1 of 3 pages confirmed blank, 1 closed before.",
		Counts: map[string]int{"open": 0, "acked": 1, "unconfirmed": 1, "gone": 1},
		People: []progressRow{
			{"ref-2", "Grace (grace)", "Safari 192.0.2.2", []progressTab{{"tab-1", "acked", "Blank", "/staff"},
				{"tab-2", "gone", "Closed before", ""}}},
			{"ref-3", "linus", "", nil},
		},
		More: "and 2 more sessions",
	}
}

func pagesOfForcedLogouts() map[string]page {
	instant := piece{Text: "14:30 UTC", At: "2026-11-24T14:30:00Z", Moves: true}
	choices := moment{Choice: "90"}.choices(locale.English(), "logoutForm.grace", graceChoices)
	confirm := confirmPage{
		layout: signedInLayout("admin"),
		Form:   exampleForm(),
		Impact: impact{
			Users:    1234,
			Sessions: 1235,
			Tabs:     1,
			Waiting:  1,
			Named:    []string{"Grace <Hopper> (grace)", "linus"},
			IsOwn:    true,
		},
		Then:    []piece{{Text: "They are signed out at "}, instant, {Text: "."}},
		Blocked: []piece{{Text: "Refused until "}, instant, {Text: "."}},
		GraceS:  90,
		BlockS:  1800,
		Typed:   true,
		Number:  "1234",
		Problem: "You typed nonsense.",
	}
	notice := confirm
	notice.IsNotice, notice.Typed, notice.Problem = true, false, ""
	waiting := confirmPage{layout: signedInLayout("admin"), Form: logoutForm{Scope: "user", User: "grace"}}
	waiting.Impact.Waiting = 3
	blocked := confirmPage{layout: signedInLayout("admin"), Blocked: []piece{{Text: "Refused."}}}
	return map[string]page{
		"confirm":         confirm,
		"confirm-notice":  notice,
		"confirm-waiting": waiting,
		"confirm-block":   blocked,
		"logoutform": logoutFormPage{
			layout: signedInLayout("admin"),
			Form:   exampleForm(),
			Faults: map[string]string{"group": "No such group.", "message": "Too long.", "grace": "When?",
				"block": "Until?"},
			Meant:    "staff",
			MayKeep:  true,
			Graces:   choices,
			Blocks:   choices,
			Users:    []candidate{{"grace", "Grace Hopper"}},
			Groups:   []groupCount{{"staff", 2}},
			Selected: 2,
		},
		"logoutform-plain": logoutFormPage{layout: signedInLayout("admin"), Graces: choices},
		"progress": progressPage{
			layout:       signedInLayout("admin"),
			progressView: exampleProgressView(),
			Message:      "First line\n  second <line>",
			By:           []piece{{Text: "Ordered by ada at "}, instant},
		},
		"progress-empty": progressPage{layout: signedInLayout("admin")},
	}
}

func exampleLines() []auditLine {
	at := time.Date(2026, 11, 24, 8, 0, 0, 0, time.UTC)
	tell := teller{locale.English(), "/guard"}
	return []auditLine{
		tell.tell(session.Event{
			At:    at,
			Kind:  session.EventLogout,
			Actor: "ada",
			Data: map[string]string{"act": "ordered", "logout": "l1", "scope": "group", "name": "<staff>",
				"sessions": "1", "tabs": "2", "grace_ms": "60000",
				"block_until": "2026-11-24T09:00:00Z", "text": "one\n<two>"},
		}),
		tell.tell(session.Event{
			At:      at,
			Kind:    session.EventSessionEnd,
			User:    "ada",
			Reason:  session.ReasonIdle,
			Session: "s",
		}),
		tell.tell(session.Event{
			At:        at,
			Kind:      session.EventSignIn,
			User:      "ada",
			Address:   "::1",
			Session:   "s",
			Continues: "r",
			Request:   "a/b+c",
		}),
		tell.tell(session.Event{At: at, Kind: session.EventPolicy, Data: map[string]string{"sessions": "3",
			"was global warn-after": "9m0s", "now global warn-after": "8m0s",
			"now group a b expire-after": "1h0m0s"}}),
		tell.tell(session.Event{At: at, Kind: session.EventDirectoryLost, Detail: "dial <tcp>"}),
	}
}

func pagesOfTheTrail() map[string]page {
	kinds := []option{{"sign-in", "Sign-in"}, {"notice", "Message"}}
	return map[string]page{
		"audit": auditPage{
			layout:  signedInLayout("audit"),
			Lines:   exampleLines(),
			Kinds:   kinds,
			Periods: []period{{"", "Any time", "/guard/admin/audit", false}, {"hour", "Last hour", "/guard/x", true}},
			Asked: map[string]string{"user": "grace", "event": "notice", "since": "2026-11-24T00:00",
				"period": "hour"},
			Page:     2,
			Newer:    "/guard/admin/audit",
			Older:    "/guard/admin/audit?cursor=x",
			Sessions: "/guard/admin?user=grace",
			CSV:      "/guard/admin/audit?format=csv",
			JSON:     "/guard/admin/audit?format=json",
		},
		"audit-empty": auditPage{layout: signedInLayout("audit"), Kinds: kinds},
	}
}

// wordsOfScript are the texts that a page has for its script: all of the files' own.
var wordsOfScript = regexp.MustCompile(`(?s)(<script type="application/json" id="words">).*?(</script>)`)

func TestPages(t *testing.T) {
	s := newSite(t, siteOrigin, "/guard")
	pages := pagesOfPeople()
	maps.Copy(pages, pagesOfTheConsole())
	maps.Copy(pages, pagesOfForcedLogouts())
	maps.Copy(pages, pagesOfTheTrail())
	for name, page := range pages {
		w := httptest.NewRecorder()
		if err := s.render(w, 200, page); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		shown := wordsOfScript.ReplaceAll(w.Body.Bytes(), []byte("$1$2"))
		path := filepath.Join("testdata", "pages", name+".html")
		if *update {
			if err := os.WriteFile(path, shown, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(shown); got != string(want) {
			t.Errorf("%s is not what %s holds; go test ./views -run Pages -update, and look at the difference:\n%s",
				name, path, got)
		}
	}
}
