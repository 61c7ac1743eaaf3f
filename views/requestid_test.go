package views

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"curfew/front"
)

// withoutRequestID is the text of an answer without the ID of its request.
func (a answer) withoutRequestID() string {
	return strings.ReplaceAll(a.text, a.Header.Get(front.RequestID), "")
}

func TestOnlyATrustedProxyNamesARequest(t *testing.T) {
	s := startSite(t, "")
	const named = "0b6f:Root=1-67/89+a.b_c"
	for _, row := range []struct {
		why     string
		trusted bool
		given   []string
		kept    bool
	}{
		{"of a trusted proxy", true, []string{named}, true},
		{"of anybody else", false, []string{named}, false},
		{"none", true, nil, false},
		{"an empty one", true, []string{""}, false},
		{"two", true, []string{named, named}, false},
		{"as long as it may be", true, []string{strings.Repeat("a", maxRequestID)}, true},
		{"a longer one", true, []string{strings.Repeat("a", maxRequestID+1)}, false},
		{"markup", true, []string{"<script>"}, false},
		{"a line of a log", true, []string{"a user=root"}, false},
		{"no ASCII", true, []string{"ä"}, false},
	} {
		s.shared.proxies.trusted = nil
		if row.trusted {
			s.shared.proxies.trusted = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} // that of httptest
		}
		r := httptest.NewRequest("GET", "/nowhere", nil)
		if row.given != nil {
			r.Header[front.RequestID] = row.given
		}
		given := r.Header.Get(front.RequestID)
		a := s.send(r)
		id := a.Header.Get(front.RequestID)
		if kept := id == given; kept != row.kept || id == "" || len(a.Header[front.RequestID]) != 1 {
			t.Errorf("%s: the answer has %q, given was %q", row.why, a.Header[front.RequestID], row.given)
		}
		if a.json("request_id") != id {
			t.Errorf("%s: the error is %s, want the ID %s in it", row.why, a, id)
		}
	}
}

func TestAnErrorNamesItsRequest(t *testing.T) {
	s, _, admin := startAPI(t)
	var log bytes.Buffer
	s.shared.log = slog.New(slog.NewTextHandler(&log, nil))
	ada := s.signIn("ada")
	s.store.away.Store(true)
	for what, a := range map[string]answer{
		"a page":         ada.get("/"),
		"a script":       (&browser{site: s}).get("/nowhere", "Sec-Fetch-Mode", "cors"),
		"a program":      admin.call("GET", "/api/v1/audit", ""),
		"a static file":  (&browser{site: s}).get("/static/curfew.js"),
		"a redirect":     (&browser{site: s}).get("/admin/../x"),
		"a health check": (&browser{site: s}).get("/healthz"),
	} {
		id := a.Header.Get(front.RequestID)
		if id == "" || a.StatusCode >= 400 && !strings.Contains(a.text, id) {
			t.Errorf("%s: %s, with the ID %q in its header", what, a, id)
		}
		if a.StatusCode >= 500 && !strings.Contains(log.String(), "request="+id) {
			t.Errorf("%s: %s is not in the log:\n%s", what, id, &log)
		}
	}
}

func TestAnApplicationIsToldTheIDOfARequest(t *testing.T) {
	s := startSite(t, "/.curfew")
	var told http.Header
	s.SetApplication(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told = r.Header
		w.Header().Set(front.RequestID, "of its own")
	}))
	ada := s.signIn("ada")
	a := ada.get("/page", front.RequestID, "made-up", "X_Request-Id", "made-up")
	id := a.Header.Values(front.RequestID)
	lookalike := told[http.CanonicalHeaderKey("X_Request-Id")]
	if len(id) != 1 || told.Get(front.RequestID) != id[0] || id[0] == "made-up" || lookalike != nil {
		t.Errorf("the answer has %q, the application was told %v", id, told)
	}
	alone := s.Require(http.NotFoundHandler()) // in a program of its own, without the rest
	w := httptest.NewRecorder()
	alone.ServeHTTP(w, ada.request("GET", "/page", nil))
	if w.Header().Get(front.RequestID) == "" {
		t.Errorf("Require alone: %v", w.Header())
	}
	w = httptest.NewRecorder()
	s.Doors().ServeHTTP(w, httptest.NewRequest("GET", "/session/verify", nil))
	if w.Code != 401 || w.Header().Get(front.RequestID) == "" {
		t.Errorf("a door: %d %v", w.Code, w.Header())
	}
}
