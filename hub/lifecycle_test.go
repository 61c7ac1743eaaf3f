package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

// slowLeave takes its time to refuse what is told of tabs.
type slowLeave struct {
	session.Store
	away *atomic.Bool
}

func (s slowLeave) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	if !s.away.Load() {
		return s.Store.Leave(ctx, id, news)
	}
	t := time.NewTimer(2 * time.Second)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return news, errors.New("out of reach")
}

func TestShutdownDoesNotWaitForAStoreThatIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		away := new(atomic.Bool)
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return slowLeave{s, away} })
		for i := range 2000 {
			u := hub.signIn(fmt.Sprint(i))
			hub.unstoredTabTimes.add(hub.lookup(u.token.ID()))
		}
		away.Store(true)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		hub.Shutdown(ctx)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("Shutdown took %s", took)
		}
		away.Store(false)
	})
}

// heldEnd lets no call of End return before release is closed, whatever becomes of its context.
type heldEnd struct {
	session.Store
	called, release chan struct{}
	returned        *atomic.Bool
}

func (s heldEnd) End(ctx context.Context, id session.ID, end session.End, ifDueBy time.Time) (bool, error) {
	close(s.called)
	<-s.release
	defer s.returned.Store(true)
	return s.Store.End(context.WithoutCancel(ctx), id, end, ifDueBy)
}

func (s heldEnd) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func TestShutdownWaitsForADeadlineThatIsAtWork(t *testing.T) {
	bubble(t, func(t *testing.T) {
		held := heldEnd{called: make(chan struct{}), release: make(chan struct{}), returned: new(atomic.Bool)}
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
			held.Store = s
			return held
		})
		hub.signIn("ada")
		<-held.called // the idle timeout
		stopped := make(chan struct{})
		go func() {
			defer close(stopped)
			if err := hub.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
		}()
		synctest.Wait()
		select {
		case <-stopped:
			t.Error("Shutdown returned while the store was asked to end a session")
		default:
		}
		close(held.release)
		<-stopped
		if !held.returned.Load() {
			t.Error("Shutdown returned before the call of the store")
		}
	})
}

func TestNothingStartsAfterShutdown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		hub.signIn("ada").openTab()
		synctest.Wait()
		s := hub.allSessions()[0]
		hub.stop()
		ran := false
		if hub.goUnlessClosing(func() { ran = true }) || ran {
			t.Error("a goroutine started after Shutdown")
		}
		ended := session.End{Reason: session.ReasonIdle}
		hub.closeLater([]*tab{{session: s}}, ended) // it would write to a connection that is not there
		synctest.Wait()
	})
}
