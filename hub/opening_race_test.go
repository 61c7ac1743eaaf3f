package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/redis/redistest"
)

// Tabs that open while their session ends. The record is read once for a tab, before the upgrade.

// TestATabThatOpensWhileItsSessionEndsIsRefusedOrTold ends a session while tabs of it are opened.
func TestATabThatOpensWhileItsSessionEndsIsRefusedOrTold(t *testing.T) {
	p := standard
	p.MaxSessions = 1
	raceEachEnd(t, 5, raceOpen)
	t.Run("on another node", func(t *testing.T) {
		t.Parallel()
		server := redistest.Start(t)
		a, b := startNode(t, server, "a", p, nil), startNode(t, server, "b", p, nil)
		for name, end := range endsToRace {
			if name == "reset" {
				continue // there is no test clock
			}
			ada := a.signIn("ada")
			within(t, 10*time.Second, "the other node knows of the sign-in", func() bool {
				return b.lookup(ada.token.ID()) != nil
			})
			raceOpen(t, ada, end, a, b)
		}
	})
}

// raceOpen ends a session while tabs of it are opened, at nodes if any are given, or else where it
// has signed in. A tab that is asked for once the end is answered must be refused.
func raceOpen(t *testing.T, ada *user, end func(*user) error, nodes ...*rig) {
	t.Helper()
	if len(nodes) == 0 {
		nodes = []*rig{ada.rig}
	}
	var answered atomic.Bool
	var opening, begun sync.WaitGroup
	pages := make(chan *hubtest.Page, 1000)
	for i := range 4 {
		begun.Add(1)
		first := sync.OnceFunc(begun.Done)
		opening.Go(func() {
			for over := false; !over; {
				over = answered.Load()
				at := ada.on(nodes[i%len(nodes)]).at()
				at.AckAll = true
				page, _, err := hubtest.Dial(t.Context(), at)
				first()
				if err != nil {
					continue
				}
				if over {
					t.Error("a tab is let in that came after the end was answered")
				}
				select {
				case pages <- page:
				default:
					page.Break()
				}
			}
		})
	}
	begun.Wait()
	if err := end(ada); err != nil {
		t.Error(err)
	}
	answered.Store(true)
	opening.Wait()
	close(pages)
	for page := range pages {
		within(t, 10*time.Second, "a tab that was let in is told of the end", func() bool {
			c, closed := page.Closed()
			return closed && c.Code == wire.StatusExpired
		})
	}
}

// TestADoubtThatArisesDuringAHandshakeIsSettledOnceTheTabIsThere has the end of a session fail,
// though the store has it, after the handshake has looked.
func TestADoubtThatArisesDuringAHandshakeIsSettledOnceTheTabIsThere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub, faults := startHubFaulty(t)
		ada := hub.signIn("ada")
		faults.Set("End", faulty.Rule{After: 1, Times: 1})
		hub.upgrading = func() {
			if _, err := hub.End(t.Context(), ada.token.ID(),
				session.End{Reason: session.ReasonLogout, At: time.Now()}); err == nil {
				t.Error("End has not failed: the test proves nothing")
			}
		}
		ada.openTab().WantsEnd(session.ReasonLogout, 0)
	})
}

func TestAHandshakeReadsTheRecordOnceAtMost(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			store := &counting{}
			hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
				store.Store = s
				return store
			})
			ada := hub.signIn("ada")
			s := hub.lookup(ada.token.ID())
			for _, want := range []int32{0, 1, 0} {
				store.reads.Store(0)
				ada.openTab()
				if got := store.reads.Load(); got != want {
					t.Errorf("the record is read %d times, want %d", got, want)
				}
				if want == 0 {
					s.doubt() // the next look settles it
				}
			}
		})
	})
	t.Run("over Redis", func(t *testing.T) {
		t.Parallel()
		store := &counting{Store: openRedis(t, redistest.Start(t))}
		shared := readShared{store.Store.(session.SharedStore), store}
		policies := session.Policies{Global: standard}
		hub := startHubWith(t, store, Options{Store: store, Shared: shared, Policies: policies})
		ada := hub.signIn("ada")
		for range 2 {
			store.reads.Store(0)
			ada.openTab()
			if got := store.reads.Load(); got != 1 {
				t.Errorf("the record is read %d times, want once", got)
			}
		}
	})
}

// counting counts how often sessions are read.
type counting struct {
	session.Store
	reads atomic.Int32
}

func (s *counting) Get(ctx context.Context, id session.ID) (session.Record, error) {
	s.reads.Add(1)
	return s.Store.Get(ctx, id)
}

// readShared is what nodes share of a store that counts.
type readShared struct {
	session.SharedStore
	counting *counting
}

func (s readShared) GetWithRevocation(ctx context.Context, id session.ID) (session.Record, int64, error) {
	s.counting.reads.Add(1)
	return s.SharedStore.GetWithRevocation(ctx, id)
}
