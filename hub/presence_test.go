package hub

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis/redistest"
)

// wantsPresence waits for what a watching tab is told of one user.
func (p *page) wantsPresence(user string, state State, after time.Duration) {
	p.t.Helper()
	m := p.Wants(wire.KindPresence, after)
	if users := m["users"].(map[string]any); len(users) != 1 || users[user] != string(state) {
		p.t.Errorf("presence = %v after %s, want %s of %s", users, after, state, user)
	}
}

func TestWatchedPresenceFollows(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada", "admins")
		watcher := ada.openTab()
		watcher.Send(`{"type":"watch","users":["grace","nobody","grace"]}`)
		m := watcher.Next(wire.KindPresence)
		users := m["users"].(map[string]any)
		if len(users) != 2 || users["grace"] != "gone" || users["nobody"] != "gone" {
			t.Errorf("first presence = %v", users)
		}
		beat := func() { watcher.Send(`{"type":"activity","idle_ms":0}`) } // the watcher stays
		grace := hub.signIn("grace")
		watcher.wantsPresence("grace", StateAway, 0)
		tab := grace.openTab()
		watcher.wantsPresence("grace", StateActive, 0)
		watcher.wantsPresence("grace", StateIdle, time.Minute+time.Millisecond)
		tab.Send(`{"type":"activity","idle_ms":0}`)
		tab.Next(wire.KindActive)
		watcher.wantsPresence("grace", StateActive, time.Minute+time.Millisecond)
		watcher.wantsPresence("grace", StateIdle, 2*time.Minute+2*time.Millisecond)
		pass(5 * time.Minute)
		beat()
		watcher.Next(wire.KindActive)
		watcher.wantsPresence("grace", StateWarned, 10*time.Minute+time.Millisecond)
		tab.Next(wire.KindWarn)
		beat()
		watcher.Next(wire.KindActive)
		tab.Send(`{"type":"confirm"}`)
		tab.Next(wire.KindActive)
		watcher.wantsPresence("grace", StateActive, 10*time.Minute+time.Millisecond)
		// a second, livelier session, and its end
		hub.logout(LogoutRequest{Scope: grace.scope()})
		watcher.wantsPresence("grace", StateGone, 10*time.Minute+time.Millisecond)
	})
}

func TestNavigationDoesNotFlicker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		watcher := hub.signIn("ada", "admins").openTab()
		grace := hub.signIn("grace")
		tab := grace.openTab()
		watcher.Send(`{"type":"watch","users":["grace"]}`)
		watcher.wantsPresence("grace", StateActive, 0)
		tab.Leave(wire.LeftNavigate)
		pass(2 * time.Second)
		tab = grace.openTab()
		pass(10 * time.Second)
		watcher.Silent()
		tab.Conn.CloseNow() // lost, and not back in time
		watcher.wantsPresence("grace", StateAway, 12*time.Second+awayAfter)
		tab = grace.openTab()
		watcher.wantsPresence("grace", StateActive, 17*time.Second)
		tab.Leave("close")
		watcher.wantsPresence("grace", StateAway, 17*time.Second)
	})
}

func TestPresenceIsToldToThoseOnlyWhoMayWatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada", "admins"), hub.signIn("grace")
		tab := grace.openTab()
		tab.Send(`{"type":"watch","users":["ada"]}`)
		if m := tab.Next(wire.KindPresence); len(m["users"].(map[string]any)) != 0 {
			t.Errorf("grace was told %v", m)
		}
		admin := ada.openTab()
		admin.Send(`{"type":"watch","users":["grace"]}`)
		admin.wantsPresence("grace", StateActive, 0)
		// the right is taken at once
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
			t.Fatal(err)
		}
		if m := admin.Next(wire.KindPresence); len(m["users"].(map[string]any)) != 0 {
			t.Errorf("a former admin was told %v", m)
		}
		tab.Leave("close")
		pass(10 * time.Second)
		admin.Silent()
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || len(r.Groups) != 1 ||
			r.Groups[0].Name != "staff" {
			t.Errorf("stored groups = %v, %v", r.Groups, err)
		}
	})
}

func TestPagesWithoutAdministratorsWatchOnlyWhatAnybodyMay(t *testing.T) {
	for presence, want := range map[PresenceFor]int{PresenceOff: 0, PresenceAdmins: 0, PresenceUsers: 1} {
		bubble(t, func(t *testing.T) {
			hub := startHub(t, standard)
			hub.presence = presence
			ada := hub.signIn("ada", "admins")
			hub.signIn("grace")
			at := ada.at()
			at.Header.Set("X-Without-Admins", "yes")
			tab := hubtest.Open(t, at)
			tab.Send(`{"type":"watch","users":["grace"]}`)
			if m := tab.Next(wire.KindPresence); len(m["users"].(map[string]any)) != want {
				t.Errorf("presence for %s: told %v, want %d users", presence, m, want)
			}
			if presence != PresenceAdmins {
				return
			}
			with := ada.openTab() // of the same session
			with.Send(`{"type":"watch","users":["grace"]}`)
			with.wantsPresence("grace", StateAway, 0)
			if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
				t.Fatal(err)
			}
			if m := with.Next(wire.KindPresence); len(m["users"].(map[string]any)) != 0 {
				t.Errorf("a former admin was told %v", m)
			}
			tab.Silent()
		})
	}
}

func TestWatchingNamesAnewReplacesThoseBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		watcher := hub.signIn("ada", "admins").openTab()
		watcher.Send(`{"type":"watch","users":["grace"]}`)
		watcher.Next(wire.KindPresence)
		watcher.Send(`{"type":"watch","users":["linus"]}`)
		watcher.wantsPresence("linus", StateGone, 0)
		hub.signIn("grace")
		watcher.Silent()
		hub.signIn("linus")
		watcher.wantsPresence("linus", StateAway, 0)
		watcher.Send(`{"type":"watch","users":[]}`)
		watcher.Next(wire.KindPresence)
		watcher.Send(`{"type":"watch","users":["` + strings.Repeat(`x","`, wire.MaxWatched) + `x"]}`)
		watcher.WantsClose(wire.StatusBreach, socket.ErrBreach.Error())
		synctest.Wait()
		for i := range hub.users.parts { // nothing is left of those who were watched only
			for name := range hub.users.parts[i].byName {
				if name != "ada" && name != "grace" && name != "linus" {
					t.Errorf("%q is still known", name)
				}
			}
		}
	})
}

func TestUnansweredTickMakesATabUnconfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		grace := hub.signIn("grace")
		grace.openTab().Send(`{"type":"visibility","hidden":true}`) // answers its ticks
		mute, _, err := grace.dial()
		if err != nil {
			t.Fatal(err)
		}
		defer mute.CloseNow()
		go func() {
			for {
				if _, _, err := mute.Read(t.Context()); err != nil {
					return
				}
			}
		}()
		pass(20 * time.Second)
		only := func() Session {
			t.Helper()
			list := hub.Sessions(Filter{Ref: grace.token.ID().Ref()})
			if len(list) != 1 || list[0].Tabs != 2 || len(list[0].OpenTabs) != 2 || list[0].Node != "node-1" {
				t.Fatalf("sessions = %+v", list)
			}
			return list[0]
		}
		if s := only(); s.Unconfirmed != 0 || s.Hidden != 1 {
			t.Errorf("before any tick: %+v", s)
		}
		pass(tickEvery + answerWait)
		synctest.Wait()
		if s := only(); s.Unconfirmed != 1 {
			t.Errorf("%d tabs are unconfirmed, want the one that does not answer", s.Unconfirmed)
		}
		users, totals := Users(hub.Sessions(Filter{}))
		if len(users) != 1 || users[0].Tabs != 2 || users[0].Unconfirmed != 1 || totals.Users != 1 ||
			totals.States[StateActive] != 1 {
			t.Errorf("users = %+v, totals = %+v", users, totals)
		}
		if len(hub.Sessions(Filter{Query: "GRA"})) != 1 || len(hub.Sessions(Filter{Query: "ada"})) != 0 ||
			len(hub.Sessions(Filter{State: StateWarned})) != 0 {
			t.Error("the filters do not filter")
		}
		mute.Close(websocket.StatusNormalClosure, "")
	})
}

func TestSessionThatEndsWhileItIsAdmittedLeavesNothing(t *testing.T) {
	hub := startHub(t, standard)
	r := session.Record{ID: session.NewToken().ID(), User: "ada", Policy: standard}
	s, _ := hub.shardOf(r.ID).add(r, nil)
	hub.unregister(s) // another node's word of its end
	hub.addToUser(s)
	if list := hub.sessionsOf("ada"); len(list) != 0 {
		t.Errorf("%d sessions are left of one that has ended", len(list))
	}
}

// TestWatchRacesChanges asks for a user's presence while it changes: what the page was told last is
// the truth.
func TestWatchRacesChanges(t *testing.T) {
	hub := startHub(t, standard)
	watcher := hub.signIn("ada", "admins").openTab()
	grace := hub.signIn("grace")
	for range 50 {
		done := make(chan *page)
		go func() { done <- grace.openTab() }()
		watcher.Send(`{"type":"watch","users":["grace"]}`)
		tab := <-done
		last := State("")
		for last != StateActive { // stays away for ever if an old state came last
			last = State(watcher.Next(wire.KindPresence)["users"].(map[string]any)["grace"].(string))
		}
		tab.Leave("close")
		for last != StateAway {
			last = State(watcher.Next(wire.KindPresence)["users"].(map[string]any)["grace"].(string))
		}
	}
}

func TestHistoryTellsEndsByReasonAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ends := func() map[session.Reason]int {
			sum := map[session.Reason]int{}
			for _, sample := range hub.History() {
				for reason, n := range sample.Ends {
					sum[reason] += n
				}
			}
			return sum
		}
		for _, name := range []string{"ada", "grace"} {
			u := hub.signIn(name)
			_, err := hub.End(t.Context(), u.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		hub.signIn("linus")
		for range 3 { // with and without samples in between
			if got := ends(); got[session.ReasonLogout] != 2 || got[session.ReasonIdle] != 0 {
				t.Errorf("ends = %v, want 2 by logout", got)
			}
			pass(sampleEvery)
		}
		pass(10 * time.Minute)
		if got := ends(); got[session.ReasonLogout] != 2 || got[session.ReasonIdle] != 1 {
			t.Errorf("ends = %v, want 2 by logout, 1 idle", got)
		}
		pass(time.Hour)
		if got := ends(); len(got) != 0 {
			t.Errorf("ends = %v after more than an hour, want none", got)
		}
	})
}

func TestAwayOnSeveralNodes(t *testing.T) {
	server := redistest.Start(t)
	a, b := startNode(t, server, "a", standard, nil), startNode(t, server, "b", standard, nil)
	cases := []struct {
		name  string
		leave func(*page)
		after time.Duration // when both nodes say away: not before, and within a second after
	}{
		{"closed", func(p *page) { p.Leave("close") }, 0},
		{"led on by a link", func(p *page) { p.Leave(wire.LeftNavigate) }, awayAfter},
		{"lost", func(p *page) { p.Conn.CloseNow() }, awayAfter},
		{"closed after a navigation elsewhere", func(p *page) {
			a.Navigated(p.t.Context(), p.token.ID())
			s := b.lookup(p.token.ID())
			// until then it can only take it for a closing
			within(t, time.Second, "b knows of the navigation", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return !s.tabTimes.AskedAt.IsZero()
			})
			p.Leave("close")
		}, awayAfter},
	}
	tabs := make([]*page, len(cases))
	left := make([]time.Time, len(cases))
	for i, c := range cases {
		tabs[i] = b.signIn(c.name).openTab()
		within(t, 3*time.Second, "a knows the tab", func() bool { return a.tabsOf(c.name) == 1 })
	}
	for i, c := range cases {
		left[i] = time.Now()
		c.leave(tabs[i])
	}
	seen := make(map[string]bool)
	within(t, awayAfter+2*time.Second, "all are away", func() bool {
		for i, c := range cases {
			for _, node := range []*rig{a, b} {
				status, err := node.Check(t.Context(), tabs[i].token.ID())
				if err != nil {
					t.Fatal(err)
				}
				what := "what was " + c.name + ", on " + node.node
				if after := time.Since(left[i]); status.State == StateAway && !seen[what] {
					seen[what] = true
					if after < c.after || after > c.after+time.Second {
						t.Errorf("%s: away after %s, want %s", what, after, c.after)
					}
				}
			}
		}
		return len(seen) == 2*len(cases)
	})
}
