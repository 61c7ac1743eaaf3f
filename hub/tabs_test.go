package hub

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

func TestTabThatOpensLateIsToldOfTheWarning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada := hub.signIn("ada")
		ada.openTab()
		pass(9*time.Minute + 30*time.Second)
		if m := ada.openTab().Next(wire.KindWarn); m["expire_in_ms"].(float64) > 30_000 {
			t.Errorf("warn = %v, want 30 s left", m)
		}
	})
}

func TestHelloTellsWhoAndWithWhichRights(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		ada, grace := hub.signIn("ada"), hub.signIn("grace")
		hello := func(u *user) hubtest.Message { return u.openTab().Received()[0].Message }
		first, again, other := hello(ada), hello(hub.signIn("ada")), hello(grace)
		if first["who"] == "" || first["who"] != again["who"] || first["who"] == other["who"] {
			t.Errorf("who: %v and %v for ada, %v for grace", first["who"], again["who"], other["who"])
		}
		if err := hub.setGroups(t.Context(), ada.token.ID(), []string{"staff"}); err != nil {
			t.Fatal(err)
		}
		if now := hello(ada); now["who"] != first["who"] || now["rights"] == first["rights"] ||
			now["rights"] != hub.Rights(&session.Record{Groups: []session.Group{{Name: "STAFF"}}}) {
			t.Errorf("in a new group: %v, before %v", now, first)
		}
	})
}

func TestBreachClosesTheTabAndHarmsNobodyElse(t *testing.T) {
	bad := map[string]string{
		"not JSON":               `x`,
		"empty":                  ``,
		"no type":                `{}`,
		"unknown type":           `{"type":"shutdown"}`,
		"a list":                 `[]`,
		"null":                   `null`,
		"no idle_ms":             `{"type":"activity"}`,
		"negative idle_ms":       `{"type":"activity","idle_ms":-1}`,
		"a fraction":             `{"type":"activity","idle_ms":1.5}`,
		"trailing data":          `{"type":"sync"}{"type":"sync"}`,
		"hidden is text":         `{"type":"visibility","hidden":"yes"}`,
		"ack without seq":        `{"type":"ack"}`,
		"a server's message":     `{"type":"expire"}`,
		"a name in another case": `{"TYPE":"confirm"}`,
		"a name in another case beside the right one": `{"type":"activity","idle_ms":60000,"IDLE_MS":0}`,
		"a letter that folds to another":              `{"type":"ack","seq":1,"ſeq":2}`,
		"a name twice":                                `{"type":"sync","type":"confirm"}`,
	}
	for name, text := range bad {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				ada := startHub(t, standard).signIn("ada")
				good, evil := ada.openTab(), ada.openTab()
				evil.Send(text)
				evil.WantsClose(wire.StatusBreach, "protocol breach")
				good.Send(`{"type":"sync"}`)
				good.Next(wire.KindActive)
			})
		})
	}
	t.Run("too long", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			ada := startHub(t, standard).signIn("ada")
			good, evil := ada.openTab(), ada.openTab()
			// 4 KiB exactly
			good.Send(`{"type":"sync"` + strings.Repeat(" ", wire.MaxMessage-len(`{"type":"sync"}`)) + `}`)
			good.Next(wire.KindActive)
			evil.Send(`{"type":"sync"` + strings.Repeat(" ", wire.MaxMessage) + `}`)
			evil.WantsClose(websocket.StatusMessageTooBig, "message too big")
		})
	})
	t.Run("binary", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			evil := startHub(t, standard).signIn("ada").openTab()
			evil.Conn.Write(t.Context(), websocket.MessageBinary, []byte(`{"type":"sync"}`))
			evil.WantsClose(wire.StatusBreach, "protocol breach")
		})
	})
}

func TestFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		good, evil := ada.openTab(), ada.openTab()
		for range 3 {
			for range socket.MaxFrames {
				good.Send(`{"type":"visibility","hidden":false}`)
			}
			pass(time.Second)
		}
		good.Send(`{"type":"sync"}`)
		good.Next(wire.KindActive)
		for range socket.MaxFrames {
			evil.Send(`{"type":"visibility","hidden":false}`)
		}
		pass(900 * time.Millisecond)
		evil.Send(`{"type":"visibility","hidden":false}`)
		evil.WantsClose(wire.StatusBreach, "flood")
	})
}

func TestFloodOfFramesThatAreNoMessage(t *testing.T) {
	for name, frames := range map[string][2]byte{
		"empty continuations": {0x01, 0x00},
		"pongs":               {0x8a, 0x8a},
		"pings":               {0x89, 0x89},
	} {
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
				good.Send(`{"type":"sync"}`)
				good.Next(wire.KindActive)
			})
		})
	}
}

func TestAcksOfWhatWasSentAreNoFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tab := startHub(t, standard).signIn("ada").openTab()
		for range socket.MaxFrames {
			tab.Send(`{"type":"sync"}`)
			tab.Ack(tab.Next(wire.KindActive))
		}
		pass(999 * time.Millisecond)
		tab.Send(`{"type":"ack","seq":1}`) // an old one
		tab.WantsClose(wire.StatusBreach, "flood")
	})
}
