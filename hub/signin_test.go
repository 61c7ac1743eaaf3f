package hub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

// remembered is how many sign-ins are still looked after.
func (a *orphans) remembered() (n int, working bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.sessions), a.working
}

// lossyStore loses the answers to sign-ins, and is away for ends until it is back.
type lossyStore struct{ awayStore }

func (s lossyStore) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	_, err := s.Store.Create(ctx, r, limit)
	return nil, errors.Join(err, errors.New("connection lost"))
}

func TestSignInThatWasNotAcknowledgedLeavesNoSession(t *testing.T) {
	bubble(t, func(t *testing.T) {
		back := time.Now().Add(20 * time.Second)
		hub := startHubOver(t, t.TempDir(), standard,
			func(s *bolt.Store) session.Store { return lossyStore{awayStore{s, back}} })
		now := session.Millis(time.Now())
		r := session.Record{
			ID:           session.NewToken().ID(),
			User:         "ada",
			Login:        "ada",
			Address:      "192.0.2.1",
			Policy:       standard,
			CreatedAt:    now,
			LastActiveAt: now,
		}
		asked, hangUp := context.WithCancel(session.WithRequest(t.Context(), "request-1"))
		if err := hub.Create(asked, r); err == nil {
			t.Fatal("Create = nil, want an error")
		}
		hangUp()
		pass(19 * time.Second)
		synctest.Wait()
		if _, err := hub.Check(t.Context(), r.ID); err != nil {
			t.Fatalf("Check = %v: the store has it, and is away for its end", err)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if status, err := hub.Check(t.Context(), r.ID); !errors.Is(err, session.ErrEnded) ||
			status.Record.End.Detail == "" || status.Record.End.Request != "request-1" {
			t.Errorf("Check = %+v, %v, want ErrEnded, why, and whose request it was", status.Record.End, err)
		}
		if n, _ := hub.orphans.remembered(); n != 0 {
			t.Errorf("%d sign-ins are still remembered", n)
		}
	})
}

func TestSignInThatTheStoreNeverHadIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		hub.EndOrphan(t.Context(), session.NewToken().ID())
		pass(orphanedFor - time.Second)
		synctest.Wait()
		if n, _ := hub.orphans.remembered(); n != 1 {
			t.Errorf("%d are remembered, want it: the store may yet come to it", n)
		}
		pass(4 * time.Second)
		synctest.Wait()
		if n, working := hub.orphans.remembered(); n != 0 || working {
			t.Errorf("%d are remembered, working = %v", n, working)
		}
	})
}

func TestSignInThatAskedTheDirectoryBeforeTheForcedLogoutIsOver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		now := session.Millis(time.Now())
		u := &user{rig: hub, token: session.NewToken()}
		// it has read 0
		r := session.Record{
			ID:           u.token.ID(),
			User:         "ada",
			Policy:       standard,
			CreatedAt:    now,
			LastActiveAt: now,
		}
		hub.logout(LogoutRequest{Scope: session.Scope{User: "ada"}})
		if err := hub.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		u.wantsOver(session.ReasonAdmin.Message())
	})
}

func TestBlockSparesAdminsOfEveryone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		hub.logout(LogoutRequest{
			Scope:   session.Scope{Everyone: true},
			Message: "Back at noon",
			Grace:   time.Minute,
			Block:   time.Minute,
		})
		if f, blocked := hub.Blocked("grace", []string{"staff"}); !blocked || f.Message != "Back at noon" {
			t.Errorf("Blocked = %+v, %v", f, blocked)
		}
		if _, blocked := hub.Blocked("ada", []string{"admins"}); blocked {
			t.Error("an admin is blocked")
		}
		pass(2*time.Minute - time.Millisecond)
		if _, blocked := hub.Blocked("grace", nil); !blocked {
			t.Error("the block ended early")
		}
		pass(time.Millisecond)
		if _, blocked := hub.Blocked("grace", nil); blocked {
			t.Error("the block did not end")
		}
	})
}

// TestForcedLogoutOfOneUserRacesTheirSignIn starts both at once, after the sign-in has read the
// number: however they meet, it is over.
func TestForcedLogoutOfOneUserRacesTheirSignIn(t *testing.T) {
	hub := startHub(t, standard)
	for round := range 50 {
		name := fmt.Sprint("ada", round)
		var users [16]*user
		var wg sync.WaitGroup
		for i := range users {
			users[i] = &user{rig: hub, token: session.NewToken()}
			now := session.Millis(time.Now())
			r := session.Record{
				ID:           users[i].token.ID(),
				User:         name,
				Login:        name,
				Address:      "192.0.2.1",
				Policy:       hub.Policies().For(nil),
				CreatedAt:    now,
				LastActiveAt: now,
			}
			wg.Go(func() { // all revocations are newer than SeenRevocation 0
				if err := hub.Create(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() { hub.logout(LogoutRequest{Scope: session.Scope{User: name}}) })
		wg.Wait()
		for _, u := range users {
			u.wantsOver(session.ReasonAdmin.Message())
		}
	}
}
