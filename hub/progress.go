package hub

import (
	"sync"
	"time"

	"curfew/session"
)

// What becomes of the tabs of a forced logout.

// TabFate says what became of a tab at a forced logout.
type TabFate string

// The fates of a tab.
const (
	FateAcked       TabFate = "acked"       // its page has said that it is blank
	FateUnconfirmed TabFate = "unconfirmed" // told, but nothing was heard from the page (yet): frozen, asleep, cut off
	FateGone        TabFate = "gone"        // the page was closed or left before it could say so
)

// FateOfTab is a line of a logout's progress.
type FateOfTab struct {
	Tab     string     `json:"tab"`
	User    string     `json:"user"`
	Session session.ID `json:"session"`
	Fate    TabFate    `json:"fate"`

	progress *progress
}

// progress notes what becomes of the tabs of a forced logout. It lives in memory.
type progress struct {
	logout string  // its ID
	forced *forced // where news is noted for other nodes; nil: there are none

	mu   sync.Mutex
	tabs []*FateOfTab // the first maxFates, in the order in which they were told; dropped after fatesFor

	fateCounts

	elsewhere map[string]fates // how far the logout has come on other nodes
	shared    fateCounts       // what the other nodes were told, when it last changed
	changed   time.Time
}

// fateCounts are sums over tabs; those that are neither acked nor gone are unconfirmed.
type fateCounts struct {
	All   int `json:"all"`
	Acked int `json:"acked"`
	Gone  int `json:"gone"`
}

func (c *fateCounts) add(other fateCounts) {
	c.All, c.Acked, c.Gone = c.All+other.All, c.Acked+other.Acked, c.Gone+other.Gone
}

// fatesFor is how long after a forced logout its tabs are listed one by one.
const fatesFor = time.Hour

func (p *progress) told(t *tab) {
	t.fate = &FateOfTab{Tab: t.id, User: t.session.user, Session: t.session.id, Fate: FateUnconfirmed, progress: p}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.tabs) < maxFates {
		p.tabs = append(p.tabs, t.fate)
	}
	p.All++
	p.stirLocked()
}

// stirLocked notes that there is news for other nodes.
func (p *progress) stirLocked() {
	if p.forced == nil {
		return
	}
	p.forced.stirs.Lock()
	defer p.forced.stirs.Unlock()
	if p.forced.stirred == nil {
		p.forced.stirred = make(map[*progress]struct{})
	}
	p.forced.stirred[p] = struct{}{}
}

// listLocked is what became of the first tabs, so many at most.
func (p *progress) listLocked(most int) (list []FateOfTab) {
	for _, f := range p.tabs[:min(len(p.tabs), most)] {
		list = append(list, *f)
	}
	return list
}

// forgetTabs keeps the sums only.
func (p *progress) forgetTabs() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tabs = nil
	for node, f := range p.elsewhere {
		f.Tabs = nil
		p.elsewhere[node] = f
	}
}

// came notes what was heard of a tab. The first word counts.
func (f *FateOfTab) came(fate TabFate) {
	p := f.progress
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.Fate != FateUnconfirmed {
		return
	}
	f.Fate = fate
	switch fate {
	case FateAcked:
		p.Acked++
	case FateGone:
		p.Gone++
	}
	p.stirLocked()
}
