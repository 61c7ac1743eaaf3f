package revocation

import (
	"slices"
	"strings"
	"sync"
	"time"
	"unique"

	"curfew/session"
)

// Outcome says what became of a tab at a forced logout.
type Outcome string

// The outcomes of a tab.
const (
	Acked Outcome = "acked" // its page has acknowledged that it is blank
	// Unconfirmed tabs were told, but their page has not answered yet: it is frozen, asleep or cut
	// off.
	Unconfirmed Outcome = "unconfirmed"
	Gone        Outcome = "gone" // its page was closed or left before it could answer
)

// TabOutcome is what became of one tab, as the API and other nodes are told it.
type TabOutcome struct {
	Tab     string     `json:"tab"`
	User    string     `json:"user"`
	Session session.ID `json:"session"`
	Outcome Outcome    `json:"fate"`
	Path    string     `json:"path,omitempty"` // of its page; empty where that did not tell
}

// OutcomeCounts are sums over tabs. Those that are neither acked nor gone are unconfirmed.
type OutcomeCounts struct {
	All   int `json:"all"`
	Acked int `json:"acked"`
	Gone  int `json:"gone"`
}

// Unconfirmed is how many tabs are neither acked nor gone.
func (c OutcomeCounts) Unconfirmed() int { return c.All - c.Acked - c.Gone }

func (c *OutcomeCounts) add(other OutcomeCounts) {
	c.All, c.Acked, c.Gone = c.All+other.All, c.Acked+other.Acked, c.Gone+other.Gone
}

const (
	// MaxListed is how many tabs of a forced logout a node lists one by one. It counts all.
	MaxListed = 1000
	// maxReported is how many of them it tells other nodes one by one.
	maxReported = 200
)

// Outcomes collect what becomes of the tabs that a forced logout has ended. They are in memory
// only. Their methods may be called concurrently, and while holding any lock.
type Outcomes struct {
	logout string // ID of the revocation
	number int64  // its number
	news   *news  // notes that other nodes are to be told; nil: there are no other nodes
	lists  *lists // of its register

	mu   sync.Mutex
	tabs *tabs // nil: there were none

	listed int // tabs in the lists of tabs; guarded by lists.mu
}

// tabs are those of one forced logout. Most end the sessions of one user, who may have none.
type tabs struct {
	list      []*ToldTab // the first MaxListed, in the order in which they were told
	counts    OutcomeCounts
	elsewhere []elsewhere   // by the names of the nodes
	sent      OutcomeCounts // what other nodes were told last
	sentAt    time.Time     // when that last changed; real time
	forgotten bool          // tabs are only counted: see forgetTabs
}

// elsewhere is the last report of another node.
type elsewhere struct {
	node   unique.Handle[string] // each message brings its own text of it
	counts OutcomeCounts
	tabs   []TabOutcome
}

// tabsLocked returns the tabs of o, which has some from now on.
func (o *Outcomes) tabsLocked() *tabs {
	if o.tabs == nil {
		o.tabs = &tabs{}
	}
	return o.tabs
}

// ToldTab is a tab that was told of the end of its session. The tab keeps it, to record what
// becomes of the tab.
type ToldTab struct {
	line TabOutcome // guarded by of.mu
	of   *Outcomes
}

// Told adds a tab that is being told of the end, whose page has a path. Its outcome is Unconfirmed
// until Record is called.
func (o *Outcomes) Told(tab, user, path string, id session.ID) *ToldTab {
	t := &ToldTab{TabOutcome{
		Tab:     tab,
		User:    user,
		Session: id,
		Outcome: Unconfirmed,
		Path:    path,
	}, o}
	o.lists.forget(o.add(t))
	return t
}

// add adds a tab. It returns the outcomes whose tabs are to be forgotten for it.
func (o *Outcomes) add(t *ToldTab) (oldest []*Outcomes) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ts := o.tabsLocked()
	if len(ts.list) < MaxListed && !ts.forgotten {
		ts.list = append(ts.list, t)
		oldest = o.lists.set(o, ts.listed())
	}
	ts.counts.All++
	o.news.add(o)
	return oldest
}

// Record records what became of the tab. The first outcome counts: later ones change nothing.
func (t *ToldTab) Record(outcome Outcome) {
	o := t.of
	o.mu.Lock()
	defer o.mu.Unlock()
	if t.line.Outcome != Unconfirmed {
		return
	}
	t.line.Outcome = outcome
	switch outcome {
	case Acked:
		o.tabs.counts.Acked++
	case Gone:
		o.tabs.counts.Gone++
	}
	o.news.add(o)
}

// Total counts the tabs of all nodes, and lists most of them at most: first those of this node,
// then those of others in the order of their names.
func (o *Outcomes) Total(most int) (sum OutcomeCounts, list []TabOutcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tabs == nil {
		return sum, nil
	}
	sum, list = o.tabs.counts, o.tabs.first(most)
	for _, other := range o.tabs.elsewhere {
		sum.add(other.counts)
		list = append(list, other.tabs[:min(len(other.tabs), most-len(list))]...)
	}
	return sum, list
}

// first lists most of this node's tabs at most.
func (ts *tabs) first(most int) (list []TabOutcome) {
	for _, t := range ts.list[:min(len(ts.list), most)] {
		list = append(list, t.line)
	}
	return list
}

// listed counts the tabs that are listed one by one.
func (ts *tabs) listed() int {
	n := len(ts.list)
	for _, other := range ts.elsewhere {
		n += len(other.tabs)
	}
	return n
}

// SetElsewhere notes the report of another node, instead of its last one.
func (o *Outcomes) SetElsewhere(node string, r OutcomeReport) {
	o.lists.forget(o.setElsewhere(elsewhere{unique.Make(node), r.OutcomeCounts, r.Tabs}))
}

// setElsewhere notes a report. It returns the outcomes whose tabs are to be forgotten for it.
func (o *Outcomes) setElsewhere(e elsewhere) (oldest []*Outcomes) {
	o.mu.Lock()
	defer o.mu.Unlock()
	ts := o.tabsLocked()
	at, known := slices.BinarySearchFunc(ts.elsewhere, e, func(a, b elsewhere) int {
		return strings.Compare(a.node.Value(), b.node.Value())
	})
	if !known {
		ts.elsewhere = slices.Insert(ts.elsewhere, at, elsewhere{})
	}
	if ts.forgotten {
		e.tabs = nil
	}
	ts.elsewhere[at] = e
	return o.lists.set(o, ts.listed())
}

// forgetTabs drops the lists of tabs, for good. Their counts stay, and go on.
func (o *Outcomes) forgetTabs() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tabs == nil {
		return
	}
	o.tabs.list, o.tabs.forgotten = nil, true
	for i := range o.tabs.elsewhere {
		o.tabs.elsewhere[i].tabs = nil
	}
	o.lists.set(o, 0)
}
