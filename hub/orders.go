package hub

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/session"
)

// Lists whose pages have numbers, in any order. The list by sign-in is read from the index. For
// others the index is gone through once: each session that a filter picks becomes a few bytes that
// say where it belongs, and of these only a page is sorted. Nothing is kept for that in a session,
// and nothing is kept up to date while nobody asks. What a heartbeat needs is not locked meanwhile.

// Order is what a list is sorted by.
type Order string

// The orders of lists. What is equal in one is in the order of the sign-ins.
const (
	BySignIn   Order = "signed_in"
	ByUser     Order = "user"
	ByState    Order = "state" // the most active first
	ByTabs     Order = "tabs"
	ByAddress  Order = "address"
	ByActivity Order = "active" // the last one
)

// Orders are all orders.
var Orders = []Order{BySignIn, ByUser, ByState, ByTabs, ByAddress, ByActivity}

// ListQuery asks for a page of a list.
type ListQuery struct {
	Filter
	Order Order
	Desc  bool // the other way round
	Users bool // the list is one of users, each of whom is sorted by what their sessions that are picked sum up to
	Page  int  // from 1
	Size  int
}

// NumberedPage is a page of a list whose pages have numbers.
type NumberedPage struct {
	Sessions   []Session // of a list of users, those of each user follow each other, newest first
	Number     int       // from 1; the last page where a later one was asked for
	Found      int       // sessions on all pages
	FoundUsers int       // users on all pages of a list of users
	Newest     time.Time // the last sign-in of them; zero without any
}

// SessionPageAt lists a page of sessions, or of users with their sessions. By sign-in it looks at
// the sessions of the page only, if these are all, or those of a group or of a state; otherwise at
// all that may be picked.
func (h *Hub) SessionPageAt(q ListQuery) (p NumberedPage) {
	h.settleIndex()
	list, direct := h.index.page(q, &p)
	if !direct {
		list = h.gather(q).page(q, &p)
	}
	now := h.clock.Now()
	for _, at := range list {
		if one, alive := h.listSession(at.session, now, false); alive {
			one.Record, one.Names = at.session.record.Load(), at.session.names.Load()
			p.Sessions = append(p.Sessions, one)
		}
	}
	return p
}

// bounds sets the number of a page, and returns the part of a list of n that is on it.
func (p *NumberedPage) bounds(q ListQuery, n int) (first, end int) {
	p.Number = max(1, min(q.Page, (n+q.Size-1)/q.Size))
	first, end = (p.Number-1)*q.Size, min(n, p.Number*q.Size)
	if q.Desc {
		first, end = n-end, n-first
	}
	return first, end
}

// page lists a page by sign-in, if the index has the list that it is cut from.
func (x *sessionIndex) page(q ListQuery, p *NumberedPage) (page []placed, direct bool) {
	if q.Users || q.Order != BySignIn || q.Query != "" || q.isNamed() {
		return nil, false
	}
	x.mu.RLock()
	defer x.mu.RUnlock()
	list, picks := x.smallestLocked(q.compiled(), nil)
	if picks != nil {
		return nil, false
	}
	p.Found = list.Len()
	first, end := p.bounds(q, p.Found)
	for i := first; i < end; i++ {
		at, _ := list.GetAt(i)
		page = append(page, at)
	}
	if q.Desc {
		slices.Reverse(page)
	}
	if last, some := list.Max(); some {
		p.Newest = session.FromUnixMilli(last.created)
	}
	return page, true
}

// gathered are the sessions that a filter picks.
type gathered struct {
	sessions []placed  // by sign-in; others may be among them
	keys     []sortKey // of those that are picked, by sign-in
	numbers  []int32   // of the users of sessions; nil unless asked for
	highest  int       // no number is as high
}

// sortKey says where a session belongs, or a user with their newest session. It has no pointers:
// what is sorted lies side by side.
type sortKey struct {
	high, low uint64
	place     int32 // in gathered.sessions; no two have the same
}

func (k *sortKey) compare(other *sortKey) int {
	switch {
	case k.high != other.high:
		return cmp.Compare(k.high, other.high)
	case k.low != other.low:
		return cmp.Compare(k.low, other.low)
	}
	return cmp.Compare(k.place, other.place)
}

// gather goes through the index, and then through the records of what it has found there, if a text
// is looked for. Of addresses the index has those of IPv4, and records the others.
func (h *Hub) gather(q ListQuery) (g gathered) {
	c := q.compiled()
	g = h.index.gather(q, c, h.named(c))
	if c.Query == "" && q.Order != ByAddress {
		return g
	}
	const not = -1
	parallel.Do(h.cores, g.keys, func(chunk []sortKey) {
		for i := range chunk {
			k := &chunk[i]
			s := g.sessions[k.place].session
			if q.Order == ByAddress && k.low == 0 {
				k.high, k.low = addressKey(s.record.Load().Address)
			}
			if c.Query != "" && !c.finds(s.record.Load(), s.names.Load()) {
				k.place = not
			}
		}
	})
	g.keys = slices.DeleteFunc(g.keys, func(k sortKey) bool { return k.place == not })
	return g
}

// gather finds what a filter picks, whatever its Query. named are the sessions that it names.
func (x *sessionIndex) gather(q ListQuery, c compiledFilter, named []*liveSession) (g gathered) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list, picks := x.smallestLocked(c, named)
	key := x.keyLocked(q.Order)
	g.sessions = make([]placed, 0, list.Len())
	g.keys = make([]sortKey, 0, list.Len())
	if q.Users {
		g.highest = x.numbersLocked()
		g.numbers = make([]int32, 0, list.Len())
	}
	list.Scan(func(at placed) bool {
		e := &at.session.indexed
		if picks != nil && !picks(e) {
			return true
		}
		high, low := key(at.session)
		g.keys = append(g.keys, sortKey{high, low, int32(len(g.sessions))})
		g.sessions = append(g.sessions, at)
		if q.Users {
			g.numbers = append(g.numbers, e.number)
		}
		return true
	})
	return g
}

// keyLocked returns what sorts sessions, as sortKey has it. It is called with sessionIndex.mu held.
func (x *sessionIndex) keyLocked(by Order) func(s *liveSession) (high, low uint64) {
	switch by {
	case ByUser:
		ranks := make([]int32, x.numbersLocked())
		next := int32(0)
		x.byName.Scan(func(u *indexedUser) bool {
			ranks[u.number] = next
			next++
			return true
		})
		return func(s *liveSession) (high, low uint64) { return uint64(ranks[s.indexed.number]), 0 }
	case ByState:
		return func(s *liveSession) (high, low uint64) { return uint64(s.indexed.state), 0 }
	case ByTabs:
		return func(s *liveSession) (high, low uint64) { return uint64(s.indexed.tabs), 0 }
	case ByAddress:
		return func(s *liveSession) (high, low uint64) { return ipv4Key(s.indexed.ipv4) }
	case ByActivity:
		return func(s *liveSession) (high, low uint64) { return uint64(s.active.Load()), 0 }
	}
	return func(*liveSession) (high, low uint64) { return 0, 0 } // their places say it
}

// addressKey sorts addresses by their numbers, those of IPv4 as IPv6 has them (RFC 4291, 2.5.5.2).
// What is no address comes first.
func addressKey(address string) (high, low uint64) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return 0, 0
	}
	b := ip.As16()
	return binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
}

// ipv4Key is addressKey of an address of IPv4; 0 for 0.
func ipv4Key(ip uint32) (high, low uint64) {
	if ip == 0 {
		return 0, 0
	}
	return 0, 0xffff<<32 | uint64(ip)
}

// ipv4 is the number of an address of IPv4; 0 for another one.
func ipv4(address string) uint32 {
	ip, err := netip.ParseAddr(address)
	if err != nil || !ip.Is4() {
		return 0
	}
	b := ip.As4()
	return binary.BigEndian.Uint32(b[:])
}

// page lists what stands on a page.
func (g gathered) page(q ListQuery, p *NumberedPage) (page []placed) {
	p.Found = len(g.keys)
	if p.Found > 0 {
		p.Newest = session.FromUnixMilli(g.sessions[g.keys[p.Found-1].place].created)
	}
	keys := g.keys
	if q.Users {
		keys = g.users(q.Order)
		p.FoundUsers = len(keys)
	}
	first, end := p.bounds(q, len(keys))
	sortPart(keys, first, end)
	keys = keys[first:end]
	if q.Desc {
		slices.Reverse(keys)
	}
	if q.Users {
		return g.sessionsOf(keys)
	}
	for _, k := range keys {
		page = append(page, g.sessions[k.place])
	}
	return page
}

// users sums the keys up by user.
func (g gathered) users(by Order) []sortKey {
	users := make([]sortKey, 0, min(len(g.keys), g.highest))
	places := make([]int32, g.highest) // in users, from 1
	for _, k := range g.keys {
		place := &places[g.numbers[k.place]]
		if *place == 0 {
			users = append(users, k)
			*place = int32(len(users))
			continue
		}
		sum := &users[*place-1]
		switch by {
		case ByState:
			sum.high = min(sum.high, k.high)
		case ByTabs:
			sum.high += k.high
		case ByActivity:
			sum.high = max(sum.high, k.high)
		default: // as the newest session
			sum.high, sum.low = k.high, k.low
		}
		sum.place = k.place
	}
	return users
}

// sessionsOf lists the sessions of users.
func (g gathered) sessionsOf(users []sortKey) (list []placed) {
	places := make([]int32, g.highest) // in users, from 1
	for i, u := range users {
		places[g.numbers[u.place]] = int32(i + 1)
	}
	own := make([][]placed, len(users))
	for _, k := range slices.Backward(g.keys) {
		if place := places[g.numbers[k.place]]; place > 0 {
			own[place-1] = append(own[place-1], g.sessions[k.place])
		}
	}
	return slices.Concat(own...)
}

// sortPart puts those keys in order that stand from first to end then. It takes a small part of the
// time of sorting all (Hoare, Algorithm 65: Find).
func sortPart(keys []sortKey, first, end int) {
	sort := func(part []sortKey) {
		slices.SortFunc(part, func(a, b sortKey) int { return a.compare(&b) })
	}
	for from, to := 0, len(keys); ; {
		if to-from <= 2*max(1, end-first) {
			sort(keys[from:to])
			return
		}
		pivot := keys[from+rand.IntN(to-from)]
		less, more := from, to-1
		for less <= more {
			for keys[less].compare(&pivot) < 0 {
				less++
			}
			for keys[more].compare(&pivot) > 0 {
				more--
			}
			if less <= more {
				keys[less], keys[more] = keys[more], keys[less]
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
			sort(keys[from:to])
			return
		}
	}
}

// Refs lists the refs of the sessions that f picks, and counts them. If they are more than most, it
// lists none.
func (h *Hub) Refs(f Filter, most int) (refs []string, found int) {
	h.settleIndex()
	g := h.gather(ListQuery{Filter: f})
	if len(g.keys) > most {
		return nil, len(g.keys)
	}
	refs = make([]string, len(g.keys))
	for i, k := range g.keys {
		refs[i] = g.sessions[k.place].session.names.Load().Ref
	}
	return refs, len(refs)
}

// CountNewer counts the sessions that f picks and that were signed in after an instant. It looks at
// newer ones only.
func (h *Hub) CountNewer(f Filter, than time.Time) (n int) {
	h.settleIndex()
	c := f.compiled()
	for _, at := range h.index.newer(c, h.named(c), than.UnixMilli()) {
		if c.finds(at.session.record.Load(), at.session.names.Load()) {
			n++
		}
	}
	return n
}

// newer lists what a filter picks, whatever its Query, and was signed in after an instant.
func (x *sessionIndex) newer(c compiledFilter, named []*liveSession, than int64) (newer []placed) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list, picks := x.smallestLocked(c, named)
	list.Reverse(func(at placed) bool {
		if at.created <= than {
			return false
		}
		if picks == nil || picks(&at.session.indexed) {
			newer = append(newer, at)
		}
		return true
	})
	return newer
}
