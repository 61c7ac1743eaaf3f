package hub

import (
	"maps"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// What became of the tabs of a forced logout.

// Outcome says what became of a tab at a forced logout.
type Outcome string

// The fates of a tab.
const (
	OutcomeAcked Outcome = "acked" // its page has said that it is blank
	// told, but nothing was heard from the page (yet): frozen, asleep, cut off
	OutcomeUnconfirmed Outcome = "unconfirmed"
	OutcomeGone        Outcome = "gone" // the page was closed or left before it could say so
)

// TabOutcome is a line of a logout's progress.
type TabOutcome struct {
	Tab     string     `json:"tab"`
	User    string     `json:"user"`
	Session session.ID `json:"session"`
	Outcome Outcome    `json:"fate"`

	of *outcomes
}

// outcomes notes what becomes of the tabs of a forced logout. It lives in memory.
type outcomes struct {
	logout   string    // its ID
	register *register // where news is noted for other nodes; nil: there are none

	mu   sync.Mutex
	tabs []*TabOutcome // the first maxOutcomes, in the order in which they were told; dropped after outcomesFor

	outcomeCounts

	elsewhere map[string]outcomeReport // how far the logout has come on other nodes
	sent      outcomeCounts            // what the other nodes were told, when it last changed
	changed   time.Time
}

// outcomeCounts are sums over tabs; those that are neither acked nor gone are unconfirmed.
type outcomeCounts struct {
	All   int `json:"all"`
	Acked int `json:"acked"`
	Gone  int `json:"gone"`
}

func (c *outcomeCounts) add(other outcomeCounts) {
	c.All, c.Acked, c.Gone = c.All+other.All, c.Acked+other.Acked, c.Gone+other.Gone
}

// outcomesFor is how long after a forced logout its tabs are listed one by one.
const outcomesFor = time.Hour

func (p *outcomes) told(t *tab) {
	t.outcome = &TabOutcome{Tab: t.id, User: t.session.user, Session: t.session.id, Outcome: OutcomeUnconfirmed, of: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tabs) < maxOutcomes {
		p.tabs = append(p.tabs, t.outcome)
	}
	p.All++
	p.noteNewsLocked()
}

// noteNewsLocked notes that there is news for other nodes.
func (p *outcomes) noteNewsLocked() {
	if p.register == nil {
		return
	}
	p.register.newsMu.Lock()
	defer p.register.newsMu.Unlock()
	if p.register.news == nil {
		p.register.news = make(map[*outcomes]struct{})
	}
	p.register.news[p] = struct{}{}
}

// listLocked is what became of the first tabs, so many at most.
func (p *outcomes) listLocked(most int) (list []TabOutcome) {
	for _, f := range p.tabs[:min(len(p.tabs), most)] {
		list = append(list, *f)
	}
	return list
}

// forgetTabs keeps the sums only.
func (p *outcomes) forgetTabs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tabs = nil
	for node, f := range p.elsewhere {
		f.Tabs = nil
		p.elsewhere[node] = f
	}
}

// record notes what was heard of a tab. The first word counts.
func (f *TabOutcome) record(fate Outcome) {
	p := f.of
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Outcome != OutcomeUnconfirmed {
		return
	}
	f.Outcome = fate
	switch fate {
	case OutcomeAcked:
		p.Acked++
	case OutcomeGone:
		p.Gone++
	}
	p.noteNewsLocked()
}

// outcomeReport is how far a forced logout has come on a node.
type outcomeReport struct {
	Logout string `json:"logout"`
	outcomeCounts
	Tabs []TabOutcome `json:"tabs,omitempty"` // sharedOutcomes of them
}

// sharedOutcomes is how many tabs a node tells the others one by one.
const sharedOutcomes = 200

// tellOutcomes tells the other nodes how far forced logouts have come here: what has changed, and
// for a while all, so that nothing stays lost.
func (h *Hub) tellOutcomes(census time.Time) {
	h.revocations.newsMu.Lock()
	stirred := slices.Collect(maps.Keys(h.revocations.news))
	h.revocations.newsMu.Unlock()
	for _, p := range stirred {
		p.mu.Lock()
		if p.outcomeCounts == p.sent && time.Since(p.changed) >= restoredAfterFailover {
			h.revocations.newsMu.Lock()
			delete(h.revocations.news, p)
			h.revocations.newsMu.Unlock()
		}
		if p.outcomeCounts == p.sent && !(time.Since(census) < reportEvery && time.Since(p.changed) < restoredAfterFailover) || p.All == 0 {
			p.mu.Unlock()
			continue
		}
		if p.outcomeCounts != p.sent {
			p.sent, p.changed = p.outcomeCounts, time.Now()
		}
		f := outcomeReport{p.logout, p.outcomeCounts, p.listLocked(sharedOutcomes)}
		p.mu.Unlock()
		h.emit(event{Kind: eventOutcomes, Outcomes: &f})
	}
}
