package hub

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/session"
)

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

func TestARefusedOriginIsAnAuditLine(t *testing.T) {
	bubble(t, func(t *testing.T) {
		ada := startHub(t, standard).signIn("ada")
		at := ada.at()
		for range 3 {
			at.Header.Set("Origin", "https://evil.example")
			if _, _, err := hubtest.Dial(t.Context(), at); err == nil {
				t.Fatal("it is let in")
			}
		}
		lines, err := ada.store.Events(t.Context(), session.EventQuery{Limit: 10, Kind: session.EventOriginRefused})
		if err != nil || len(lines) != 1 || lines[0].Detail != "https://evil.example" {
			t.Errorf("%+v, %v, want one line a second, with the origin", lines, err)
		}
	})
}

func TestTheLineOfARefusedOriginNamesNoRequestButByAnID(t *testing.T) {
	for given, want := range map[string]string{"program-7": "program-7", strings.Repeat("x", 70_000): ""} {
		bubble(t, func(t *testing.T) {
			hub := startHub(t, standard)
			r := httptest.NewRequest("GET", "/session/ws", nil)
			if err := hub.Accept(httptest.NewRecorder(), r, session.ID{}, Endpoint{Request: given}); err != ErrOrigin {
				t.Fatalf("got %v, want %v", err, ErrOrigin)
			}
			lines, err := hub.store.Events(t.Context(), session.EventQuery{Limit: 10, Kind: session.EventOriginRefused})
			if err != nil || len(lines) != 1 || lines[0].Request != want {
				t.Errorf("%.80v, %v, want one line of the request %q", lines, err, want)
			}
		})
	}
}

func TestATabIsListedByThePathOfItsPage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		for told, want := range map[string]string{
			"":                           "",
			"?path=%2Fstaff%2Fb%C3%BCro": "/staff/büro",
			"?path=/a%2520b":             "/a%20b",
			"?path=/a%3Fsecret=1":        "/a",
			"?path=/a%23part":            "/a",
			"?path=staff":                "",
			"?path=javascript:x":         "",
			"?path=/%FF":                 "",
			"?path=/a%0Ab":               "",
			"?path=/" + strings.Repeat("%C3%BC", maxPath-1): "/" + strings.Repeat("ü", maxPath-1),
			"?path=/" + strings.Repeat("a", maxPath):        "",
		} {
			ada := hub.signIn("ada")
			at := ada.at()
			at.URL += told
			hubtest.Open(t, at)
			tabs := hub.Sessions(Filter{Ref: ada.token.ID().Ref()})[0].OpenTabs
			if len(tabs) != 1 || tabs[0].Path != want {
				t.Errorf("%.40s: %.60v, want the path %.40q", told, tabs, want)
			}
		}
	})
}

func TestFurtherOriginsMayOpenTheSocketAtEveryEndpoint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		hub := startHub(t, standard)
		hub.origins["https://other.example"] = true
		at := hub.signIn("ada").at()
		for _, from := range []string{origin, "https://other.example"} {
			at.Header.Set("Origin", from)
			hubtest.Open(t, at) // fails the test where it is refused
		}
	})
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
		request.Header = http.Header{
			"Origin":                 {origin},
			"X-Session":              {ada.token.Text()},
			"Sec-Websocket-Protocol": {wire.Subprotocol},
		}
		response, err := ada.client.Do(request)
		if err != nil || response.StatusCode != http.StatusUpgradeRequired {
			t.Fatalf("%+v, %v, want %d", response, err, http.StatusUpgradeRequired)
		}
		response.Body.Close()
		synctest.Wait()
		hub.tabLimits.mu.Lock()
		defer hub.tabLimits.mu.Unlock()
		if hub.tabLimits.taken != 0 || len(hub.tabLimits.ofUser) != 0 || ada.lookup(ada.token.ID()).limitedTabs != 0 {
			t.Errorf("%d places are taken, want none", hub.tabLimits.taken)
		}
	})
}
