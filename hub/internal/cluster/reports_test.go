package cluster

import (
	"testing"

	"curfew/session"
)

// published lists the texts of the reports that were sent since the last call, of one session.
func published(t *testing.T, m *Member, store *memory, id session.ID) (texts []string) {
	t.Helper()
	store.messages = nil
	m.send(t.Context())
	for _, msg := range store.messages {
		for _, e := range msg.Events {
			if text, ok := e.Tabs[id]; ok {
				texts = append(texts, text)
			}
		}
	}
	return texts
}

func TestATabReportIsPublishedWhenItDiffers(t *testing.T) {
	m, local, store := startMember(t)
	ada := record("ada")
	local.SignedIn(ada)
	publish := func(whole bool) []string {
		t.Helper()
		m.TabsChanged(ada.ID)
		if err := m.publishReports(t.Context(), whole); err != nil {
			t.Fatal(err)
		}
		return published(t, m, store, ada.ID)
	}
	one := TabReport{Node: "a", Tabs: 1}
	local.tabs[ada.ID] = one
	got := publish(false)
	if len(got) != 1 || got[0] != `{"node":"a","tabs":1}` || store.tabs[m.self][ada.ID] != got[0] {
		t.Errorf("published %q, stored %q", got, store.tabs[m.self][ada.ID])
	}
	if got := publish(false); len(got) != 0 {
		t.Errorf("published again: %q", got)
	}
	if got := publish(true); len(got) != 1 || !store.whole {
		t.Errorf("of all, %q was published, want the one report again", got)
	}
	local.tabs[ada.ID] = TabReport{Node: "a", Closed: true}
	if got := publish(false); len(got) != 1 || got[0] != `{"node":"a","tabs":0,"closed":true}` {
		t.Errorf("published %q, want that the last tab was closed", got)
	}
	if text := store.tabs[m.self][ada.ID]; text != "" {
		t.Errorf("stored %q, want nothing", text)
	}
	local.tabs[ada.ID] = one
	publish(false)
	delete(local.tabs, ada.ID) // as one that has ended
	if got := publish(false); len(got) != 1 || got[0] != "" {
		t.Errorf("published %q, want an empty report", got)
	}
}

func TestReportOfASessionThatThisNodeDoesNotKnowYet(t *testing.T) {
	m, local, store := startMember(t)
	ada := record("ada")
	m.dropDead([]string{m.self, "b/1"})
	m.members.takeStale()
	text := `{"node":"b","tabs":2}`
	store.tabs["b/1"] = map[session.ID]string{ada.ID: text}
	store.records = []session.Record{ada}
	m.says(t, "b/1", 1, event{Kind: eventTabs, Tabs: map[session.ID]string{ada.ID: text}})
	m.refetchRequested(t.Context())
	local.wantTold("2 tabs on b/1", "signed in ada")
	if err := m.refreshReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	local.wantTold("2 tabs on b/1") // once it knows her
	if stale := m.members.takeStale(); len(stale) != 0 {
		t.Errorf("the reports of %q are read again", stale)
	}
	delete(store.tabs["b/1"], ada.ID)
	m.members.markAllStale()
	if err := m.refreshReports(t.Context()); err != nil {
		t.Fatal(err)
	}
	local.wantTold("0 tabs on b/1") // what is not left any more is gone
	m.applyReport("of-nobody/1", ada.ID, text)
	local.wantTold()
}
