package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// newerEvery is how often a node asks the store for what one of a later version has told; it is the
// cluster's own.
const newerEvery = 5 * time.Second

// laterVersion says what a hub says in a way that this version cannot read, as a node that was
// upgraded first may.
type laterVersion struct{ session.SharedStore }

func (l laterVersion) Publish(ctx context.Context, data []byte) error {
	return l.SharedStore.Publish(ctx, rewrite(data, func(m map[string]any) {
		m["v"] = m["v"].(float64) + 1
		m["events"] = map[string]any{"packed": m["events"]}
	}))
}

// laterRelease says it in this version, with more than this release knows.
type laterRelease struct{ session.SharedStore }

func (l laterRelease) Publish(ctx context.Context, data []byte) error {
	return l.SharedStore.Publish(ctx, rewrite(data, func(m map[string]any) {
		m["colour"] = "green"
		events := []any{map[string]any{"kind": "of-tomorrow", "id": session.NewToken().ID()}}
		for _, e := range m["events"].([]any) {
			e.(map[string]any)["colour"] = "green"
			events = append(events, e)
		}
		m["events"] = events
	}))
}

func rewrite(data []byte, change func(m map[string]any)) []byte {
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		panic(err)
	}
	change(m)
	data, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	return data
}

// A message may overtake another: that of an end may come before that of the sign-in.
func TestASignInThatIsHeardOfAfterItsEndShowsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	r := session.Record{
		ID:        session.NewToken().ID(),
		User:      "ada",
		Policy:    standard,
		CreatedAt: session.Millis(time.Now()),
	}
	r.LastActiveAt = r.CreatedAt
	begun := func(r session.Record) map[string]any {
		t.Helper()
		data, err := r.Encode()
		if err != nil {
			t.Fatal(err)
		}
		return map[string]any{"kind": "begun", "id": r.ID, "record": json.RawMessage(data)}
	}
	other := r
	other.ID, other.User = session.NewToken().ID(), "linus"
	data, err := json.Marshal(map[string]any{"v": 1, "node": "b/1", "name": "b", "n": 1, "events": []map[string]any{
		{"kind": "ended", "id": r.ID, "end": session.End{Reason: session.ReasonLogout, At: time.Now()}},
		begun(r),
		begun(other),
	}})
	if err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "a session that has not ended is shown", func() bool {
		// a may not have subscribed yet
		if err := a.store.(session.SharedStore).Publish(t.Context(), data); err != nil {
			t.Fatal(err)
		}
		return len(a.sessionsOf("linus")) == 1
	})
	if n := len(a.sessionsOf("ada")); n != 0 {
		t.Error("a session is shown whose end was heard of first")
	}
}

// A rolling upgrade runs two versions side by side: what a newer node says and an older one cannot
// read is found in the store.
func TestNodesOfTwoVersions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		make func(session.SharedStore) session.SharedStore
		twoVersions
	}{
		{"of the same message version", func(p session.SharedStore) session.SharedStore { return laterRelease{p} },
			twoVersions{closes: soon / 2, counts: soon}},
		{"of a later message version", func(p session.SharedStore) session.SharedStore { return laterVersion{p} },
			twoVersions{closes: soon, counts: newerEvery + soon}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := standard
			p.WarnAfter, p.ExpireAfter = 9*time.Second, 40*time.Second
			v := test.twoVersions
			v.older = startNode(t, server, "older", p, nil)
			v.newer = startNode(t, server, "newer", p, test.make)
			v.checkTabsAndEnd(t, p)
			v.checkForcedLogouts(t)
		})
	}
}

const soon = 2 * time.Second // within which a node acts on what it reads, without any messages

// twoVersions are two nodes, of which the older one may not understand the newer one.
type twoVersions struct {
	older, newer *rig
	closes       time.Duration // within which an end on the newer node closes the tabs of the older one
	counts       time.Duration // within which the older one sees the newer one's tabs
}

// checkTabsAndEnd follows a session of the newer node, with tabs at both, from its beginning to its
// end.
func (v twoVersions) checkTabsAndEnd(t *testing.T, p session.Policy) {
	t.Helper()
	ada := v.newer.signIn("ada")
	there, here := ada.openTab(), ada.on(v.older).openTab()
	within(t, v.counts, "the older node counts both tabs", func() bool { return v.older.tabsOf("ada") == 2 })
	within(t, v.counts, "the newer node counts both tabs", func() bool { return v.newer.tabsOf("ada") == 2 })

	there.NextWithin(p.WarnAfter+soon, wire.KindWarn)
	here.NextWithin(soon, wire.KindWarn)
	there.Send(`{"type":"confirm"}`)
	there.NextWithin(soon, wire.KindActive)
	here.NextWithin(newerEvery, wire.KindActive)

	late := ada.openTab()
	within(t, v.counts, "the older node counts a tab that was opened later",
		func() bool { return v.older.tabsOf("ada") == 3 })

	_, err := ada.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	here.EndsWithin(v.closes, session.ReasonLogout)
	there.EndsWithin(soon, session.ReasonLogout)
	late.EndsWithin(soon, session.ReasonLogout)
}

// checkForcedLogouts signs people of the older node out, by either node.
func (v twoVersions) checkForcedLogouts(t *testing.T) {
	t.Helper()
	bob := v.older.signIn("bob")
	there, here := bob.on(v.newer).openTab(), bob.openTab()
	v.newer.logout(LogoutRequest{Scope: session.Scope{User: "bob"}, Actor: "root"})
	there.EndsWithin(soon, session.ReasonAdmin)
	here.EndsWithin(v.closes, session.ReasonAdmin)

	cid := v.older.signIn("cid")
	there, here = cid.on(v.newer).openTab(), cid.openTab()
	v.older.logout(LogoutRequest{Scope: session.Scope{Everyone: true}, Actor: "root"})
	here.EndsWithin(soon, session.ReasonAdmin)
	there.EndsWithin(soon/2, session.ReasonAdmin)
}

// keysOf are the keys of a session's record and of its timing.
func keysOf(id session.ID) (record, timing string) {
	name := base64.RawURLEncoding.EncodeToString(id[:])
	return fmt.Sprintf("curfew:{%x}:r:%s", id[:1], name), fmt.Sprintf("curfew:{%x}:t:%s", id[:1], name)
}

func command(t *testing.T, server *redistest.Server, line, want string) {
	t.Helper()
	if answer, err := server.Command(line); err != nil || !strings.HasPrefix(answer, want) {
		t.Fatalf("%s = %q, %v, want %s", line, answer, err, want)
	}
}

// wantGone waits until a node shows nobody of that name.
func wantGone(t *testing.T, node *rig, user string) {
	t.Helper()
	within(t, time.Minute, "no node shows "+user, func() bool { return len(node.sessionsOf(user)) == 0 })
}

func TestTabsOfASessionThatTheStoreHasLostAreTold(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a, b := startNode(t, server, "a", standard, nil), startNode(t, server, "b", standard, nil)
	ada, grace, linus, mary := a.signIn("ada"), a.signIn("grace"), b.signIn("linus"), b.signIn("mary")
	tabs := []*page{ada.openTab(), ada.on(b).openTab(), grace.on(b).openTab()}
	stays := mary.openTab()
	for _, node := range []*rig{a, b} {
		within(t, 5*time.Second, "all are known", func() bool {
			return node.tabsOf("ada") == 2 && node.tabsOf("grace") == 1 && len(node.sessionsOf("linus")) == 1 &&
				node.tabsOf("mary") == 1
		})
	}
	record, timing := keysOf(ada.token.ID())
	command(t, server, "DEL "+record+" "+timing, ":2")
	record, _ = keysOf(grace.token.ID())
	command(t, server, "DEL "+record, ":1")
	_, timing = keysOf(linus.token.ID())
	command(t, server, "DEL "+timing, ":1")
	tabs[0].Send(`{"type":"activity","idle_ms":0}`) // whose person goes on acting
	for _, tab := range tabs {
		tab.EndsWithin(time.Minute, session.ReasonAdmin)
	}
	for _, node := range []*rig{a, b} {
		for _, name := range []string{"ada", "grace", "linus"} {
			wantGone(t, node, name)
		}
		for _, user := range []*user{ada, grace, linus} {
			status, err := node.Check(t.Context(), user.token.ID())
			if !errors.Is(err, session.ErrEnded) || status.Record.End.Reason != session.ReasonAdmin {
				t.Errorf("a request of a lost session = %v, want that it has ended", err)
			}
		}
	}
	events, err := a.store.Events(t.Context(), session.EventQuery{Limit: 100, Kind: session.EventSessionEnd})
	if err != nil || len(events) != 3 {
		t.Errorf("%d lines tell of three ends, %v: %+v", len(events), err, events)
	}
	if _, err := b.Check(t.Context(), mary.token.ID()); err != nil {
		t.Errorf("a session that is not lost: %v", err)
	}
	stays.Send(`{"type":"sync"}`)
	stays.NextWithin(5*time.Second, wire.KindActive)
}

func TestAStoreThatWasEmptiedKeepsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	lines := &linesRead{}
	a, b := startNode(t, server, "a", standard, nil), startNode(t, server, "b", standard, lines.of)
	ada := a.signIn("ada")
	here, there := ada.openTab(), ada.on(b).openTab()
	away := b.signIn("grace")
	within(t, 5*time.Second, "both know both", func() bool {
		return a.tabsOf("ada") == 2 && len(a.sessionsOf("grace")) == 1 && b.tabsOf("ada") == 2
	})
	command(t, server, "FLUSHALL", "+OK")
	here.EndsWithin(time.Minute, session.ReasonAdmin)
	there.EndsWithin(time.Minute, session.ReasonAdmin)
	for _, node := range []*rig{a, b} {
		wantGone(t, node, "ada")
		wantGone(t, node, "grace")
		if _, err := node.Check(t.Context(), away.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check = %v, want ErrEnded", err)
		}
	}
	// All goes on as in a new store; its audit lines are numbered from the beginning.
	linus := a.signIn("linus")
	tab := linus.on(b).openTab()
	within(t, 5*time.Second, "the other node counts the tab", func() bool { return a.tabsOf("linus") == 1 })
	if _, err := a.ForceLogout(t.Context(),
		LogoutRequest{Scope: session.Scope{User: "linus"}, Actor: "root"}); err != nil {
		t.Fatal(err)
	}
	tab.EndsWithin(5*time.Second, session.ReasonAdmin)
	after := lines.after.Load()
	last, err := b.store.(session.SharedStore).LastLine(t.Context())
	if err != nil || after > last {
		t.Errorf("the node waits for lines after %d, where the last is %d, %v", after, last, err)
	}
}

// linesRead notes after which audit line the last pulse of a node has read.
type linesRead struct {
	session.SharedStore
	after atomic.Uint64
}

func (l *linesRead) of(p session.SharedStore) session.SharedStore {
	l.SharedStore = p
	return l
}

func (l *linesRead) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	l.after.Store(after)
	return l.SharedStore.Pulse(ctx, node, after)
}

// One that is missing twice is looked at again by the store itself.
func TestTheStoreLosesNobodyWhoLives(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, nil)
	id := a.signIn("ada").token.ID()
	lost, err := a.store.(session.SharedStore).EndLost(t.Context(), []session.Record{*a.lookup(id).record.Load()},
		session.End{Reason: session.ReasonAdmin, At: time.Now()})
	if err != nil || len(lost) != 0 {
		t.Errorf("EndLost of one that lives = %v, %v, want nobody", lost, err)
	}
	if _, err := a.Check(t.Context(), id); err != nil {
		t.Errorf("Check = %v, want it alive", err)
	}
}

// A partition leaves a node with the old master, which takes reads and no writes any more.
func TestNodeLeftWithTheOldMasterAnswersNobody(t *testing.T) {
	t.Parallel()
	old := redistest.Start(t, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "1")
	replica := redistest.Start(t, "--replicaof", strings.Replace(old.Address, ":", " ", 1))
	within(t, 10*time.Second, "the replica is in step", func() bool {
		answer, err := old.Command("WAIT 1 100")
		return err == nil && strings.HasPrefix(answer, ":1")
	})
	a := startNode(t, old, "a", standard, nil)
	ada := a.signIn("ada")
	if _, err := replica.Command("REPLICAOF NO ONE"); err != nil { // the other side makes it the master
		t.Fatal(err)
	}
	b := startNode(t, replica, "b", standard, nil)
	if _, err := b.ForceLogout(t.Context(),
		LogoutRequest{Scope: session.Scope{User: "ada"}, Actor: "root"}); err != nil {
		t.Fatal(err)
	}
	within(t, 10*time.Second, "a's pulses fail", func() bool { return a.Stats().Away })
	within(t, redis.LeaseFor+time.Second, "a refuses to answer", func() bool {
		_, err := a.Check(t.Context(), ada.token.ID())
		return err != nil
	})
	if _, err := a.LastRevocation(t.Context()); err == nil {
		t.Error("a lets people sign in, though its store takes no writes")
	}
	if _, response, err := ada.dial(); err == nil || response == nil || response.StatusCode < 400 {
		t.Errorf("a opens a socket: %v", err)
	}
	old.Command("CONFIG SET min-replicas-to-write 0") // so that the node can say goodbye
}

// brokenPulse fails so many times.
type brokenPulse struct {
	session.SharedStore
	left *atomic.Int64
}

func (p brokenPulse) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	if p.left.Add(-1) >= 0 {
		return session.Heartbeat{}, context.DeadlineExceeded
	}
	return p.SharedStore.Pulse(ctx, node, after)
}

func TestOnePulseThatFailedRefusesNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	left := refusals(0)
	a := startHubWith(t, store, Options{
		Store:    store,
		Shared:   brokenPulse{store, left},
		Policies: session.Policies{Global: standard},
		Node:     "a",
	})
	ada := a.signIn("ada")
	left.Store(1)
	within(t, 5*time.Second, "a pulse fails, and the next does not", func() bool {
		if _, err := a.Check(t.Context(), ada.token.ID()); err != nil {
			t.Fatalf("Check = %v", err)
		}
		return left.Load() < 0
	})
}

// slowPulse takes its time before and after the store is asked for the time, as a Redis that forks
// or a member that cannot be dialled.
type slowPulse struct{ session.SharedStore }

func (s slowPulse) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	<-time.After(400 * time.Millisecond)
	p, err := s.SharedStore.Pulse(ctx, node, after)
	<-time.After(100 * time.Millisecond)
	return p, err
}

func TestSlowPulsesDoNotMoveTheClock(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	clock := skewed(2 * time.Second)
	steered := &session.SyncedClock{Clock: clock, Wall: clock.Wall}
	startHubWith(t, store, Options{
		Store:       store,
		Shared:      slowPulse{store},
		Clock:       steered,
		SyncedClock: steered,
		Policies:    session.Policies{Global: standard},
		Node:        "a",
	})
	right := func() bool { return time.Until(steered.Now()).Abs() < 20*time.Millisecond }
	if !right() {
		t.Errorf("at the start the clock is %s off", time.Until(steered.Now()))
	}
	for _, step := range []time.Duration{-2 * time.Second, 300 * time.Millisecond} {
		clock.SetSkew(step)
		within(t, 5*time.Second, "a clock that was stepped is right again", right)
	}
}

func TestWordOfTabsFromAnOlderVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		tab := ada.openTab()
		tab.Conn.CloseNow()
		synctest.Wait()
		pass(time.Second)
		s := ada.lookup(ada.token.ID())
		left := session.Millis(time.Now())
		for _, at := range []time.Time{left, {}, left.Add(time.Second)} {
			local{ada.Hub}.LeftAt(s.id, session.FromUnixMilli(session.UnixMilli(at)))
			s.mu.Lock()
			got := s.recordLocked().LeftAt
			s.mu.Unlock()
			if !got.Equal(at) {
				t.Errorf("left at %s, want %s", got, at)
			}
		}
	})
}

// TestAReportFromBeforeTheClosingIsNoTab: a node may describe its tabs, close the last one and tell
// of that, and only then publish what it has described.
func TestAReportFromBeforeTheClosingIsNoTab(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		s := hub.lookup(hub.signIn("ada").token.ID())
		other := local{hub.Hub}
		opened := session.Millis(time.Now())
		report := cluster.TabReport{Instance: "b/1", Node: "b", Tabs: 1, Opened: opened.UnixMilli()}
		leftAt := func() time.Time {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.tabTimes.LeftAt()
		}
		other.TabsElsewhere(s.id, report)
		closed := opened.Add(time.Minute)
		pass(time.Minute)
		other.TabTimes(s.id, session.TabTimes{OpenedAt: opened, ClosedAt: closed})
		other.TabsElsewhere(s.id, report)
		if got := leftAt(); !got.Equal(closed) {
			t.Errorf("after a report from before the closing: left at %v, want %v", got, closed)
		}
		report.Opened = closed.Add(time.Second).UnixMilli()
		other.TabsElsewhere(s.id, report)
		if got := leftAt(); !got.IsZero() {
			t.Errorf("after a tab was opened: left at %v, want that it is not", got)
		}
	})
}

// TestAnActThatIsHeardOfLateMakesTheUserActiveAgain: the user acts within a minute of their last
// act, and this node hears of it when they count as idle here.
func TestAnActThatIsHeardOfLateMakesTheUserActiveAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		watcher := hub.signIn("ada", "admins").openTab()
		watcher.Send(`{"type":"watch","users":["grace"]}`)
		watcher.wantsPresence("grace", StateGone, 0)
		s := hub.lookup(hub.signIn("grace").token.ID())
		watcher.wantsPresence("grace", StateAway, 0)
		other := local{hub.Hub}
		other.TabsElsewhere(s.id, cluster.TabReport{Instance: "b/1", Node: "b", Tabs: 1})
		watcher.wantsPresence("grace", StateActive, 0)
		pass(55 * time.Second)
		acted := session.Millis(time.Now())
		watcher.wantsPresence("grace", StateIdle, time.Minute+time.Millisecond)
		pass(2 * time.Second)
		wantIndexed(t, hub)
		other.Acted(s.id, acted)
		watcher.wantsPresence("grace", StateActive, time.Minute+2*time.Second+time.Millisecond)
		wantIndexed(t, hub)
	})
}
