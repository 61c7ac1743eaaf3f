package hub

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
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
