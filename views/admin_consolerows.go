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

func (d rows) sessions(list []hub.Session) []consoleRow {
	rows := make([]consoleRow, len(list))
	for i := range list {
		rows[i] = d.session(&list[i])
	}
	return rows
}

// users are the rows of users, each followed by those of their sessions where it is open. The
// sessions of a user follow each other, newest first.
func (d rows) users(list []hub.Session, open []string) []consoleRow {
	isOpen := make(map[string]bool, len(open))
	for _, name := range open {
		isOpen[session.FoldName(name)] = true
	}
	rows := []consoleRow{}
	for len(list) > 0 {
		name, end := list[0].Names.User, 1
		for end < len(list) && list[end].Names.User == name {
			end++
		}
		row := d.user(list[:end])
		row.IsOpen = isOpen[name]
		rows = append(rows, row)
		if row.IsOpen {
			for _, part := range d.sessions(list[:end]) {
				part.IsPart = true
				rows = append(rows, part)
			}
		}
		list = list[end:]
	}
	return rows
}

// user is the row of a user with these sessions, newest first: it looks like the newest, with what
// all of them sum up to.
func (d rows) user(sessions []hub.Session) consoleRow {
	sum := sessions[0]
	for _, one := range sessions[1:] {
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
	row := d.session(&sum)
	row.Ref, row.Device, row.Node = "", "", ""
	addresses := make([]string, len(sessions))
	for i := range sessions {
		row.Refs = append(row.Refs, sessions[i].Names.Ref)
		addresses[i] = sessions[i].Record.Address
	}
	slices.Sort(addresses)
	row.Addresses = len(slices.Compact(addresses))
	return row
}
