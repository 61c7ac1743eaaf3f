package views

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

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
	path := ada.post("/admin/logouts", form).Header.Get("Location")
	page := ada.get(path)
	page.wants(t, "203 people", 200, "and 3 more sessions")
	if n := strings.Count(page.text, "data-ref="); n != shownPeople {
		t.Errorf("%d rows, want %d", n, shownPeople)
	}
	l, err := s.hub.ForcedLogout(strings.TrimPrefix(path, "/admin/logouts/"))
	if err != nil {
		t.Fatal(err)
	}
	first, more := s.inScope(&l.Revocation, 5)
	var names []string
	for _, one := range first {
		names = append(names, one.Record.User)
	}
	if got := strings.Join(names, " "); got != "user0 user1 user10 user100 user101" || more != shownPeople-2 {
		t.Errorf("the first are %s and %d more", got, more)
	}
}

func TestWhatIsNotListedCostsNoWords(t *testing.T) {
	p := progressList{locale: locale.English()}
	found, told := 0, 0
	for range 2 {
		for i := range shownPeople + 7 {
			p.add(session.ID{byte(i), byte(i >> 8)}, func() face { found++; return face{person: "grace"} },
				func() progressTab { told++; return progressTab{} })
		}
	}
	if len(p.rows) != shownPeople || len(p.left) != 7 || found != shownPeople || told != 2*shownPeople {
		t.Errorf("%d rows and %d left, of which %d were looked for and %d tabs told", len(p.rows), len(p.left), found,
			told)
	}
	asked := 0
	say := remembered(func(n int) string { asked++; return fmt.Sprint(n) })
	if got := say(1) + say(2) + say(1); got != "121" || asked != 2 {
		t.Errorf("%q was asked for %d times, want twice", got, asked)
	}
}

func TestTheProgressAsksForASessionOnce(t *testing.T) {
	s := startSite(t, "")
	lost := session.ID{1}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	gets := s.store.gets.Load()
	if f, ok := s.face(over, lost); ok {
		t.Errorf("what nobody has asked for is known: %+v", f)
	}
	if n := s.store.gets.Load() - gets; n != 0 {
		t.Errorf("the store was asked %d times when there was no time left", n)
	}
	s.store.away.Store(true)
	if _, ok := s.face(t.Context(), lost); ok {
		t.Error("a session is known while the store is away")
	}
	s.store.away.Store(false)
	l := hub.ForcedLogout{Tabs: []hub.TabOutcome{{Session: lost, User: "grace", Tab: "t"}}}
	gets, within := s.store.gets.Load(), s.store.getsWithin.Load()
	for range 3 {
		rows, more := s.progressRows(t.Context(), locale.English(), l)
		if len(rows) != 1 || rows[0].Person != "grace" || rows[0].Ref != lost.Ref() || more != "" {
			t.Errorf("rows = %+v, %q", rows, more)
		}
	}
	if n := s.store.gets.Load() - gets; n != 1 {
		t.Errorf("the store was asked %d times for a session that it does not know, want once", n)
	}
	if s.store.getsWithin.Load() == within {
		t.Error("the look has no limit of time")
	}
}
