package revocation

import (
	"maps"
	"slices"
	"sync"
	"time"

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
	news   *news  // notes that other nodes are to be told; nil: there are no other nodes

	mu        sync.Mutex
	tabs      []*ToldTab // the first MaxListed, in the order in which they were told; nil after ForgetTabs
	counts    OutcomeCounts
	elsewhere map[string]OutcomeReport // by node
	sent      OutcomeCounts            // what other nodes were told last
	sentAt    time.Time                // when that last changed; real time
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
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.tabs) < MaxListed {
		o.tabs = append(o.tabs, t)
	}
	o.counts.All++
	o.news.add(o)
	return t
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
		o.counts.Acked++
	case Gone:
		o.counts.Gone++
	}
	o.news.add(o)
}

// Total counts the tabs of all nodes, and lists most of them at most: first those of this node,
// then those of others in the order of their names.
func (o *Outcomes) Total(most int) (sum OutcomeCounts, list []TabOutcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	sum, list = o.counts, o.listLocked(most)
	for _, node := range slices.Sorted(maps.Keys(o.elsewhere)) {
		r := o.elsewhere[node]
		sum.add(r.OutcomeCounts)
		list = append(list, r.Tabs[:min(len(r.Tabs), most-len(list))]...)
	}
	return sum, list
}

// listLocked lists most of this node's tabs at most.
func (o *Outcomes) listLocked(most int) (list []TabOutcome) {
	for _, t := range o.tabs[:min(len(o.tabs), most)] {
		list = append(list, t.line)
	}
	return list
}

// SetElsewhere notes the report of another node, instead of its last one.
func (o *Outcomes) SetElsewhere(node string, r OutcomeReport) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.elsewhere == nil {
		o.elsewhere = make(map[string]OutcomeReport)
	}
	o.elsewhere[node] = r
}

// forgetTabs drops the lists of tabs. The counts stay.
func (o *Outcomes) forgetTabs() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tabs = nil
	for node, r := range o.elsewhere {
		r.Tabs = nil
		o.elsewhere[node] = r
	}
}
