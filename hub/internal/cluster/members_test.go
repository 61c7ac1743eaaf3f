package cluster

import (
	"slices"
	"testing"
	"time"

	"curfew/session"
)

func TestAMissingNumberHasAllResynchronised(t *testing.T) {
	m, _, _ := startMember(t)
	wanted := func() bool { return m.recovery.takeTodo(false).resync }
	m.says(t, "b/1", 7)
	if wanted() {
		t.Error("the first message of a node is no gap")
	}
	if got := m.members.takeStale(); !slices.Equal(got, []string{"b/1"}) {
		t.Errorf("stale are %q, want the new node: its reports are to be read", got)
	}
	m.says(t, "b/1", 8)
	if wanted() || len(m.members.takeStale()) > 0 {
		t.Error("the next number is no gap")
	}
	m.says(t, "b/1", 10)
	if !wanted() {
		t.Error("a gap goes unnoticed")
	}
	if got := m.members.takeStale(); !slices.Equal(got, []string{"b/1"}) {
		t.Errorf("stale are %q, want the node of the gap", got)
	}
	m.says(t, "b/1", 9)
	if !wanted() {
		t.Error("a message that comes late goes unnoticed")
	}
}

func TestWhatANodeOfALaterVersionSaysIsFoundInTheStore(t *testing.T) {
	m, local, _ := startMember(t)
	m.apply([]byte(`{"v":2,"node":"b/1","name":"b","n":1,"events":{"packed":true}}`))
	local.wantTold()
	if !m.members.haveNewer() {
		t.Error("the later version goes unnoticed")
	}
	if todo := m.recovery.takeTodo(true); !todo.resync {
		t.Error("the store is not asked")
	}
	m.recovery.synced = time.Now()
	if todo := m.recovery.takeTodo(true); todo.resync {
		t.Error("the store is asked again at once")
	}
	m.apply([]byte(`{"v":1,"node":"b/1","n":2,"events":[` +
		`{"kind":"of-tomorrow","colour":"green"},{"kind":"notice","notice":{"id":"n"}}]}`))
	local.wantTold("notice n")
	m.apply([]byte(`{"v":1,"node":`))
	local.wantTold()
}

func TestTabsOfANodeWhoseLeaseHasRunOutAreGone(t *testing.T) {
	m, local, _ := startMember(t)
	ada := record("ada")
	local.SignedIn(ada)
	m.dropDead([]string{"c/1", m.self, "b/1"})
	if m.Nodes() != 3 || m.members.index != 0 || m.members.count != 3 {
		t.Errorf("%d nodes, this one is %d of %d, want the first of 3", m.Nodes(), m.members.index, m.members.count)
	}
	local.takeTold()
	m.says(t, "b/1", 1, event{Kind: eventTabs, Tabs: map[session.ID]string{ada.ID: `{"node":"b","tabs":2}`}})
	local.wantTold("2 tabs on b/1")
	m.dropDead([]string{m.self, "c/1"})
	local.wantTold("tabs of b/1 are gone")
	m.says(t, "c/1", 1,
		event{Kind: eventTabs, Tabs: map[session.ID]string{ada.ID: `{"node":"c","tabs":1}`}},
		event{Kind: eventDeparts})
	local.wantTold("1 tabs on c/1", "tabs of c/1 are gone")
	if m.Nodes() != 1 {
		t.Errorf("%d nodes are left, want this one", m.Nodes())
	}
}

// nodes makes members that know of each other.
func nodes(t *testing.T, names ...string) (list []*Member) {
	t.Helper()
	for _, name := range names {
		m, _, _ := startMember(t)
		m.self = name
		m.dropDead(slices.Clone(names))
		list = append(list, m)
	}
	return list
}

func TestWorkIsDividedAmongTheNodes(t *testing.T) {
	list := nodes(t, "a", "b", "c")
	for range 100 {
		id := session.NewToken().ID()
		have := 0
		for _, m := range list {
			if m.MyPart(100).Has(id) {
				have++
			}
		}
		if have != 1 {
			t.Errorf("%d nodes work on a session, want one", have)
		}
		if !(*Member)(nil).MyPart(100).Has(id) {
			t.Error("a node that is alone leaves work to others")
		}
	}
	p := list[0].MyPart(10_000)
	if first, next := p.DoneBy(0), p.DoneBy(1); first < othersWrite+time.Second || next <= first {
		t.Errorf("others' work is looked at after %s and %s, want longer for much work, and one after the other", first,
			next)
	}
}

func TestOneNodeAfterTheOtherEndsASession(t *testing.T) {
	list := nodes(t, "a", "b", "c")
	for range 20 {
		id := session.NewToken().ID()
		var waits []time.Duration
		for _, m := range list {
			waits = append(waits, m.Stagger(id))
		}
		slices.Sort(waits)
		want := []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}
		if !slices.Equal(waits, want) {
			t.Errorf("they wait %v, want %v", waits, want)
		}
	}
}

func TestANodeAlone(t *testing.T) {
	m := New(Options{Name: "a"})
	ctx, id := t.Context(), session.NewToken().ID()
	m.Run()
	m.TellSignedIn(record("ada"))
	m.TellEnded(id, session.End{})
	m.TellActed([]session.Activity{{ID: id}})
	m.TellTabTimes(id, session.TabTimes{})
	m.TellRules(id)
	m.TellRevocation(session.Revocation{})
	m.NoteEnd(id, session.End{})
	m.TabsChanged(id)
	m.Suspect(id)
	m.Refetch(id)
	m.Reset()
	m.PrepareToLeave()
	for name, err := range map[string]error{
		"Join":         m.Join(ctx),
		"Leave":        m.Leave(ctx),
		"InReach":      m.InReach(),
		"HasRecovered": m.HasRecovered(ctx),
		"ResetOthers":  m.ResetOthers(ctx),
		"TellNotice":   m.TellNotice(ctx, Notice{}, time.Minute),
	} {
		if err != nil {
			t.Errorf("%s = %v", name, err)
		}
	}
	if !m.Alone() || m.Nodes() != 1 || m.StoreAway() || m.Stagger(id) != 0 || m.DeferEnd() != 0 || m.EndOf(id) != nil {
		t.Error("a node that is alone waits for others")
	}
}
