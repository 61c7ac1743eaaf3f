package views

import (
	"cmp"
	"math/rand/v2"
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
	if _, ok := consoleOrders[q.Sort]; !ok {
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

// pick lists those of the sessions that the filter picks. The result points into the list.
func (f consoleFilter) pick(all []hub.Session) []*hub.Session {
	return slices.DeleteFunc(f.inHub().Pick(all), func(one *hub.Session) bool {
		return f.Node != "" && one.Node != f.Node ||
			!strings.HasPrefix(one.Record.Address, f.Address) ||
			f.State == stateUnconfirmed && one.Unconfirmed == 0
	})
}

var consoleOrders = map[string]func(a, b *hub.Session) int{
	"user":      func(a, b *hub.Session) int { return strings.Compare(a.Names.User, b.Names.User) },
	"state":     func(a, b *hub.Session) int { return liveliness(a.State) - liveliness(b.State) },
	"tabs":      func(a, b *hub.Session) int { return cmp.Compare(a.Tabs, b.Tabs) },
	"address":   func(a, b *hub.Session) int { return strings.Compare(a.Record.Address, b.Record.Address) },
	"signed_in": func(a, b *hub.Session) int { return a.Record.CreatedAt.Compare(b.Record.CreatedAt) },
	"active":    func(a, b *hub.Session) int { return a.LastActiveAt.Compare(b.LastActiveAt) },
}

// liveliness orders states, the most active first.
func liveliness(s hub.State) int { return slices.Index(consoleStates, s) }

// compare is the order of q.
func (q consoleQuery) compare(a, b *hub.Session) int {
	c := consoleOrders[q.Sort](a, b)
	if q.Desc {
		c = -c
	}
	return cmp.Or(c, slices.Compare(a.Record.ID[:], b.Record.ID[:]))
}

// sort puts the sessions in the order of q.
func (q consoleQuery) sort(list []*hub.Session) { slices.SortFunc(list, q.compare) }

// sortPart puts those sessions in the order of q that stand from first to end then. It takes a
// small part of the time of sorting all (Hoare, Algorithm 65: Find).
func (q consoleQuery) sortPart(list []*hub.Session, first, end int) {
	for from, to := 0, len(list); ; {
		if to-from <= 2*max(1, end-first) {
			q.sort(list[from:to])
			return
		}
		pivot := list[from+rand.IntN(to-from)]
		less, more := from, to-1
		for less <= more {
			for q.compare(list[less], pivot) < 0 {
				less++
			}
			for q.compare(list[more], pivot) > 0 {
				more--
			}
			if less <= more {
				list[less], list[more] = list[more], list[less]
				less++
				more--
			}
		}
		switch { // what stands before less is no later than what stands behind more
		case end <= more+1:
			to = more + 1
		case first >= less:
			from = less
		default:
			q.sort(list[from:to])
			return
		}
	}
}

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

// isIndexed reports whether the hub's index has the list that q shows.
func (q consoleQuery) isIndexed() bool {
	return q.By == "" && q.Sort == "signed_in" && q.consoleFilter.isIndexed()
}

// isIndexed reports whether the hub's index has the sessions that f picks.
func (f consoleFilter) isIndexed() bool {
	return f == consoleFilter{Group: f.Group, State: f.State} && f.State != stateUnconfirmed
}

// sessionsFor are the sessions among which are those that a console shows; nil where the index has
// them.
func (s *Server) sessionsFor(q consoleQuery) []hub.Session {
	if q.isIndexed() {
		return nil
	}
	return s.hub.Sessions(q.inHub())
}

// inHub is what the hub knows of the filter.
func (f consoleFilter) inHub() hub.Filter {
	shown := hub.Filter{Query: f.Query, User: f.User, Group: f.Group}
	if f.State != stateUnconfirmed {
		shown.State = f.State
	}
	return shown
}

// consoleView is what q shows. all are sessionsFor q.
func (s *Server) consoleView(l *locale.Locale, q consoleQuery, all []hub.Session) consoleView {
	now := s.clock.Now()
	view := consoleView{
		Plot:    plotOf(s.hub.History()),
		Rows:    []consoleRow{},
		Logouts: []consoleLogout{},
	}
	several := s.hub.Stats().Nodes > 1
	view.count(s.hub.Overview(), several)
	draw := rows{locale: l, now: now, withNodes: several}
	if q.isIndexed() && all == nil {
		view.list(s.hub.SessionPageAt(q.Group, q.State, q.Desc, q.Page, q.Size), q, draw)
	} else {
		view.pick(all, q, draw)
	}
	isRecent := func(r *session.Revocation) bool { return now.Sub(r.EffectiveAt) < time.Hour }
	for _, one := range s.hub.ForcedLogouts(0, 10, isRecent) {
		view.Logouts = append(view.Logouts, consoleLogoutOf(one))
	}
	return view
}

// list fills in a page that the index has.
func (v *consoleView) list(p hub.NumberedPage, q consoleQuery, draw rows) {
	v.Found, v.Page, v.Pages = p.Found, p.Number, max(1, (p.Found+q.Size-1)/q.Size)
	if !p.Newest.IsZero() {
		v.Newest = p.Newest.UnixMilli()
	}
	for i := range p.Sessions {
		v.Rows = append(v.Rows, draw.session(&p.Sessions[i]))
	}
}

// pick fills in a page of sessions that are filtered and sorted here.
func (v *consoleView) pick(all []hub.Session, q consoleQuery, draw rows) {
	list := q.pick(all)
	v.Found = len(list)
	for _, one := range list {
		v.Newest = max(v.Newest, one.Record.CreatedAt.UnixMilli())
	}
	page := func(n int) (first, end int) {
		v.Pages = max(1, (n+q.Size-1)/q.Size)
		v.Page = min(q.Page, v.Pages)
		return (v.Page - 1) * q.Size, min(n, v.Page*q.Size)
	}
	if q.By == byUser {
		users := usersOf(list)
		v.FoundUsers = len(users.list)
		first, end := page(len(users.list))
		q.sortPart(users.list, first, end)
		v.Rows = draw.users(users, first, end, q)
		return
	}
	first, end := page(len(list))
	q.sortPart(list, first, end)
	for _, one := range list[first:end] {
		v.Rows = append(v.Rows, draw.session(one))
	}
}
