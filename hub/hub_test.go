package hub

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/bolt"
)

func TestIdleSessionWarnsThenEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		var tabs []*page
		for range 5 {
			tabs = append(tabs, ada.openTab())
		}
		for _, tab := range tabs {
			m := tab.wants(wire.KindWarn, 9*time.Minute)
			if m["reason"] != "idle" || m["expire_in_ms"].(float64) < 59900 || m["expire_in_ms"].(float64) > 60000 {
				t.Errorf("warn = %v", m)
			}
		}
		for _, tab := range tabs {
			tab.wantsEnd(session.ReasonIdle, 10*time.Minute)
		}
		if _, err := hub.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check = %v, want ErrEnded", err)
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

func TestEndByTimeIsToldOnTimeThoughTheStoreIsAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		back := time.Now().Add(10*time.Minute + 4500*time.Millisecond)
		hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store { return awayStore{s, back} })
		ada := hub.signIn("ada")
		tab := ada.openTab()
		tab.wants(wire.KindWarn, 9*time.Minute)
		pass(time.Minute)
		if _, err := hub.Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
			t.Errorf("Check at the deadline = %v, want ErrEnded", err)
		}
		tab.wantsEnd(session.ReasonIdle, 10*time.Minute)
		pass(10 * time.Second)
		synctest.Wait()
		if r, err := hub.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil || r.End.Reason != session.ReasonIdle {
			t.Errorf("the end was never stored: %+v, %v", r.End, err)
		}
		if st := hub.Stats(); st.Sessions != 0 || st.Ends[session.ReasonIdle] != 1 {
			t.Errorf("stats = %+v, want one end", st)
		}
	})
}

func TestActivityInOneTabWithdrawsTheWarningInAll(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, bystander := hub.signIn("ada"), hub.signIn("grace").openTab()
		one, two := ada.openTab(), ada.openTab()
		one.wants(wire.KindWarn, 9*time.Minute)
		two.wants(wire.KindWarn, 9*time.Minute)
		bystander.wants(wire.KindWarn, 9*time.Minute)
		one.send(`{"type":"activity","idle_ms":0}`)
		for _, tab := range []*page{one, two} {
			m := tab.wants(wire.KindActive, 9*time.Minute)
			if ms := m["expire_in_ms"].(float64); ms < 599_900 || ms > 600_000 {
				t.Errorf("active = %v, want 10 minutes left", m)
			}
		}
		r, err := hub.store.Get(t.Context(), ada.token.ID())
		if err != nil || time.Since(r.LastActiveAt) > time.Second {
			t.Errorf("the extension was told before it was stored: %v, %v", r.LastActiveAt, err)
		}
		bystander.silent()
		bystander.wantsEnd(session.ReasonIdle, 10*time.Minute)
		one.wants(wire.KindWarn, 18*time.Minute)
	})
}

func TestHeartbeatsAreToldRarelyAndAlwaysBeforeTheToldWarning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		one, two := ada.openTab(), ada.openTab()
		pass(30 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`)
		two.silent() // 30 s behind is less than a tenth of 10 minutes
		pass(40 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`)
		two.next(wire.KindActive)
		one.next(wire.KindActive)
		pass(20 * time.Second)
		one.send(`{"type":"activity","idle_ms":0}`) // at 90 s, not told: the tabs expect the warning at 70 s + 9 min
		m := two.wants(wire.KindActive, 70*time.Second+9*time.Minute-time.Second)
		if ms := m["warn_in_ms"].(float64); ms < 20_900 || ms > 21_100 {
			t.Errorf("active = %v, want 21 s to the warning", m)
		}
		two.wants(wire.KindWarn, 90*time.Second+9*time.Minute)
	})
}

func TestActivityIsJudgedByItsAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		pass(8 * time.Minute)
		tab.send(`{"type":"activity","idle_ms":240000}`) // acted at 4 min
		synctest.Wait()
		tab.next(wire.KindActive)
		tab.send(`{"type":"activity","idle_ms":400000}`) // older: changes nothing
		tab.send(`{"type":"activity","idle_ms":99999999999}`)
		tab.silent()
		tab.wants(wire.KindWarn, 13*time.Minute)
		// acted at 11:30, before the warning began, and so it withdraws it
		tab.send(`{"type":"activity","idle_ms":90000}`)
		tab.wants(wire.KindActive, 13*time.Minute)
		tab.wants(wire.KindWarn, 13*time.Minute+9*time.Minute-90*time.Second)
	})
}

func TestConfirmPolicyIsWithdrawnByTheButtonOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.ExtendOn = session.ExtendOnConfirm
		hub := startHub(t, p)
		ada := hub.signIn("ada")
		one, two := ada.openTab(), ada.openTab()
		pass(5 * time.Minute)
		one.send(`{"type":"activity","idle_ms":0}`) // before the warning acts extend
		one.next(wire.KindActive)
		two.next(wire.KindActive)
		one.wants(wire.KindWarn, 14*time.Minute)
		two.next(wire.KindWarn)
		one.send(`{"type":"activity","idle_ms":0}`)
		one.send(`{"type":"activity","idle_ms":30000}`)
		one.silent()
		one.send(`{"type":"sync"}`)
		one.next(wire.KindWarn)
		one.send(`{"type":"confirm"}`)
		one.next(wire.KindActive)
		two.next(wire.KindActive)
	})
}

func TestLifetimeCannotBeExtended(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.MaxLifetime = 12 * time.Minute
		hub := startHub(t, p)
		tab := hub.signIn("ada").openTab()
		pass(5 * time.Minute)
		tab.send(`{"type":"activity","idle_ms":0}`)
		tab.next(wire.KindActive)
		if m := tab.wants(wire.KindWarn, 11*time.Minute); m["reason"] != "lifetime" {
			t.Errorf("warn = %v, want lifetime", m)
		}
		tab.send(`{"type":"activity","idle_ms":0}`)
		tab.silent()
		tab.send(`{"type":"confirm"}`)
		if m := tab.next(wire.KindWarn); m["reason"] != "lifetime" {
			t.Errorf("confirm was answered by %v, want the lifetime warning", m)
		}
		tab.wantsEnd(session.ReasonLifetime, 12*time.Minute)
	})
}

func TestWithdrawnIdleWarningGivesWayToTheLifetimes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		p := standard
		p.MaxLifetime = 10*time.Minute + 30*time.Second
		hub := startHub(t, p)
		tab := hub.signIn("ada").openTab()
		if m := tab.wants(wire.KindWarn, 9*time.Minute); m["reason"] != "idle" {
			t.Errorf("warn = %v, want idle", m)
		}
		pass(45 * time.Second) // the lifetime's warning stands as well now, but ends later
		tab.silent()
		tab.send(`{"type":"activity","idle_ms":0}`)
		if m := tab.next(wire.KindWarn); m["reason"] != "lifetime" {
			t.Errorf("got %v, want the lifetime's warning in its place", m)
		}
		tab.wantsEnd(session.ReasonLifetime, 10*time.Minute+30*time.Second)
	})
}

func TestEndReachesEveryTabAndIsDurableFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		one, two, other := ada.openTab(), ada.openTab(), hub.signIn("ada").openTab()
		first, err := hub.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now(), Actor: "ada"})
		if !first || err != nil {
			t.Fatalf("End = %v, %v", first, err)
		}
		one.wantsEnd(session.ReasonLogout, 0)
		if m := two.next(wire.KindExpire); m["reason"] != "logout" { // a frozen page: no ack
			t.Errorf("expire = %v", m)
		}
		begin := time.Now()
		two.wantsClose(wire.StatusExpired, "logout")
		if waited := time.Since(begin); waited < 900*time.Millisecond || waited > 1100*time.Millisecond {
			t.Errorf("the close frame came after %s, want 1 s", waited)
		}
		if _, response, err := ada.dial(); err == nil || response == nil || response.StatusCode != http.StatusUnauthorized {
			t.Errorf("a new tab of the ended session: %v, %v, want 401", response, err)
		}
		other.silent()
		if again, err := hub.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonAdmin, At: time.Now()}); again || err != nil {
			t.Errorf("second End = %v, %v", again, err)
		}
	})
}

func TestClosedBrowserEndsTheSessionAfterItsGrace(t *testing.T) {
	tests := []struct {
		name   string
		leave  func(*page)
		policy func(*session.Policy)
		ends   bool
	}{
		{"page says it was closed", func(p *page) { p.conn.Close(wire.StatusLeft, "close") }, nil, true},
		{"browser is gone", func(p *page) { p.conn.Close(websocket.StatusGoingAway, "") }, nil, true},
		{"a link led elsewhere", func(p *page) { p.conn.Close(wire.StatusLeft, wire.LeftNavigate) }, nil, false},
		{"connection is lost", func(p *page) { p.conn.CloseNow() }, nil, false},
		{"another tab stays", func(p *page) { p.openTab(); p.conn.Close(wire.StatusLeft, "close") }, nil, false},
		{"a new tab comes in time", func(p *page) {
			p.conn.Close(wire.StatusLeft, "close")
			pass(19 * time.Second)
			p.openTab()
		}, nil, false},
		{"a navigation comes in time", func(p *page) {
			p.conn.Close(wire.StatusLeft, "close")
			pass(19 * time.Second)
			p.Navigated(p.t.Context(), p.token.ID())
		}, nil, false},
		{"a navigation to a page without a socket came before", func(p *page) {
			p.Navigated(p.t.Context(), p.token.ID())
			pass(time.Second)
			p.conn.Close(wire.StatusLeft, "close")
		}, nil, false},
		{"a navigation came before, and its page was closed, too", func(p *page) {
			p.Navigated(p.t.Context(), p.token.ID())
			next := p.openTab()
			p.conn.Close(wire.StatusLeft, "close")
			next.conn.Close(wire.StatusLeft, "close")
		}, nil, true},
		{"a navigation comes too late", func(p *page) {
			p.conn.Close(wire.StatusLeft, "close")
			pass(21 * time.Second)
			p.Navigated(p.t.Context(), p.token.ID())
		}, nil, true},
		{"a tab hidden for long was discarded", func(p *page) {
			p.send(`{"type":"visibility","hidden":true}`)
			pass(5*time.Minute + time.Second)
			p.conn.Close(websocket.StatusGoingAway, "")
		}, nil, false},
		{"a tab hidden for a while was not", func(p *page) {
			p.send(`{"type":"visibility","hidden":true}`)
			pass(4 * time.Minute)
			p.conn.Close(websocket.StatusGoingAway, "")
		}, nil, true},
		{"a hidden tab of a phone was discarded", func(p *page) {
			p.agent = "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Mobile Safari/537.36"
			phone := p.openTab()
			p.conn.CloseNow()
			synctest.Wait() // that one is gone first
			phone.send(`{"type":"visibility","hidden":true}`)
			pass(30 * time.Second)
			phone.conn.Close(websocket.StatusGoingAway, "")
		}, nil, false},
		{"a tab of a phone was closed", func(p *page) {
			p.agent = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1"
			phone := p.openTab()
			p.conn.CloseNow()
			synctest.Wait() // that one is gone first
			phone.send(`{"type":"visibility","hidden":true}`)
			phone.conn.Close(wire.StatusLeft, "close")
		}, nil, true},
		{"a file was asked for: whoever did is still there", func(p *page) {
			p.Stayed(p.t.Context(), p.token.ID(), p.Navigated(p.t.Context(), p.token.ID()))
			pass(10 * time.Second)
			p.conn.Close(wire.StatusLeft, "close")
		}, nil, true},
		{"a file was asked for, and the page closed before it came", func(p *page) {
			asked := p.Navigated(p.t.Context(), p.token.ID())
			p.conn.Close(wire.StatusLeft, "close")
			pass(time.Second)
			p.Stayed(p.t.Context(), p.token.ID(), asked)
		}, nil, true},
		{"a file is asked for in time", func(p *page) {
			p.conn.Close(wire.StatusLeft, "close")
			pass(10 * time.Second)
			p.Stayed(p.t.Context(), p.token.ID(), p.Navigated(p.t.Context(), p.token.ID()))
		}, nil, false},
		{"turned off", func(p *page) { p.conn.Close(wire.StatusLeft, "close") }, func(p *session.Policy) { p.CloseGrace = 0 }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				p := standard
				if tt.policy != nil {
					tt.policy(&p)
				}
				hub := startHub(t, p)
				ada := hub.signIn("ada")
				tt.leave(ada.openTab())
				pass(21 * time.Second)
				synctest.Wait()
				r, err := hub.store.Get(t.Context(), ada.token.ID())
				if err != nil {
					t.Fatal(err)
				}
				if ended := r.End != nil; ended != tt.ends || ended && r.End.Reason != session.ReasonBrowserClosed {
					t.Errorf("end = %+v, want ended %v as browser-closed", r.End, tt.ends)
				}
			})
		})
	}
}

func TestGraceHoldsAcrossARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		ada := hub.signIn("ada")
		ada.openTab().conn.Close(wire.StatusLeft, "close")
		synctest.Wait()
		hub.stop()
		pass(10 * time.Second)
		again := startHubIn(t, folder, standard)
		pass(11 * time.Second)
		synctest.Wait()
		if r, err := again.store.Get(t.Context(), ada.token.ID()); err != nil || r.End == nil || r.End.Reason != session.ReasonBrowserClosed {
			t.Errorf("after the restart: %+v, %v, want browser-closed", r.End, err)
		}
	})
}

func TestSessionWithoutTabsEndsOnTimeAndOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		hub := startHubIn(t, folder, standard)
		hub.signIn("ada")
		late := hub.signIn("grace")
		pass(5 * time.Minute)
		if err := hub.Act(t.Context(), late.token.ID(), 0, false); err != nil {
			t.Fatal(err)
		}
		hub.stop() // flushes
		pass(7 * time.Minute)
		again := startHubIn(t, folder, standard)
		if _, err := again.Check(t.Context(), late.token.ID()); err != nil {
			t.Errorf("activity before the restart is lost: %v", err)
		}
		pass(time.Hour)
		synctest.Wait()
		events, err := again.store.Events(t.Context(), session.EventQuery{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		ends := map[string]int{}
		for _, e := range events {
			if e.Kind == session.EventSessionEnd {
				ends[e.User+" "+string(e.Reason)]++
			}
		}
		if len(ends) != 2 || ends["ada idle"] != 1 || ends["grace idle"] != 1 {
			t.Errorf("ends = %v, want one idle end each", ends)
		}
	})
}

func TestTabThatOpensLateIsToldOfTheWarning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		ada.openTab()
		pass(9*time.Minute + 30*time.Second)
		if m := ada.openTab().next(wire.KindWarn); m["expire_in_ms"].(float64) > 30_000 {
			t.Errorf("warn = %v, want 30 s left", m)
		}
	})
}

func TestHandshakeIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		tests := []struct {
			name   string
			header http.Header
			proto  []string
			want   int
		}{
			{"no origin", http.Header{}, []string{wire.Subprotocol}, 403},
			{"null origin", http.Header{"Origin": {"null"}}, []string{wire.Subprotocol}, 403},
			{"other scheme", http.Header{"Origin": {"http://app.example"}}, []string{wire.Subprotocol}, 403},
			{"other port", http.Header{"Origin": {"https://app.example:8443"}}, []string{wire.Subprotocol}, 403},
			{"suffix", http.Header{"Origin": {"https://app.example.evil.example"}}, []string{wire.Subprotocol}, 403},
			{"two origins", http.Header{"Origin": {origin, "https://evil.example"}}, []string{wire.Subprotocol}, 403},
			{"no subprotocol", http.Header{"Origin": {origin}}, nil, 400},
			{"other subprotocol", http.Header{"Origin": {origin}}, []string{"curfew.v2"}, 400},
		}
		for _, tt := range tests {
			tt.header.Set("X-Session", ada.token.Text())
			_, response, err := websocket.Dial(t.Context(), "ws://app.example/session/ws",
				&websocket.DialOptions{HTTPClient: ada.client, HTTPHeader: tt.header, Subprotocols: tt.proto})
			if err == nil || response == nil || response.StatusCode != tt.want {
				t.Errorf("%s: %v, %v, want %d", tt.name, response, err, tt.want)
			}
		}
	})
}

func TestBreachClosesTheTabAndHarmsNobodyElse(t *testing.T) {
	bad := map[string]string{
		"not JSON": `x`, "empty": ``, "no type": `{}`, "unknown type": `{"type":"shutdown"}`, "a list": `[]`, "null": `null`,
		"no idle_ms": `{"type":"activity"}`, "negative idle_ms": `{"type":"activity","idle_ms":-1}`, "a fraction": `{"type":"activity","idle_ms":1.5}`,
		"trailing data": `{"type":"sync"}{"type":"sync"}`, "hidden is text": `{"type":"visibility","hidden":"yes"}`, "ack without seq": `{"type":"ack"}`,
		"a server's message": `{"type":"expire"}`, "a name in another case": `{"TYPE":"confirm"}`,
		"a name in another case beside the right one": `{"type":"activity","idle_ms":60000,"IDLE_MS":0}`,
		"a letter that folds to another":              `{"type":"ack","seq":1,"ſeq":2}`,
		"a name twice":                                `{"type":"sync","type":"confirm"}`,
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ada := startHub(t, standard).signIn("ada")
				good, evil := ada.openTab(), ada.openTab()
				evil.send(text)
				evil.wantsClose(wire.StatusBreach, "protocol breach")
				good.send(`{"type":"sync"}`)
				good.next(wire.KindActive)
			})
		})
	}
	t.Run("too long", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			good, evil := ada.openTab(), ada.openTab()
			good.send(`{"type":"sync"` + strings.Repeat(" ", wire.MaxMessage-len(`{"type":"sync"}`)) + `}`) // 4 KiB exactly
			good.next(wire.KindActive)
			evil.send(`{"type":"sync"` + strings.Repeat(" ", wire.MaxMessage) + `}`)
			evil.wantsClose(websocket.StatusMessageTooBig, "message too big")
		})
	})
	t.Run("binary", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			evil := startHub(t, standard).signIn("ada").openTab()
			evil.conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"sync"}`))
			evil.wantsClose(wire.StatusBreach, "protocol breach")
		})
	})
}

func TestFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		good, evil := ada.openTab(), ada.openTab()
		for range 3 {
			for range socket.MaxFrames {
				good.send(`{"type":"visibility","hidden":false}`)
			}
			pass(time.Second)
		}
		good.send(`{"type":"sync"}`)
		good.next(wire.KindActive)
		for range socket.MaxFrames {
			evil.send(`{"type":"visibility","hidden":false}`)
		}
		pass(900 * time.Millisecond)
		evil.send(`{"type":"visibility","hidden":false}`)
		evil.wantsClose(wire.StatusBreach, "flood")
	})
}

func TestStandstillEndsASlowTabOnly(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		good := ada.openTab()
		slow, _, err := ada.dial() // never reads: a pipe takes nothing then
		if err != nil {
			t.Fatal(err)
		}
		for range 3 * socket.MaxOutbox {
			good.send(`{"type":"confirm"}`)
			good.next(wire.KindActive)
			ada.mustBroadcast()
			good.next(wire.KindActive)
			pass(20 * time.Millisecond)
		}
		pass(2 * socket.WriteLimit)
		synctest.Wait()
		if n := ada.Stats().Tabs; n != 1 {
			t.Errorf("%d tabs, want the slow one gone", n)
		}
		slow.CloseNow()
	})
}

// mustBroadcast tells all tabs of the session, needed or not.
func (u *user) mustBroadcast() {
	s := u.lookup(u.token.ID())
	s.mu.Lock()
	start := u.tellLocked(s, s.policy.Load(), u.clock.Now(), tellState)
	s.mu.Unlock()
	u.writers.Start(start)
}

func TestTicksAreAnsweredAndShutdownSaysRestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		tab := hub.signIn("ada").openTab()
		pass(time.Minute)
		synctest.Wait()
		for _, each := range hub.allTabs() {
			if last := each.lastSeq.Load(); last < 3 || each.acked.Load() != last {
				t.Errorf("seq %d, acknowledged %d: want two ticks or more, all answered", last, each.acked.Load())
			}
		}
		go hub.stop()
		tab.wantsClose(wire.StatusRestart, "server restarting")
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
			if _, err := hub.End(t.Context(), ada.token.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()}); err != nil {
				t.Error(err)
			}
		})
		wg.Wait()
	}
}

// TestActivityRacingTheDeadline sends activity at the very moment of the end: either it counts and
// the session lives on, or the session has ended and stays so.
func TestActivityRacingTheDeadline(t *testing.T) {
	p := session.Policy{WarnAfter: 30 * time.Millisecond, ExpireAfter: 60 * time.Millisecond, ExtendOn: session.ExtendOnActivity}
	hub := startHub(t, p)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			ada := hub.signIn("ada")
			timer := time.NewTimer(55*time.Millisecond + time.Duration(i)*200*time.Microsecond)
			<-timer.C
			err := hub.Act(t.Context(), ada.token.ID(), 0, false)
			status, checked := hub.Check(t.Context(), ada.token.ID())
			if err == nil && checked != nil && time.Since(status.Record.LastActiveAt) < 20*time.Millisecond {
				t.Errorf("activity was accepted and the session ended: %v", checked)
			}
			if errors.Is(err, session.ErrEnded) && checked == nil {
				t.Error("a session that had ended came back")
			}
		})
	}
	wg.Wait()
}
