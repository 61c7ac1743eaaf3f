package views

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"curfew/hub"
	"curfew/locale"
)

// The console as a page, which works without script.

type consolePage struct {
	layout
	consoleView
	Asked    consoleQuery
	States   []hub.State
	Sizes    []int
	Columns  []consoleColumn
	Numbers  []int  // of the pages that have a link; 0 is a gap
	Selected string // refs of all that match, separated by commas, where all are selected
	Chosen   int    // how many these are
	Most     int    // how many can be selected
	TooMany  bool   // more were to be
}

var consoleTemplate = parse("console.html")

func (consolePage) template() *template.Template { return consoleTemplate }

// Link is the address of the console with some parameters changed: pairs of a name and a value. An
// empty value drops the parameter. Unless it names the page, it leads to the first.
func (p consolePage) Link(pairs ...any) string {
	v := p.Asked.values()
	v.Del("page")
	return p.Base + "/admin?" + changed(v, pairs).Encode()
}

// changed are parameters of a link with some of them changed.
func changed(v url.Values, pairs []any) url.Values {
	for i := 0; i+1 < len(pairs); i += 2 {
		name, value := fmt.Sprint(pairs[i]), fmt.Sprint(pairs[i+1])
		v.Del(name)
		if value != "" {
			v.Set(name, value)
		}
	}
	return v
}

// Only is the address of the console with no filter but what is named.
func (p consolePage) Only(pairs ...any) string {
	q := consoleQuery{Sort: p.Asked.Sort, Desc: p.Asked.Desc, Size: p.Asked.Size}
	return p.Base + "/admin?" + changed(q.values(), pairs).Encode()
}

// Toggle is the address that opens the sessions of a user, or closes them.
func (p consolePage) Toggle(user string) string {
	q := p.Asked
	if i := slices.Index(q.Open, user); i >= 0 {
		q.Open = slices.Delete(slices.Clone(q.Open), i, i+1)
	} else {
		q.Open = append(slices.Clone(q.Open), user)
	}
	return p.Base + "/admin?" + q.values().Encode()
}

// IsSelected reports whether all that match are selected.
func (p consolePage) IsSelected() bool { return p.Selected != "" }

// IsFiltered reports whether not all sessions are asked for.
func (p consolePage) IsFiltered() bool { return p.Asked.consoleFilter != consoleFilter{} }

// HasGroup reports whether the filter for groups offers the name.
func (p consolePage) HasGroup(name string) bool {
	return name == "" || slices.ContainsFunc(p.Groups, func(c consoleCount) bool { return c.Name == name })
}

// consoleTotal is a number above the plot, which leads to what it counts.
type consoleTotal struct {
	Name, Text string
	State      hub.State // empty for a total of all
	N          string
	Link       string
}

// Total is the total of that name, which may be that of a state.
func (p consolePage) Total(name any, n int, link string) (consoleTotal, error) {
	state, ok := name.(hub.State)
	key := fmt.Sprint("console.total-", name)
	if ok {
		key = fmt.Sprint("console.state-", name)
	}
	said, err := p.T(key)
	return consoleTotal{fmt.Sprint(name), said, state, p.Locale.Number(n), link}, err
}

// say is a text of the console.
func (p consolePage) say(key string, pairs ...any) string {
	return text{key: "console." + key, data: locale.Pairs(pairs...)}.in(p.Locale)
}

// list puts texts into one line.
func (p consolePage) list(texts ...string) (line string) {
	for _, next := range texts {
		switch {
		case line == "":
			line = next
		case next != "":
			line = p.say("list", "First", line, "Next", next)
		}
	}
	return line
}

// Tabs says which tabs a row has.
func (p consolePage) Tabs(r consoleRow) string {
	texts := []string{p.Locale.Number(r.Tabs)}
	if r.Hidden > 0 {
		texts = append(texts, p.say("hidden", "N", r.Hidden))
	}
	if r.Unconfirmed > 0 {
		texts = append(texts, p.say("unconfirmed", "N", r.Unconfirmed))
	}
	return p.list(append(texts, r.Node)...)
}

// Ends says how many sessions ended in the hour of the plot, and why.
func (p consolePage) Ends() string {
	var reasons []string
	for _, e := range p.Plot.Ends {
		reasons = append(reasons, p.say("ends-"+string(e.Reason), "N", e.Count))
	}
	ended := p.say("plotEnded", "N", p.Plot.Ended)
	if len(reasons) == 0 {
		return ended
	}
	return p.say("plotEnds", "Ended", ended, "Reasons", p.list(reasons...))
}

// Progress says how far a forced logout has come.
func (p consolePage) Progress(l consoleLogout) string {
	texts := []string{p.say("logoutBy", "Actor", l.Actor)}
	if n := l.pages(); n > 0 {
		texts = append(texts, p.say("confirmed", "Acked", l.Acked, "Count", n))
	}
	return p.list(texts...)
}

type consoleColumn struct {
	Sort   string
	Link   string
	Sorted string // ascending or descending; empty if not
}

// consoleColumns are the columns that can be sorted by.
var consoleColumns = []string{"user", "state", "tabs", "address", "signed_in", "active"}

func (s *Server) console(w http.ResponseWriter, r *http.Request) error {
	q := readConsoleQuery(r.URL.Query())
	view := s.consoleView(s.locale(r), q)
	q.Page = view.Page
	for i := range view.Rows {
		view.Rows[i].inWords(s.locale(r))
	}
	p := consolePage{
		layout:      s.sessionLayout(r, "console.title"),
		consoleView: view,
		Asked:       q,
		States:      consoleStates,
		Sizes:       pageSizes,
		Numbers:     pageNumbers(view.Page, view.Pages),
		Most:        maxSessions,
	}
	if r.URL.Query().Get("select") == "all" {
		refs, _ := s.hub.Refs(q.consoleFilter.inHub(), maxSessions)
		p.Selected, p.Chosen, p.TooMany = strings.Join(refs, ","), len(refs), refs == nil
	}
	for _, name := range consoleColumns {
		column := consoleColumn{Sort: name}
		desc := ""
		if q.Sort == name {
			column.Sorted = "descending"
			if !q.Desc {
				column.Sorted, desc = "ascending", "true"
			}
		}
		column.Link = p.Link("sort", name, "desc", desc)
		p.Columns = append(p.Columns, column)
	}
	return s.render(w, http.StatusOK, p)
}

// pageNumbers are the pages that a pager leads to: the first, the last, and those around page. 0 is
// a gap. console.js has the same rule.
func pageNumbers(page, pages int) (numbers []int) {
	for n := 1; n <= pages; n++ {
		switch {
		case n == 1 || n == pages || n >= page-1 && n <= page+1:
			numbers = append(numbers, n)
		case numbers[len(numbers)-1] != 0:
			numbers = append(numbers, 0)
		}
	}
	return numbers
}
