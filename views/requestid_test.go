package views

import (
	"bytes"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/front"
	"curfew/session"
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
		{"as long as it may be", true, []string{strings.Repeat("a", session.MaxRequestID)}, true},
		{"a longer one", true, []string{strings.Repeat("a", session.MaxRequestID+1)}, false},
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

// A program that has Curfew as a library may name requests itself, before it calls the guard. No
// client can write into the header of the answer.
func TestAProgramAroundTheGuardNamesARequest(t *testing.T) {
	s := startSite(t, "/.curfew")
	var told string
	app := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told = r.Header.Get(front.RequestID) })
	s.SetApplication(app)
	ada := s.signIn("ada")
	const named = "program-7"
	for _, row := range []struct {
		why   string
		names []string // what the program has put into the answer
		sent  []string // what the client says
		kept  bool
	}{
		{"a clean one", []string{named}, nil, true},
		{"a client has one, too", []string{named}, []string{"made-up"}, true},
		{"a client has a long one", []string{named}, []string{strings.Repeat("x", 70_000)}, true},
		{"a client has two", []string{named}, []string{named, "made-up"}, true},
		{"one that is no ID", []string{"a user=root"}, []string{"a user=root"}, false},
		{"a long one", []string{strings.Repeat("x", 70_000)}, []string{strings.Repeat("x", 70_000)}, false},
		{"two", []string{named, named}, []string{named}, false},
	} {
		send := func(h http.Handler, r *http.Request) string {
			delete(r.Header, front.RequestID)
			if row.sent != nil {
				r.Header[front.RequestID] = slices.Clone(row.sent)
			}
			w := httptest.NewRecorder()
			w.Header()[front.RequestID] = slices.Clone(row.names)
			h.ServeHTTP(w, r)
			list := w.Header()[front.RequestID]
			if !isOneRequestID(list) || (list[0] == named) != row.kept || list[0] == "made-up" {
				t.Errorf("%s: the answer has %.60q", row.why, list)
				return ""
			}
			return list[0]
		}
		form := url.Values{"username": {"eve, " + row.why}, "password": {"x"}}
		id := send(s, (&browser{site: s}).request("POST", "/.curfew/login", form, "Sec-Fetch-Mode", "navigate"))
		if line := s.events(session.EventSignInFailed)[0]; line.Request != id {
			t.Errorf("%s: the line has %.60q, want %q", row.why, line.Request, id)
		}
		for what, h := range map[string]http.Handler{
			"all":     s,
			"Require": s.Require(app),
		} {
			if id := send(h, ada.request("GET", "/page", nil)); told != id {
				t.Errorf("%s: %s tells the application of %.60q, want %q", row.why, what, told, id)
			}
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

// requestsOfLines are the requests that lines of the audit trail must name.
type requestsOfLines struct {
	*site
	want map[string]string // by the line
}

// asked notes that the request of an answer has asked for what these lines tell of.
func (l requestsOfLines) asked(a answer, lines ...string) {
	l.t.Helper()
	id := a.Header.Get(front.RequestID)
	if a.StatusCode >= 500 || id == "" {
		l.t.Fatalf("%v: %s, of the request %q", lines, a, id)
	}
	for _, line := range lines {
		l.want[line] = id
	}
}

// signIn signs a user in in a browser that may have a session, and returns it with the new one. The
// request has ended these sessions, too.
func (l requestsOfLines) signIn(user string, in *browser, ended ...string) *browser {
	l.t.Helper()
	a := in.post("/login", url.Values{"username": {user}, "password": {"pw"}})
	b := &browser{site: l.site}
	b.take(a)
	l.asked(a, append(ended, "in-"+b.ref())...)
	return b
}

// A line of the audit trail has the ID that the answer to the request had, which asked for what the
// line tells of.
func TestAuditLinesNameTheRequestThatAskedForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, admin := startAPI(t)
		l := requestsOfLines{s, make(map[string]string)}
		ada := l.signIn("ada", &browser{site: s})
		again := l.signIn("ada", ada, "end-"+ada.ref())
		other := l.signIn("ada", &browser{site: s})
		l.asked(again.post("/account", url.Values{"ref": {other.ref()}}), "end-"+other.ref())
		l.asked(again.post("/logout", url.Values{}), "end-"+again.ref())

		grace := l.signIn("grace", &browser{site: s})
		forced := admin.call("POST", "/api/v1/logouts", `{"user":"grace"}`)
		l.asked(forced, "logout-"+forced.json("id").(string), "end-"+grace.ref())
		back := l.signIn("grace", &browser{site: s})
		later := admin.call("POST", "/api/v1/logouts", `{"user":"grace","grace_ms":60000}`)
		id := later.json("id").(string)
		l.asked(later, "logout-"+id)
		l.asked(admin.call("DELETE", "/api/v1/logouts/"+id, ""), "cancel-"+id)

		time.Sleep(24 * time.Hour)
		back.post("/session/extend", url.Values{}) // finds that it has ended
		l.want["end-"+back.ref()] = ""
		synctest.Wait()
		got := make(map[string]string)
		for _, e := range s.events("") {
			got[e.ID] = e.Request
		}
		if !maps.Equal(got, l.want) {
			t.Errorf("the lines have the requests\n%v, want\n%v", got, l.want)
		}
		if line := admin.lineOf(session.EventSignIn, "grace&session="+back.ref()); line["request_id"] !=
			l.want["in-"+back.ref()] {
			t.Errorf("the API has the line %v", line)
		}
	})
}

func TestAuditLinesNameTheRequestThatWasRefused(t *testing.T) {
	s := startSite(t, "")
	ada := s.signIn("ada")
	for kind, refused := range map[session.EventKind]answer{
		session.EventSignInFailed:  ada.post("/login", url.Values{"username": {"eve"}, "password": {"x"}}),
		session.EventOriginRefused: ada.get("/session/ws", "Origin", "https://evil.example"),
	} {
		list := s.events(kind)
		if id := refused.Header.Get(front.RequestID); len(list) != 1 || id == "" || list[0].Request != id {
			t.Errorf("%s: %+v, want the request of %s", kind, list, refused)
		}
		found := ada.get("/admin/audit?request_id=" + url.QueryEscape(list[0].Request))
		found.wants(t, "the page of its lines", 200, ">"+list[0].Request+"</code>")
		if n := strings.Count(found.text, `<th scope="row">`); n != 1 {
			t.Errorf("%s: the page has %d lines of its request, want 1", kind, n)
		}
	}
}
