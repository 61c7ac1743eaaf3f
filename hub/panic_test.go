package hub

import (
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

// brokenClock panics in a handshake, at one of the looks that Accept takes at it.
type brokenClock struct {
	session.RealClock
	left atomic.Int64 // looks until then; negative: it has panicked
}

func (c *brokenClock) Now() time.Time {
	if c.left.Load() > 0 && inAccept() && c.left.Add(-1) == 0 {
		c.left.Store(-1)
		panic("as it should not")
	}
	return c.RealClock.Now()
}

// inAccept reports whether the caller's goroutine is within Accept and was not panicking.
func inAccept() bool {
	stack := make([]uintptr, 64)
	frames := runtime.CallersFrames(stack[:runtime.Callers(2, stack)])
	var names []string
	for {
		f, more := frames.Next()
		names = append(names, f.Function)
		if !more {
			break
		}
	}
	has := func(name string) bool {
		return slices.ContainsFunc(names, func(f string) bool { return strings.HasSuffix(f, name) })
	}
	return has(".(*Hub).Accept") && !has("runtime.gopanic")
}

// Wherever the opening of a tab panics, the HTTP server gets the panic, and logs it; nothing of the
// tab is left, its session is none the worse, and the hub can shut down.
func TestAPanicWithinTheOpeningOfATabLeavesNothingOfIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		panicked := true
		for look := int64(1); panicked; look++ {
			clock := &brokenClock{}
			hub := startHubOn(t, clock)
			ada := hub.signIn("ada")
			ada.openTab()
			synctest.Wait() // hello is there before Accept of that tab is done
			clock.left.Store(look)
			c, _, err := ada.dial()
			synctest.Wait()
			panicked = clock.left.Swap(0) < 0
			if err == nil {
				c.CloseNow()
				synctest.Wait()
			}
			hub.tabLimits.mu.Lock()
			taken := hub.tabLimits.taken
			hub.tabLimits.mu.Unlock()
			if tabs := hub.Stats().Tabs; tabs != 1 || taken != 1 {
				t.Errorf("look %d: %d tabs, and %d places are taken, want those of the first", look, tabs, taken)
			}
			ada.openTab()
			hub.stop() // fails where somebody is counted who has gone
			if strings.Contains(hub.serverLog.String(), "as it should not") != panicked {
				t.Errorf("look %d: panicked is %v, and the server has logged %q", look, panicked, &hub.serverLog)
			}
			if !panicked && look < 4 {
				t.Errorf("Accept looks at the clock %d times: look for another place to panic", look-1)
			}
		}
	})
}

func startHubOn(t *testing.T, clock session.Clock) *rig {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	policies := session.Policies{Global: standard}
	return startHubWith(t, store, Options{Store: store, Policies: policies, Node: "node-1", Clock: clock})
}
