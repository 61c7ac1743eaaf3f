package revocation

import "testing"

func TestTabsOfAllNodesAreForgottenAndTheirSumsKept(t *testing.T) {
	o := &Outcomes{}
	o.Told("here", "ada", sessionID(1)).Record(Acked)
	o.SetElsewhere("b", OutcomeReport{
		OutcomeCounts: OutcomeCounts{All: 2, Gone: 1},
		Tabs:          []TabOutcome{{Tab: "there"}, {Tab: "there too"}},
	})
	o.forgetTabs()
	if len(o.tabs) > 0 || len(o.elsewhere["b"].Tabs) > 0 {
		t.Errorf("tabs are kept: %v, %v", o.tabs, o.elsewhere)
	}
	if here, there := o.counts, o.elsewhere["b"].OutcomeCounts; here != (OutcomeCounts{All: 1, Acked: 1}) || there != (OutcomeCounts{All: 2, Gone: 1}) {
		t.Errorf("sums are %v and %v", here, there)
	}
}
