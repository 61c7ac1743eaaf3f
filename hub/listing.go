package hub

import (
	"slices"
	"strings"
	"sync"
	"time"

	"curfew/session"
)

// Presence as administrators see it: lists of sessions, tabs and users, as they are at an instant.

// Filter picks sessions by all of its fields at once. A field at its zero value picks every
// session.
type Filter struct {
	User        string
	Group       string
	State       State
	Node        string // that of the newest tab
	Address     string // its beginning
	Unconfirmed bool   // the session has a tab that has not answered its last tick
	Query       string // part of a user's name, of an address, a device or a ref; case does not matter
	Ref         string // session.ID.Ref
}

// compiledFilter is a filter with folded names.
type compiledFilter struct {
	Filter
	nobody bool // it picks no session: nothing is left of a name when it is folded
}

func (f Filter) compiled() compiledFilter {
	nobody := f.User != "" && session.FoldName(f.User) == "" || f.Group != "" && session.FoldName(f.Group) == ""
	f.User, f.Group, f.Query = session.FoldName(f.User), session.FoldName(f.Group), session.FoldName(f.Query)
	return compiledFilter{f, nobody}
}

// isNamed reports whether the filter names a user or a session.
func (f Filter) isNamed() bool { return f.User != "" || f.Ref != "" }

// named lists the sessions of the user or the ref that the filter names.
func (h *Hub) named(c compiledFilter) []*liveSession {
	if !c.isNamed() {
		return nil
	}
	return h.sessionsIn(session.Scope{User: c.User, Session: c.Ref})
}

// names reports whether a filter that names a user or a session names this one.
func (f compiledFilter) names(user, ref string) bool {
	return (f.User == "" || f.User == user) && (f.Ref == "" || f.Ref == ref)
}

// picks judges what stands in the record of a session.
func (f compiledFilter) picks(r *session.Record, n *session.Names) bool {
	if f.nobody || !f.names(n.User, n.Ref) {
		return false
	}
	if f.Group != "" && !inGroup(n, f.Group) || !strings.HasPrefix(r.Address, f.Address) {
		return false
	}
	return f.finds(r, n)
}

// finds reports whether a session has the text that is looked for.
func (f compiledFilter) finds(r *session.Record, n *session.Names) bool {
	if f.Query == "" || strings.Contains(n.User, f.Query) || strings.Contains(n.Ref, f.Query) || inGroup(n, f.Query) {
		return true
	}
	for _, text := range []string{r.Name, r.Address, session.Device(r.Agent)} {
		if strings.Contains(session.FoldName(text), f.Query) {
			return true
		}
	}
	return false
}

func inGroup(n *session.Names, folded string) bool {
	return slices.ContainsFunc(n.Groups, func(g session.Group) bool { return g.Name == folded })
}

// picksNow judges how a session is at the instant.
func (f compiledFilter) picksNow(one *Session) bool {
	return (f.State == "" || f.State == one.State) && (f.Node == "" || f.Node == one.Node) &&
		(!f.Unconfirmed || one.Unconfirmed > 0)
}

// Session is a live session as it was at an instant.
type Session struct {
	Record       *session.Record // as of its sign-in, with the rules of now; shared, must not be modified
	Names        *session.Names  // of the record; shared likewise
	State        State
	Node         string // of its newest tab; empty without one
	LastActiveAt time.Time
	ExpiresAt    time.Time
	Tabs         int
	Hidden       int
	Unconfirmed  int
	OpenTabs     []Tab // listed only if the filter has a Ref
}

// Tab is an open tab as it was at an instant.
type Tab struct {
	ID          string    `json:"tab"`
	Node        string    `json:"node"`
	Hidden      bool      `json:"hidden,omitempty"`
	Unconfirmed bool      `json:"unconfirmed,omitempty"` // it has not answered its last tick
	OpenedAt    time.Time `json:"opened_at"`
	Path        string    `json:"path,omitempty"` // of its page; empty where that did not tell
}

func (h *Hub) tabLocked(t *tab) Tab {
	return Tab{
		ID:          t.id,
		Node:        h.node,
		Hidden:      t.hiddenSince != 0,
		Unconfirmed: t.unconfirmedLocked(),
		OpenedAt:    session.FromUnixMilli(t.openedAt),
		Path:        t.path,
	}
}

// answerWait is how long the answer to a tick may take before the tab counts as unconfirmed, in
// real time.
const answerWait = 5 * time.Second

func (t *tab) unconfirmedLocked() bool {
	return t.tickSeq > t.acked.Load() && time.Duration(instantNow()-t.tickedAt) > answerWait
}

// Sessions lists the live sessions that f picks, in no order. With a User or a Ref it looks at
// those sessions only, otherwise at all.
func (h *Hub) Sessions(f Filter) []Session {
	now := h.clock.Now()
	live := h.sessionsIn(session.Scope{User: f.User, Session: f.Ref})
	c := f.compiled()
	var mu sync.Mutex
	var list []Session
	h.parallel(live, func(chunk []*liveSession) {
		var picked []Session
		if f == (Filter{User: f.User}) {
			picked = make([]Session, 0, len(chunk))
		}
		for _, s := range chunk {
			r, names := s.record.Load(), s.names.Load()
			if !c.picks(r, names) {
				continue
			}
			one, alive := h.listSession(s, now, f.Ref != "")
			if !alive || !c.picksNow(&one) {
				continue
			}
			one.Record, one.Names = r, names
			picked = append(picked, one)
		}
		mu.Lock()
		defer mu.Unlock()
		if list == nil {
			list = picked
		} else {
			list = append(list, picked...)
		}
	})
	return list
}

// listSession returns s as it is at now, without record and names. alive is false if it has ended.
func (h *Hub) listSession(s *liveSession, now time.Time, withTabs bool) (one Session, alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return Session{}, false
	}
	state, _ := s.stateLocked(now)
	r := s.recordLocked()
	due, _ := s.policy.Load().EndsAt(&r)
	one = Session{
		State:        state,
		LastActiveAt: session.FromUnixMilli(s.active.Load()),
		ExpiresAt:    session.Millis(due),
		Tabs:         s.tabsLocked(),
	}
	h.listTabsLocked(&one, s, withTabs)
	return one, true
}

// listTabsLocked adds the tabs of s on all nodes to one: their numbers, and with withTabs each tab.
func (h *Hub) listTabsLocked(one *Session, s *liveSession, withTabs bool) {
	var newest int64 // when the newest tab opened, Unix ms
	for _, t := range s.tabs {
		tab := h.tabLocked(t)
		if tab.Hidden {
			one.Hidden++
		}
		if tab.Unconfirmed {
			one.Unconfirmed++
		}
		if opened := tab.OpenedAt.UnixMilli(); opened >= newest {
			one.Node, newest = h.node, opened
		}
		if withTabs {
			one.OpenTabs = append(one.OpenTabs, tab)
		}
	}
	for _, report := range s.elsewhere {
		one.Hidden += report.Hidden
		one.Unconfirmed += report.Unconfirmed
		if report.Opened > newest {
			one.Node, newest = report.Node, report.Opened
		}
		if withTabs {
			for _, t := range report.List {
				one.OpenTabs = append(one.OpenTabs, Tab(t))
			}
		}
	}
}

// User is the presence of a user who is signed in.
type User struct {
	User        string
	State       State // that of their most active session
	Sessions    int
	Tabs        int
	Hidden      int
	Unconfirmed int
	folded      string // the name
}

// Totals are sums over users.
type Totals struct {
	Users       int
	Sessions    int
	Tabs        int
	Hidden      int
	Unconfirmed int
	States      map[State]int // users by state
}

// Users sums sessions up by user, in the order of the names.
func Users(sessions []Session) ([]User, Totals) {
	byName := make(map[string]int, len(sessions)) // places in list, by folded name
	list := make([]User, 0, len(sessions))
	totals := Totals{Sessions: len(sessions), States: make(map[State]int)}
	for i := range sessions {
		s := &sessions[i]
		place, known := byName[s.Names.User]
		if !known {
			place = len(list)
			byName[s.Names.User] = place
			list = append(list, User{User: s.Record.User, State: StateGone, folded: s.Names.User})
		}
		u := &list[place]
		if slices.Index(liveliness, s.State) < slices.Index(liveliness, u.State) {
			u.State = s.State
		}
		u.Sessions++
		u.Tabs += s.Tabs
		u.Hidden += s.Hidden
		u.Unconfirmed += s.Unconfirmed
		totals.Tabs += s.Tabs
		totals.Hidden += s.Hidden
		totals.Unconfirmed += s.Unconfirmed
	}
	for _, u := range list {
		totals.States[u.State]++
	}
	totals.Users = len(list)
	slices.SortFunc(list, func(a, b User) int { return strings.Compare(a.folded, b.folded) })
	return list, totals
}
