package hub

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/session"
)

// randomAddress is one of few, so that many sessions have the same.
func randomAddress(random *rand.Rand) string {
	switch random.IntN(8) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("2001:db8::%x", random.IntN(20))
	}
	return fmt.Sprintf("10.0.%d.%d", random.IntN(2), random.IntN(20))
}

// fillRandomly registers sessions that differ in everything that lists are sorted and filtered by.
func (r *rig) fillRandomly(random *rand.Rand, sessions, users int) {
	now := session.Millis(time.Now())
	ago := func() time.Time { return now.Add(-time.Duration(random.IntN(590)) * time.Second) }
	for range sessions {
		n := random.IntN(users)
		one := session.Record{
			ID:        session.NewToken().ID(),
			User:      fmt.Sprintf("%s-%d", []string{"user", "User"}[n%2], n),
			Name:      fmt.Sprintf("N° %d", n),
			Address:   randomAddress(random),
			Policy:    r.Policies().For(nil),
			Groups:    []session.Group{{Name: "staff"}, {Name: fmt.Sprintf("team-%d", n%3)}},
			CreatedAt: ago(),
		}
		quiet := now.Sub(one.CreatedAt) * time.Duration(random.IntN(11)) / 10
		one.LastActiveAt = session.Millis(now.Add(-quiet))
		if n < 2 {
			one.Groups = append(one.Groups, session.Group{Name: "rare"})
		}
		s, _ := r.register(one)
		r.reportTabs(s, random)
	}
}

// reportTabs has another node report tabs of a session, or none.
func (r *rig) reportTabs(s *liveSession, random *rand.Rand) {
	s.mu.Lock()
	s.elsewhere = nil
	if tabs := random.IntN(4); tabs > 0 {
		s.elsewhere = []cluster.TabReport{{
			Node:        fmt.Sprintf("node-%d", random.IntN(3)),
			Tabs:        tabs,
			Unconfirmed: random.IntN(2),
			Opened:      time.Now().UnixMilli(),
		}}
	}
	s.mu.Unlock()
	r.index.touch(s)
}

func randomQuery(random *rand.Rand) (q ListQuery) {
	one := func(values ...string) string {
		if random.IntN(2) == 0 {
			return ""
		}
		return values[random.IntN(len(values))]
	}
	q = ListQuery{
		Order: Orders[random.IntN(len(Orders))],
		Desc:  random.IntN(2) == 0,
		Users: random.IntN(2) == 0,
		Size:  1 + random.IntN(9),
	}
	q.State = State(one("active", "idle", "warned", "away"))
	q.Group = one("staff", "Team-1", "rare", "nobodys")
	switch random.IntN(6) { // each of these leaves few
	case 0:
		q.User = one("USER-3", "nobody", "user-4")
	case 1:
		q.Node = one("node-1", "node-2")
	case 2:
		q.Address = one("10.0.1.", "2001:")
	case 3:
		q.Unconfirmed = true
	case 4:
		q.Query = one("R-1", "n° 2", "10.0.0.1")
	}
	return q
}

// plainOrder compares sessions, of which none are equal.
func plainOrder(by Order, a, b *Session) int {
	ip := func(s *Session) netip.Addr {
		ip, err := netip.ParseAddr(s.Record.Address)
		if err != nil {
			ip = netip.IPv6Unspecified()
		}
		return netip.AddrFrom16(ip.As16())
	}
	c := map[Order]int{
		ByUser:     strings.Compare(a.Names.User, b.Names.User),
		ByState:    slices.Index(liveliness, a.State) - slices.Index(liveliness, b.State),
		ByTabs:     a.Tabs - b.Tabs,
		ByAddress:  ip(a).Compare(ip(b)),
		ByActivity: a.LastActiveAt.Compare(b.LastActiveAt),
	}[by]
	return cmp.Or(c, a.Record.CreatedAt.Compare(b.Record.CreatedAt), slices.Compare(a.Record.ID[:], b.Record.ID[:]))
}

// plainList is what a query lists on all its pages, by sorting all sessions: the refs of each row.
func plainList(r *rig, q ListQuery) (rows []string) {
	sessions := r.Sessions(q.Filter)
	slices.SortFunc(sessions, func(a, b Session) int { return plainOrder(BySignIn, &b, &a) }) // newest first
	type row struct {
		Session
		refs []string
	}
	var list []*row
	byUser := make(map[string]*row)
	for _, s := range sessions {
		sum := byUser[s.Names.User]
		if sum == nil || !q.Users {
			sum = &row{Session: s}
			byUser[s.Names.User] = sum
			list = append(list, sum)
		} else {
			sum.Tabs += s.Tabs
			if slices.Index(liveliness, s.State) < slices.Index(liveliness, sum.State) {
				sum.State = s.State
			}
			if s.LastActiveAt.After(sum.LastActiveAt) {
				sum.LastActiveAt = s.LastActiveAt
			}
		}
		sum.refs = append(sum.refs, s.Names.Ref)
	}
	slices.SortFunc(list, func(a, b *row) int { return plainOrder(q.Order, &a.Session, &b.Session) })
	if q.Desc {
		slices.Reverse(list)
	}
	for _, row := range list {
		rows = append(rows, strings.Join(row.refs, " "))
	}
	return rows
}

// wantOrdered holds all pages of a query against a plain sort.
func wantOrdered(t *testing.T, r *rig, q ListQuery) {
	t.Helper()
	want, all := plainList(r, q), r.Sessions(q.Filter)
	var got []string
	var last NumberedPage
	for q.Page = 1; ; q.Page++ {
		p := r.SessionPageAt(q)
		if p.Number < q.Page || p.Found == 0 {
			break
		}
		before := len(got)
		user := ""
		for _, s := range p.Sessions {
			if q.Users && s.Names.User == user {
				got[len(got)-1] += " " + s.Names.Ref
			} else {
				got = append(got, s.Names.Ref)
			}
			user = s.Names.User
		}
		if rows := len(got) - before; rows > q.Size {
			t.Errorf("%+v: %d rows on a page", q, rows)
		}
		last = p
	}
	if !slices.Equal(got, want) {
		t.Fatalf("%+v lists\n%q, want\n%q", q, got, want)
	}
	users := 0
	if q.Users {
		users = len(want)
	}
	if last.Found != len(all) || last.FoundUsers != users {
		t.Errorf("%+v finds %d sessions of %d users, want %d of %d", q, last.Found, last.FoundUsers, len(all), users)
	}
	var newest time.Time
	for _, s := range all {
		if s.Record.CreatedAt.After(newest) {
			newest = s.Record.CreatedAt
		}
	}
	if !last.Newest.Equal(newest) {
		t.Errorf("%+v: the newest is of %s, want %s", q, last.Newest, newest)
	}
	refs, found := r.Refs(q.Filter, len(all))
	slices.Sort(refs)
	if found != len(all) || !slices.Equal(refs, slices.Sorted(slices.Values(strings.Fields(strings.Join(want, " "))))) {
		t.Errorf("%+v: the refs of %d are %q", q, found, refs)
	}
	if len(all) > 0 {
		if refs, found := r.Refs(q.Filter, len(all)-1); refs != nil || found != len(all) {
			t.Errorf("%+v: %d refs of %d, want none of too many", q, len(refs), found)
		}
	}
	than := time.Now().Add(-5 * time.Minute)
	newer := len(slices.DeleteFunc(all, func(s Session) bool { return !s.Record.CreatedAt.After(than) }))
	if n := r.CountNewer(q.Filter, than); n != newer {
		t.Errorf("%+v: %d are newer, want %d", q, n, newer)
	}
}

func TestEveryOrderIsThatOfAPlainSort(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, standard)
		random := rand.New(rand.NewPCG(3, 4))
		r.fillRandomly(random, 120, 80)
		// the index may be a millisecond behind: it is not asked at the instant of a change
		pass(2 * time.Millisecond)
		wantIndexed(t, r)
		for range 400 {
			wantOrdered(t, r, randomQuery(random))
		}
		// as sessions change, and time passes
		for range 100 {
			all := r.allSessions()
			slices.SortFunc(all, func(a, b *liveSession) int { return slices.Compare(a.id[:], b.id[:]) })
			s := all[random.IntN(len(all))]
			switch random.IntN(4) {
			case 0:
				r.unregister(s)
			case 1:
				r.heartbeat(s, 0)
			case 2:
				r.reportTabs(s, random)
			default:
				r.fillRandomly(random, 1, 80)
			}
			pass(time.Duration(random.IntN(3))*time.Second + 2*time.Millisecond)
			wantOrdered(t, r, randomQuery(random))
		}
	})
}

func TestAPartIsSortedAsAllAre(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	keys := make([]sortKey, 97)
	for i := range keys {
		keys[i] = sortKey{random.Uint64N(3), random.Uint64N(3), int32(i)}
	}
	want := slices.Clone(keys)
	slices.SortFunc(want, func(a, b sortKey) int {
		return cmp.Or(cmp.Compare(a.high, b.high), cmp.Compare(a.low, b.low), cmp.Compare(a.place, b.place))
	})
	for first := 0; first < len(keys); first += 10 {
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		end := min(first+10, len(keys))
		if sortPart(keys, first, end); !slices.Equal(keys[first:end], want[first:end]) {
			t.Errorf("from %d: %v, want %v", first, keys[first:end], want[first:end])
		}
	}
}

// BenchmarkLists measures pages among 100,000 sessions of almost as many users and addresses.
func BenchmarkLists(b *testing.B) {
	const sessions, day = 100_000, 24 * time.Hour
	r := startHub(b, session.Policy{WarnAfter: 10 * time.Hour, ExpireAfter: 11 * time.Hour, MaxLifetime: day})
	now := session.Millis(time.Now())
	random := rand.New(rand.NewPCG(7, 8))
	for i := range sessions {
		name := fmt.Sprintf("user-%06d", random.IntN(1_000_000))
		r.register(session.Record{
			ID:           session.NewToken().ID(),
			User:         name,
			Login:        name,
			Groups:       []session.Group{{Name: "staff"}, {Name: fmt.Sprintf("team-%02d", i%100)}},
			Address:      fmt.Sprintf("10.%d.%d.%d", random.IntN(256), random.IntN(256), random.IntN(256)),
			Policy:       r.Policies().For(nil),
			CreatedAt:    now.Add(-time.Duration(i) * 30 * time.Millisecond),
			LastActiveAt: now.Add(-time.Duration(random.IntN(3600)) * time.Second),
		})
	}
	r.settleIndex()
	for _, users := range []bool{false, true} {
		for _, order := range Orders {
			for _, f := range []Filter{{}, {Group: "staff", State: StateAway}} {
				q := ListQuery{Filter: f, Order: order, Users: users, Page: 1, Size: 200}
				b.Run(fmt.Sprintf("%s/users=%t/%s%s", order, users, f.Group, f.State), func(b *testing.B) {
					for b.Loop() {
						r.SessionPageAt(q)
					}
				})
			}
		}
	}
	for _, f := range []Filter{{}, {Group: "staff"}, {Group: "staff", State: StateAway}, {Group: "team-42"}} {
		b.Run(fmt.Sprintf("presence/%s%s", f.Group, f.State), func(b *testing.B) {
			for b.Loop() {
				r.UserPage(f, "user-5", 100)
			}
		})
	}
}
