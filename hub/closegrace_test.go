package hub

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

func TestReturnIsStoredThoughTheRequestWasBrokenOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		ada := hub.signIn("ada")
		ada.openTab().Leave("close")
		pass(5 * time.Second)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		hub.Navigated(gone, ada.token.ID())
		hub.stop()
		ada.rig = startHubIn(t, folder, standard)
		pass(time.Minute)
		synctest.Wait()
		ada.wantsAlive()
	})
}

// forgetfulStore does not take what becomes known of tabs while it is away.
type forgetfulStore struct {
	session.Store
	away *atomic.Bool
}

func (s forgetfulStore) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	if s.away.Load() {
		return session.TabTimes{}, errors.New("disk full")
	}
	return s.Store.Leave(ctx, id, news)
}

// heldLeave is a store whose Leave takes until it is let go, once it is armed.
type heldLeave struct {
	session.Store
	armed       *atomic.Bool
	held, begun chan struct{}
}

func (s heldLeave) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	if s.armed.CompareAndSwap(true, false) {
		close(s.begun)
		<-s.held
	}
	return s.Store.Leave(ctx, id, news)
}

func TestAPageIsGreetedBeforeTheStoreHasNotedItsReturn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		armed, held, begun := new(atomic.Bool), make(chan struct{}), make(chan struct{})
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
			return heldLeave{s, armed, held, begun}
		})
		ada := hub.signIn("ada")
		ada.openTab().Leave("close")
		pass(5 * time.Second)
		armed.Store(true)
		opened := make(chan struct{})
		go func() {
			defer close(opened)
			ada.openTab() // reads hello
		}()
		<-begun
		select {
		case <-opened:
		case <-time.After(time.Second):
			t.Error("the page is greeted only once the store has noted its return")
		}
		close(held)
		<-opened
	})
}

func TestClosingAndReturnAreStoredWhenTheStoreIsBack(t *testing.T) {
	for _, comesBack := range []bool{false, true} {
		t.Run(fmt.Sprintf("back %v", comesBack), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				folder, away := t.TempDir(), new(atomic.Bool)
				hub := startHubOver(t, folder, standard,
					func(s *bolt.Store) session.Store { return forgetfulStore{s, away} })
				ada := hub.signIn("ada")
				tab := ada.openTab()
				if comesBack {
					tab.Leave("close")
					synctest.Wait()
				}
				away.Store(true)
				if comesBack {
					ada.openTab()
				} else {
					tab.Leave("close")
				}
				pass(5 * time.Second)
				away.Store(false)
				pass(storeTabTimesEvery)
				synctest.Wait()
				hub.stop()
				ada.rig = startHubIn(t, folder, standard)
				pass(time.Minute)
				synctest.Wait()
				if comesBack {
					ada.wantsAlive()
				} else {
					ada.wantsEnded(session.ReasonBrowserClosed)
				}
			})
		})
	}
}

// muted is a node whose messages of tabs that go are lost.
type muted struct{ session.SharedStore }

func mute(s session.SharedStore) session.SharedStore { return muted{s} }

func (m muted) Publish(ctx context.Context, data []byte) error {
	return m.SharedStore.Publish(ctx, rewrite(data, func(message map[string]any) {
		message["events"] = slices.DeleteFunc(message["events"].([]any), func(e any) bool {
			return e.(map[string]any)["kind"] == "left"
		})
	}))
}

func TestNavigationOnAnotherNodeCallsOffTheGrace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		wrap  func(session.SharedStore) session.SharedStore
		after bool // the goodbye comes first
	}{
		{"before the goodbye", nil, false},
		{"before the goodbye, and its message is lost", mute, false},
		{"after the goodbye", nil, true},
		{"after the goodbye, and the messages of both are lost", mute, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t)
			p := standard
			p.CloseGrace = time.Second
			a, b := startNode(t, server, "a", p, c.wrap), startNode(t, server, "b", p, c.wrap)
			ada := b.signIn("ada")
			tab := ada.openTab()
			within(t, 3*time.Second, "a knows the tab", func() bool { return a.tabsOf("ada") == 1 })
			if !c.after {
				a.Navigated(t.Context(), ada.token.ID()) // the next page, which has no socket
			}
			tab.Leave("close")
			closed := time.Now()
			if c.after {
				within(t, 3*time.Second, "b has stored the goodbye", func() bool {
					r, err := b.store.Get(t.Context(), ada.token.ID())
					return err == nil && !r.LeftAt.IsZero()
				})
				a.Navigated(t.Context(), ada.token.ID())
			}
			within(t, 5*time.Second, "the grace is over", func() bool {
				return time.Since(closed) > p.CloseGrace+500*time.Millisecond
			})
			for _, node := range []*rig{a, b} {
				if status, err := node.Check(t.Context(), ada.token.ID()); err != nil {
					t.Errorf("node %s: Check = %v (%+v), want it alive", node.node, err, status.Record.End)
				}
			}
		})
	}
}

func TestFileThatAnotherNodeAnsweredTookNobodyAway(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := standard
	p.CloseGrace = time.Second
	a, b := startNode(t, server, "a", p, nil), startNode(t, server, "b", p, nil)
	ada := b.signIn("ada")
	tab := ada.openTab()
	within(t, 3*time.Second, "a knows the session", func() bool { return a.tabsOf("ada") == 1 })
	a.Stayed(t.Context(), ada.token.ID(), a.Navigated(t.Context(), ada.token.ID()))
	tab.Leave("close")
	within(t, 5*time.Second, "it is over", func() bool {
		r, err := a.store.Get(t.Context(), ada.token.ID())
		return err == nil && r.End != nil && r.End.Reason == session.ReasonBrowserClosed
	})
}

func TestTabThatVanishedIsFoundOutAndKeepsNoGraceFromBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		ghost := ada.openRawTab(t.Context())
		tab := ada.openTab()
		pass(5 * time.Second)
		tab.Leave("close")
		if code := <-ghost.closed; code != wire.StatusSlow {
			t.Errorf("the ghost was closed with %d, want %d", code, wire.StatusSlow)
		}
		pass(2 * time.Second)
		synctest.Wait()
		if since := time.Since(tab.Opened); since > 2*time.Minute || ada.Stats().Tabs != 0 {
			t.Errorf("after %s there are still %d tabs, want none within two minutes", since, ada.Stats().Tabs)
		}
		pass(standard.CloseGrace)
		synctest.Wait()
		ada.wantsEnded(session.ReasonBrowserClosed)
	})
}

func TestTabThatVanishedOnAnotherNodeKeepsNoGraceFromBeginning(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	p := standard
	p.CloseGrace = time.Second
	a, b := startNode(t, server, "a", p, nil), startNode(t, server, "b", p, nil)
	ada := b.signIn("ada")
	within(t, 3*time.Second, "a knows her", func() bool { return len(a.sessionsOf("ada")) == 1 })
	ghost := ada.on(a).openRawTab(t.Context())
	tab := ada.openTab()
	within(t, 3*time.Second, "both know both tabs", func() bool { return a.tabsOf("ada") == 2 && b.tabsOf("ada") == 2 })
	tab.Leave("close")
	within(t, 3*time.Second, "a knows that the other is closed", func() bool { return a.tabsOf("ada") == 1 })
	ticked := a.tabs.all()[0]
	for range 3 {
		a.tick(ticked, time.Now())
	}
	if code := <-ghost.closed; code != wire.StatusSlow {
		t.Errorf("closed with %d, want %d", code, wire.StatusSlow)
	}
	for _, node := range []*rig{a, b} {
		within(t, 5*time.Second, "it is over on "+node.node, func() bool {
			status, err := node.Check(t.Context(), ada.token.ID())
			return errors.Is(err, session.ErrEnded) && status.Record.End.Reason == session.ReasonBrowserClosed
		})
	}
}

func TestTabThatVanishedAloneBeginsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		ghost := ada.openRawTab(t.Context())
		<-ghost.closed
		pass(standard.CloseGrace + 5*time.Second)
		synctest.Wait()
		ada.wantsAlive()
	})
}

// A lid is shut soon after one of two tabs was closed: the other was there when that was done.
func TestTabThatVanishedAfterTheOtherTabWasClosedBeginsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		sleeper, tab := ada.openRawTab(t.Context()), ada.openTab()
		pass(5 * time.Second)
		tab.Leave("close")
		pass(time.Millisecond)
		if sleeper.pings.Load() != 1 {
			t.Fatalf("%d pings, want one when the other tab was closed", sleeper.pings.Load())
		}
		sleeper.conn.Write(rawFrame(0x8a, ""))
		<-sleeper.closed
		pass(standard.CloseGrace + 5*time.Second)
		synctest.Wait()
		ada.wantsAlive()
	})
}

// leaving is a way in which a person's only page goes, and whether the session ends for that.
type leaving struct {
	name  string
	leave func(*page)
	ends  bool
}

// closings: a browser closes its page, and what is no closing.
var closings = []leaving{
	{"page says it was closed", func(p *page) { p.Leave("close") }, true},
	{"browser is gone", func(p *page) { p.Conn.Close(websocket.StatusGoingAway, "") }, true},
	{"a link led elsewhere", func(p *page) { p.Leave(wire.LeftNavigate) }, false},
	{"connection is lost", func(p *page) { p.Conn.CloseNow() }, false},
	{"another tab stays", func(p *page) { p.openTab(); p.Leave("close") }, false},
	{"a new tab comes in time", func(p *page) {
		p.Leave("close")
		pass(19 * time.Second)
		p.openTab()
	}, false},
}

// navigations: a request for a page comes, before the page is closed or after.
var navigations = []leaving{
	{"a navigation comes in time", func(p *page) {
		p.Leave("close")
		pass(19 * time.Second)
		p.Navigated(p.t.Context(), p.token.ID())
	}, false},
	{"a navigation to a page without a socket came before", func(p *page) {
		p.Navigated(p.t.Context(), p.token.ID())
		pass(time.Second)
		p.Leave("close")
	}, false},
	{"a navigation came before, and its page was closed, too", func(p *page) {
		p.Navigated(p.t.Context(), p.token.ID())
		next := p.openTab()
		p.Leave("close")
		next.Leave("close")
	}, true},
	{"a navigation comes too late", func(p *page) {
		p.Leave("close")
		pass(21 * time.Second)
		p.Navigated(p.t.Context(), p.token.ID())
	}, true},
}

// discards: a browser discards a hidden tab by itself, and may do so sooner on a phone.
var discards = []leaving{
	{"a tab hidden for long was discarded", func(p *page) {
		p.Send(`{"type":"visibility","hidden":true}`)
		pass(5*time.Minute + time.Second)
		p.Conn.Close(websocket.StatusGoingAway, "")
	}, false},
	{"a tab hidden for a while was not", func(p *page) {
		p.Send(`{"type":"visibility","hidden":true}`)
		pass(4 * time.Minute)
		p.Conn.Close(websocket.StatusGoingAway, "")
	}, true},
	{"a hidden tab of a phone was discarded", func(p *page) {
		p.agent = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 " +
			"Mobile Safari/537.36"
		phone := p.openTab()
		p.Conn.CloseNow()
		synctest.Wait() // that one is gone first
		phone.Send(`{"type":"visibility","hidden":true}`)
		pass(30 * time.Second)
		phone.Conn.Close(websocket.StatusGoingAway, "")
	}, false},
	{"a tab of a phone was closed", func(p *page) {
		p.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like " +
			"Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
		phone := p.openTab()
		p.Conn.CloseNow()
		synctest.Wait() // that one is gone first
		phone.Send(`{"type":"visibility","hidden":true}`)
		phone.Leave("close")
	}, true},
}

// files: a request for a file comes, which replaces no page.
var files = []leaving{
	{"a file was asked for: whoever did is still there", func(p *page) {
		p.Stayed(p.t.Context(), p.token.ID(), p.Navigated(p.t.Context(), p.token.ID()))
		pass(10 * time.Second)
		p.Leave("close")
	}, true},
	{"a file was asked for, and the page closed before it came", func(p *page) {
		asked := p.Navigated(p.t.Context(), p.token.ID())
		p.Leave("close")
		pass(time.Second)
		p.Stayed(p.t.Context(), p.token.ID(), asked)
	}, true},
	{"a file is asked for in time", func(p *page) {
		p.Leave("close")
		pass(10 * time.Second)
		p.Stayed(p.t.Context(), p.token.ID(), p.Navigated(p.t.Context(), p.token.ID()))
	}, false},
}

func TestClosedBrowserEndsTheSessionAfterItsGrace(t *testing.T) {
	for _, tt := range slices.Concat(closings, navigations, discards, files) {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { tt.check(t, standard) })
		})
	}
}

func TestNoGraceNoEndOfAClosedBrowser(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.CloseGrace = 0
		leaving{"turned off", func(p *page) { p.Leave("close") }, false}.check(t, p)
	})
}

// check has a person leave, and looks at their session a second after the grace of 20 s.
func (l leaving) check(t *testing.T, p session.Policy) {
	t.Helper()
	hub := startHub(t, p)
	ada := hub.signIn("ada")
	l.leave(ada.openTab())
	pass(21 * time.Second)
	synctest.Wait()
	r, err := hub.store.Get(t.Context(), ada.token.ID())
	if err != nil {
		t.Fatal(err)
	}
	if ended := r.End != nil; ended != l.ends || ended && r.End.Reason != session.ReasonBrowserClosed {
		t.Errorf("end = %+v, want ended %v as browser-closed", r.End, l.ends)
	}
}

func TestGraceHoldsAcrossARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		ada := hub.signIn("ada")
		ada.openTab().Leave("close")
		synctest.Wait()
		hub.stop()
		pass(10 * time.Second)
		again := startHubIn(t, folder, standard)
		pass(11 * time.Second)
		synctest.Wait()
		r, err := again.store.Get(t.Context(), ada.token.ID())
		if err != nil || r.End == nil || r.End.Reason != session.ReasonBrowserClosed {
			t.Errorf("after the restart: %+v, %v, want browser-closed", r.End, err)
		}
	})
}
