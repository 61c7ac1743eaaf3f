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
	if f.User != "" || f.Query != "" || f.Ref != "" {
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
	for len(page) < limit && !c.nobody {
		batch, passed := h.index.behind(c, from, limit-len(page))
		if looked += passed; len(batch) == 0 {
			break
		}
		for _, at := range batch {
			s := at.session
			r, names := s.record.Load(), s.names.Load()
			one, alive := h.listSession(s, now, false)
			if alive && c.picks(r, names) && (f.State == "" || f.State == one.State) {
				one.Record, one.Names = r, names
				page = append(page, one)
			}
		}
		from = &batch[len(batch)-1]
	}
	return page, looked
}

// behind lists sessions of a group and of a state, either of which may be empty, that are older
// than from. It lists limit of them at most, and counts how many it has looked at.
func (x *sessionIndex) behind(c compiledFilter, from *placed, limit int) (batch []placed, looked int) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list, picks := x.smallestLocked(c)
	if list == nil {
		return nil, 0
	}
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

// smallestLocked returns the smallest list that has all sessions of the filter's group and state,
// and a function that picks them; it is nil where the list has no others. The list is nil where
// there is none.
func (x *sessionIndex) smallestLocked(c compiledFilter) (list *sessionList, picks func(*indexed) bool) {
	list = x.all
	var group *indexedGroup
	if c.Group != "" {
		if group = x.groups[c.Group]; group == nil {
			return nil, nil
		}
		list = group.sessions
	}
	if c.State == "" {
		return list, nil
	}
	state := slices.Index(states, c.State)
	switch {
	case state < 0:
		return nil, nil
	case group == nil:
		return x.states[state], nil
	case x.states[state].Len() < list.Len():
		return x.states[state], func(e *indexed) bool { return slices.Contains(e.groups, group) }
	}
	return list, func(e *indexed) bool { return int(e.state) == state }
}

// UserPage lists the presence of the users who have a session that f picks, in the order of the
// names, limit of them at most: those behind a name; an empty one begins with the first. The State
// of f is that of the user and not of one of their sessions. more says that there are others. The
// totals are those of all pages.
func (h *Hub) UserPage(f Filter, after string, limit int) (page []User, more bool, totals Totals) {
	totals.States = make(map[State]int)
	if f.User == "" && f.Query == "" && f.Group == "" && f.Ref == "" {
		page = h.usersByIndex(f.State, after, limit+1, &totals)
	} else {
		page = h.usersOfSome(f, after, limit+1, &totals)
	}
	if more = len(page) > limit; more {
		page = page[:limit]
	}
	return page, more, totals
}

// usersByIndex is UserPage for all users, or those in a state.
func (h *Hub) usersByIndex(state State, after string, limit int, totals *Totals) (page []User) {
	h.settleIndex()
	x := h.index
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.byName
	for i, one := range states {
		switch {
		case state == one:
			list = x.userStates[i]
		case state != "":
			continue
		}
		sum := x.sums[i]
		totals.States[one] = sum.Users
		users := totals.Users + sum.Users
		totals.add(sum, 1)
		totals.Users = users
	}
	list.Ascend(&indexedUser{name: after}, func(u *indexedUser) bool {
		if after == "" || u.name > after {
			page = append(page, u.presence())
		}
		return len(page) < limit
	})
	return page
}

func (u *indexedUser) presence() User {
	return User{
		User:        u.name,
		State:       states[u.state()],
		Sessions:    u.sum.Sessions,
		Tabs:        u.sum.Tabs,
		Hidden:      u.sum.Hidden,
		Unconfirmed: u.sum.Unconfirmed,
	}
}

// usersOfSome sums up sessions that a filter picks. The sessions of a group are read from the
// index.
func (h *Hub) usersOfSome(f Filter, after string, limit int, totals *Totals) (page []User) {
	state := f.State
	f.State = ""
	var users []User
	if f.Group != "" && f.User == "" && f.Query == "" && f.Ref == "" {
		users = h.usersOfGroup(f)
	} else {
		users, _ = Users(h.Sessions(f))
	}
	users = slices.DeleteFunc(users, func(u User) bool { return state != "" && state != u.State })
	for _, u := range users {
		totals.add(Totals{Sessions: u.Sessions, Tabs: u.Tabs, Hidden: u.Hidden, Unconfirmed: u.Unconfirmed}, 1)
		totals.States[u.State]++
	}
	byName := func(u User, name string) int { return strings.Compare(u.User, name) }
	first, _ := slices.BinarySearchFunc(users, after, byName)
	if first < len(users) && after != "" && users[first].User == after {
		first++
	}
	return users[first:min(len(users), first+limit)]
}

// usersOfGroup lists the users with a session of a member of a group. Of a small group it sorts
// them; otherwise it goes through all users in their order.
func (h *Hub) usersOfGroup(f Filter) (users []User) {
	h.settleIndex()
	x, c := h.index, f.compiled()
	x.mu.RLock()
	defer x.mu.RUnlock()
	group := x.groups[c.Group]
	if group == nil || c.nobody {
		return nil
	}
	places := make([]int32, len(x.users)+len(x.free)) // in list, from 1, by the users' numbers
	list := make([]User, 0, min(group.sessions.Len(), len(x.users)))
	group.sessions.Scan(func(at placed) bool {
		e := &at.session.indexed
		place := &places[e.user.number]
		if *place == 0 {
			list = append(list, User{User: e.user.name, State: states[e.state]})
			*place = int32(len(list))
		}
		u := &list[*place-1]
		if own := states[e.state]; own != u.State && slices.Index(states, own) < slices.Index(states, u.State) {
			u.State = own
		}
		u.Sessions++
		u.Tabs += int(e.tabs)
		u.Hidden += int(e.hidden)
		u.Unconfirmed += int(e.unconfirmed)
		return true
	})
	if few := len(x.users) / 8; len(list) < few {
		slices.SortFunc(list, func(a, b User) int { return strings.Compare(a.User, b.User) })
		return list
	}
	users = make([]User, 0, len(list))
	x.byName.Scan(func(u *indexedUser) bool {
		if place := places[u.number]; place > 0 {
			users = append(users, list[place-1])
		}
		return true
	})
	return users
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

// NumberedPage is a page of a list whose pages have numbers.
type NumberedPage struct {
	Sessions []Session
	Number   int       // from 1; the last page where a later one was asked for
	Found    int       // sessions on all pages
	Newest   time.Time // the last sign-in of them; zero without any
}

// SessionPageAt lists the sessions of a group and of a state, either of which may be empty, by
// their sign-ins: oldest first, or newest first. It looks at the sessions of the page only, unless
// both are given.
func (h *Hub) SessionPageAt(group string, state State, newestFirst bool, number, size int) (p NumberedPage) {
	h.settleIndex()
	c := Filter{Group: group, State: state}.compiled()
	var list []placed
	h.index.mu.RLock()
	if sessions, picks := h.index.smallestLocked(c); sessions != nil && !c.nobody {
		list = p.cut(sessions, picks, newestFirst, number, size)
	}
	h.index.mu.RUnlock()
	p.Number = max(1, p.Number)
	now := h.clock.Now()
	for _, at := range list {
		if one, alive := h.listSession(at.session, now, false); alive {
			one.Record, one.Names = at.session.record.Load(), at.session.names.Load()
			p.Sessions = append(p.Sessions, one)
		}
	}
	return p
}

// cut lists the sessions of a page, and sets everything else of p.
func (p *NumberedPage) cut(
	all *sessionList,
	picks func(*indexed) bool,
	newestFirst bool,
	number, size int,
) (list []placed) {
	p.Found = all.Len()
	at := func(i int) placed { one, _ := all.GetAt(i); return one }
	if picks != nil {
		var picked []placed
		all.Scan(func(one placed) bool {
			if picks(&one.session.indexed) {
				picked = append(picked, one)
			}
			return true
		})
		p.Found = len(picked)
		at = func(i int) placed { return picked[i] }
	}
	if p.Found == 0 {
		return nil
	}
	p.Newest = session.FromUnixMilli(at(p.Found - 1).created)
	p.Number = max(1, min(number, (p.Found+size-1)/size))
	for i := (p.Number - 1) * size; i < min(p.Found, p.Number*size); i++ {
		if newestFirst {
			list = append(list, at(p.Found-1-i))
		} else {
			list = append(list, at(i))
		}
	}
	return list
}

// CountNewer counts the sessions of a group and of a state, either of which may be empty, that were
// signed in after an instant. It looks at newer ones only.
func (h *Hub) CountNewer(group string, state State, than time.Time) (n int) {
	h.settleIndex()
	c := Filter{Group: group, State: state}.compiled()
	h.index.mu.RLock()
	defer h.index.mu.RUnlock()
	list, picks := h.index.smallestLocked(c)
	if list == nil || c.nobody {
		return 0
	}
	list.Reverse(func(at placed) bool {
		newer := at.created > than.UnixMilli()
		if newer && (picks == nil || picks(&at.session.indexed)) {
			n++
		}
		return newer
	})
	return n
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
