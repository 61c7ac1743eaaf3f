package revocation

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"curfew/session"
)

func TestAForcedLogoutIsKeptInFewBytes(t *testing.T) {
	for _, tt := range []struct {
		name        string
		users, tabs int
		most        uint64
	}{
		// docs/limits.md tells these
		{"each of another user, who had no tab", 4000, 0, 800},
		{"each of another user, with tabs on three nodes", 4000, 2, 1100},
		// make soak allows for this
		{"of twenty users, with tabs on three nodes", 20, 2, 900},
	} {
		r := &Register{Shared: true}
		const n = 4000
		before := heap()
		for i := range n {
			addAsRead(t, r, i, fmt.Sprint("someone-", i%tt.users), tt.tabs)
		}
		r.ForgetTabs(noon.Add(session.RevocationKeptFor))
		r.Reports(noon.Add(session.RevocationKeptFor), false, 0)
		if each := (heap() - before) / n; each > tt.most {
			t.Errorf("%s: %d bytes each, want at most %d", tt.name, each, tt.most)
		}
		if r.Count() != n {
			t.Errorf("%s: %d are kept, want %d", tt.name, r.Count(), n)
		}
	}
}

func TestASessionThatIsListedTakesFewBytes(t *testing.T) {
	const n, most = 4000, 150 // as docs/limits.md tells
	refs := make([]string, n)
	for i := range refs {
		refs[i] = session.ID{byte(i), byte(i >> 8)}.Ref()
	}
	r := &Register{}
	before := heap()
	list, _ := session.NewRefs(refs)
	r.Add(revocation(1, session.Scope{Refs: list}, 0))
	if each := (heap() - before) / n; each > most {
		t.Errorf("%d bytes each, want at most %d", each, most)
	}
	if r.Listed() != n {
		t.Errorf("%d are listed, want %d", r.Listed(), n)
	}
}

// addAsRead adds a forced logout as it is read from a store or from another node, with a message as
// long as one may be. It has ended so many tabs on each of three nodes.
func addAsRead(t *testing.T, r *Register, i int, user string, tabs int) {
	t.Helper()
	f := revocation(int64(i+1), ofUser(user), 0)
	f.ID, f.Request = fmt.Sprintf("%020d", i), fmt.Sprintf("%020d", -i)
	f.Actor, f.Message = "token nightly-job", strings.Repeat("x", 2000)
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var read session.Revocation
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	e, _ := r.Add(read)
	e.SetMarked()
	if tabs == 0 {
		return
	}
	var report OutcomeReport
	for range tabs {
		told := e.Outcomes.Told(fmt.Sprintf("%020d", i), f.User, "/a/page", session.ID{1})
		told.Record(Acked)
		report.Tabs = append(report.Tabs, told.line)
	}
	e.Outcomes.SetElsewhere("b", report)
	e.Outcomes.SetElsewhere("c", report)
}

// heap is what is in use once the garbage is collected.
func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestTabsOfTheOldestAreOnlyCountedWhereAllListTooMany(t *testing.T) {
	r := &Register{}
	const each = 100
	tell := func(number int64) *Outcomes {
		e, _ := r.Add(revocation(number, everyone, 0))
		var report OutcomeReport
		for i := range each / 2 {
			e.Outcomes.Told(fmt.Sprint(i), "ada", "", sessionID(1))
			report.Tabs = append(report.Tabs, TabOutcome{Tab: fmt.Sprint("there ", i)})
		}
		report.All = each / 2
		e.Outcomes.SetElsewhere("b", report)
		return e.Outcomes
	}
	var all []*Outcomes
	for i := range maxTabs/each + 3 {
		all = append(all, tell(int64(i+1)))
	}
	all[0].SetElsewhere("b", OutcomeReport{OutcomeCounts: OutcomeCounts{All: 60}, Tabs: make([]TabOutcome, 60)})
	for i, o := range all {
		wantList, wantAll := each, each
		if i < 3 {
			wantList = 0
		}
		if i == 0 {
			wantAll += 10
		}
		if sum, list := o.Total(2 * each); len(list) != wantList || sum.All != wantAll {
			t.Errorf("forced logout %d lists %d of %d tabs, want %d of %d", i, len(list), sum.All, wantList, wantAll)
		}
	}
	r.ForgetTabs(noon.Add(2 * time.Hour))
	if r.lists.tabs != 0 || len(r.lists.outcomes) != 0 {
		t.Errorf("%d tabs of %d forced logouts are still counted", r.lists.tabs, len(r.lists.outcomes))
	}
}

func TestALateReportOfAnOldForcedLogoutTakesNoTabsFromNewerOnes(t *testing.T) {
	r := &Register{}
	const old, middle, newest = "1", "2", "3"
	for number := range int64(3) {
		r.Add(revocation(number+1, everyone, 0))
	}
	reports := func(id string, n int) {
		for node := range n {
			r.Find(id).Outcomes.SetElsewhere(fmt.Sprint(node), OutcomeReport{Tabs: make([]TabOutcome, maxReported)})
		}
	}
	reports(newest, maxTabs/maxReported)
	reports(old, 1)
	reports(middle, 1)
	for id, want := range map[string]int{old: 0, middle: 0, newest: maxTabs} {
		if _, list := r.Find(id).Outcomes.Total(2 * maxTabs); len(list) != want {
			t.Errorf("forced logout %s lists %d tabs, want %d", id, len(list), want)
		}
	}
}

func TestTheNewestForcedLogoutListsItsTabsHoweverMany(t *testing.T) {
	r := &Register{}
	r.Add(revocation(1, everyone, 0))
	r.Add(revocation(2, everyone, 0))
	old, newest := r.Find("1").Outcomes, r.Find("2").Outcomes
	old.Told("old", "ada", "", sessionID(1))
	for node := range maxTabs/maxReported + 1 {
		newest.SetElsewhere(fmt.Sprint(node), OutcomeReport{Tabs: make([]TabOutcome, maxReported)})
	}
	if _, list := newest.Total(2 * maxTabs); len(list) != maxTabs+maxReported {
		t.Errorf("%d tabs are listed, want all", len(list))
	}
	if _, list := old.Total(1); len(list) != 0 {
		t.Error("the tabs of the one before are listed")
	}
}
