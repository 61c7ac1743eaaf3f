package views

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// The console: who is here, filtered, sorted, grouped and paged by the server. The page works
// without script, see admin_consolepage.go; with it, the same view comes over a socket of its own
// as numbers and codes, which the page puts into words, see admin_socket.go.

// pageSizes are how many sessions, or users, the console may show at once. The first is what a new
// console shows.
var pageSizes = []int{50, 100, 200}

// stateUnconfirmed picks the sessions with a tab that has not answered its last tick.
const stateUnconfirmed hub.State = "unconfirmed"

// consoleStates are what can be filtered by.
var consoleStates = []hub.State{hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway, stateUnconfirmed}

// byUser is the grouping of the console; the other one is none.
const byUser = "user"

// consoleFilter says which sessions a console is about. All of its fields hold at once.
type consoleFilter struct {
	Query   string    `json:"q"`
	User    string    `json:"user"`
	Group   string    `json:"group"`
	State   hub.State `json:"state"`
	Node    string    `json:"node"`
	Address string    `json:"address"` // its beginning
}

// consoleQuery is what a console shows. All of it stands in the address of the page.
type consoleQuery struct {
	consoleFilter
	By   string   `json:"by"`   // grouping
	Open []string `json:"open"` // users whose sessions are listed, where it is by user
	Sort string   `json:"sort"`
	Desc bool     `json:"desc"`
	Page int      `json:"page"` // from 1
	Size int      `json:"size"` // of a page
}

// maxOpen is how many users of a grouped console may be open at once.
const maxOpen = 50

func readConsoleQuery(v url.Values) consoleQuery {
	number := func(name string) int {
		n, _ := strconv.Atoi(v.Get(name))
		return n
	}
	return consoleQuery{
		consoleFilter: consoleFilter{
			Query:   v.Get("q"),
			User:    v.Get("user"),
			Group:   v.Get("group"),
			State:   hub.State(v.Get("state")),
			Node:    v.Get("node"),
			Address: v.Get("address"),
		},
		By:   v.Get("by"),
		Open: v["open"],
		Sort: v.Get("sort"),
		Desc: v.Get("desc") == "true",
		Page: number("page"),
		Size: number("size"),
	}.tidy()
}

// tidy replaces what makes no sense by what a new console shows.
func (q consoleQuery) tidy() consoleQuery {
	if !slices.Contains(consoleStates, q.State) {
		q.State = ""
	}
	if q.By != byUser {
		q.By, q.Open = "", nil
	}
	q.Open = q.Open[:min(len(q.Open), maxOpen)]
	if !slices.Contains(hub.Orders, hub.Order(q.Sort)) {
		q.Sort, q.Desc = "signed_in", true
		if q.By == byUser {
			q.Sort, q.Desc = "user", false
		}
	}
	if !slices.Contains(pageSizes, q.Size) {
		q.Size = pageSizes[0]
	}
	q.Page = max(1, q.Page)
	for _, text := range []*string{&q.Query, &q.User, &q.Group, &q.Node, &q.Address} {
		*text = cut(strings.TrimSpace(*text), 200)
	}
	return q
}

// values are q as parameters of a link.
func (q consoleQuery) values() url.Values {
	v := url.Values{"sort": {q.Sort}}
	for name, text := range map[string]string{"q": q.Query, "user": q.User, "group": q.Group, "state": string(q.State),
		"node": q.Node, "address": q.Address, "by": q.By} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if len(q.Open) > 0 {
		v["open"] = q.Open
	}
	if q.Desc {
		v.Set("desc", "true")
	}
	if q.Page > 1 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	if q.Size != pageSizes[0] {
		v.Set("size", strconv.Itoa(q.Size))
	}
	return v
}

// inHub is the filter as the hub knows it.
func (f consoleFilter) inHub() hub.Filter {
	shown := hub.Filter{
		User:    f.User,
		Group:   f.Group,
		State:   f.State,
		Node:    f.Node,
		Address: f.Address,
		Query:   f.Query,
	}
	if f.State == stateUnconfirmed {
		shown.State, shown.Unconfirmed = "", true
	}
	return shown
}

// inHub is what q asks the hub for.
func (q consoleQuery) inHub() hub.ListQuery {
	return hub.ListQuery{
		Filter: q.consoleFilter.inHub(),
		Order:  hub.Order(q.Sort),
		Desc:   q.Desc,
		Users:  q.By == byUser,
		Page:   q.Page,
		Size:   q.Size,
	}
}

// liveliness orders states, the most active first.
func liveliness(s hub.State) int { return slices.Index(consoleStates, s) }

// consoleView is what a console shows at an instant.
type consoleView struct {
	Totals     consoleTotals   `json:"totals"`
	Groups     []consoleCount  `json:"groups"`          // of all sessions, by name
	Nodes      []consoleCount  `json:"nodes,omitempty"` // likewise; empty where there is one
	Plot       plot            `json:"plot"`
	Rows       []consoleRow    `json:"rows"`
	Found      int             `json:"found"`       // sessions that match
	FoundUsers int             `json:"found_users"` // their users; counted where it is grouped by them
	Page       int             `json:"page"`
	Pages      int             `json:"pages"`
	Newest     int64           `json:"newest"`  // the last sign-in of those that match, Unix ms
	Logouts    []consoleLogout `json:"logouts"` // those that may still be cancelled, or took effect in the last hour
}

// consoleTotals are those of all sessions.
type consoleTotals struct {
	Users    int               `json:"users"`
	Sessions int               `json:"sessions"`
	Tabs     int               `json:"tabs"`
	States   map[hub.State]int `json:"states"` // sessions
}

// Active is how many sessions are active.
func (t consoleTotals) Active() int { return t.States[hub.StateActive] }

// consoleCount is how many sessions there are of a name.
type consoleCount struct {
	Name     string `json:"name"`
	Sessions int    `json:"sessions"`
}

// maxCounts is how many names a filter offers: those with most sessions.
const maxCounts = 500

// countsOf are the names with most sessions, in the order of the names.
func countsOf(sessions map[string]int) []consoleCount {
	list := make([]consoleCount, 0, len(sessions))
	for name, n := range sessions {
		list = append(list, consoleCount{name, n})
	}
	if len(list) > maxCounts {
		slices.SortFunc(list, func(a, b consoleCount) int {
			return cmp.Or(b.Sessions-a.Sessions, strings.Compare(a.Name, b.Name))
		})
		list = list[:maxCounts]
	}
	slices.SortFunc(list, func(a, b consoleCount) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// count fills in what is counted over all sessions.
func (v *consoleView) count(o hub.Overview, severalNodes bool) {
	v.Totals = consoleTotals{
		Users:    o.Users,
		Sessions: o.Sessions,
		Tabs:     o.Tabs,
		States:   o.States,
	}
	v.Totals.States[stateUnconfirmed] = o.Unconfirmed
	v.Groups = countsOf(o.Groups)
	if severalNodes {
		v.Nodes = countsOf(o.Nodes)
	}
}

// consoleLogout is a forced logout in the console's list.
type consoleLogout struct {
	ID          string          `json:"id"`
	Kind        string          `json:"kind"` // of its scope
	Name        string          `json:"name"` // of the user or the group
	Count       int             `json:"count"`
	Actor       string          `json:"actor"`
	State       hub.LogoutState `json:"state"`
	Open        int             `json:"open"`
	Acked       int             `json:"acked"`
	Unconfirmed int             `json:"unconfirmed"`
	Gone        int             `json:"gone"`
}

func consoleLogoutOf(l hub.ForcedLogout) consoleLogout {
	one := consoleLogout{
		ID:          l.ID,
		Kind:        "everyone",
		Actor:       l.Actor,
		State:       l.State,
		Open:        l.Open,
		Acked:       l.Acked,
		Unconfirmed: l.Unconfirmed,
		Gone:        l.Gone,
	}
	switch {
	case l.Scope.User != "":
		one.Kind, one.Name = "user", l.Scope.User
	case l.Scope.Group != "":
		one.Kind, one.Name = "group", l.Scope.Group
	case l.Scope.OfSessions():
		one.Kind, one.Count = "sessions", max(1, l.Scope.Refs.Len())
	}
	return one
}

// pages is how many tabs the forced logout is about.
func (l consoleLogout) pages() int { return l.Open + l.Acked + l.Unconfirmed + l.Gone }

// consoleView is what q shows.
func (s *Server) consoleView(l *locale.Locale, q consoleQuery) consoleView {
	now := s.clock.Now()
	view := consoleView{
		Plot:    plotOf(s.hub.History()),
		Logouts: []consoleLogout{},
	}
	several := s.hub.Stats().Nodes > 1
	view.count(s.hub.Overview(), several)
	view.list(s.hub.SessionPageAt(q.inHub()), q, rows{locale: l, now: now, withNodes: several})
	isRecent := func(r *session.Revocation) bool { return now.Sub(r.EffectiveAt) < time.Hour }
	for _, one := range s.hub.ForcedLogouts(0, 10, isRecent) {
		view.Logouts = append(view.Logouts, consoleLogoutOf(one))
	}
	return view
}

// list fills in a page of the list.
func (v *consoleView) list(p hub.NumberedPage, q consoleQuery, draw rows) {
	listed := p.Found
	v.Found, v.Page = p.Found, p.Number
	if q.By == byUser {
		v.FoundUsers, listed = p.FoundUsers, p.FoundUsers
		v.Rows = draw.users(p.Sessions, q.Open)
	} else {
		v.Rows = draw.sessions(p.Sessions)
	}
	v.Pages = max(1, (listed+q.Size-1)/q.Size)
	if !p.Newest.IsZero() {
		v.Newest = p.Newest.UnixMilli()
	}
}
