package hub

import (
	"maps"
	"slices"
	"strings"
	"time"

	"curfew/session"
)

// Pages of long lists, read from the index.

// Place is a place in the list of sessions by sign-in.
type Place struct {
	CreatedAt time.Time
	ID        session.ID
}

// PlaceOf returns the place of a session.
func PlaceOf(s *Session) Place { return Place{s.Record.CreatedAt, s.Record.ID} }

// SessionPage lists the sessions that f picks, newest first, limit of them at most: those behind a
// place, or from the newest on if it is nil. more says that there are others. A User or a Query is
// looked for among all of the user's sessions, or among all; of a Group and a State together the
// smaller one is gone through. Otherwise only the sessions of the page are looked at.
func (h *Hub) SessionPage(f Filter, after *Place, limit int) (page []Session, more bool) {
	page, more, _ = h.sessionPage(f, after, limit)
	return page, more
}

// sessionPage also counts how many sessions it has looked at.
func (h *Hub) sessionPage(f Filter, after *Place, limit int) (page []Session, more bool, looked int) {
	if f.isNamed() || f.Query != "" {
		page, looked = h.pageOfSome(f, after, limit+1)
	} else {
		page, looked = h.pageByIndex(f, after, limit+1)
	}
	if more = len(page) > limit; more {
		page = page[:limit]
	}
	return page, more, looked
}

// pageOfSome sorts what Sessions lists.
func (h *Hub) pageOfSome(f Filter, after *Place, limit int) (page []Session, looked int) {
	list := h.Sessions(f)
	looked = len(list)
	compare := func(a Place, b *Session) int {
		if c := b.Record.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return slices.Compare(b.Record.ID[:], a.ID[:])
	}
	order := make([]*Session, 0, len(list))
	for i := range list {
		if after == nil || compare(*after, &list[i]) < 0 {
			order = append(order, &list[i])
		}
	}
	slices.SortFunc(order, func(a, b *Session) int { return compare(PlaceOf(a), b) })
	for _, one := range order[:min(limit, len(order))] {
		page = append(page, *one)
	}
	return page, looked
}

// pageByIndex reads the index, and then each session of the page, until the page is full.
func (h *Hub) pageByIndex(f Filter, after *Place, limit int) (page []Session, looked int) {
	h.settleIndex()
	now, c := h.clock.Now(), f.compiled()
	var from *placed
	if after != nil {
		from = &placed{after.CreatedAt.UnixMilli(), &liveSession{id: after.ID}}
	}
	for len(page) < limit {
		batch, passed := h.index.behind(c, from, limit-len(page))
		if looked += passed; len(batch) == 0 {
			break
		}
		for _, at := range batch {
			s := at.session
			r, names := s.record.Load(), s.names.Load()
			one, alive := h.listSession(s, now, false)
			if alive && c.picks(r, names) && c.picksNow(&one) {
				one.Record, one.Names = r, names
				page = append(page, one)
			}
		}
		from = &batch[len(batch)-1]
	}
	return page, looked
}

// behind lists sessions older than from that are picked by a filter without User, Ref and Query. It
// lists limit of them at most, and counts how many it has looked at.
func (x *sessionIndex) behind(c compiledFilter, from *placed, limit int) (batch []placed, looked int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list, picks := x.smallestLocked(c, nil)
	take := func(at placed) bool {
		if from != nil && at.compare(*from) == 0 {
			return true
		}
		looked++
		if picks == nil || picks(&at.session.indexed) {
			batch = append(batch, at)
		}
		return len(batch) < limit
	}
	if from == nil {
		list.Reverse(take)
	} else {
		list.Descend(*from, take)
	}
	return batch, looked
}

// UserPage lists the presence of the users who have a session that f picks, in the order of their
// folded names, limit of them at most: those behind a name; an empty one begins with the first. The
// State of f is that of the user and not of one of their sessions. more says that there are others.
// The totals are those of all pages.
func (h *Hub) UserPage(f Filter, after string, limit int) (page []User, more bool, totals Totals) {
	p := userPage{
		from:   session.FoldName(after),
		begins: after == "",
		limit:  limit + 1,
	}
	switch state := f.State; f {
	case Filter{State: state}:
		h.usersByIndex(state, &p)
	case Filter{State: state, Group: f.Group}:
		h.usersOfGroup(f.Group, state, &p)
	default:
		f.State = ""
		users, _ := Users(h.Sessions(f))
		users = slices.DeleteFunc(users, func(u User) bool { return state != "" && state != u.State })
		for _, u := range users {
			sum := Totals{Sessions: u.Sessions, Tabs: u.Tabs, Hidden: u.Hidden, Unconfirmed: u.Unconfirmed}
			p.sums[slices.Index(states, u.State)].add(sum, 1)
			p.take(u)
		}
	}
	totals.States = make(map[State]int)
	for i, sum := range p.sums {
		users := totals.Users + sum.Users
		totals.add(sum, 1)
		totals.Users = users
		totals.States[states[i]] = sum.Users
	}
	if more = len(p.users) > limit; more {
		p.users = p.users[:limit]
	}
	return p.users, more, totals
}

// userPage is a page of users that is being filled in.
type userPage struct {
	from   string // folded: users behind it are listed
	begins bool   // with the first
	limit  int
	users  []User
	sums   [4]Totals // of the users of all pages, by state, without States
}

// take takes a user, who comes behind those taken before, and reports whether the page has room for
// more.
func (p *userPage) take(u User) bool {
	if len(p.users) < p.limit && (p.begins || u.folded > p.from) {
		p.users = append(p.users, u)
	}
	return len(p.users) < p.limit
}

// usersByIndex fills in a page of all users, or of those in a state.
func (h *Hub) usersByIndex(state State, p *userPage) {
	h.settleIndex()
	x := h.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.byName
	for i, one := range states {
		switch state {
		case one:
			list = x.userStates[i]
		case "":
		default:
			continue
		}
		p.sums[i] = x.sums[i]
	}
	list.Ascend(&indexedUser{folded: p.from}, func(u *indexedUser) bool { return p.take(u.presence()) })
}

func (u *indexedUser) presence() User {
	return User{
		User:        u.name,
		State:       states[u.state()],
		Sessions:    int(u.sum.sessions),
		Tabs:        int(u.sum.tabs),
		Hidden:      int(u.sum.hidden),
		Unconfirmed: int(u.sum.unconfirmed),
		folded:      u.folded,
	}
}

// groupSum is what the sessions of a user in a group sum up to. It is small: there is one for each
// user, in the order of their numbers.
type groupSum struct {
	sessions, tabs, hidden, unconfirmed int32
	state                               int8 // its place in states, of the most active session
	shown                               bool // the state is asked for
}

func (sum *groupSum) add(e *indexed) {
	if sum.sessions == 0 || e.state < sum.state {
		sum.state = e.state
	}
	sum.sessions++
	sum.tabs += e.tabs
	sum.hidden += e.hidden
	sum.unconfirmed += e.unconfirmed
}

func (sum *groupSum) totals() Totals {
	return Totals{
		Sessions:    int(sum.sessions),
		Tabs:        int(sum.tabs),
		Hidden:      int(sum.hidden),
		Unconfirmed: int(sum.unconfirmed),
	}
}

// usersOfGroup fills in a page of users by the sessions of the members of a group. It looks at each
// of these sessions once.
func (h *Hub) usersOfGroup(name string, state State, p *userPage) {
	h.settleIndex()
	x := h.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	c := Filter{Group: name}.compiled()
	group := x.groups[c.Group]
	if group == nil || c.nobody {
		return
	}
	sums := make([]groupSum, x.numbersLocked())
	group.sessions.Scan(func(at placed) bool {
		e := &at.session.indexed
		sums[e.number].add(e)
		return true
	})
	for i := range sums {
		sum := &sums[i]
		if sum.shown = sum.sessions > 0 && (state == "" || states[sum.state] == state); sum.shown {
			p.sums[sum.state].add(sum.totals(), 1)
		}
	}
	take := func(u *indexedUser) bool {
		sum := &sums[u.number]
		if !sum.shown {
			return true
		}
		one := sum.totals()
		return p.take(User{u.name, states[sum.state], one.Sessions, one.Tabs, one.Hidden, one.Unconfirmed, u.folded})
	}
	if group.sessions.Len() > len(x.users)/8 {
		x.byName.Ascend(&indexedUser{folded: p.from}, take)
		return
	}
	members := make([]*indexedUser, 0, group.sessions.Len()) // few: soon sorted
	group.sessions.Scan(func(at placed) bool {
		members = append(members, at.session.indexed.user)
		return true
	})
	slices.SortFunc(members, func(a, b *indexedUser) int { return strings.Compare(a.folded, b.folded) })
	for _, u := range slices.Compact(members) {
		if !take(u) {
			break
		}
	}
}

// Overview counts live sessions.
type Overview struct {
	Users       int
	Sessions    int
	Tabs        int
	Unconfirmed int            // sessions with a tab that has not answered its last tick
	States      map[State]int  // sessions
	Groups      map[string]int // sessions by group of their users
	Nodes       map[string]int // sessions by the node of their newest tab
}

// Overview counts all live sessions, by the index.
func (h *Hub) Overview() Overview {
	h.settleIndex()
	x := h.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	o := Overview{
		Users:       len(x.users),
		Sessions:    x.all.Len(),
		Unconfirmed: x.unconfirmed,
		States:      make(map[State]int, len(states)),
		Groups:      make(map[string]int, len(x.groups)),
		Nodes:       maps.Clone(x.nodes),
	}
	for i, state := range states {
		o.States[state] = x.states[i].Len()
		o.Tabs += x.sums[i].Tabs
	}
	for _, g := range x.groups {
		o.Groups[g.name] += g.sessions.Len()
	}
	return o
}

// Among returns those of the sessions that are live, by ref.
func (h *Hub) Among(refs []string) map[string]*Session {
	live := make(map[string]*Session, len(refs))
	now := h.clock.Now()
	for _, ref := range refs {
		for _, s := range h.refs.find(ref) {
			if one, alive := h.listSession(s, now, false); alive {
				one.Record, one.Names = s.record.Load(), s.names.Load()
				live[ref] = &one
			}
		}
	}
	return live
}
