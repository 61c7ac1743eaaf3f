package directory

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// crowd stands for who is signed in, and calls enough when it was asked too often.
type crowd struct {
	accounts []Account
	enough   func()

	mu    sync.Mutex
	asked int
	lost  []string
}

func (c *crowd) Accounts() []Account {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked++; c.asked > 1000 {
		c.enough()
	}
	return c.accounts
}

func (c *crowd) Allowed(context.Context, Account, Entry) error        { return nil }
func (c *crowd) Denied(context.Context, Account, Cause, string) error { return nil }

func (c *crowd) Unreachable(_ context.Context, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost = append(c.lost, err.Error())
}

func people(n int) []Account {
	var list []Account
	for i := range n {
		name := fmt.Sprintf("person%d", i)
		list = append(list,
			Account{Key: Key{Login: name, User: name, DN: "uid=" + name + ",ou=people,dc=example,dc=org"}})
	}
	return list
}

// nowhere is a directory of so many servers that nobody listens at.
func nowhere(t *testing.T, servers int) *Directory {
	t.Helper()
	c := Config{BaseDN: "dc=example,dc=org", UserFilter: "(uid={username})", UserAttribute: "uid"}
	for range servers {
		c.URLs = append(c.URLs, "ldap://127.0.0.1:1")
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWaitThatNobodySettlesKeepsNobodyBusy(t *testing.T) {
	put := people(1)[0]
	for _, tt := range []struct {
		name     string
		signedIn []Account
		most     int // questions in a minute
	}{
		{"the directory is away when it is over", []Account{put}, 1 + 2*12}, // at first, by the ticker, and by the wait
		{"its person has signed out when it is over", nil, 1 + 12 + 60},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				c := &crowd{accounts: tt.signedIn, enough: cancel}
				w := NewWatcher(nowhere(t, 1), WatchPoll, 5*time.Second, c, slog.New(slog.DiscardHandler))
				w.retryLater(put.Key, "")
				w.poll(ctx)
				if c.asked > tt.most {
					t.Errorf("it was asked %d times in a minute who is signed in, want %d at most", c.asked, tt.most)
				}
			})
		})
	}
}

func TestNobodyIsLookedAtAgainAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := NewWatcher(nowhere(t, 1), WatchPoll, time.Second, &crowd{}, slog.New(slog.DiscardHandler))
		w.retryLater(people(1)[0].Key, "")
		time.Sleep(time.Hour) // the bubble's
		timer := time.NewTimer(time.Hour)
		for _, rest := range []time.Duration{0, -time.Second, time.Second} {
			began := time.Now()
			w.armRetry(timer, rest)
			<-timer.C
			if got, want := time.Since(began), max(retrySoonest, rest); got != want {
				t.Errorf("after a rest of %s: again after %s, want %s", rest, got, want)
			}
		}
	})
}

func TestOnlyALookAtManyLeavesAServer(t *testing.T) {
	for _, tt := range []struct {
		looked, hidden, of int
		leaves             bool
	}{
		{1, 1, 10, false}, // looked at again after a wait
		{4, 4, 10, false},
		{5, 3, 10, true},
		{10, 6, 10, true},
		{10, 5, 10, false},
		{1, 1, 1, true},
	} {
		d := nowhere(t, 2)
		w := NewWatcher(d, WatchPoll, time.Second, &crowd{accounts: people(tt.of), enough: func() {}},
			slog.New(slog.DiscardHandler))
		var verdicts []verdict
		for i, a := range w.signedIn()[:tt.looked] {
			v := verdict{account: a}
			if i < tt.hidden {
				v = v.with(inconclusive, "hidden")
			}
			verdicts = append(verdicts, v)
		}
		if err := w.report(t.Context(), 0, verdicts); err != nil {
			t.Fatal(err)
		}
		if left := d.lastGood.Load() != 0; left != tt.leaves {
			t.Errorf("%d of %d looked at are hidden, %d are signed in: the server is left: %v", tt.hidden, tt.looked,
				tt.of, left)
		}
	}
}

func TestTroubleOfAFewIsNoLossOfTheDirectoryForEver(t *testing.T) {
	for _, tt := range []struct {
		troubled, of int
		lasts        bool // the loss
	}{
		{1, 3, false},
		{2, 3, true},
		{1, 1, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := &crowd{accounts: people(tt.of), enough: func() {}}
			w := NewWatcher(nowhere(t, 1), WatchPoll, time.Minute, c, slog.New(slog.DiscardHandler))
			look := func() {
				t.Helper()
				var verdicts []verdict
				for i, a := range w.signedIn() {
					v := verdict{account: a}
					if i < tt.troubled {
						v = v.with(inconclusive, "hidden")
					}
					verdicts = append(verdicts, v)
				}
				if err := w.report(t.Context(), 0, verdicts); err != nil {
					t.Fatal(err)
				}
				w.setReachable()
			}
			for range 30 {
				look()
				time.Sleep(time.Minute) // the bubble's
			}
			if len(c.lost) != 1 || w.unreachable != tt.lasts {
				t.Errorf("trouble of %d of %d: lost %d times, and now %v, want once, and %v", tt.troubled, tt.of,
					len(c.lost), w.unreachable, tt.lasts)
			}
			if w.setUnreachable(t.Context(), ErrUnavailable); !tt.lasts && len(c.lost) != 2 {
				t.Errorf("trouble of %d of %d: a loss of all is not told", tt.troubled, tt.of)
			}
		})
	}
}
