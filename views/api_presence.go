package views

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"curfew/hub"
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
	state := q.state() // of the user, not of one of their sessions
	users, totals := hub.Users(s.hub.Sessions(hub.Filter{
		User:  q.text("user"),
		Group: q.text("group"),
		Query: q.text("q"),
	}))
	if state != "" {
		all := users
		users, totals = nil, hub.Totals{States: make(map[hub.State]int)}
		for _, u := range all {
			if u.State == state {
				users = append(users, u)
				totals.Users++
				totals.Sessions += u.Sessions
				totals.Tabs += u.Tabs
				totals.Hidden += u.Hidden
				totals.Unconfirmed += u.Unconfirmed
				totals.States[state]++
			}
		}
	}
	items := make([]userJSON, len(users))
	for i, u := range users {
		items[i] = userJSON{u.User, u.State, u.Sessions, u.Tabs, u.Hidden, u.Unconfirmed}
	}
	isAfter := func(u userJSON, cursor string) bool { return u.User > cursor }
	p := paged(items, q, func(u userJSON) string { return u.User }, isAfter)
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

// sessionKey orders sessions, newest first.
func sessionKey(s hub.Session) string {
	const digits = 18
	ms := strings.Repeat("0", digits) + strconv.FormatInt(s.Record.CreatedAt.UnixMilli(), 10)
	return ms[len(ms)-digits:] + s.Record.ID.String()
}

func (s *Server) apiSessions(r *http.Request, _ caller) (any, error) {
	q := readListParams(r, "user", "group", "state", "q")
	found := s.hub.Sessions(hub.Filter{
		User:  q.text("user"),
		Group: q.text("group"),
		State: q.state(),
		Query: q.text("q"),
	})
	keys := make(map[*hub.Session]string, len(found))
	list := make([]*hub.Session, len(found))
	for i := range found {
		list[i] = &found[i]
		keys[list[i]] = sessionKey(found[i])
	}
	slices.SortFunc(list, func(a, b *hub.Session) int { return strings.Compare(keys[b], keys[a]) })
	isAfter := func(s *hub.Session, cursor string) bool { return keys[s] < cursor }
	p := paged(list, q, func(s *hub.Session) string { return keys[s] }, isAfter)
	items := make([]sessionJSON, len(p.Items))
	for i, s := range p.Items {
		items[i] = sessionOf(*s)
	}
	return listPage[sessionJSON]{items, p.NextCursor}, q.err
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
