package views

import (
	"cmp"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// The console: who is here, sorted, filtered and paged by the server. The page works without
// script; with it, the same view comes over a socket of its own, see admin_socket.go.

// rowsPerPage is how many sessions the console shows at once.
const rowsPerPage = 50

// consoleQuery is what a console shows.
type consoleQuery struct {
	Query string    `json:"q"`
	State hub.State `json:"state"`
	Group string    `json:"group"`
	Sort  string    `json:"sort"`
	Desc  bool      `json:"desc"`
	Page  int       `json:"page"` // from 1
	// Logout is the forced logout whose progress is wanted; empty for none.
	Logout string `json:"logout"`
}

func readConsoleQuery(v url.Values) consoleQuery {
	page, _ := strconv.Atoi(v.Get("page"))
	return consoleQuery{
		Query: v.Get("q"),
		State: hub.State(v.Get("state")),
		Group: v.Get("group"),
		Sort:  v.Get("sort"),
		Desc:  v.Get("desc") == "true",
		Page:  page,
	}.tidy()
}

// tidy replaces what makes no sense by what a new console shows.
func (q consoleQuery) tidy() consoleQuery {
	if !slices.Contains([]hub.State{"", hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway}, q.State) {
		q.State = ""
	}
	if _, ok := consoleOrders[q.Sort]; !ok {
		q.Sort, q.Desc = "signed_in", true
	}
	q.Page = max(1, q.Page)
	q.Query, q.Group = cut(q.Query, 200), cut(q.Group, 200)
	return q
}

// values are q as parameters of a link.
func (q consoleQuery) values() url.Values {
	v := url.Values{"sort": {q.Sort}}
	for name, text := range map[string]string{"q": q.Query, "state": string(q.State), "group": q.Group} {
		if text != "" {
			v.Set(name, text)
		}
	}
	if q.Desc {
		v.Set("desc", "true")
	}
	if q.Page > 1 {
		v.Set("page", strconv.Itoa(q.Page))
	}
	return v
}

var consoleOrders = map[string]func(a, b *hub.Session) int{
	"user":      func(a, b *hub.Session) int { return strings.Compare(a.Record.User, b.Record.User) },
	"state":     func(a, b *hub.Session) int { return strings.Compare(string(a.State), string(b.State)) },
	"tabs":      func(a, b *hub.Session) int { return cmp.Compare(a.Tabs, b.Tabs) },
	"address":   func(a, b *hub.Session) int { return strings.Compare(a.Record.Address, b.Record.Address) },
	"signed_in": func(a, b *hub.Session) int { return a.Record.CreatedAt.Compare(b.Record.CreatedAt) },
	"active":    func(a, b *hub.Session) int { return a.LastActiveAt.Compare(b.LastActiveAt) },
}

// consoleView is what a console shows at an instant.
type consoleView struct {
	Type    string         `json:"type"` // view
	Totals  totalsJSON     `json:"totals"`
	Plot    plot           `json:"plot"`
	Rows    []consoleRow   `json:"rows"`
	Found   int            `json:"found"`
	Page    int            `json:"page"`
	Pages   int            `json:"pages"`
	Logouts []progressJSON `json:"logouts"` // those that may still be cancelled, or took effect in the last hour
}

// consoleRow is a session in the console.
type consoleRow struct {
	Ref         string    `json:"ref"`
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Groups      string    `json:"groups"`
	State       hub.State `json:"state"`
	Tabs        int       `json:"tabs"`
	Hidden      int       `json:"hidden"`
	Unconfirmed int       `json:"unconfirmed"`
	Node        string    `json:"node,omitempty"` // of the newest tab, where there are several nodes
	Device      string    `json:"device"`
	Address     string    `json:"address"`
	SignedIn    string    `json:"signed_in"`
	Active      string    `json:"active"`
}

func (s *Server) consoleView(l *locale.Locale, q consoleQuery) consoleView {
	now := s.clock.Now()
	all := s.hub.Sessions(hub.Filter{})
	_, totals := hub.Users(all)
	shown := hub.Filter{Query: q.Query, State: q.State, Group: q.Group}
	list := shown.Pick(all)
	order := consoleOrders[q.Sort]
	slices.SortFunc(list, func(a, b *hub.Session) int {
		c := order(a, b)
		if q.Desc {
			c = -c
		}
		return cmp.Or(c, slices.Compare(a.Record.ID[:], b.Record.ID[:]))
	})
	pages := max(1, (len(list)+rowsPerPage-1)/rowsPerPage)
	page := min(q.Page, pages)
	view := consoleView{
		Type:    "view",
		Totals:  totalsOf(totals),
		Plot:    plotOf(s.hub.History()),
		Rows:    []consoleRow{},
		Found:   len(list),
		Page:    page,
		Pages:   pages,
		Logouts: []progressJSON{},
	}
	several := s.hub.Stats().Nodes > 1
	for _, one := range list[(page-1)*rowsPerPage : min(len(list), page*rowsPerPage)] {
		row := rowOf(l, *one, now)
		if several {
			row.Node = one.Node
		}
		view.Rows = append(view.Rows, row)
	}
	isRecent := func(r *session.Revocation) bool { return now.Sub(r.EffectiveAt) < time.Hour }
	for _, one := range s.hub.ForcedLogouts(0, 10, isRecent) {
		view.Logouts = append(view.Logouts, progressOf(one))
	}
	return view
}

func rowOf(l *locale.Locale, one hub.Session, now time.Time) consoleRow {
	r := one.Record
	return consoleRow{
		Ref:         r.ID.Ref(),
		User:        r.User,
		Name:        r.Name,
		Groups:      strings.Join(r.GroupNames(), ", "),
		State:       one.State,
		Tabs:        one.Tabs,
		Hidden:      one.Hidden,
		Unconfirmed: one.Unconfirmed,
		Device:      session.Device(r.Agent),
		Address:     r.Address,
		SignedIn:    ago(l, now.Sub(r.CreatedAt)),
		Active:      ago(l, now.Sub(one.LastActiveAt)),
	}
}

// plot is the last hour as lines in a box of plotWidth by plotHeight.
type plot struct {
	Sessions string    `json:"sessions"` // points of a line
	Active   string    `json:"active"`
	Most     int       `json:"most"` // the box's height
	Ends     []endsOf  `json:"ends"`
	Bars     []plotBar `json:"bars"` // ends, where there were any
}

type endsOf struct {
	Reason session.Reason `json:"reason"`
	Count  int            `json:"count"`
}

type plotBar struct {
	X      int `json:"x"`
	Height int `json:"height"`
}

const (
	plotWidth  = 600
	plotHeight = 100
)

func plotOf(samples []hub.Sample) plot {
	var p plot
	mostEnds := 1
	counts := make(map[session.Reason]int)
	sums := make([]int, len(samples))
	for i, s := range samples {
		p.Most = max(p.Most, s.Sessions)
		for reason, n := range s.Ends {
			counts[reason] += n
			sums[i] += n
		}
		mostEnds = max(mostEnds, sums[i])
	}
	end := samples[len(samples)-1].At
	var sessions, active strings.Builder
	for i, s := range samples {
		x := plotWidth - int(end.Sub(s.At)*plotWidth/time.Hour)
		if x < 0 {
			continue
		}
		y := func(n int) string { return strconv.Itoa(plotHeight - n*plotHeight/max(1, p.Most)) }
		sessions.WriteString(strconv.Itoa(x) + "," + y(s.Sessions) + " ")
		active.WriteString(strconv.Itoa(x) + "," + y(s.Active) + " ")
		if sums[i] > 0 {
			p.Bars = append(p.Bars, plotBar{x, max(2, sums[i]*plotHeight/2/mostEnds)})
		}
	}
	p.Sessions, p.Active = strings.TrimSpace(sessions.String()), strings.TrimSpace(active.String())
	for reason, n := range counts {
		p.Ends = append(p.Ends, endsOf{reason, n})
	}
	slices.SortFunc(p.Ends, func(a, b endsOf) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), strings.Compare(string(a.Reason), string(b.Reason)))
	})
	return p
}

type consolePage struct {
	layout
	consoleView
	Asked   consoleQuery
	States  []hub.State
	Columns []consoleColumn
	Prev    string // links; empty where there is no such page
	Next    string
}

var consoleTemplate = parse("console.html")

func (consolePage) template() *template.Template { return consoleTemplate }

type consoleColumn struct {
	Sort, Title string
	Link        string
	Sorted      string // ascending or descending; empty if not
}

// consoleColumns are the columns that can be sorted by, each with its title.
var consoleColumns = [][2]string{
	{"user", "User"},
	{"state", "State"},
	{"tabs", "Tabs"},
	{"address", "From"},
	{"signed_in", "Signed in"},
	{"active", "Last active"},
}

func (s *Server) console(w http.ResponseWriter, r *http.Request) error {
	q := readConsoleQuery(r.URL.Query())
	view := s.consoleView(s.locale(r), q)
	q.Page = view.Page
	p := consolePage{
		layout:      s.sessionLayout(r, "console.title"),
		consoleView: view,
		Asked:       q,
		States:      []hub.State{hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway},
	}
	link := func(q consoleQuery) string { return s.base + "/admin?" + q.values().Encode() }
	for _, c := range consoleColumns {
		column := consoleColumn{Sort: c[0], Title: c[1]}
		sorted := q
		sorted.Sort, sorted.Page, sorted.Desc = c[0], 1, false
		if q.Sort == c[0] {
			column.Sorted = "ascending"
			if q.Desc {
				column.Sorted = "descending"
			}
			sorted.Desc = !q.Desc
		}
		column.Link = link(sorted)
		p.Columns = append(p.Columns, column)
	}
	if other := q; view.Page > 1 {
		other.Page--
		p.Prev = link(other)
	}
	if other := q; view.Page < view.Pages {
		other.Page++
		p.Next = link(other)
	}
	return s.render(w, http.StatusOK, p)
}
