package hub

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// Several hubs over a real Redis, in real time.

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

func startNode(t *testing.T, server *redistest.Server, name string, p session.Policy, says func(session.SharedStore) session.SharedStore) *rig {
	t.Helper()
	store, err := redis.Open(t.Context(), server.URL(), "curfew:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return startHubWith(t, store, Options{Store: store, Shared: says(store), Policies: session.Policies{Global: p}, Node: name})
}

// on is the same browser at another node.
func (u *user) on(node *rig) *user { return &user{rig: node, token: u.token} }

// within waits for what must come true.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	limit := time.After(d)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("not within %s: %s", d, what)
		case <-ticker.C:
		}
	}
}

func (p *page) nextWithin(d time.Duration, kind wire.Kind) hubtest.Message {
	p.t.Helper()
	return p.NextWithin(d, kind)
}

func (p *page) endsWithin(d time.Duration, reason session.Reason) {
	p.t.Helper()
	p.EndsWithin(d, reason)
}

// tabsOf is how many open tabs a node knows of a user, on all nodes.
func (r *rig) tabsOf(name string) (tabs int) {
	for _, s := range r.sessionsOf(name) {
		s.mu.Lock()
		tabs += s.tabsLocked()
		s.mu.Unlock()
	}
	return tabs
}

// A message may overtake another: that of an end may come before that of the sign-in.
func TestASignInThatIsHeardOfAfterItsEndShowsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return p })
	r := session.Record{ID: session.NewToken().ID(), User: "ada", Policy: standard, CreatedAt: session.Millis(time.Now())}
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
		if err := a.store.(session.SharedStore).Publish(t.Context(), data); err != nil { // a may not have subscribed yet
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
	const soon = 2 * time.Second // the bound without any messages
	tests := []struct {
		name   string
		newer  func(session.SharedStore) session.SharedStore
		closes time.Duration // within which an end on the newer node closes the tabs of the older one
		counts time.Duration // within which the older one sees the newer one's tabs
	}{
		{"of the same message version", func(p session.SharedStore) session.SharedStore { return laterRelease{p} }, soon / 2, soon},
		{"of a later message version", func(p session.SharedStore) session.SharedStore { return laterVersion{p} }, soon, newerEvery + soon},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := standard
			p.WarnAfter, p.ExpireAfter = 9*time.Second, 40*time.Second
			older := startNode(t, server, "older", p, func(p session.SharedStore) session.SharedStore { return p })
			newer := startNode(t, server, "newer", p, test.newer)

			ada := newer.signIn("ada")
			there, here := ada.openTab(), ada.on(older).openTab()
			within(t, test.counts, "the older node counts both tabs", func() bool { return older.tabsOf("ada") == 2 })
			within(t, test.counts, "the newer node counts both tabs", func() bool { return newer.tabsOf("ada") == 2 })

			there.nextWithin(p.WarnAfter+soon, wire.KindWarn)
			here.nextWithin(soon, wire.KindWarn)
			there.send(`{"type":"confirm"}`)
			there.nextWithin(soon, wire.KindActive)
			here.nextWithin(newerEvery, wire.KindActive)

			late := ada.openTab()
			within(t, test.counts, "the older node counts a tab that was opened later", func() bool { return older.tabsOf("ada") == 3 })

			if _, err := ada.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()}); err != nil {
				t.Fatal(err)
			}
			here.endsWithin(test.closes, session.ReasonLogout)
			there.endsWithin(soon, session.ReasonLogout)
			late.endsWithin(soon, session.ReasonLogout)

			bob := older.signIn("bob")
			there, here = bob.on(newer).openTab(), bob.openTab()
			if _, err := newer.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "bob"}, Actor: "root"}); err != nil {
				t.Fatal(err)
			}
			there.endsWithin(soon, session.ReasonAdmin)
			here.endsWithin(test.closes, session.ReasonAdmin)

			cid := older.signIn("cid")
			there, here = cid.on(newer).openTab(), cid.openTab()
			if _, err := older.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{Everyone: true}, Actor: "root"}); err != nil {
				t.Fatal(err)
			}
			here.endsWithin(soon, session.ReasonAdmin)
			there.endsWithin(soon/2, session.ReasonAdmin)
		})
	}
}

// deafPeers hear nothing of what other nodes say.
type deafPeers struct{ session.SharedStore }

func (d deafPeers) Subscribe(ctx context.Context, began func(), _ func([]byte)) error {
	return d.SharedStore.Subscribe(ctx, began, func([]byte) {})
}

func TestAGroupThatTwoNodesHearOfKeepsItsLowerNumber(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return p })
	b := startNode(t, server, "b", standard, func(p session.SharedStore) session.SharedStore { return deafPeers{p} })
	ada := a.signIn("ada")
	within(t, 3*time.Second, "b knows her", func() bool { return len(b.sessionsOf("ada")) == 1 })
	if err := a.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
		t.Fatal(err)
	}
	a.logout(LogoutRequest{Scope: session.Scope{Group: "staff"}, Grace: time.Hour})
	if err := b.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil { // b's comparison took longer
		t.Fatal(err)
	}
	if status, err := b.Check(t.Context(), ada.token.ID()); err != nil || status.Warning != session.ReasonAdmin {
		t.Errorf("b: Check = warning %q, %v, want that of the forced logout", status.Warning, err)
	}
	if r, err := b.store.Get(t.Context(), ada.token.ID()); err != nil || len(r.Groups) != 1 || r.Groups[0].SeenRevocation != 0 {
		t.Errorf("stored groups %+v, %v, want staff with the number of before the logout", r.Groups, err)
	}
}

func TestRulesThatAFailOverHasLostAreThoseOfTheStoreAgain(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return p })
	ada := a.signIn("ada", "admins")
	if err := a.setGroups(t.Context(), ada.token.ID(), nil); err != nil {
		t.Fatal(err)
	}
	known := a.lookup(ada.token.ID()).record.Load()
	lost := *known
	lost.Groups, lost.Revision = []session.Group{{Name: "admins"}}, known.Revision-1
	a.reconcileRules(t.Context(), a.lookup(ada.token.ID()), lost) // read before the change was stored
	if got := a.lookup(ada.token.ID()).record.Load().GroupNames(); len(got) != 0 {
		t.Errorf("groups %q, want none: what was read before the change says nothing", got)
	}
	// a change that was lost
	a.lookup(ada.token.ID()).record.Store(&session.Record{ID: ada.token.ID(), User: "ada", Revision: known.Revision + 1000})
	a.reconcileRules(t.Context(), a.lookup(ada.token.ID()), *known)
	if got := a.lookup(ada.token.ID()).record.Load().Revision; got != known.Revision {
		t.Errorf("revision %d, want the store's %d", got, known.Revision)
	}
}

func TestALogoutOfASessionThatThisNodeHasNotHeardOfYet(t *testing.T) {
	server := redistest.Start(t)
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return p })
	b := startNode(t, server, "b", standard, func(p session.SharedStore) session.SharedStore { return deafPeers{p} })
	for range 5 { // none is found by a pulse first
		ada := a.signIn("ada")
		if l, err := b.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{Session: ada.token.ID().Ref()}}); err != nil || l.Sessions != 1 {
			t.Fatalf("Logout = %d sessions, %v, want the one of a moment ago", l.Sessions, err)
		}
		if _, err := a.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check = %v, want that she is signed out", err)
		}
	}
	if _, err := b.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{Session: session.NewToken().ID().Ref()}}); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Logout of a session that nobody has = %v", err)
	}
}
