package views

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
)

func TestMistypedName(t *testing.T) {
	known := []candidate{{"finance", ""}, {"staff", ""}, {"grace", "Grace Hopper"}, {"gross", "Jürgen GROß"}, {"it",
		""}}
	for typed, want := range map[string]string{
		"fnance":       "finance",
		"FINANEC":      "finance",
		"fin":          "finance", // its start
		"stafff":       "staff",
		"grcae":        "grace",
		"grace hoper":  "grace", // by the full name
		"jürgen gross": "gross",
		"it":           "it",
		"fi":           "",
		"xt":           "",
		"marketing":    "",
		"":             "",
	} {
		if got, ok := closest(typed, known); got != want || ok != (want != "") {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestTimesOfAForcedLogout(t *testing.T) {
	now := time.Date(2026, 11, 24, 13, 30, 20, 0, time.UTC)
	for _, tt := range []struct {
		name   string
		m      moment
		offset string
		want   time.Duration
		fault  string
	}{
		{"nothing was filled in", moment{}, "", 0, ""},
		{"15 minutes", moment{Choice: "900", Clock: "09:00"}, "", 15 * time.Minute, ""},
		{"a time of day, in UTC without script", moment{Choice: at, Clock: "14:30"}, "",
			59*time.Minute + 40*time.Second, ""},
		{"the same where clocks are an hour ahead is over: tomorrow's", moment{Choice: at, Clock: "14:30"}, "60",
			24*time.Hour - 20*time.Second, ""},
		{"where clocks are behind by an hour and a half", moment{Choice: at, Clock: "12:01"}, "-90", 40 * time.Second,
			""},
		{"the minute that is it", moment{Choice: at, Clock: "13:30"}, "", 24*time.Hour - 20*time.Second, ""},
		{"a zone that is none", moment{Choice: at, Clock: "13:31"}, "99999", 40 * time.Second, ""},
		{"what was shown goes before the clock", moment{at, "13:30", "2026-11-24T13:31:00Z"}, "", 40 * time.Second, ""},
		{"what was shown has passed", moment{at, "13:30", "2026-11-24T13:30:00Z"}, "", 0, "logoutForm.timePassed"},
		{"no time of day", moment{Choice: at}, "", 0, "logoutForm.noTime"},
		{"an hour that there is not", moment{Choice: at, Clock: "25:00"}, "", 0, "logoutForm.noTime"},
		{"less than nothing", moment{Choice: "-1"}, "", 0, "logoutForm.noTime"},
		{"no number", moment{Choice: "soon"}, "", 0, "logoutForm.noTime"},
		{"more than a year", moment{Choice: "31536001"}, "", 0, "logoutForm.noTime"},
		{"nonsense as what was shown", moment{at, "13:30", "noon"}, "", 0, "logoutForm.noTime"},
	} {
		got, fault := tt.m.after(now, now, zoneOf(tt.offset))
		if got != tt.want || fault.key != tt.fault {
			t.Errorf("%s: %v, %q, want %v, %q", tt.name, got, fault.key, tt.want, tt.fault)
		}
	}
	if got := instantIn(now, now, zoneOf("-90")).Text; got != "12:00 UTC-1:30" {
		t.Errorf("an instant is shown as %q", got)
	}
	if got := instantIn(now.Add(12*time.Hour), now, time.UTC).Text; got != "2026-11-25 01:30 UTC" {
		t.Errorf("an instant of tomorrow is shown as %q", got)
	}
}

func TestANameThatNobodyHasSignsNobodyOut(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.session("grace", "finance")
	s.directory.list = []directory.Entry{{User: "linus", Name: "Linus T"}}
	for _, tt := range []struct {
		name string
		form url.Values
		want string
	}{
		{"a mistyped group", url.Values{"scope": {"group"}, "group": {"Fnance"}},
			"No group of that name. Did you mean finance?"},
		{"a group like none", url.Values{"scope": {"group"}, "group": {"marketing"}}, "No group of that name: nobody"},
		{"a mistyped user", url.Values{"scope": {"user"}, "user": {"grcae"}}, "Did you mean grace?"},
		{"one whom only the directory has, mistyped", url.Values{"scope": {"user"}, "user": {"linsu"}},
			"Did you mean linus?"},
		{"one whom only the directory has", url.Values{"scope": {"user"}, "user": {"LINUS"}},
			"of the name linus is signed in"},
		{"only the own session", url.Values{"scope": {"user"}, "user": {"ada"}, "except_self": {"yes"}}, "Nobody else"},
		{"no name", url.Values{"scope": {"user"}, "user": {" "}}, "Enter a name."},
		{"nobody", url.Values{}, "Choose who"},
		{"an empty selection", url.Values{"scope": {"selection"}}, "No session is selected."},
		{"a selection that is over", url.Values{"scope": {"selection"}, "ref": {session.ID{1}.Ref()}},
			"None of the selected"},
		{"several that are over", url.Values{"scope": {"selection"},
			"refs": {session.ID{1}.Ref() + "," + session.ID{2}.Ref()}}, "None of the selected"},
		{"sign-ins to sessions", url.Values{"scope": {"selection"}, "ref": {ada.ref()}, "block": {"300"}},
			"not to selected sessions"},
		{"a message too long", url.Values{"scope": {"everyone"}, "message": {strings.Repeat("x", maxMessage+1)}},
			"has 2,001 characters, and may have 2,000"},
	} {
		for _, path := range []string{"/admin/confirm", "/admin/logouts"} {
			form := cloned(tt.form)
			if !form.Has("message") {
				form.Set("message", "Back at <noon>")
			}
			form.Set("grace", "900")
			a := ada.post(path, form)
			a.wants(t, path+" of "+tt.name, 422, tt.want, `class="error"`, `<option value="900" selected>`)
			if !tt.form.Has("message") && !strings.Contains(a.text, "Back at &lt;noon&gt;</textarea>") {
				t.Errorf("%s: the message is not kept", tt.name)
			}
			if strings.Contains(a.text, "danger") {
				t.Errorf("%s: there is a red button", tt.name)
			}
		}
	}
	if n := len(s.hub.Sessions(hub.Filter{})); n != 2 {
		t.Errorf("%d sessions are left, want both", n)
	}
	s.directory.away.Store(true)
	ada.post("/admin/confirm", url.Values{"scope": {"user"}, "user": {"grcae"}}).wants(t, "while the directory is away",
		422, "Did you mean grace?")
}

func TestAUserBeyondThoseThatTheDirectoryListsIsKnown(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.session("grace")
	for i := range maxPeople {
		s.directory.list = append(s.directory.list, directory.Entry{User: fmt.Sprint("user", i)})
	}
	s.directory.list = append(s.directory.list, directory.Entry{User: "Grade", Name: "The last"})
	s.directory.mail = map[string]string{"last@example.org": "Grade"}
	form := url.Values{"scope": {"user"}, "user": {"grade"}}
	for _, path := range []string{"/admin/review", "/admin/notices"} {
		form.Set("message", "Hello")
		ada.post(path, form).wants(t, path, 422, "of the name Grade is signed in")
	}
	form.Set("block", "300")
	ada.post("/admin/review", form).wants(t, "refusing sign-ins to them", 200, `name="user" value="Grade"`)
	form.Set("user", "last@example.org")
	ada.post("/admin/review", form).wants(t, "by another name", 422, "Did you mean Grade?")
	form.Set("user", "graxe")
	ada.post("/admin/review", form).wants(t, "a mistake", 422, "Did you mean grace?")
}

func TestNodesOfAnOlderVersionUnderstandWhatIsConfirmed(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	s.session("grace")
	then := time.Now().Add(90 * time.Minute).UTC()
	form := url.Values{"scope": {"user"}, "user": {"grace"}, "grace": {at}, "grace_at": {then.Format("15:04")},
		"block": {"300"}}
	before := wholeSeconds(time.Until(then.Truncate(time.Minute)))
	hidden := fieldsOf(ada.post("/admin/review", form).text)
	after := wholeSeconds(time.Until(then.Truncate(time.Minute)))
	if n, err := strconv.Atoi(hidden.Get("grace_s")); err != nil || n > before || n < after {
		t.Errorf("grace_s = %q, want %d to %d", hidden.Get("grace_s"), after, before)
	}
	if hidden.Get("block_s") != "300" {
		t.Errorf("block_s = %q, want 300", hidden.Get("block_s"))
	}
	hidden.Set("grace_s", "0") // a node of this version does not read it
	ada.get(ada.post("/admin/logouts", hidden).Header.Get("Location")).wants(t, "confirmed", 200,
		`data-state="pending"`)
	if got := wholeSeconds(time.Second + 1); got != 2 {
		t.Errorf("a second and a bit are %d seconds", got)
	}
	for _, path := range []string{"/admin/logouts/new", "/admin/logouts/new?user=grace"} {
		ada.get(path).wants(t, "the form", 200, `action="/admin/review"`) // which older nodes do not know
	}
	old := url.Values{"scope": {"user"}, "user": {"grace"}, "grace_s": {"90"}}
	ada.post("/admin/confirm", old).wants(t, "a form of an older node", 200, `name="grace_s" value="90"`)
}

func TestABlockThatWouldBeOverWhenItBeginsIsRefused(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	form := url.Values{"scope": {"user"}, "user": {"grace"}, "grace": {"900"}, "block": {at}, "block_at": {"14:30"},
		"block_fixed": {time.Now().Add(10 * time.Minute).UTC().Format(time.RFC3339)}}
	ada.post("/admin/logouts", form).wants(t, "confirmed late", 422, "14:30 has passed by now.", `id="block-error"`)
	grace.get("/session/status").wants(t, "after that", 200)
	form.Del("grace")
	ada.post("/admin/logouts", form).wants(t, "at once", 303)

	start := time.Date(2026, 11, 24, 14, 30, 0, 0, time.UTC)
	for fixed, want := range map[string]string{
		"2026-11-24T14:30:00Z": "logoutForm.timePassed",
		"2026-11-24T14:30:01Z": "",
	} {
		if _, fault := (moment{at, "14:30", fixed}).lasting(start, start, time.UTC); fault.key != want {
			t.Errorf("until %s: %q, want %q", fixed, fault.key, want)
		}
	}
}

func TestCountingThoseWhoWaitHoldsUpNoOrder(t *testing.T) {
	store := &flaky{added: make(chan struct{})}
	s := startSiteOn(t, "", store)
	ada, grace, linus := s.signIn("ada"), s.signIn("grace"), s.signIn("grace")
	linus.endsByTime()
	form := url.Values{"scope": {"user"}, "user": {"grace"}, "message": {"Hello"}}
	ada.post("/admin/review", form).wants(t, "counted", 200, "1 more session, which has ended, wait")
	store.isUncounted.Store(true)
	a := ada.post("/admin/review", form)
	a.wants(t, "not counted", 200, "Sign out 1 session")
	if strings.Contains(a.text, "which has ended, wait") {
		t.Error("pages are said to wait that were not counted")
	}
	counts := store.counts.Load()
	ada.post("/admin/notices", form).wants(t, "a notice", 303)
	form.Set("user", "linus")
	ada.post("/admin/notices", form).wants(t, "a notice to nobody", 422)
	if n := store.counts.Load() - counts; n != 0 {
		t.Errorf("notices counted %d times who waits", n)
	}
	form.Set("block", "300")
	ada.post("/admin/logouts", form).wants(t, "refusing sign-ins to one who is not here", 303)
	form.Del("block")
	ada.post("/admin/logouts", form).wants(t, "nothing but pages that may wait", 503)

	form.Set("user", "grace")
	store.isSlow.Store(true) // whoever counted first would wait for ever
	ada.post("/admin/logouts", form).wants(t, "a slow count", 303)
	grace.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "after that", 401)
	store.isSlow.Store(false)
}

func TestNoticesHaveRoomWhereForcedLogoutsHaveNone(t *testing.T) {
	s := startSiteOn(t, "", &flaky{remembered: 50_000})
	ada := s.signIn("ada")
	s.session("grace")
	form := url.Values{"scope": {"user"}, "user": {"grace"}, "message": {"Hello"}}
	ada.post("/admin/review", form).wants(t, "a forced logout", 429)
	ada.post("/admin/logouts", form).wants(t, "a forced logout, confirmed", 429)
	ada.post("/admin/notices", form).wants(t, "a notice", 303)
}

func TestSignInsAreRefusedToANameThatNobodyHasYet(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	form := url.Values{"scope": {"group"}, "group": {"marketing"}, "block": {"3600"}}
	a := ada.post("/admin/confirm", form)
	a.wants(t, "a group like none", 200, "Nobody of that name is signed in", "refused until <time",
		"Refuse new sign-ins")
	if strings.Contains(a.text, "danger") {
		t.Error("there is a red button for 0 sessions")
	}
	form.Set("group", "stafff")
	ada.post("/admin/confirm", form).wants(t, "a group like one", 422, "Did you mean staff?",
		`name="keep" value="stafff"`)
	form.Set("keep", "stafff")
	ada.post("/admin/confirm", form).wants(t, "a group that is meant", 200, `name="keep" value="stafff"`)
	ada.post("/admin/logouts", form).wants(t, "confirmed", 303)
}

func TestEditKeepsAllThatWasFilledIn(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	refs := grace.ref() + "," + ada.ref()
	form := url.Values{
		"scope":       {"group"},
		"user":        {"linus"},
		"group":       {"STAFF"},
		"refs":        {refs},
		"message":     {"One\n\"two\" <three>"},
		"grace":       {at},
		"grace_at":    {"14:30"},
		"block":       {"90"},
		"offset":      {"120"},
		"except_self": {"yes"},
	}
	confirm := ada.post("/admin/confirm", form)
	confirm.wants(t, "the confirmation", 200, "Sign out the group staff?", `formaction="/admin/logouts/new"`)
	hidden := fieldsOf(confirm.text)
	for name := range form {
		if want := map[bool]string{true: "staff", false: form.Get(name)}[name == "group"]; hidden.Get(name) != want {
			t.Errorf("the confirmation has %s=%q, want %q", name, hidden.Get(name), want)
		}
	}
	ada.post("/admin/logouts/new", hidden).wants(t, "the form", 200, `value="linus"`, `value="staff"`,
		`value="`+refs+`"`,
		"One\n&#34;two&#34; &lt;three&gt;</textarea>", `<option value="at" selected>`, `value="14:30"`,
		`<option value="90" selected>`, `name="offset" value="120"`, `name="except_self" value="yes" checked`,
		`value="group" checked`, "The 2 selected sessions")
	ada.get("/admin/logouts/new?group=staff&message=Hello").wants(t, "an address", 200, `value="group" checked`,
		"Hello</textarea>", `name="except_self" value="yes" checked`)
	grace.get("/admin/logouts/new").wants(t, "somebody else", 403)
}

// fieldsOf are the hidden fields of the last form of a page.
func fieldsOf(page string) url.Values {
	v := url.Values{}
	for _, tag := range strings.Split(page[strings.LastIndex(page, "<form"):], `<input type="hidden" name="`)[1:] {
		name, rest, _ := strings.Cut(tag, `" value="`)
		value, _, _ := strings.Cut(rest, `"`)
		v.Add(name, strings.NewReplacer("&#34;", `"`, "&lt;", "<", "&gt;", ">", "&#43;", "+").Replace(value))
	}
	return v
}

func TestATimeThatPassedMeanwhileIsNotTomorrows(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	form := url.Values{"scope": {"user"}, "user": {"grace"}, "grace": {at}, "grace_at": {"14:30"},
		"grace_fixed": {time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)}}
	ada.post("/admin/logouts", form).wants(t, "confirmed too late", 422, "14:30 has passed by now.")
	grace.get("/session/status").wants(t, "after that", 200)
}

func TestManySelectedSessionsAreOneForcedLogout(t *testing.T) {
	s := startSite(t, "")
	ada, grace, linus := s.signIn("ada"), s.signIn("grace"), s.session("linus")
	refs := []string{grace.ref(), linus.ref()}
	for i := len(refs); i < maxSessions; i++ {
		refs = append(refs, session.ID{1, byte(i), byte(i >> 8)}.Ref())
	}
	form := url.Values{"scope": {"selection"}, "refs": {strings.Join(refs, ",")}, "message": {strings.Repeat("ä",
		maxMessage)}}
	ada.post("/admin/confirm", form).wants(t, "10,000 selected", 200, "Sign out 2 sessions", "GRACE (grace)",
		refs[9999])
	done := ada.post("/admin/logouts", form)
	done.wants(t, "confirmed", 303, "/admin/logouts/")
	ada.get(done.Header.Get("Location")).wants(t, "the progress", 200, "2 sessions were signed out.")
	if n := len(s.events(session.EventLogout)); n != 1 {
		t.Errorf("%d forced logouts in the trail, want one", n)
	}
	for _, b := range []*browser{grace, linus} {
		b.get("/session/status", "Sec-Fetch-Mode", "cors").wants(t, "one of the selected", 401)
	}
	form.Set("refs", form.Get("refs")+","+ada.ref())
	ada.post("/admin/confirm", form).wants(t, "one more than can be", 422, "10,001 sessions are selected, and 10,000")
	form.Set("refs", strings.Repeat("x", maxLogoutBody))
	ada.post("/admin/confirm", form).wants(t, "a body that is too large", 400)
	form.Set("refs", strings.Repeat(ada.ref()+",", maxForm/17))
	ada.post("/", form).wants(t, "as large a body elsewhere", 400)
}

func TestTheConfirmationNamesThePeople(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for i := range 12 {
		s.session(fmt.Sprintf("user%02d", i), "many")
	}
	a := ada.post("/admin/confirm", url.Values{"scope": {"group"}, "group": {"Many"}})
	a.wants(t, "12 people", 200, "Sign out the group many?", "user00</bdi></li>", "user09</bdi></li>", "and 2 more")
	if strings.Contains(a.text, "user10") {
		t.Error("more than ten are named")
	}
	ada.post("/admin/confirm", url.Values{"scope": {"everyone"}}).wants(t, "the own session", 200, "You are among them")
}

func TestANoticeToManyIsConfirmed(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for i := range typeToConfirmAbove {
		s.session(fmt.Sprint("user", i), "many")
	}
	form := url.Values{"scope": {"everyone"}, "message": {"Hello <all>"}, "block": {"60"}, "except_self": {"yes"}}
	asked := ada.post("/admin/notices", form)
	asked.wants(t, "51 people", 200, "Tell everyone?", "The message goes to 0 open tabs.", "Hello &lt;all&gt;",
		"Send to 0 tabs")
	if n := len(s.events(session.EventNotice)); n != 0 {
		t.Errorf("%d notices before it is confirmed", n)
	}
	confirmed := fieldsOf(asked.text)
	if confirmed.Get("block") != "60" || confirmed.Get("except_self") == "" {
		t.Errorf("Edit has lost something: %v", confirmed)
	}
	sent := ada.post("/admin/notices", confirmed)
	sent.wants(t, "confirmed", 303, "/admin")
	told := ""
	for _, c := range sent.Cookies() {
		told = c.Name + "=" + c.Value
	}
	ada.get("/admin", "Cookie", ada.cookie+"; "+told).wants(t, "the console", 200, "The message went to 0 open tabs. "+
		"People told: 51.")
	form = url.Values{"scope": {"group"}, "group": {"many"}, "message": {"Hello"}}
	ada.post("/admin/notices", form).wants(t, "50 people", 303)
	form.Set("scope", "everyone")
	ada.post("/admin/notices", form, "Sec-Fetch-Mode", "cors").wants(t, "51 people, by a script", 303)
	if n := len(s.events(session.EventNotice)); n != 3 {
		t.Errorf("%d notices in the trail, want three", n)
	}
}

func TestANameOfWhichOnlyPagesWaitCanBeSignedOut(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	grace.endsByTime()
	form := url.Values{"scope": {"user"}, "user": {"grace"}}
	ada.post("/admin/confirm", form).wants(t, "only pages wait", 200, "but the pages of 1 session that has ended wait",
		"Take away the pages of 1 session")
	ada.post("/admin/logouts", form).wants(t, "confirmed", 303)
	ada.post("/admin/confirm", form).wants(t, "once more", 422)
	form.Set("message", "Hello")
	ada.post("/admin/notices", form).wants(t, "a notice", 422)
}
