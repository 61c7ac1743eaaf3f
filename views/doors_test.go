package views

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

// The doors, and the headers in which each hears of an original request. The path door has its
// original in the check itself.
const (
	nginxDoor = "/session/verify"
	caddyDoor = "/session/verify/forward"
	envoyDoor = "/session/verify/path"
)

// startDoors starts a site with doors for a proxy that is trusted: requests of tests come from
// there.
func startDoors(t *testing.T, base string) *site {
	t.Helper()
	s := startSite(t, base)
	s.proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")})
	return s
}

// knock sends a check to a door, as a proxy does for a request of this browser. Headers come in
// pairs; those of a name that stands twice are sent twice.
func (b *browser) knock(method, path string, header ...string) answer {
	r := httptest.NewRequest(method, "/", nil)
	target, err := url.ParseRequestURI(path)
	if err != nil {
		b.t.Fatal(err)
	}
	r.RequestURI, r.URL = path, target
	if b.cookie != "" {
		r.Header.Set("Cookie", b.cookie)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.Doors().ServeHTTP(w, r)
	return answer{w.Result(), w.Body.String()}
}

// check is knock for a request of the browser, told as the door has it.
func (b *browser) check(door, method, uri string, header ...string) answer {
	switch door {
	case nginxDoor:
		header = append([]string{"X-Original-Method", method, "X-Original-URI", uri}, header...)
		return b.knock("GET", door, header...)
	case caddyDoor:
		header = append([]string{"X-Forwarded-Method", method, "X-Forwarded-Uri", uri}, header...)
		return b.knock("GET", door, header...)
	}
	return b.knock(method, door+uri, header...)
}

var everyDoor = []string{nginxDoor, caddyDoor, envoyDoor}

// Headers of requests that browsers make.
var (
	navigates = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}
	clicks    = append([]string{"Sec-Fetch-User", "?1"}, navigates...)
)

func TestDoorsWithoutASession(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "/.curfew")
	stranger := &browser{site: s}
	old := []string{"Accept", "text/html,*/*"}
	for _, c := range []struct {
		what, method, uri string
		header            []string
		redirects         bool // at the doors that redirect at all
		next              string
	}{
		{"a navigation", "GET", "/app/?a=b&c", navigates, true, "/app/?a=b&c"},
		{"a navigation of a browser without Fetch Metadata", "GET", "/app", old, true, "/app"},
		{"a script", "GET", "/api/list", scripted, false, "/api/list"},
		{"a program", "GET", "/api/list", nil, false, "/api/list"},
		{"a handshake", "GET", "/socket", handshake, false, "/socket"},
		{"a form", "POST", "/save", append([]string{"Referer", siteOrigin + "/form"}, navigates...), true, ""},
		{"a script that sends", "PUT", "/save", scripted, false, ""},
		{"a lone question mark", "GET", "/app?", navigates, true, "/app?"},
		{"a path that is not clean", "GET", "/a//b/../c;d%2Fe", navigates, true, "/a//b/../c;d%2Fe"},
	} {
		for _, door := range everyDoor {
			a := stranger.check(door, c.method, c.uri, c.header...)
			status, location := 401, siteOrigin+"/.curfew/login"
			if c.redirects && door != nginxDoor {
				status = 303
			}
			if c.next != "" {
				location += "?next=" + url.QueryEscape(c.next)
			}
			a.wants(t, c.what+" at "+door, status)
			if got := a.Header.Get("Location"); got != location {
				t.Errorf("%s at %s: leads to %q, want %q", c.what, door, got, location)
			}
			if status == 401 && (a.json("error") != "no-session" || a.json("location") != "/.curfew/login") {
				t.Errorf("%s at %s: told %s", c.what, door, a.text)
			}
		}
	}
}

func TestDoorsLeadBackToNothingThatAClientMadeUp(t *testing.T) {
	t.Parallel()
	stranger := &browser{site: startDoors(t, "")}
	for _, c := range []struct {
		what, uri string
		next      bool
	}{
		{"a path", "/app", true},
		{"a path and a query", "/app?x=//y", true},
		{"two slashes", "//evil.example/", false},
		{"no slash", "app", false},
		{"another origin", "https://evil.example/", false},
		{"the whole server", "*", false},
		{"a fragment", "/app#part", false},
		{"a fragment behind a query", "/app?a#part", false},
		{"a tab", "/app\tb", false},
		{"a line feed", "/app\nSet-Cookie: a=b", false},
		{"a NUL", "/app\x00", false},
		{"a DEL", "/app\x7f", false},
		{"letters of another alphabet", "/straße?q=ü", true},
		{"bytes of none", "/\xff\xfe", true},
		{"one that no address bar holds", "/" + strings.Repeat("a", maxNext), false},
	} {
		for _, door := range []string{nginxDoor, caddyDoor} {
			location := stranger.check(door, "GET", c.uri, navigates...).Header.Get("Location")
			want := siteOrigin + "/login"
			if c.next {
				want += "?next=" + url.QueryEscape(c.uri)
			}
			if location != want {
				t.Errorf("%s at %s: %q, want %q", c.what, door, location, want)
			}
		}
	}
	for uri, next := range map[string]string{"": "", "/": "/", "//x": "", "/a//b": "/a//b", "/../..": "/../.."} {
		location := stranger.knock("GET", envoyDoor+uri, navigates...).Header.Get("Location")
		want := siteOrigin + "/login"
		if next != "" {
			want += "?next=" + url.QueryEscape(next)
		}
		if location != want {
			t.Errorf("%s below the path: %q, want %q", uri, location, want)
		}
	}
}

func TestDoorsTellWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "/.curfew")
	ada, grace := s.signIn("ada"), s.session("grace")
	for _, c := range []struct {
		what, cookies, left string
		who                 *browser
		user, name, groups  string
	}{
		{"groups in order", "", "guarded=1", ada, "ada", "ADA", "admins,staff"},
		{"nothing known but the name", "", "guarded=1", grace, "grace", "", ""},
		{"cookies of the application", `; a=b; c="d e"; curfew-signed-in=1; __Host-curfew-seen=x; =e; f`,
			`a=b; c="d e"; =e; f`, ada, "ada", "ADA", "admins,staff"},
		{"a cookie that is nearly Curfew's", "; __host-CURFEW=x; __Host-curf=y", "__Host-curf=y", ada, "ada", "ADA",
			"admins,staff"},
	} {
		cookie := c.who.cookie + c.cookies
		for _, door := range everyDoor {
			a := (&browser{site: s, cookie: cookie}).check(door, "GET", "/app", scripted...)
			a.wants(t, c.what+" at "+door, 200)
			for name, want := range map[string]string{
				"Remote-User":    c.user,
				"Remote-Name":    c.name,
				"Remote-Email":   "",
				"Remote-Groups":  c.groups,
				"Remote-Session": c.who.ref(),
				"Cookie":         c.left,
			} {
				if got := a.Header[name]; len(got) != 1 || got[0] != want {
					t.Errorf("%s at %s: %s is %q, want %q", c.what, door, name, got, want)
				}
			}
			if len(a.Header["Set-Cookie"]) > 0 || a.text != "" {
				t.Errorf("%s at %s: more than was asked: %v %s", c.what, door, a.Header, a.text)
			}
		}
	}
}

func TestDoorsTakeEveryMethod(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	ada, stranger := s.signIn("ada"), &browser{site: s}
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"} {
		for _, path := range []string{nginxDoor, caddyDoor, envoyDoor + "/app"} {
			ada.knock(method, path).wants(t, method+" "+path, 200)
			stranger.knock(method, path).wants(t, method+" "+path+" of a stranger", 401)
		}
	}
	head := stranger.knock("HEAD", envoyDoor+"/app", navigates...)
	get := stranger.knock("GET", envoyDoor+"/app", navigates...)
	if head.Header.Get("Location") != get.Header.Get("Location") || head.StatusCode != get.StatusCode {
		t.Errorf("HEAD is answered with %s, GET with %s", head, get)
	}
	for _, path := range []string{"/", "/session", "/session/verify/", "/session/verify//forward",
		"/session/verifypath", "/session/verify/forward/", "/session/verify/forwards", "/session/verify/pathx",
		"/session/verify/paths/a", "/login", "/session/status", "/healthz", "/./session/verify"} {
		ada.knock("GET", path, scripted...).wants(t, path, 404, `"error":"not-found"`)
	}
}

func TestNoDoorIsWhereBrowsersAre(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "/.curfew")
	ada := s.signIn("ada")
	for _, path := range []string{nginxDoor, caddyDoor, envoyDoor + "/app"} {
		ada.get(path).wants(t, path, 404)
		ada.get(s.base+path).wants(t, s.base+path, 404)
	}
}

func TestDoorsTellOfAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startDoors(t, "")
		ada := s.signIn("ada")
		ada.post("/logout", url.Values{})
		for _, door := range everyDoor {
			ada.check(door, "GET", "/app", scripted...).wants(t, door, 401, `"error":"session-ended"`,
				`"reason":"logout"`, "You have signed out.", `"location":"/login"`, "/login?next=%2Fapp")
		}
		time.Sleep(session.TombstoneFor)
		for _, door := range everyDoor {
			ada.check(door, "GET", "/app", scripted...).wants(t, door+" a day later", 401, `"error":"no-session"`)
		}
	})
}

func TestDoorsWhileTheStoreIsAway(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	stranger := &browser{site: s, cookie: "__Host-curfew=" + session.NewToken().Text()}
	s.store.away.Store(true)
	for _, door := range everyDoor {
		stranger.check(door, "GET", "/app", navigates...).wants(t, "a page at "+door, 503, "Nothing is lost", "<html")
		stranger.check(door, "GET", "/app", scripted...).wants(t, "a script at "+door, 503, `"error":"unavailable"`)
	}
}

func TestWhatADoorIsNotToldRightItDoesNotBelieve(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	const uri, method, forwardedURI, forwardedMethod = "X-Original-URI", "X-Original-Method", "X-Forwarded-Uri",
		"X-Forwarded-Method"
	for _, c := range []struct {
		what, door string
		header     []string
	}{
		{"nothing", nginxDoor, nil},
		{"no method", nginxDoor, []string{uri, "/app"}},
		{"no path", nginxDoor, []string{method, "GET"}},
		{"an empty method", nginxDoor, []string{method, "", uri, "/app"}},
		{"an empty path", nginxDoor, []string{method, "GET", uri, ""}},
		{"two paths", nginxDoor, []string{method, "GET", uri, "/app", uri, "/other"}},
		{"the same path twice", nginxDoor, []string{method, "GET", uri, "/app", uri, "/app"}},
		{"two methods", nginxDoor, []string{method, "GET", method, "POST", uri, "/app"}},
		{"another door's headers", nginxDoor, []string{forwardedMethod, "GET", forwardedURI, "/app"}},
		{"a URL that no door takes", nginxDoor, []string{method, "GET", "X-Original-URL", "/app"}},
		{"nginx's headers", caddyDoor, []string{method, "GET", uri, "/app"}},
		{"one of each", caddyDoor, []string{method, "GET", forwardedURI, "/app"}},
		{"no path below the door", envoyDoor, []string{method, "GET", uri, "/app", forwardedMethod, "GET",
			forwardedURI, "/app"}},
	} {
		before := s.proxies.Untold()
		a := (&browser{site: s}).knock("GET", c.door, append(c.header, navigates...)...)
		if location := a.Header.Get("Location"); location != siteOrigin+"/login" {
			t.Errorf("%s: leads to %s", c.what, location)
		}
		if n := s.proxies.Untold() - before; n != 1 {
			t.Errorf("%s: counted %d times", c.what, n)
		}
	}
	// A door looks at its own headers only, whatever else is there.
	stranger := &browser{site: s}
	for _, c := range []struct {
		door   string
		header []string
	}{
		{nginxDoor, []string{method, "GET", uri, "/app", forwardedMethod, "POST", forwardedURI, "/evil"}},
		{caddyDoor, []string{method, "POST", uri, "/evil", forwardedMethod, "GET", forwardedURI, "/app",
			"X-Forwarded-Proto", "wss", "X-Forwarded-Host", "evil.example"}},
		{envoyDoor + "/app", []string{method, "POST", uri, "/evil", forwardedMethod, "POST", forwardedURI, "/evil"}},
	} {
		want := siteOrigin + "/login?next=%2Fapp"
		if got := stranger.knock("GET", c.door, c.header...).Header.Get("Location"); got != want {
			t.Errorf("%s with %q leads to %s, want %s", c.door, c.header, got, want)
		}
	}
}

func TestChecksOfPeersThatAreNotTrustedAreToldOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startDoors(t, "")
		s.proxies = NewProxies([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
		var text bytes.Buffer
		s.log = slog.New(slog.NewTextHandler(&text, nil))
		ada, stranger := s.signIn("ada"), &browser{site: s}
		for range 3 {
			for _, door := range everyDoor {
				ada.check(door, "GET", "/app", clicks...).wants(t, "somebody at "+door, 200)
				a := stranger.check(door, "GET", "/app", clicks...)
				if location := a.Header.Get("Location"); location != siteOrigin+"/login" {
					t.Errorf("a stranger at %s is led to %s", door, location)
				}
			}
			time.Sleep(tellEvery)
		}
		if n := strings.Count(text.String(), "not one of trusted-proxies"); n != 3 || s.proxies.Untold() != 18 {
			t.Errorf("18 checks within three minutes: %d lines, %d counted\n%s", n, s.proxies.Untold(), &text)
		}
		whole := session.Profiles()[0].Policy.ExpireAfter
		_, status := ada.status()
		if left := time.Duration(status["expire_in_ms"].(float64)) * time.Millisecond; left != whole-3*tellEvery {
			t.Errorf("checks of a peer that is not trusted have kept the session: %s left", left)
		}
	})
}

func TestReadinessShowsChecksWithoutAnOriginalRequest(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	(&browser{site: s}).knock("GET", nginxDoor)
	w := httptest.NewRecorder()
	s.health.ready.store.note(nil)
	s.health.ready.directory.note(nil)
	s.ServeHTTP(w, httptest.NewRequest("GET", "/readyz", nil))
	if !strings.Contains(w.Body.String(), `"checks_without_original_request":1`) ||
		!strings.Contains(w.Body.String(), "trusted-proxies") {
		t.Errorf("/readyz: %s", w.Body)
	}
}

func TestDoorsLeaveOutWhatNoHeaderHolds(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	var groups []string
	for i := range 300 {
		groups = append(groups, fmt.Sprintf("group-%03d", i))
	}
	grace := s.session("grace", append(groups, "a,b", "ä\nb")...)
	list := grace.check(nginxDoor, "GET", "/app").Header.Get("Remote-Groups")
	if len(list) > 2000 || len(list) < 1990 || strings.Contains(list, "a,b") || strings.Contains(list, "\n") ||
		!strings.HasPrefix(list, "group-000,group-001,") {
		t.Errorf("%d bytes of groups: %s", len(list), list)
	}
}

// A check whose body never comes is answered at once, and its connection is closed rather than
// searched for the next request.
func TestDoorsReadNoBody(t *testing.T) {
	t.Parallel()
	s := startDoors(t, "")
	server := httptest.NewServer(s.Doors())
	t.Cleanup(server.Close)
	for _, head := range []string{
		"Transfer-Encoding: chunked",
		"Content-Length: 100000",
		"Content-Length: 10\r\nExpect: 100-continue",
	} {
		t.Run(head, func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			io.WriteString(conn, "POST "+envoyDoor+"/app HTTP/1.1\r\nHost: door\r\n"+head+"\r\n\r\n")
			text := new(strings.Builder)
			if _, err := io.Copy(text, conn); err != nil {
				t.Errorf("%v after %q", err, text)
			}
			if got := text.String(); !strings.HasPrefix(got, "HTTP/1.1 401 ") ||
				!strings.Contains(got, "Connection: close") || strings.Contains(got, "100 Continue") {
				t.Errorf("answered with %q", got)
			}
		})
	}
	response, err := http.Get(server.URL + nginxDoor)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.Close {
		t.Error("the connection of a check without a body is closed")
	}
}

// FuzzDoors has a proxy tell of anything. A door never leads out of the public URL, and where it
// leads is a line of a header.
func FuzzDoors(f *testing.F) {
	for _, uri := range []string{"/", "/app?x=y", "//evil.example", `/\evil.example`, "/a\r\nSet-Cookie: a=b", "/#",
		"/%0d%0a", "/\xff", "*", "https://evil.example/", "/login?next=//evil.example", "/a/../..//evil.example"} {
		f.Add("GET", uri)
	}
	s := &Server{place: place{origin: siteOrigin, base: "/.curfew", home: "/"}}
	r := httptest.NewRequest("GET", caddyDoor, nil)
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	f.Fuzz(func(t *testing.T, method, uri string) {
		w := httptest.NewRecorder()
		s.shut(w, r, doorOfForwarding, toldOriginal(method, uri), session.ErrNotFound)
		text := w.Header().Get("Location")
		location, err := url.Parse(text)
		if err != nil || location.Scheme+"://"+location.Host != siteOrigin || location.Path != "/.curfew/login" ||
			strings.ContainsFunc(text, func(c rune) bool { return c <= ' ' || c > '~' }) {
			t.Fatalf("%s %q leads to %q", method, uri, text)
		}
		next := location.Query().Get("next")
		if next != "" && (next != uri || method != "GET") {
			t.Errorf("%s %q has the next %q", method, uri, next)
		}
		if after := s.safeNext(next); !strings.HasPrefix(after, "/") || strings.HasPrefix(after, "//") {
			t.Errorf("%s %q comes back to %q", method, uri, after)
		}
	})
}
