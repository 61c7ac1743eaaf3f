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
	a.wants(t, "12 people", 200, "Sign out the group many?", "user00</li>", "user09</li>", "and 2 more")
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
	if n := len(s.events(session.EventNotice)); n != 2 {
		t.Errorf("%d notices in the trail, want two", n)
	}
}

func TestProgressInWords(t *testing.T) {
	s := startSite(t, "")
	ada, grace := s.signIn("ada"), s.signIn("grace")
	grace.openTab()
	grace.openTab()
	form := url.Values{"scope": {"user"}, "user": {"GRACE"}, "grace": {"900"}, "block": {"900"}}
	pending := ada.post("/admin/logouts", form).Header.Get("Location")
	ada.get(pending).wants(t, "in the grace", 200, "Forced logout of grace", "2 pages show the warning.",
		"2 pages, warned", "signed out at <time", "From then on, new sign-ins", "Call it off")
	cancelled := ada.post(pending+"/cancel", url.Values{})
	cancelled.wants(t, "calling it off", 303)
	ada.get(pending).wants(t, "once it is called off", 200, "Called off", "they stay signed in")

	form.Del("grace")
	done := ada.post("/admin/logouts", form).Header.Get("Location")
	s.eventually("both pages say that they are blank", func() bool {
		return strings.Contains(ada.get(done).text, "2 of 2 pages confirmed blank.")
	})
	page := ada.get(done)
	page.wants(t, "afterwards", 200, `data-state="effective"`, `max="2" value="2"`, "GRACE (grace)", ">Blank<",
		">Lift<",
		"New sign-ins are refused until <time")
	if n := strings.Count(page.text, "data-tab="); n != 2 {
		t.Errorf("%d tabs are listed, want two", n)
	}
	ada.post(done+"/cancel", url.Values{}).wants(t, "lifting the block", 303)
	page = ada.get(done)
	page.wants(t, "once it is lifted", 200, "New sign-ins are possible again since <time", `id="cancel" hidden`)
	s.signIn("grace")
}

func TestProgressListsSoManyPeopleAtMost(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for i := range shownPeople + 3 {
		s.session(fmt.Sprint("user", i), "many")
	}
	form := url.Values{"scope": {"group"}, "group": {"many"}, "grace": {"900"},
		"typed": {strconv.Itoa(shownPeople + 3)}}
	page := ada.get(ada.post("/admin/logouts", form).Header.Get("Location"))
	page.wants(t, "203 people", 200, "and 3 more sessions")
	if n := strings.Count(page.text, "data-ref="); n != shownPeople {
		t.Errorf("%d rows, want %d", n, shownPeople)
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
