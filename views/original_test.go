package views

import (
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"curfew/hub/hubtest"
	"curfew/session"
)

func TestNavigationsAtADoorAreActivity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startDoors(t, "")
		s.SetPassive([]string{"/poll*", "/straße"})
		ada := s.signIn("ada")
		whole := session.Profiles()[0].Policy.ExpireAfter
		for _, c := range []struct {
			what, method, uri string
			header            []string
			counts            bool
		}{
			{"a click", "GET", "/app", clicks, true},
			{"a form", "POST", "/app", clicks, true},
			{"a click on an odd path", "GET", "//app", clicks, true},
			{"what nobody clicked on", "GET", "/app", navigates, false},
			{"a script", "GET", "/app", scripted, false},
			{"a script of a person's", "GET", "/app", append([]string{"Sec-Fetch-User", "?1"}, scripted...), false},
			{"a prefetch", "GET", "/app", append([]string{"Sec-Purpose", "prefetch"}, clicks...), false},
			{"a passive path", "GET", "/poll/x?y", clicks, false},
			{"a passive path in escapes", "GET", "/%70oll", clicks, false},
			{"a passive path of other letters", "GET", "/stra%C3%9fe?", clicks, false},
		} {
			for _, door := range everyDoor {
				ada.post("/session/activity", url.Values{}, scripted...)
				time.Sleep(time.Minute)
				ada.check(door, c.method, c.uri, c.header...).wants(t, c.what+" at "+door, 200)
				want := whole - time.Minute
				if c.counts {
					want = whole
				}
				if left := ada.get("/session/status", scripted...).expiresIn(); left != want {
					t.Errorf("%s at %s: %s left, want %s", c.what, door, left, want)
				}
			}
		}
	})
}

func TestANavigationAtADoorCallsOffTheCloseGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startDoors(t, "")
		memory := hubtest.Listen()
		server := &http.Server{Handler: s.Server}
		go server.Serve(memory)
		defer server.Close()
		client := memory.Client()
		defer client.CloseIdleConnections()
		for _, c := range []struct {
			what   string
			header []string
			lives  bool
		}{
			{"a navigation", navigates, true},
			{"a script", scripted, false},
			{"a frame", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, false},
		} {
			ada := s.signIn("ada")
			header := http.Header{"Origin": {siteOrigin}, "Cookie": {ada.cookie}}
			tab := hubtest.Open(t, hubtest.Options{URL: "ws://memory/session/ws", Client: client, Header: header})
			tab.Leave("close")
			synctest.Wait()
			ada.check(caddyDoor, "GET", "/app", c.header...).wants(t, c.what, 200)
			time.Sleep(2 * session.Profiles()[0].Policy.CloseGrace)
			if code, _ := ada.status(); (code == 200) != c.lives {
				t.Errorf("%s while the close grace runs: the session is answered with %d", c.what, code)
			}
		}
	})
}
