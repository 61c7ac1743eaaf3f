package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

func TestEndReachesEveryTabAndIsDurableFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		one, two, other := ada.openTab(), ada.openTab(), hub.signIn("ada").openTab()
		first, err := hub.End(t.Context(), ada.token.ID(),
			session.End{Reason: session.ReasonLogout, At: time.Now(), Actor: "ada"})
		if !first || err != nil {
			t.Fatalf("End = %v, %v", first, err)
		}
		one.WantsEnd(session.ReasonLogout, 0)
		if m := two.Next(wire.KindExpire); m["reason"] != "logout" { // a frozen page: no ack
			t.Errorf("expire = %v", m)
		}
		begin := time.Now()
		two.WantsClose(wire.StatusExpired, "logout")
		if waited := time.Since(begin); waited < 900*time.Millisecond || waited > 1100*time.Millisecond {
			t.Errorf("the close frame came after %s, want 1 s", waited)
		}
		if _, response, err := ada.dial(); err == nil || response == nil ||
			response.StatusCode != http.StatusUnauthorized {
			t.Errorf("a new tab of the ended session: %v, %v, want 401", response, err)
		}
		other.Silent()
		if again, err := hub.End(t.Context(), ada.token.ID(),
			session.End{Reason: session.ReasonAdmin, At: time.Now()}); again || err != nil {
			t.Errorf("second End = %v, %v", again, err)
		}
	})
}

// awayStore fails to write ends until it is back.
type awayStore struct {
	session.Store
	back time.Time
}

func (s awayStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if time.Now().Before(s.back) {
		return false, errors.New("disk full")
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func (s awayStore) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func TestEndByTimeIsToldOnTimeThoughTheStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		back := time.Now().Add(10*time.Minute + 4500*time.Millisecond)
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return awayStore{s, back} })
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.Wants(wire.KindWarn, 9*time.Minute)
		pass(time.Minute)
		if _, err := hub.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check at the deadline = %v, want ErrEnded", err)
		}
		tab.WantsEnd(session.ReasonIdle, 10*time.Minute)
		pass(10 * time.Second)
		synctest.Wait()
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil ||
			r.End.Reason != session.ReasonIdle {
			t.Errorf("the end was never stored: %+v, %v", r.End, err)
		}
		if st := hub.Stats(); st.Sessions != 0 || st.Ends[session.ReasonIdle] != 1 {
			t.Errorf("stats = %+v, want one end", st)
		}
	})
}

func TestRequestThatBreaksOffTakesNoDecisionAlong(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	t.Run("sign-out", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			if first, err := ada.End(gone, ada.token.ID(),
				session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}); !first || err != nil {
				t.Errorf("End = %v, %v", first, err)
			}
			tab.WantsEnd(session.ReasonLogout, 0)
		})
	})
	t.Run("stay signed in", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			tab.Wants(wire.KindWarn, standard.WarnAfter)
			if err := ada.Act(gone, ada.token.ID(), 0, true); err != nil {
				t.Error(err)
			}
			if r, err := ada.store.Get(t.Context(), ada.token.ID()); err != nil ||
				time.Since(r.LastActiveAt) > time.Second {
				t.Errorf("the page is told that it stays, the store says it was active %s ago, %v",
					time.Since(r.LastActiveAt), err)
			}
		})
	})
	t.Run("notice", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			if _, err := ada.Notify(gone, session.Scope{Everyone: true}, "root", "The printer is back."); err != nil {
				t.Error(err)
			}
			tab.Wants(wire.KindNotice, 0)
		})
	})
}

// refusingStore answers so many conditional ends with an error instead of doing them.
type refusingStore struct {
	session.Store
	answer error
	left   *atomic.Int64
}

func (s refusingStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if !ifDueBy.IsZero() && s.left.Add(-1) >= 0 {
		return false, s.answer
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

func (s refusingStore) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func refusals(n int64) *atomic.Int64 {
	left := new(atomic.Int64)
	left.Store(n)
	return left
}

func TestSessionWhoseEndFailedAndThatIsAliveElsewhereTakesActs(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	store := openRedis(t, server)
	over := refusingStore{store, errors.New("connection lost"), refusals(1)}
	p := session.Policy{WarnAfter: 2 * time.Second, ExpireAfter: 4 * time.Second, ExtendOn: session.ExtendOnActivity}
	node := startHubWith(t, over, Options{
		Store:    over,
		Shared:   store,
		Policies: session.Policies{Global: p},
		Node:     "a",
	})
	ada := node.signIn("ada")
	tab := ada.openTab()
	tab.NextWithin(p.WarnAfter+time.Second, wire.KindWarn)
	within(t, p.Lead()+time.Second, "the end fails", func() bool { return over.left.Load() == 0 })

	s := node.lookup(ada.token.ID())
	acted := time.Now().Add(-200 * time.Millisecond) // on another node, a moment before the deadline
	if _, err := store.Touch(t.Context(), []session.Activity{{ID: s.id, At: acted}}); err != nil {
		t.Fatal(err)
	}
	node.actedElsewhere(s, acted)
	tab.NextWithin(time.Second, wire.KindActive)
	tab.NextWithin(p.WarnAfter+time.Second, wire.KindWarn)
	tab.Send(`{"type":"confirm"}`)
	tab.NextWithin(time.Second, wire.KindActive)
	if r, err := store.Get(t.Context(), s.id); err != nil || r.End != nil || time.Since(r.LastActiveAt) > time.Second {
		t.Errorf("after 'Stay signed in': last active %s ago, end %+v, %v", time.Since(r.LastActiveAt), r.End, err)
	}
}

func TestEndThatFailedWhileTheDeadlineMovedTakesActs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
			return refusingStore{s, errors.New("disk full"), refusals(1)}
		})
		ada := hub.signIn("ada")
		ada.openTab().Leave("close")
		pass(standard.CloseGrace + time.Millisecond)
		synctest.Wait()
		s := hub.lookup(ada.token.ID())
		s.mu.Lock()
		s.tabTimes.OpenedAt = s.tabTimes.ClosedAt // as word of a tab elsewhere has it
		s.mu.Unlock()
		pass(tryAgainAfter)
		tab := ada.openTab()
		tab.Next(wire.KindWarn)
		tab.Send(`{"type":"confirm"}`)
		tab.Next(wire.KindActive)
	})
}

// TestEndRacingNewTabs lets tabs open while their session ends: each is refused or told, none
// stays.
func TestEndRacingNewTabs(t *testing.T) {
	hub := startHub(t, standard)
	for range 20 {
		ada := hub.signIn("ada")
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				c, response, err := ada.dial()
				if err != nil {
					if response == nil || response.StatusCode != http.StatusUnauthorized {
						t.Errorf("dial: %v", err)
					}
					return
				}
				told := false
				for {
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					_, data, err := c.Read(ctx)
					cancel()
					if err != nil {
						if websocket.CloseStatus(err) != wire.StatusExpired || !told {
							t.Errorf("closed by %v, told %v", err, told)
						}
						return
					}
					var m map[string]any
					json.Unmarshal(data, &m)
					if m["type"] == "expire" {
						told = true
						answer, _ := json.Marshal(map[string]any{"type": "ack", "seq": m["seq"]})
						c.Write(t.Context(), websocket.MessageText, answer)
					}
				}
			})
		}
		wg.Go(func() {
			_, err := hub.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
			if err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

func TestRestoringTheEndOfASessionThatTheStoreHasForgottenIsNoError(t *testing.T) {
	hub := startHub(t, standard)
	end := session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}
	if err := (local{hub.Hub}).RestoreEnd(t.Context(), session.NewToken().ID(), end); err != nil {
		t.Errorf("RestoreEnd = %v", err)
	}
	ada := hub.signIn("ada")
	if err := (local{hub.Hub}).RestoreEnd(t.Context(), ada.token.ID(), end); err != nil {
		t.Errorf("RestoreEnd of one that lives = %v", err)
	}
	if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil {
		t.Errorf("the store has the end %+v, %v", r.End, err)
	}
}
