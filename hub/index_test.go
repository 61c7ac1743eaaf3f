package hub

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

// wantIndexed holds what is read from the index against a walk through all sessions.
func wantIndexed(t *testing.T, r *rig) {
	t.Helper()
	for _, state := range append([]State{""}, states...) {
		for _, group := range []string{"", "staff", "Team-1", "rare", "nobodys"} {
			f := Filter{State: state, Group: group}
			want, _ := r.pageOfSome(f, nil, 1000)
			var got []Session
			for more, after := true, (*Place)(nil); more; {
				var page []Session
				page, more = r.SessionPage(f, after, 3)
				if got = append(got, page...); len(got) > 0 {
					place := PlaceOf(&got[len(got)-1])
					after = &place
				}
			}
			if !slices.Equal(refsOf(got), refsOf(want)) {
				t.Errorf("%+v lists %q, want %q", f, refsOf(got), refsOf(want))
			}
			wantNumbered(t, r, f, want)
			users, _ := Users(r.Sessions(Filter{Group: group}))
			users = slices.DeleteFunc(users, func(u User) bool { return state != "" && u.State != state })
			var listed []User
			var totals Totals
			for more, after := true, ""; more; {
				var page []User
				page, more, totals = r.UserPage(f, after, 2)
				if listed = append(listed, page...); len(listed) > 0 {
					after = listed[len(listed)-1].User
				}
			}
			if len(users)+len(listed) > 0 && !reflect.DeepEqual(listed, users) {
				t.Errorf("%+v lists users %+v, want %+v", f, listed, users)
			}
			sum := Totals{Users: len(users)}
			for _, u := range users {
				sum.Sessions += u.Sessions
				sum.Tabs += u.Tabs
				sum.Hidden += u.Hidden
				sum.Unconfirmed += u.Unconfirmed
				if totals.States[u.State] == 0 {
					t.Errorf("%+v counts no user as %s", f, u.State)
				}
			}
			if totals.States = nil; !reflect.DeepEqual(totals, sum) {
				t.Errorf("%+v counts %+v, want %+v", f, totals, sum)
			}
		}
	}
}

// wantOverview holds the counts of the index against a walk through all sessions.
func wantOverview(t *testing.T, r *rig) {
	t.Helper()
	all := r.Sessions(Filter{})
	_, totals := Users(all)
	want := Overview{
		Users:    totals.Users,
		Sessions: totals.Sessions,
		Tabs:     totals.Tabs,
		States:   map[State]int{StateActive: 0, StateIdle: 0, StateWarned: 0, StateAway: 0},
		Groups:   make(map[string]int),
		Nodes:    make(map[string]int),
	}
	for _, s := range all {
		want.States[s.State]++
		want.Unconfirmed += min(1, s.Unconfirmed)
		for _, g := range s.Names.Groups {
			want.Groups[g.Name]++
		}
		if s.Node != "" {
			want.Nodes[s.Node]++
		}
	}
	got := r.Overview()
	groups := make(map[string]int)
	for name, n := range got.Groups {
		groups[session.FoldName(name)] += n
	}
	if got.Groups = groups; !reflect.DeepEqual(got, want) {
		t.Errorf("the overview is %+v, want %+v", got, want)
	}
}

// wantTimed holds what the index looks at again in time: its sessions, each once at most.
func wantTimed(t *testing.T, r *rig) {
	t.Helper()
	r.settleIndex()
	r.index.mu.RLock()
	defer r.index.mu.RUnlock()
	for i, e := range r.index.timed {
		if !e.session.indexed.in || e.session.indexed.timed != i+1 {
			t.Errorf("entry %d of the timed ones is of a session that has %d: %+v", i+1, e.session.indexed.timed, e)
		}
	}
	if timed, all := len(r.index.timed), r.index.all.Len(); timed > all {
		t.Errorf("%d entries of %d sessions are timed", timed, all)
	}
}

// wantNumbered holds pages with numbers against the sessions that they are to list.
func wantNumbered(t *testing.T, r *rig, f Filter, want []Session) {
	t.Helper()
	for _, newestFirst := range []bool{true, false} {
		var numbered []Session
		for number := 1; ; number++ {
			p := r.SessionPageAt(ListQuery{Filter: f, Order: BySignIn, Desc: newestFirst, Page: number, Size: 3})
			if p.Found != len(want) {
				t.Errorf("%+v counts %d, want %d", f, p.Found, len(want))
			}
			if p.Number < number || p.Found == 0 {
				break
			}
			numbered = append(numbered, p.Sessions...)
		}
		if !newestFirst {
			slices.Reverse(numbered)
		}
		if !slices.Equal(refsOf(numbered), refsOf(want)) {
			t.Errorf("%+v by number lists %q, want %q", f, refsOf(numbered), refsOf(want))
		}
	}
	if len(want) > 0 {
		middle := want[len(want)/2].Record.CreatedAt
		newer := slices.IndexFunc(want, func(s Session) bool { return !s.Record.CreatedAt.After(middle) })
		if n := r.CountNewer(f, middle); n != newer {
			t.Errorf("%+v counts %d as newer, want %d", f, n, newer)
		}
	}
}

func refsOf(list []Session) (refs []string) {
	for _, s := range list {
		refs = append(refs, s.Names.Ref+" "+string(s.State))
	}
	return refs
}

func TestPagesFromTheIndexAreThoseOfAWalkThroughAllSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, standard)
		random := rand.New(rand.NewPCG(1, 2))
		for step := range 150 {
			all := r.allSessions()
			slices.SortFunc(all, func(a, b *liveSession) int {
				return strings.Compare(a.record.Load().User, b.record.Load().User)
			})
			var s *liveSession
			if len(all) > 0 {
				s = all[random.IntN(len(all))]
			}
			switch what := random.IntN(8); {
			case what < 2 || s == nil:
				ada := r.signIn(fmt.Sprint("user-", random.IntN(12)), "staff", fmt.Sprint("team-", random.IntN(3)))
				if random.IntN(2) == 0 {
					tab := ada.openTab()
					switch random.IntN(3) {
					case 0:
						tab.Send(`{"type":"visibility","hidden":true}`)
					case 1:
						tab.Leave("close")
					}
				}
			case what == 2:
				if r.heartbeat(s, 0); random.IntN(2) == 0 {
					r.Act(t.Context(), s.id, 0, true)
				}
			case what == 3:
				end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
				if _, err := r.End(t.Context(), s.id, end); err != nil {
					t.Fatal(err)
				}
			case what == 4:
				if err := r.setGroups(t.Context(), s.id, []string{fmt.Sprint("Team-", random.IntN(3))}); err != nil {
					t.Fatal(err)
				}
			default:
				pass(time.Duration(random.IntN(100)) * time.Second)
			}
			synctest.Wait()
			wantIndexed(t, r)
			wantTimed(t, r)
			if wantOverview(t, r); t.Failed() {
				t.Fatalf("after step %d", step)
			}
		}
	})
}

func TestTheIndexKeepsOneTimeOfASession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		ada.openTab()
		s := ada.lookup(ada.token.ID())
		for range 5 {
			pass(activeFor + time.Second) // it is idle
			ada.heartbeat(s, 0)
			synctest.Wait()
			wantTimed(t, ada.rig)
		}
		end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
		if _, err := ada.End(t.Context(), s.id, end); err != nil {
			t.Fatal(err)
		}
		wantTimed(t, ada.rig)
	})
}

// TestTheIndexTellsTwoSessionsOfOneIDApart: a session may be registered again, as by a late message
// of its sign-in, before the index hears that the one before is gone.
func TestTheIndexTellsTwoSessionsOfOneIDApart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		old := hub.lookup(hub.signIn("ada", "staff").token.ID())
		hub.settleIndex()
		old.shard.remove(old)
		hub.register(*old.record.Load())
		hub.settleIndex()
		hub.index.touch(old)
		hub.removeFromUser(old)
		for range 2 { // the second time with somebody else of the group
			wantIndexed(t, hub)
			wantTimed(t, hub)
			wantOverview(t, hub)
			hub.signIn("grace", "staff")
		}
	})
}

// A page of many sessions costs what its own sessions cost.
func TestAPageLooksAtNoOtherSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, standard)
		for i := range 200 {
			r.signIn(fmt.Sprint("user-", i), "staff", fmt.Sprint("team-", i%2))
		}
		pass(10 * time.Second) // nobody has a tab: all are away
		for _, f := range []Filter{{}, {Group: "staff"}, {Group: "team-1"}, {State: StateAway}, {State: StateWarned}} {
			_, _, looked := r.sessionPage(f, nil, 10)
			if looked > 11 {
				t.Errorf("a page of 10 of %+v looks at %d sessions, want one more than its own at most", f, looked)
			}
		}
		page, _, _ := r.sessionPage(Filter{}, nil, 100)
		last := PlaceOf(&page[99])
		if _, _, looked := r.sessionPage(Filter{}, &last, 10); looked > 11 {
			t.Errorf("a page of 10 in the middle looks at %d sessions, want one more than its own at most", looked)
		}
	})
}
