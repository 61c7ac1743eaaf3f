package hub

import (
	"bytes"
	"cmp"
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tidwall/btree"

	"curfew/session"
)

// The index of the live sessions: in the order of their sign-ins, all of them and by group and
// state; and their users in the order of the names. Lists and counts are read from it, so that a
// page looks at its own sessions and not at all.
//
// Whatever may change what the index says of a session calls touch, which is cheap. settleIndex
// then brings the index up to date. It is called before the index is read, and from time to time so
// that there is little to do then. What a session has by then is read again from the session itself
// when it is listed.

// states are the states of live sessions, the most active first. The index knows each by its place.
var states = liveliness[:4]

// placed is a session in a list by sign-in.
type placed struct {
	created int64 // Unix ms
	session *liveSession
}

func (p placed) compare(q placed) int {
	c := cmp.Compare(p.created, q.created)
	if c == 0 && p.session != q.session {
		c = bytes.Compare(p.session.id[:], q.session.id[:])
	}
	return c
}

// sessionList are sessions in the order of their sign-ins.
type sessionList = btree.BTreeG[placed]

func newSessionList() *sessionList {
	less := func(a, b placed) bool { return a.compare(b) < 0 }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// userList are users in the order of their folded names.
type userList = btree.BTreeG[*indexedUser]

func newUserList() *userList {
	less := func(a, b *indexedUser) bool { return a.folded < b.folded }
	return btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})
}

// sessionIndex is the index of the live sessions. Its zero value is of no use; see newSessionIndex.
type sessionIndex struct {
	touched  touched
	settling sync.Mutex // held by settleIndex; whoever waits for it reads an index that is settled

	mu     sync.RWMutex
	all    *sessionList
	states [4]*sessionList // by the place of the state in states
	groups map[string]*indexedGroup
	nodes  map[string]int // sessions by the node of their newest tab
	timed  timedQueue     // those whose state may change by time alone

	unconfirmed int // sessions with an unconfirmed tab

	users      map[string]*indexedUser // by folded name
	free       []int                   // numbers below the highest that no user has
	byName     *userList
	userStates [4]*userList
	sums       [4]Totals // of the users in each state, without States
}

// touched are the sessions of which the index may be wrong.
type touched struct {
	mu       sync.Mutex
	sessions []*liveSession
}

// indexedGroup is a group with the sessions of its members.
type indexedGroup struct {
	name     string // as the first of them has it
	folded   string
	sessions *sessionList
}

// indexedUser is a user with what their sessions sum up to.
type indexedUser struct {
	name   string // as the first of the sessions has it
	folded string
	number int      // of no other user; the highest is no more than there were users at once
	states [4]int32 // sessions by state
	sum    userSum
}

// userSum is what the sessions of a user sum up to.
type userSum struct{ sessions, tabs, hidden, unconfirmed int32 }

func (u userSum) totals() Totals {
	return Totals{Sessions: int(u.sessions), Tabs: int(u.tabs), Hidden: int(u.hidden), Unconfirmed: int(u.unconfirmed)}
}

// state is the place of the state of the most active session; 4 without sessions.
func (u *indexedUser) state() int {
	for i, n := range u.states {
		if n > 0 {
			return i
		}
	}
	return len(u.states)
}

// indexed is what the index says of a session. It is guarded by sessionIndex.mu.
type indexed struct {
	in          bool  // the session is in the index
	state       int8  // its place in states
	number      int32 // of user, so that a walk need not look there
	tabs        int32
	hidden      int32
	unconfirmed int32
	ipv4        uint32 // the address of the record; 0: it is another one
	created     int64
	node        string
	record      *session.Record // the groups are those of this record
	groups      []*indexedGroup
	user        *indexedUser
	timed       int // its place in sessionIndex.timed, counted from 1; 0: it has none
}

// timedEntry says when the state of a session may change by time.
type timedEntry struct {
	at      int64 // Unix ms
	session *liveSession
}

// timedQueue is a heap, earliest first. A session has one entry at most, and knows its place.
type timedQueue []timedEntry

func (q timedQueue) Len() int           { return len(q) }
func (q timedQueue) Less(i, j int) bool { return q[i].at < q[j].at }
func (q timedQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].session.indexed.timed, q[j].session.indexed.timed = i+1, j+1
}

func (q *timedQueue) Push(x any) {
	*q = append(*q, x.(timedEntry))
	x.(timedEntry).session.indexed.timed = len(*q)
}

func (q *timedQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = timedEntry{}
	*q = (*q)[:len(*q)-1]
	last.session.indexed.timed = 0
	return last
}

func newSessionIndex() *sessionIndex {
	x := &sessionIndex{
		all:    newSessionList(),
		groups: make(map[string]*indexedGroup),
		nodes:  make(map[string]int),
		users:  make(map[string]*indexedUser),
		byName: newUserList(),
	}
	for i := range states {
		x.states[i], x.userStates[i] = newSessionList(), newUserList()
	}
	return x
}

// touch notes that the index may be wrong about s. Any lock may be held.
func (x *sessionIndex) touch(s *liveSession) {
	if s.touched.Load() || !s.touched.CompareAndSwap(false, true) {
		return
	}
	x.touched.mu.Lock()
	x.touched.sessions = append(x.touched.sessions, s)
	x.touched.mu.Unlock()
}

// settledAtOnce bounds how long the index is locked.
const settledAtOnce = 500

// settleIndex brings the index up to date.
func (h *Hub) settleIndex() {
	x := h.index
	x.settling.Lock()
	defer x.settling.Unlock()
	x.touched.mu.Lock()
	list := x.touched.sessions
	x.touched.sessions = nil
	x.touched.mu.Unlock()
	slices.SortFunc(list, func(a, b *liveSession) int { // as in the lists: neighbours are found at once
		return cmp.Compare(a.created.Load(), b.created.Load())
	})
	for chunk := range slices.Chunk(list, settledAtOnce) {
		x.mu.Lock()
		for _, s := range chunk {
			s.touched.Store(false) // before s is looked at, so that a later change touches it again
			h.reindexLocked(s)
		}
		x.mu.Unlock()
	}
	for more := true; more; {
		now := h.clock.Now().UnixMilli()
		x.mu.Lock()
		for range settledAtOnce {
			if more = len(x.timed) > 0 && x.timed[0].at <= now; !more {
				break
			}
			h.reindexLocked(heap.Pop(&x.timed).(timedEntry).session)
		}
		x.mu.Unlock()
	}
}

// reindexLocked makes the index say of s what is so. sessionIndex.mu is held.
func (h *Hub) reindexLocked(s *liveSession) {
	x, e := h.index, &s.indexed
	now := h.clock.Now()
	one, next, alive := h.glance(s, now)
	if !alive || s.shard.lookup(s.id) != s {
		if e.in {
			x.removeLocked(s)
		}
		return
	}
	r := s.record.Load()
	if e.in && (e.record != r || e.created != s.created.Load()) {
		x.removeLocked(s)
	}
	state := int8(slices.Index(states, one.State))
	if !e.in {
		x.insertLocked(s, r, state)
	}
	x.setLocked(s, state, &one)
	if !next.IsZero() {
		x.wakeByLocked(s, next.UnixMilli()+1)
	}
}

// wakeByLocked has the index look at s again at an instant, unless it will do so earlier.
func (x *sessionIndex) wakeByLocked(s *liveSession, at int64) {
	switch place := s.indexed.timed - 1; {
	case place < 0:
		heap.Push(&x.timed, timedEntry{at, s})
	case at < x.timed[place].at:
		x.timed[place].at = at
		heap.Fix(&x.timed, place)
	}
}

// glance returns how s is at now, as far as the index tells it, and when that may change by time
// alone.
func (h *Hub) glance(s *liveSession, now time.Time) (one Session, next time.Time, alive bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.end != nil {
		return one, next, false
	}
	state, again := s.stateLocked(now)
	one = Session{State: state, Tabs: s.tabsLocked()}
	h.listTabsLocked(&one, s, false)
	_, next = s.phaseLocked(s.policy.Load(), now)
	if again > 0 && !next.IsZero() && now.Add(again).Before(next) {
		next = now.Add(again)
	}
	return one, next, true
}

func (x *sessionIndex) insertLocked(s *liveSession, r *session.Record, state int8) {
	e := &s.indexed
	e.in, e.state, e.created, e.record = true, state, s.created.Load(), r
	e.ipv4 = ipv4(r.Address)
	at := placed{e.created, s}
	if old, known := x.all.Set(at); known { // of the same ID: it has left the registry, and is touched soon
		x.removeLocked(old.session)
		x.all.Set(at)
	}
	x.states[state].Set(at)
	names := s.names.Load()
	e.groups = make([]*indexedGroup, 0, len(names.Groups))
	for i, group := range names.Groups {
		g := x.groups[group.Name]
		if g == nil {
			g = &indexedGroup{group.Name, group.Name, newSessionList()}
			if i < len(r.Groups) { // else the names are newer than r, and s is touched again
				g.name = r.Groups[i].Name
			}
			x.groups[group.Name] = g
		}
		if !slices.Contains(e.groups, g) {
			g.sessions.Set(at)
			e.groups = append(e.groups, g)
		}
	}
	u := x.users[names.User]
	if u == nil {
		u = &indexedUser{name: r.User, folded: names.User, number: len(x.users)}
		if n := len(x.free); n > 0 {
			u.number, x.free = x.free[n-1], x.free[:n-1]
		}
		x.users[names.User] = u
		x.byName.Set(u)
	}
	e.user, e.number = u, int32(u.number)
	x.changeUserLocked(u, func() {
		u.states[state]++
		u.sum.sessions++
	})
}

func (x *sessionIndex) removeLocked(s *liveSession) {
	e := &s.indexed
	x.setLocked(s, e.state, &Session{})
	at := placed{e.created, s}
	x.all.Delete(at)
	x.states[e.state].Delete(at)
	for _, g := range e.groups {
		if g.sessions.Delete(at); g.sessions.Len() == 0 {
			delete(x.groups, g.folded)
		}
	}
	u := e.user
	x.changeUserLocked(u, func() {
		u.states[e.state]--
		u.sum.sessions--
	})
	if u.sum.sessions == 0 {
		delete(x.users, u.folded)
		x.free = append(x.free, u.number)
		x.byName.Delete(u)
	}
	if e.timed > 0 {
		heap.Remove(&x.timed, e.timed-1)
	}
	*e = indexed{}
}

// setLocked notes the state and the tabs of a session in the index.
func (x *sessionIndex) setLocked(s *liveSession, state int8, one *Session) {
	e := &s.indexed
	tabs, hidden, unconfirmed := int32(one.Tabs), int32(one.Hidden), int32(one.Unconfirmed)
	if e.node != one.Node {
		x.countNodeLocked(e.node, -1)
		x.countNodeLocked(one.Node, 1)
		e.node = one.Node
	}
	if state == e.state && tabs == e.tabs && hidden == e.hidden && unconfirmed == e.unconfirmed {
		return
	}
	if state != e.state {
		at := placed{e.created, s}
		x.states[e.state].Delete(at)
		x.states[state].Set(at)
	}
	x.unconfirmed += min(1, int(unconfirmed)) - min(1, int(e.unconfirmed))
	u := e.user
	x.changeUserLocked(u, func() {
		u.states[e.state]--
		u.states[state]++
		u.sum.tabs += tabs - e.tabs
		u.sum.hidden += hidden - e.hidden
		u.sum.unconfirmed += unconfirmed - e.unconfirmed
	})
	e.state, e.tabs, e.hidden, e.unconfirmed = state, tabs, hidden, unconfirmed
	s.unconfirmedTabs.Store(unconfirmed > 0)
}

func (x *sessionIndex) countNodeLocked(node string, n int) {
	if node == "" {
		return
	}
	if x.nodes[node] += n; x.nodes[node] == 0 {
		delete(x.nodes, node)
	}
}

// changeUserLocked has change change a user, and keeps the sums and the lists of users by state.
func (x *sessionIndex) changeUserLocked(u *indexedUser, change func()) {
	before := u.state()
	if before < len(states) {
		x.sums[before].add(u.sum.totals(), -1)
	}
	change()
	after := u.state()
	if after < len(states) {
		x.sums[after].add(u.sum.totals(), 1)
	}
	if before == after {
		return
	}
	if before < len(states) {
		x.userStates[before].Delete(u)
	}
	if after < len(states) {
		x.userStates[after].Set(u)
	}
}

// add adds the sums of a user, or with -1 takes them away.
func (t *Totals) add(u Totals, sign int) {
	t.Users += sign
	t.Sessions += sign * u.Sessions
	t.Tabs += sign * u.Tabs
	t.Hidden += sign * u.Hidden
	t.Unconfirmed += sign * u.Unconfirmed
}

// numbersLocked is how many numbers users have: the highest is one less.
func (x *sessionIndex) numbersLocked() int { return len(x.users) + len(x.free) }

// smallestLocked returns a small list that has all sessions of a filter, and a function that picks
// them, whatever the Query; it is nil where the list has no others. named are the sessions of the
// User or the Ref that the filter has.
func (x *sessionIndex) smallestLocked(
	c compiledFilter,
	named []*liveSession,
) (list *sessionList, picks func(*indexed) bool) {
	state := slices.Index(states, c.State)
	var group *indexedGroup
	if c.Group != "" {
		group = x.groups[c.Group]
	}
	switch {
	case c.nobody, c.State != "" && state < 0, c.Group != "" && group == nil:
		return newSessionList(), nil
	case c.isNamed():
		list = newSessionList()
		for _, s := range named {
			if e := &s.indexed; e.in && c.names(e.user.folded, s.names.Load().Ref) {
				list.Set(placed{e.created, s})
			}
		}
	default:
		list = x.all
		if state >= 0 {
			list = x.states[state]
		}
		if group != nil && group.sessions.Len()/2 <= list.Len() { // a state is looked up sooner than groups
			list, group = group.sessions, nil
		} else {
			state = -1
		}
	}
	if state < 0 && group == nil && c.Node == "" && c.Address == "" && !c.Unconfirmed {
		return list, nil
	}
	return list, func(e *indexed) bool {
		return (state < 0 || int(e.state) == state) &&
			(group == nil || slices.Contains(e.groups, group)) &&
			(c.Node == "" || e.node == c.Node) &&
			(!c.Unconfirmed || e.unconfirmed > 0) &&
			(c.Address == "" || strings.HasPrefix(e.record.Address, c.Address))
	}
}
