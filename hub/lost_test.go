package hub

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/redis/redistest"
)

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
	same := func(p session.SharedStore) session.SharedStore { return p }
	a, b := startNode(t, server, "a", standard, same), startNode(t, server, "b", standard, same)
	ada, grace, linus, mary := a.signIn("ada"), a.signIn("grace"), b.signIn("linus"), b.signIn("mary")
	tabs := []*page{ada.openTab(), ada.on(b).openTab(), grace.on(b).openTab()}
	stays := mary.openTab()
	for _, node := range []*rig{a, b} {
		within(t, 5*time.Second, "all are known", func() bool {
			return node.tabsOf("ada") == 2 && node.tabsOf("grace") == 1 && len(node.sessionsOf("linus")) == 1 && node.tabsOf("mary") == 1
		})
	}
	record, timing := keysOf(ada.token.ID())
	command(t, server, "DEL "+record+" "+timing, ":2")
	record, _ = keysOf(grace.token.ID())
	command(t, server, "DEL "+record, ":1")
	_, timing = keysOf(linus.token.ID())
	command(t, server, "DEL "+timing, ":1")
	tabs[0].send(`{"type":"activity","idle_ms":0}`) // whose person goes on acting
	for _, tab := range tabs {
		tab.endsWithin(time.Minute, session.ReasonAdmin)
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
	stays.send(`{"type":"sync"}`)
	stays.nextWithin(5*time.Second, wire.KindActive)
}

func TestAStoreThatWasEmptiedKeepsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	same := func(p session.SharedStore) session.SharedStore { return p }
	lines := &linesRead{}
	a, b := startNode(t, server, "a", standard, same), startNode(t, server, "b", standard, lines.of)
	ada := a.signIn("ada")
	here, there := ada.openTab(), ada.on(b).openTab()
	away := b.signIn("grace")
	within(t, 5*time.Second, "both know both", func() bool { return a.tabsOf("ada") == 2 && len(a.sessionsOf("grace")) == 1 && b.tabsOf("ada") == 2 })
	command(t, server, "FLUSHALL", "+OK")
	here.endsWithin(time.Minute, session.ReasonAdmin)
	there.endsWithin(time.Minute, session.ReasonAdmin)
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
	if _, err := a.ForceLogout(t.Context(), LogoutRequest{Scope: session.Scope{User: "linus"}, Actor: "root"}); err != nil {
		t.Fatal(err)
	}
	tab.endsWithin(5*time.Second, session.ReasonAdmin)
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
	a := startNode(t, server, "a", standard, func(p session.SharedStore) session.SharedStore { return p })
	id := a.signIn("ada").token.ID()
	lost, err := a.store.(session.SharedStore).EndLost(t.Context(), []session.Record{*a.lookup(id).record.Load()}, session.End{Reason: session.ReasonAdmin, At: time.Now()})
	if err != nil || len(lost) != 0 {
		t.Errorf("EndLost of one that lives = %v, %v, want nobody", lost, err)
	}
	if _, err := a.Check(t.Context(), id); err != nil {
		t.Errorf("Check = %v, want it alive", err)
	}
}
