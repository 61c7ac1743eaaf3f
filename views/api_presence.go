package views

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"curfew/hub"
	"curfew/session"
)

// Who is here, for the API.

type userJSON struct {
	User        string    `json:"user"`
	State       hub.State `json:"state"`
	Sessions    int       `json:"sessions"`
	Tabs        int       `json:"tabs"`
	Hidden      int       `json:"hidden"`
	Unconfirmed int       `json:"unconfirmed"`
}

type totalsJSON struct {
	Users       int            `json:"users"`
	Sessions    int            `json:"sessions"`
	Tabs        int            `json:"tabs"`
	Hidden      int            `json:"hidden"`
	Unconfirmed int            `json:"unconfirmed"`
	States      map[string]int `json:"states"`
}

func totalsOf(t hub.Totals) totalsJSON {
	states := make(map[string]int)
	for _, state := range []hub.State{hub.StateActive, hub.StateIdle, hub.StateWarned, hub.StateAway} {
		states[string(state)] = t.States[state]
	}
	return totalsJSON{t.Users, t.Sessions, t.Tabs, t.Hidden, t.Unconfirmed, states}
}

func (s *Server) apiPresence(r *http.Request, _ caller) (any, error) {
	q := readListParams(r, "user", "group", "state", "q")
	users, more, totals := s.hub.UserPage(q.filter(), q.cursor(), q.limit()) // its state is the user's
	items := make([]userJSON, len(users))
	for i, u := range users {
		items[i] = userJSON{u.User, u.State, u.Sessions, u.Tabs, u.Hidden, u.Unconfirmed}
	}
	p := listPage[userJSON]{Items: items}
	if more {
		p.NextCursor = encodeCursor(items[len(items)-1].User)
	}
	return struct {
		listPage[userJSON]
		Totals totalsJSON `json:"totals"`
	}{p, totalsOf(totals)}, q.err
}

type sessionJSON struct {
	Ref          string    `json:"ref"`
	User         string    `json:"user"`
	Name         string    `json:"name"`
	Groups       []string  `json:"groups"`
	Address      string    `json:"address"`
	Agent        string    `json:"agent"`
	Node         string    `json:"node"`
	CreatedAt    instant   `json:"created_at"`
	LastActiveAt instant   `json:"last_active_at"`
	ExpiresAt    instant   `json:"expires_at"`
	State        hub.State `json:"state"`
	Tabs         int       `json:"tabs"`
	OpenTabs     []tabJSON `json:"open_tabs,omitzero"`
}

type tabJSON struct {
	Tab         string  `json:"tab"`
	Node        string  `json:"node"`
	Hidden      bool    `json:"hidden"`
	Unconfirmed bool    `json:"unconfirmed"`
	OpenedAt    instant `json:"opened_at"`
	Path        string  `json:"path,omitempty"`
}

func sessionOf(s hub.Session) sessionJSON {
	r := s.Record
	return sessionJSON{
		Ref:          r.ID.Ref(),
		User:         r.User,
		Name:         r.Name,
		Groups:       r.GroupNames(),
		Address:      r.Address,
		Agent:        r.Agent,
		Node:         s.Node,
		CreatedAt:    instant(r.CreatedAt),
		LastActiveAt: instant(s.LastActiveAt),
		ExpiresAt:    instant(s.ExpiresAt),
		State:        s.State,
		Tabs:         s.Tabs,
	}
}

// sessionKeyDigits is how many digits the time of a sign-in has in a cursor, in Unix ms.
const sessionKeyDigits = 18

// sessionKey is the place of a session, for a cursor.
func sessionKey(s *hub.Session) string {
	return fmt.Sprintf("%0*d%s", sessionKeyDigits, s.Record.CreatedAt.UnixMilli(), s.Record.ID)
}

// place is where the page before has ended in the list of sessions; nil for the first page.
func (q *listParams) place() *hub.Place {
	key := q.cursor()
	if key == "" {
		return nil
	}
	var p hub.Place
	ms, err := int64(0), errors.New("too short")
	if len(key) > sessionKeyDigits {
		ms, err = strconv.ParseInt(key[:sessionKeyDigits], 10, 64)
	}
	if err != nil || p.ID.UnmarshalText([]byte(key[sessionKeyDigits:])) != nil {
		q.refuse("cursor: must be the next_cursor of the page before")
		return nil
	}
	p.CreatedAt = session.FromUnixMilli(ms)
	return &p
}

// filter picks sessions, or users.
func (q *listParams) filter() hub.Filter {
	return hub.Filter{
		User:  q.text("user"),
		Group: q.text("group"),
		State: q.state(),
		Query: q.text("q"),
	}
}

func (s *Server) apiSessions(r *http.Request, _ caller) (any, error) {
	q := readListParams(r, "user", "group", "state", "q")
	page, more := s.hub.SessionPage(q.filter(), q.place(), q.limit())
	p := listPage[sessionJSON]{Items: make([]sessionJSON, len(page))}
	for i, one := range page {
		p.Items[i] = sessionOf(one)
	}
	if more {
		p.NextCursor = encodeCursor(sessionKey(&page[len(page)-1]))
	}
	return p, q.err
}

func (s *Server) apiSession(r *http.Request, _ caller) (any, error) {
	found := s.hub.Sessions(hub.Filter{Ref: r.PathValue("ref")})
	if len(found) != 1 {
		return nil, errNoSuch
	}
	return oneSession(found[0]), nil
}

// oneSession is a session with its tabs.
func oneSession(s hub.Session) sessionJSON {
	one := sessionOf(s)
	one.OpenTabs = []tabJSON{}
	for _, t := range s.OpenTabs {
		one.OpenTabs = append(one.OpenTabs, tabJSON{t.ID, t.Node, t.Hidden, t.Unconfirmed, instant(t.OpenedAt), t.Path})
	}
	return one
}
