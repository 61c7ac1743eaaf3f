package revocation

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

func TestTabsOfAllNodesAreForgottenAndTheirSumsKept(t *testing.T) {
	o := &Outcomes{}
	o.Told("here", "ada", "", sessionID(1)).Record(Acked)
	o.SetElsewhere("b", OutcomeReport{
		OutcomeCounts: OutcomeCounts{All: 2, Gone: 1},
		Tabs:          []TabOutcome{{Tab: "there"}, {Tab: "there too"}},
	})
	o.forgetTabs()
	want := OutcomeCounts{All: 3, Acked: 1, Gone: 1}
	if sum, list := o.Total(10); sum != want || len(list) > 0 {
		t.Errorf("it counts %+v, want %+v, and keeps %v", sum, want, list)
	}
	o.Told("later", "ada", "", sessionID(2))
	o.SetElsewhere("b", OutcomeReport{
		OutcomeCounts: OutcomeCounts{All: 2, Acked: 1, Gone: 1},
		Tabs:          []TabOutcome{{Tab: "there"}, {Tab: "there too"}},
	})
	want = OutcomeCounts{All: 4, Acked: 2, Gone: 1}
	if sum, list := o.Total(10); sum != want || len(list) > 0 {
		t.Errorf("then it counts %+v, want %+v, and lists %v", sum, want, list)
	}
}

func TestTabsAreForgottenAnHourAfterItTookEffect(t *testing.T) {
	r := register(revocation(1, everyone, grace))
	e := r.Find("1")
	e.Outcomes.Told("tab", "ada", "", sessionID(1))
	for _, tt := range []struct {
		name   string
		after  time.Duration
		listed int
	}{
		{"an hour after", grace + time.Hour, 1},
		{"a nanosecond later", grace + time.Hour + 1, 0},
	} {
		r.ForgetTabs(noon.Add(tt.after))
		if sum, list := e.Outcomes.Total(10); len(list) != tt.listed || sum.All != 1 {
			t.Errorf("%s: %d of %d tabs are listed, want %d of 1", tt.name, len(list), sum.All, tt.listed)
		}
	}
}

func TestTheFirstOutcomeOfATabCounts(t *testing.T) {
	for _, tt := range []struct {
		name  string
		heard []Outcome
		want  Outcome
		sum   OutcomeCounts
	}{
		{"nothing was heard", nil, Unconfirmed, OutcomeCounts{All: 1}},
		{"its page is blank", []Outcome{Acked}, Acked, OutcomeCounts{All: 1, Acked: 1}},
		{"its page was closed", []Outcome{Gone}, Gone, OutcomeCounts{All: 1, Gone: 1}},
		{"its page is blank, and then closed", []Outcome{Acked, Gone}, Acked, OutcomeCounts{All: 1, Acked: 1}},
		{"its page was closed, and an ack was late", []Outcome{Gone, Acked}, Gone, OutcomeCounts{All: 1, Gone: 1}},
		{"its page has said so twice", []Outcome{Acked, Acked}, Acked, OutcomeCounts{All: 1, Acked: 1}},
	} {
		o := &Outcomes{}
		tab := o.Told("tab", "ada", "", sessionID(1))
		for _, heard := range tt.heard {
			tab.Record(heard)
		}
		want := []TabOutcome{{
			Tab:     "tab",
			User:    "ada",
			Session: sessionID(1),
			Outcome: tt.want,
		}}
		if sum, list := o.Total(10); sum != tt.sum || !slices.Equal(list, want) {
			t.Errorf("%s: %+v, %+v, want %+v, %+v", tt.name, sum, list, tt.sum, want)
		}
	}
}

func TestUnconfirmedAreThoseThatAreNeitherAckedNorGone(t *testing.T) {
	if got := (OutcomeCounts{All: 7, Acked: 3, Gone: 2}).Unconfirmed(); got != 2 {
		t.Errorf("%d, want 2", got)
	}
}

// tabNames names the tabs of a list.
func tabNames(list []TabOutcome) (names []string) {
	for _, t := range list {
		names = append(names, t.Tab)
	}
	return names
}

func TestTotalHasTheTabsOfThisNodeFirst(t *testing.T) {
	o := &Outcomes{}
	o.Told("here", "ada", "", sessionID(1)).Record(Acked)
	o.Told("here too", "ada", "", sessionID(1)).Record(Gone)
	elsewhere := func(node string, counts OutcomeCounts, tabs ...string) {
		report := OutcomeReport{OutcomeCounts: counts}
		for _, name := range tabs {
			report.Tabs = append(report.Tabs, TabOutcome{Tab: name})
		}
		o.SetElsewhere(node, report)
	}
	elsewhere("c", OutcomeCounts{All: 9, Acked: 9}, "of an old report")
	elsewhere("c", OutcomeCounts{All: 5, Acked: 2}, "c1", "c2")
	elsewhere("b", OutcomeCounts{All: 1, Gone: 1}, "b1")
	all := []string{"here", "here too", "b1", "c1", "c2"}
	for most := range len(all) + 2 {
		sum, list := o.Total(most)
		if want := (OutcomeCounts{All: 8, Acked: 3, Gone: 2}); sum != want {
			t.Errorf("Total(%d) counts %+v, want %+v", most, sum, want)
		}
		if got, want := tabNames(list), all[:min(most, len(all))]; !slices.Equal(got, want) {
			t.Errorf("Total(%d) lists %q, want %q", most, got, want)
		}
	}
}

func TestAllTabsAreCountedAndTheFirstListed(t *testing.T) {
	r := &Register{Shared: true}
	e, _ := r.Add(revocation(1, everyone, 0))
	for i := range MaxListed + 5 {
		e.Outcomes.Told(fmt.Sprint(i), "ada", "", sessionID(1)).Record(Acked)
	}
	sum, list := e.Outcomes.Total(2 * MaxListed)
	if sum.All != MaxListed+5 || sum.Acked != sum.All ||
		len(list) != MaxListed || list[MaxListed-1].Tab != fmt.Sprint(MaxListed-1) {
		t.Errorf("%+v, and %d are listed", sum, len(list))
	}
	reports := r.Reports(noon, false, time.Minute)
	if len(reports) != 1 || reports[0].OutcomeCounts != sum ||
		len(reports[0].Tabs) != maxReported || reports[0].Tabs[0].Tab != "0" {
		t.Errorf("%d reports, want one of all with the first %d", len(reports), maxReported)
	}
}

func TestReports(t *testing.T) {
	const retold = 10 * time.Minute
	r := &Register{Shared: true}
	e, _ := r.Add(revocation(1, everyone, 0))
	var tab *ToldTab
	for _, tt := range []struct {
		name  string
		do    func()
		at    time.Duration
		again bool
		want  []OutcomeCounts
	}{
		{"no tab was told", nil, 0, true, nil},
		{"a tab was told", func() { tab = e.Outcomes.Told("tab", "ada", "", sessionID(1)) }, 0, false,
			[]OutcomeCounts{{All: 1}}},
		{"nothing is new", nil, 1, false, nil},
		{"nothing is new, and all is told again", nil, retold - 1, true, []OutcomeCounts{{All: 1}}},
		{"it is not told again for ever", nil, retold, true, nil},
		{"nor looked at", nil, 0, true, nil},
		{"its page is blank", func() { tab.Record(Acked) }, time.Hour, false, []OutcomeCounts{{All: 1, Acked: 1}}},
		{"that is told again", nil, time.Hour + retold - 1, true, []OutcomeCounts{{All: 1, Acked: 1}}},
		{"what changes nothing is no news", func() { tab.Record(Gone) }, time.Hour + 1, false, nil},
		{"all was reset", r.Reset, time.Hour + 2, true, nil},
	} {
		if tt.do != nil {
			tt.do()
		}
		var got []OutcomeCounts
		for _, report := range r.Reports(noon.Add(tt.at), tt.again, retold) {
			if report.Logout != "1" {
				t.Errorf("%s: a report of %q", tt.name, report.Logout)
			}
			got = append(got, report.OutcomeCounts)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: reported %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestANodeAloneReportsNothing(t *testing.T) {
	r := register(revocation(1, everyone, 0))
	r.Find("1").Outcomes.Told("tab", "ada", "", sessionID(1)).Record(Acked)
	if got := r.Reports(noon, true, time.Hour); len(got) > 0 {
		t.Errorf("it reports %+v", got)
	}
}

// Nodes of different versions tell each other of outcomes.
func TestReportAsJSON(t *testing.T) {
	report := OutcomeReport{
		Logout:        "x",
		OutcomeCounts: OutcomeCounts{All: 3, Acked: 1, Gone: 1},
		Tabs: []TabOutcome{{
			Tab:     "tab-1",
			User:    "ada",
			Session: session.ID{},
			Outcome: Acked,
		}},
	}
	got, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	id, err := json.Marshal(session.ID{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"logout":"x","all":3,"acked":1,"gone":1,` +
		`"tabs":[{"tab":"tab-1","user":"ada","session":` + string(id) + `,"fate":"acked"}]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var back OutcomeReport
	if err := json.Unmarshal(got, &back); err != nil || !reflect.DeepEqual(back, report) {
		t.Errorf("read as %+v, %v, want %+v", back, err, report)
	}
}
