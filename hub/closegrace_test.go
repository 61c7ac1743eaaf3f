package hub

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis/redistest"
)

func (u *user) wantsEnded(reason session.Reason) {
	u.t.Helper()
	if r, err := u.store.Get(context.Background(), u.token.ID()); err != nil || r.End == nil || r.End.Reason != reason {
		u.t.Errorf("%s: end %+v, %v, want %s", u.token.ID().Ref(), r.End, err, reason)
	}
}

func TestReturnIsStoredThoughTheRequestWasBrokenOff(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		ada := hub.signIn("ada")
		ada.openTab().conn.Close(wire.StatusLeft, "close")
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

func TestRequestThatBreaksOffTakesNoDecisionAlong(t *testing.T) {
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	t.Run("sign-out", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			if first, err := ada.End(gone, ada.token.ID(), session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())}); !first || err != nil {
				t.Errorf("End = %v, %v", first, err)
			}
			tab.wantsEnd(session.ReasonLogout, 0)
		})
	})
	t.Run("stay signed in", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			tab.wants(wire.KindWarn, standard.WarnAfter)
			if err := ada.Act(gone, ada.token.ID(), 0, true); err != nil {
				t.Error(err)
			}
			if r, err := ada.store.Get(t.Context(), ada.token.ID()); err != nil || time.Since(r.LastActiveAt) > time.Second {
				t.Errorf("the page is told that it stays, the store says it was active %s ago, %v", time.Since(r.LastActiveAt), err)
			}
		})
	})
	t.Run("notice", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			tab := ada.openTab()
			if _, _, _, err := ada.Notify(gone, session.Scope{Everyone: true}, "root", "The printer is back."); err != nil {
				t.Error(err)
			}
			tab.wants(wire.KindNotice, 0)
		})
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

func TestClosingAndReturnAreStoredWhenTheStoreIsBack(t *testing.T) {
	for _, comesBack := range []bool{false, true} {
		t.Run(fmt.Sprintf("back %v", comesBack), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				folder, away := t.TempDir(), new(atomic.Bool)
				hub := startHubOver(t, folder, standard, func(s *bolt.Store) session.Store { return forgetfulStore{s, away} })
				ada := hub.signIn("ada")
				tab := ada.openTab()
				if comesBack {
					tab.conn.Close(wire.StatusLeft, "close")
					synctest.Wait()
				}
				away.Store(true)
				if comesBack {
					ada.openTab()
				} else {
					tab.conn.Close(wire.StatusLeft, "close")
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

// muted is a node whose word of tabs that come and go is lost.
type muted struct{ session.SharedStore }

func (m muted) Publish(ctx context.Context, data []byte) error {
	return m.SharedStore.Publish(ctx, rewrite(data, func(message map[string]any) {
		message["events"] = slices.DeleteFunc(message["events"].([]any), func(e any) bool { return e.(map[string]any)["kind"] == string(eventLeft) })
	}))
}

func TestNavigationOnAnotherNodeCallsOffTheGrace(t *testing.T) {
	for _, c := range []struct {
		name  string
		says  func(session.SharedStore) session.SharedStore
		after bool // the goodbye comes first
	}{
		{"before the goodbye", func(p session.SharedStore) session.SharedStore { return p }, false},
		{"before the goodbye, and word of it is lost", func(p session.SharedStore) session.SharedStore { return muted{p} }, false},
		{"after the goodbye", func(p session.SharedStore) session.SharedStore { return p }, true},
		{"after the goodbye, and word of both is lost", func(p session.SharedStore) session.SharedStore { return muted{p} }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			server := redistest.Start(t)
			p := standard
			p.CloseGrace = time.Second
			a, b := startNode(t, server, "a", p, c.says), startNode(t, server, "b", p, c.says)
			ada := b.signIn("ada")
			tab := ada.openTab()
			within(t, 3*time.Second, "a knows the tab", func() bool { return a.tabsOf("ada") == 1 })
			if !c.after {
				a.Navigated(t.Context(), ada.token.ID()) // the next page, which has no socket
			}
			tab.conn.Close(wire.StatusLeft, "close")
			closed := time.Now()
			if c.after {
				within(t, 3*time.Second, "b has stored the goodbye", func() bool {
					r, err := b.store.Get(t.Context(), ada.token.ID())
					return err == nil && !r.LeftAt.IsZero()
				})
				a.Navigated(t.Context(), ada.token.ID())
			}
			within(t, 5*time.Second, "the grace is over", func() bool { return time.Since(closed) > p.CloseGrace+500*time.Millisecond })
			for _, node := range []*rig{a, b} {
				if status, err := node.Check(t.Context(), ada.token.ID()); err != nil {
					t.Errorf("node %s: Check = %v (%+v), want it alive", node.node, err, status.Record.End)
				}
			}
		})
	}
}

func TestFileThatAnotherNodeAnsweredTookNobodyAway(t *testing.T) {
	server := redistest.Start(t)
	p := standard
	p.CloseGrace = time.Second
	same := func(p session.SharedStore) session.SharedStore { return p }
	a, b := startNode(t, server, "a", p, same), startNode(t, server, "b", p, same)
	ada := b.signIn("ada")
	tab := ada.openTab()
	within(t, 3*time.Second, "a knows the session", func() bool { return a.tabsOf("ada") == 1 })
	a.Stayed(t.Context(), ada.token.ID(), a.Navigated(t.Context(), ada.token.ID()))
	tab.conn.Close(wire.StatusLeft, "close")
	within(t, 5*time.Second, "it is over", func() bool {
		r, err := a.store.Get(t.Context(), ada.token.ID())
		return err == nil && r.End != nil && r.End.Reason == session.ReasonBrowserClosed
	})
}

func TestAwayOnSeveralNodes(t *testing.T) {
	server := redistest.Start(t)
	same := func(p session.SharedStore) session.SharedStore { return p }
	a, b := startNode(t, server, "a", standard, same), startNode(t, server, "b", standard, same)
	cases := []struct {
		name  string
		leave func(*page)
		after time.Duration // when both nodes say away: not before, and within a second after
	}{
		{"closed", func(p *page) { p.conn.Close(wire.StatusLeft, "close") }, 0},
		{"led on by a link", func(p *page) { p.conn.Close(wire.StatusLeft, wire.LeftNavigate) }, awayAfter},
		{"lost", func(p *page) { p.conn.CloseNow() }, awayAfter},
		{"closed after a navigation elsewhere", func(p *page) {
			a.Navigated(p.t.Context(), p.token.ID())
			s := b.lookup(p.token.ID())
			// until then it can only take it for a closing
			within(t, time.Second, "b knows of the navigation", func() bool {
				s.mu.Lock()
				defer s.mu.Unlock()
				return !s.tabTimes.AskedAt.IsZero()
			})
			p.conn.Close(wire.StatusLeft, "close")
		}, awayAfter},
	}
	tabs := make([]*page, len(cases))
	left := make([]time.Time, len(cases))
	for i, c := range cases {
		tabs[i] = b.signIn(c.name).openTab()
		within(t, 3*time.Second, "a knows the tab", func() bool { return a.tabsOf(c.name) == 1 })
	}
	for i, c := range cases {
		left[i] = time.Now()
		c.leave(tabs[i])
	}
	seen := make(map[string]bool)
	within(t, awayAfter+2*time.Second, "all are away", func() bool {
		for i, c := range cases {
			for _, node := range []*rig{a, b} {
				status, err := node.Check(t.Context(), tabs[i].token.ID())
				if err != nil {
					t.Fatal(err)
				}
				what := "what was " + c.name + ", on " + node.node
				if after := time.Since(left[i]); status.State == StateAway && !seen[what] {
					seen[what] = true
					if after < c.after || after > c.after+time.Second {
						t.Errorf("%s: away after %s, want %s", what, after, c.after)
					}
				}
			}
		}
		return len(seen) == 2*len(cases)
	})
}

// rawTab is the other end of a tab as bytes. It reads, and answers nothing.
type rawTab struct {
	conn   net.Conn
	closed chan websocket.StatusCode // what the server closed with; -1 without a close frame
	pings  atomic.Int32
}

func (u *user) openRawTab(ctx context.Context) *rawTab {
	u.t.Helper()
	conn, err := u.listener.Dial(ctx, "", "")
	if err != nil {
		u.t.Fatal(err)
	}
	u.t.Cleanup(func() { conn.Close() })
	fmt.Fprintf(conn, "GET /session/ws HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: %s\r\nOrigin: %s\r\nX-Session: %s\r\n\r\n", wire.Subprotocol, origin, u.token.Text())
	r := bufio.NewReader(conn)
	response, err := http.ReadResponse(r, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		u.t.Fatalf("handshake: %+v, %v", response, err)
	}
	tab := &rawTab{conn: conn, closed: make(chan websocket.StatusCode, 1)}
	go tab.read(r)
	return tab
}

func (tab *rawTab) read(r *bufio.Reader) {
	for {
		var head [2]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			tab.closed <- -1
			return
		}
		length := uint16(head[1])
		if length == 126 {
			if err := binary.Read(r, binary.BigEndian, &length); err != nil {
				tab.closed <- -1
				return
			}
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			tab.closed <- -1
			return
		}
		switch head[0] & 0x0f {
		case wire.OpPing:
			tab.pings.Add(1)
		case wire.OpClose:
			tab.closed <- websocket.StatusCode(binary.BigEndian.Uint16(body))
			return
		}
	}
}

// rawFrame is a masked frame of a page. The key is 0, so that the body is its own mask.
func rawFrame(first byte, body string) []byte {
	return append([]byte{first, 0x80 | byte(len(body)), 0, 0, 0, 0}, body...)
}

func TestPeerThatVanishedIsFoundOutAndKeepsNoGraceFromBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		ghost := ada.openRawTab(t.Context())
		tab := ada.openTab()
		pass(5 * time.Second)
		tab.conn.Close(wire.StatusLeft, "close")
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

func TestPeerThatVanishedOnAnotherNodeKeepsNoGraceFromBeginning(t *testing.T) {
	server := redistest.Start(t)
	p := standard
	p.CloseGrace = time.Second
	same := func(p session.SharedStore) session.SharedStore { return p }
	a, b := startNode(t, server, "a", p, same), startNode(t, server, "b", p, same)
	ada := b.signIn("ada")
	within(t, 3*time.Second, "a knows her", func() bool { return len(a.sessionsOf("ada")) == 1 })
	ghost := ada.on(a).openRawTab(t.Context())
	tab := ada.openTab()
	within(t, 3*time.Second, "both know both tabs", func() bool { return a.tabsOf("ada") == 2 && b.tabsOf("ada") == 2 })
	tab.conn.Close(wire.StatusLeft, "close")
	within(t, 3*time.Second, "a knows that the other is closed", func() bool { return a.tabsOf("ada") == 1 })
	ticked := a.allTabs()[0]
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

func TestPeerThatVanishedAloneBeginsNothing(t *testing.T) {
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
func TestPeerThatVanishedAfterTheOtherTabWasClosedBeginsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		sleeper, tab := ada.openRawTab(t.Context()), ada.openTab()
		pass(5 * time.Second)
		tab.conn.Close(wire.StatusLeft, "close")
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

func TestFrozenPageStaysUnconfirmed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.WarnAfter, p.ExpireAfter, p.MaxLifetime = time.Hour, 2*time.Hour, 0
		ada := startHub(t, p).signIn("ada")
		c, _, err := ada.dial()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.CloseNow() })
		go func() { // the browser answers pings, the page does not answer ticks
			for {
				if _, _, err := c.Read(context.Background()); err != nil {
					return
				}
			}
		}()
		pass(30 * time.Minute)
		synctest.Wait()
		if stats := ada.Stats(); stats.Tabs != 1 {
			t.Errorf("%d tabs, want the frozen one to stay", stats.Tabs)
		}
		s := ada.lookup(ada.token.ID())
		s.mu.Lock()
		defer s.mu.Unlock()
		if !ada.tabLocked(s.tabs[0]).Unconfirmed {
			t.Error("it is confirmed")
		}
	})
}

func TestFloodOfFramesThatAreNoMessage(t *testing.T) {
	for name, frames := range map[string][2]byte{"empty continuations": {0x01, 0x00}, "pongs": {0x8a, 0x8a}, "pings": {0x89, 0x89}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ada := startHub(t, standard).signIn("ada")
				good, evil := ada.openTab(), ada.openRawTab(t.Context())
				send := func(first byte) { evil.conn.Write(rawFrame(first, "")) }
				send(frames[0])
				for range socket.MaxFrames - 1 {
					send(frames[1])
				}
				synctest.Wait()
				if n := ada.Stats().Tabs; n != 2 {
					t.Fatalf("%d tabs after %d frames, want 2", n, socket.MaxFrames)
				}
				pass(999 * time.Millisecond)
				send(frames[1])
				if code := <-evil.closed; code != wire.StatusBreach {
					t.Errorf("closed with %d, want %d", code, wire.StatusBreach)
				}
				good.send(`{"type":"sync"}`)
				good.next(wire.KindActive)
			})
		})
	}
}

func TestAcksOfWhatWasSentAreNoFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tab := startHub(t, standard).signIn("ada").openTab()
		for range socket.MaxFrames {
			tab.send(`{"type":"sync"}`)
			tab.ack(tab.next(wire.KindActive))
		}
		pass(999 * time.Millisecond)
		tab.send(`{"type":"ack","seq":1}`) // an old one
		tab.wantsClose(wire.StatusBreach, "flood")
	})
}

func TestTabsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		var tabs []*page
		for range maxTabsOfSession {
			tabs = append(tabs, ada.openTab())
		}
		wantsFull := func(u *user) {
			t.Helper()
			c, _, err := u.dial()
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := c.Read(t.Context()); websocket.CloseStatus(err) != wire.StatusFull {
				t.Errorf("got %v, want it closed with %d", err, wire.StatusFull)
			}
		}
		wantsFull(ada)
		grace.openTab()
		tabs[0].conn.CloseNow()
		synctest.Wait()
		ada.openTab()
		hub.places.mu.Lock()
		hub.places.limit = maxTabsOfSession + 1
		hub.places.mu.Unlock()
		wantsFull(grace)
		for _, tab := range tabs {
			tab.conn.CloseNow()
		}
		synctest.Wait()
		hub.places.mu.Lock()
		defer hub.places.mu.Unlock()
		if hub.places.taken != 2 || hub.places.ofUser["ada"] != 1 || hub.places.ofUser["grace"] != 1 {
			t.Errorf("%d places are taken (%v), want one of each", hub.places.taken, hub.places.ofUser)
		}
	})
}

func TestTabsOfAUserAreBounded(t *testing.T) {
	var p places
	first, second := &liveSession{user: "ada"}, &liveSession{user: "ada"}
	for i := range maxTabsOfUser {
		s := &liveSession{user: "ada"}
		if i == 0 {
			s = first
		}
		if !p.take(s) {
			t.Fatalf("no room after %d", i)
		}
	}
	if p.take(second) {
		t.Errorf("room for more than %d", maxTabsOfUser)
	}
	p.leave(first)
	if !p.take(second) {
		t.Error("no room though one has gone")
	}
}

func TestHandshakeThatComesToNothingLeavesNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		hub.SetFault(FaultDrop)
		for range 10 {
			if c, _, err := ada.dial(); err == nil {
				c.Read(t.Context())
				c.CloseNow()
			}
		}
		hub.SetFault(FaultNone)
		request, _ := http.NewRequest(http.MethodGet, "http://app.example/session/ws", nil) // no upgrade
		request.Header = http.Header{"Origin": {origin}, "X-Session": {ada.token.Text()}, "Sec-Websocket-Protocol": {wire.Subprotocol}}
		response, err := ada.client.Do(request)
		if err != nil || response.StatusCode != http.StatusUpgradeRequired {
			t.Fatalf("%+v, %v, want %d", response, err, http.StatusUpgradeRequired)
		}
		response.Body.Close()
		synctest.Wait()
		hub.places.mu.Lock()
		defer hub.places.mu.Unlock()
		if hub.places.taken != 0 || len(hub.places.ofUser) != 0 || ada.lookup(ada.token.ID()).places != 0 {
			t.Errorf("%d places are taken, want none", hub.places.taken)
		}
	})
}

func TestWordOfTabsFromAnOlderVersion(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		tab := ada.openTab()
		tab.conn.CloseNow()
		synctest.Wait()
		pass(time.Second)
		s := ada.lookup(ada.token.ID())
		left := session.Millis(time.Now())
		for _, at := range []time.Time{left, {}, left.Add(time.Second)} {
			ada.leftElsewhere(s, &event{Kind: eventLeft, At: session.UnixMilli(at)})
			s.mu.Lock()
			got := s.recordLocked().LeftAt
			s.mu.Unlock()
			if !got.Equal(at) {
				t.Errorf("left at %s, want %s", got, at)
			}
		}
	})
}
