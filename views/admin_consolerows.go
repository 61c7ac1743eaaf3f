package views

import (
	"slices"
	"strings"
	"time"

	"curfew/hub"
	"curfew/locale"
	"curfew/session"
)

// The rows of the console: sessions, or users with their sessions.

// consoleRow is a session in the console, or a user with all of theirs that match.
type consoleRow struct {
	Ref         string    `json:"ref,omitempty"`  // of a session
	Refs        []string  `json:"refs,omitempty"` // of a user's sessions
	User        string    `json:"user"`
	Name        string    `json:"name"`
	Groups      string    `json:"groups"`
	State       hub.State `json:"state"` // of a user, that of their most active session
	Tabs        int       `json:"tabs"`
	Hidden      int       `json:"hidden"`
	Unconfirmed int       `json:"unconfirmed"`
	Node        string    `json:"node,omitempty"` // of the newest tab, where there are several nodes
	Device      string    `json:"device"`
	Address     string    `json:"address"`
	Addresses   int       `json:"addresses,omitempty"` // of a user's sessions

	SignedInS int  `json:"signed_in_s"` // seconds ago, see coarse
	ActiveS   int  `json:"active_s"`
	IsOpen    bool `json:"is_open,omitempty"` // the sessions of the user follow
	IsPart    bool `json:"is_part,omitempty"` // one of these sessions

	// the same in words, for pages
	SignedIn string `json:"-"`
	Active   string `json:"-"`
}

// Sessions is how many sessions a row of a user stands for.
func (r consoleRow) Sessions() int { return len(r.Refs) }

// RefList is what the row selects.
func (r consoleRow) RefList() string {
	if r.Ref != "" {
		return r.Ref
	}
	return strings.Join(r.Refs, ",")
}

// coarse is a duration in seconds as far as ago tells it: it changes no more often than the words.
func coarse(d time.Duration) int {
	switch {
	case d < time.Minute:
		return 0
	case d < time.Hour:
		d = d.Truncate(time.Minute)
	case d < 48*time.Hour:
		d = d.Truncate(time.Hour)
	default:
		d = d.Truncate(24 * time.Hour)
	}
	return int(d / time.Second)
}

// inWords has the row say its times.
func (r *consoleRow) inWords(l *locale.Locale) {
	r.SignedIn = ago(l, time.Duration(r.SignedInS)*time.Second)
	r.Active = ago(l, time.Duration(r.ActiveS)*time.Second)
}

// rows draws rows.
type rows struct {
	locale    *locale.Locale // of devices
	now       time.Time
	withNodes bool
}

func (d rows) session(one *hub.Session) consoleRow {
	r := one.Record
	row := consoleRow{
		Ref:         one.Names.Ref,
		User:        r.User,
		Name:        r.Name,
		Groups:      strings.Join(r.GroupNames(), ", "),
		State:       one.State,
		Tabs:        one.Tabs,
		Hidden:      one.Hidden,
		Unconfirmed: one.Unconfirmed,
		Device:      deviceText(r.From()).in(d.locale),
		Address:     r.Address,
		SignedInS:   coarse(d.now.Sub(r.CreatedAt)),
		ActiveS:     coarse(d.now.Sub(one.LastActiveAt)),
	}
	if d.withNodes {
		row.Node = one.Node
	}
	return row
}

// consoleUsers are sessions by their users.
type consoleUsers struct {
	list     []*hub.Session            // one for each user: their newest, with what all of theirs sum up to
	sessions map[string][]*hub.Session // by the folded name
}

func usersOf(sessions []*hub.Session) consoleUsers {
	u := consoleUsers{sessions: make(map[string][]*hub.Session)}
	sums := make(map[string]*hub.Session)
	for _, one := range sessions {
		name := one.Names.User
		u.sessions[name] = append(u.sessions[name], one)
		sum, known := sums[name]
		if !known {
			first := *one
			sums[name] = &first
			u.list = append(u.list, &first)
			continue
		}
		if one.Record.CreatedAt.After(sum.Record.CreatedAt) {
			sum.Record, sum.Names, sum.Node = one.Record, one.Names, one.Node
		}
		if liveliness(one.State) < liveliness(sum.State) {
			sum.State = one.State
		}
		if one.LastActiveAt.After(sum.LastActiveAt) {
			sum.LastActiveAt = one.LastActiveAt
		}
		sum.Tabs += one.Tabs
		sum.Hidden += one.Hidden
		sum.Unconfirmed += one.Unconfirmed
	}
	return u
}

// users are the rows of a part of the list, each followed by its sessions where it is open.
func (d rows) users(u consoleUsers, first, end int, q consoleQuery) []consoleRow {
	open := make(map[string]bool, len(q.Open))
	for _, name := range q.Open {
		open[session.FoldName(name)] = true
	}
	list := []consoleRow{}
	for _, sum := range u.list[first:end] {
		name := sum.Names.User
		row := d.session(sum)
		row.Ref, row.Device, row.Node, row.IsOpen = "", "", "", open[name]
		sessions := u.sessions[name]
		consoleQuery{Sort: "signed_in", Desc: true}.sort(sessions)
		var addresses []string
		for _, one := range sessions {
			row.Refs = append(row.Refs, one.Names.Ref)
			addresses = append(addresses, one.Record.Address)
		}
		slices.Sort(addresses)
		row.Addresses = len(slices.Compact(addresses))
		list = append(list, row)
		if row.IsOpen {
			for _, one := range sessions {
				part := d.session(one)
				part.IsPart = true
				list = append(list, part)
			}
		}
	}
	return list
}
