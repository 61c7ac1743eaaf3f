package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
)

// TestPrintedConfigurations starts each proxy that is to be had here with what proxy-config prints,
// and holds it to what the pages about proxies promise.
func TestPrintedConfigurations(t *testing.T) {
	t.Parallel()
	for _, proxy := range runProxies() {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, proxy)
			for _, promise := range []struct {
				name string
				test func(*testing.T, *site)
			}{
				{"who is not signed in", testStrangersAreRefused},
				{"what the application is told", testApplicationIsTold},
				{"what clients say of addresses", testClientsOpinionOfTheAddressIsIgnored},
				{"what clients call a request", testClientsNameNoRequest},
				{"the application's own answers", testAnswersPassUnchanged},
				{"many groups", testManyGroupsFit},
				{"streams", testStreamsFlow},
				{"an upload", testUploadsFlow},
				{"sockets of the application", testSocketsOfTheApplication},
				{"Curfew's own pages", testOwnPagesNeedNoCheck},
				{"Curfew's own socket", testOwnSocket},
				{"what verify-proxy asks", testEchoIsGuarded},
				{"doors from outside", testDoorsAreNotReachedFromOutside},
				{"connections", testConnectionsAreKept},
				{"activity", testNavigationsAreActivity},
				{"odd paths", testOddPathsReachNoApplication},
				{"spoofing", testSpoofing},
				{"verify-proxy", testVerifyProxyFindsNothing},
				{"the store out of reach", testStoreOutOfReach},
			} {
				t.Run(promise.name, func(t *testing.T) { promise.test(t, s.within(t)) })
			}
		})
	}
}

// within is the site for a part of the test.
func (s *site) within(t *testing.T) *site {
	part, proxy, curfew := *s, *s.process, *s.curfew
	proxy.t, curfew.t = t, t
	part.process, part.curfew = &proxy, &curfew
	return &part
}

// echo asks the application through the proxy.
func (s *site) echo(path string, form url.Values, header ...string) (e echoed) {
	s.t.Helper()
	response, body := s.do(path, form, header...)
	if response.StatusCode != 200 || json.Unmarshal([]byte(body), &e) != nil {
		s.t.Fatalf("%s: %s %s %.300s, want the echo of the application", path, response.Status,
			response.Header.Get("Location"), body)
	}
	return e
}

func testStrangersAreRefused(t *testing.T, s *site) {
	asked := s.app.asked.Load()
	login := s.url + siteBase + "/login"
	form := url.Values{"a": {strings.Repeat("x", 20_000)}}
	long := "/?q=" + strings.Repeat("a", 2000)
	for _, tt := range []struct {
		name, path string
		form       url.Values
		header     []string
		code       int
		location   string
	}{
		{"a page", "/a%2Fb//c?d=1&e=%20", nil, []string{"Sec-Fetch-Mode", "navigate"}, 303,
			login + "?next=" + url.QueryEscape("/a%2Fb//c?d=1&e=%20")},
		{"a page of an old browser", "/", nil, []string{"Accept", "text/html,*/*"}, 303, login + "?next=%2F"},
		{"a page with a long query", long, nil, []string{"Sec-Fetch-Mode", "navigate"}, 303,
			login + "?next=" + url.QueryEscape(long)},
		{"a form", "/a", form, []string{"Sec-Fetch-Mode", "navigate"}, 303, login},
		{"a script's request", "/api", nil, []string{"Sec-Fetch-Mode", "cors", "Accept", "text/html"}, 401,
			login + "?next=%2Fapi"},
		{"a script's unsafe request", "/api", form, []string{"Sec-Fetch-Mode", "cors"}, 401, login},
		{"a program's request", "/", nil, nil, 401, login + "?next=%2F"},
		{"a handshake", "/socket", nil, []string{"Connection", "Upgrade", "Upgrade", "websocket", "Accept", "text/html",
			"Sec-Fetch-Mode", "websocket", "Sec-WebSocket-Version", "13",
			"Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}, 401, login + "?next=%2Fsocket"},
		{"another's idea of the path", "/a", nil, []string{"Sec-Fetch-Mode", "navigate", "X-Original-URI", "/forged",
			"X-Forwarded-Uri", "/forged", "X-Original-URL", "/forged", "X-Rewrite-URL", "/forged"}, 303,
			login + "?next=%2Fa"},
		{"another's idea of the method", "/a", form, []string{"X-Original-Method", "GET", "X-Forwarded-Method", "GET"},
			401, login},
	} {
		response, body := s.do(tt.path, tt.form, tt.header...)
		if response.StatusCode != tt.code || response.Header.Get("Location") != tt.location {
			t.Errorf("%s: %s to %q, want %d to %q", tt.name, response.Status, response.Header.Get("Location"),
				tt.code, tt.location)
		}
		if tt.code == 401 && !strings.Contains(body, `"error":"no-session"`) {
			t.Errorf("%s: %q, want JSON", tt.name, body)
		}
		if got := response.Header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("%s: Cache-Control %q", tt.name, got)
		}
	}
	if s.proxy.early {
		s.wantsRefusal(t, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\nfirst")
		s.wantsRefusal(t, "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
	}
	if now := s.app.asked.Load(); now != asked {
		t.Errorf("the application was asked %d times", now-asked)
	}
}

// wantsRefusal sends a part of a request, and wants the answer although the rest has not come.
func (s *site) wantsRefusal(t *testing.T, request string) {
	t.Helper()
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(c, request)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || response.StatusCode != 401 {
		t.Errorf("%q: %v %v, want 401", request, response, err)
	}
}

func testApplicationIsTold(t *testing.T, s *site) {
	cookie, verified := s.session("Jürgen Ünï", "Größe", "staff")
	const path = "/a%2Fb//c/../d;e=1?f=%20&g"
	e := s.echo(path, url.Values{"h": {"1"}}, "Cookie", "first=1; "+cookie+"; __Host-curfew-seen=2; last=\"3\"")
	if e.Method != "POST" || e.URI != path || e.Body != "h=1" || e.Host != s.at {
		t.Errorf("%s %s %q at %s, want POST %s at %s", e.Method, e.URI, e.Body, e.Host, path, s.at)
	}
	for name, want := range map[string]string{
		"X-Forwarded-For":   "127.0.0.1",
		"X-Forwarded-Proto": "http",
		"X-Forwarded-Host":  s.at,
		"Cookie":            `first=1; last="3"`,
	} {
		if got := e.get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for name, want := range verified {
		if got := e.get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if e = s.echo("/", nil, "Cookie", cookie); e.get("Cookie") != "guarded=1" {
		t.Errorf("Cookie: %q, want guarded=1", e.get("Cookie"))
	}
	response, body := s.do("/", nil, "Cookie", cookie)
	for _, name := range []string{"Remote-User", "Remote-Session", "Cookie", "Set-Cookie"} {
		if got := response.Header.Values(name); len(got) > 0 {
			t.Errorf("the browser is told %s: %q, %s", name, got, body)
		}
	}
}

// testClientsOpinionOfTheAddressIsIgnored asks from an address that is no proxy's.
func testClientsOpinionOfTheAddressIsIgnored(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 77)}}
	elsewhere := &http.Client{Transport: &http.Transport{DialContext: dialer.DialContext, DisableKeepAlives: true}}
	ask := func(method, path string, body io.Reader) (e echoed) {
		r, err := http.NewRequestWithContext(t.Context(), method, s.url+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Cookie", cookie)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, name := range []string{"X-Forwarded-For", "X-Real-IP", "Forwarded"} {
			r.Header.Set(name, "203.0.113.9")
		}
		r.Header.Set("X-Forwarded-Host", "evil.example")
		r.Header.Set("X-Forwarded-Proto", "gopher")
		response, err := elsewhere.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		json.NewDecoder(response.Body).Decode(&e)
		return e
	}
	if got := ask("GET", "/", nil).get("X-Forwarded-For"); got != "127.0.0.77" {
		t.Errorf("X-Forwarded-For: %q, want 127.0.0.77", got)
	}
	ask("POST", siteBase+"/login", strings.NewReader("username=ada&password=wrong"))
	s.curfew.eventually("the log names the browser's address",
		func() bool { return strings.Contains(s.curfew.log.String(), "address=127.0.0.77") })
}

func testAnswersPassUnchanged(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	for _, code := range []int{401, 403, 500, 503} {
		response, body := s.do(fmt.Sprintf("/own/%d", code), nil, "Cookie", cookie, "Sec-Fetch-Mode", "navigate")
		if response.StatusCode != code || body != "the application's own word\n" {
			t.Errorf("%d: %s %q, want the application's own", code, response.Status, body)
		}
	}
	request, _ := http.NewRequest("HEAD", s.url+"/", nil)
	request.Header.Set("Cookie", cookie)
	response, err := client.Do(request)
	if err != nil || response.StatusCode != 200 || response.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %v %v", response, err)
	}
	response, _ = s.do("/redirect", nil, "Cookie", cookie)
	if got := response.Header.Get("Location"); got != s.url+"/elsewhere?a=1" {
		t.Errorf("an inner address is told as %q, want %s/elsewhere?a=1", got, s.url)
	}
}

func testManyGroupsFit(t *testing.T, s *site) {
	var groups []string
	for i := range 300 {
		groups = append(groups, fmt.Sprintf("group-%03d", i))
	}
	cookie, _ := s.session("ada", groups...)
	got := s.echo("/", nil, "Cookie", cookie+"; long="+strings.Repeat("x", 4000)).get("Remote-Groups")
	if len(got) < 1900 || len(got) > 2000 || !strings.HasPrefix(got, "group-000,group-001,") {
		t.Errorf("%d bytes of groups: %.100s, want nearly 2,000", len(got), got)
	}
}

func testStreamsFlow(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	request, _ := http.NewRequestWithContext(t.Context(), "GET", s.url+"/events", nil)
	request.Header.Set("Cookie", cookie)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	for i, want := range []string{"data: one\n\n", "data: two\n\n"} {
		event := make([]byte, len(want))
		if _, err := io.ReadFull(response.Body, event); err != nil || string(event) != want {
			t.Fatalf("event %d: %q, %v, want %q", i, event, err, want)
		}
		if i == 0 {
			s.app.release <- struct{}{} // the application waited until the first one had come
		}
	}
}

func testUploadsFlow(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	body, sender := io.Pipe()
	request, _ := http.NewRequestWithContext(t.Context(), "POST", s.url+"/upload", body)
	request.Header.Set("Cookie", cookie)
	answered := make(chan string, 1)
	go func() {
		response, err := client.Do(request)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		answered <- response.Status + " " + string(text)
	}()
	io.WriteString(sender, "first")
	select {
	case first := <-s.app.begun: // although the rest has not been sent
		if first != "first" {
			t.Errorf("the application got %q first", first)
		}
	case <-time.After(10 * time.Second):
		t.Error("the application gets nothing before all is sent")
	}
	sender.Write(make([]byte, 3<<20))
	sender.Close()
	if got, want := <-answered, fmt.Sprintf("200 OK %d", 5+(3<<20)); got != want {
		t.Errorf("answer %q, want %q", got, want)
	}
}

func testSocketsOfTheApplication(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, response, err := websocket.Dial(ctx, s.url+"/socket", &websocket.DialOptions{
		HTTPClient:   sockets,
		HTTPHeader:   http.Header{"Cookie": {cookie}, "Origin": {s.url}, "Remote-User": {"mallory"}},
		Subprotocols: []string{"echo"},
	})
	if err != nil {
		t.Fatalf("%v %v", response, err)
	}
	defer c.CloseNow()
	if got := response.Header.Get("Sec-WebSocket-Protocol"); got != "echo" {
		t.Errorf("subprotocol %q", got)
	}
	c.Write(ctx, websocket.MessageText, []byte("hello"))
	if _, text, err := c.Read(ctx); string(text) != "ada: hello" {
		t.Errorf("%q, %v, want ada: hello", text, err)
	}
	// What is no WebSocket is not upgraded.
	e := s.echo("/", nil, "Cookie", cookie, "Connection", "Upgrade", "Upgrade", "h2c")
	if e.get("Upgrade") != "" || strings.Contains(strings.ToLower(e.get("Connection")), "upgrade") {
		t.Errorf("an upgrade to h2c arrives: %+v", e.Fields)
	}
}

func testOwnPagesNeedNoCheck(t *testing.T, s *site) {
	below := s.below(siteBase)
	for path, code := range map[string]int{"/login": 200, "/healthz": 200, "/static/curfew.js": 200, "/nowhere": 404} {
		if response, body := below.do(path, nil, "Accept", "text/html"); response.StatusCode != code {
			t.Errorf("%s: %s %.200s, want %d", path, response.Status, body, code)
		}
	}
	cookie := below.signIn("ada", "Origin", s.url)
	if code, answer := below.status(cookie); code != 200 || answer["user"] != "ada" {
		t.Errorf("status: %d %v", code, answer)
	}
	e := s.echo("/", nil, "Cookie", cookie)
	if e.get("Remote-User") != "ada" || e.get("Remote-Name") != "Ada Lovelace" {
		t.Errorf("the application sees %+v", e.Fields)
	}
}

func testOwnSocket(t *testing.T, s *site) {
	cookie, _ := s.session("somebody")
	page := hubtest.Open(t, hubtest.Options{
		URL:    s.url + siteBase + "/session/ws",
		Header: http.Header{"Origin": {s.url}, "Cookie": {cookie}},
		Client: sockets,
		AckAll: true,
	})
	s.curfew.advance(9 * time.Minute)
	page.NextWithin(10*time.Second, wire.KindWarn)
}

func testEchoIsGuarded(t *testing.T, s *site) {
	response, body := s.do(siteBase+"/session/echo", nil)
	want := s.url + siteBase + "/login?next=" + url.QueryEscape(siteBase+"/session/echo")
	if response.StatusCode != 401 || response.Header.Get("Location") != want {
		t.Errorf("%s to %q, %s, want 401 to %q", response.Status, response.Header.Get("Location"), body, want)
	}
	cookie, _ := s.session("ada")
	asked := s.app.asked.Load()
	if s.do(siteBase+"/session/echo", nil, "Cookie", cookie); s.app.asked.Load() != asked {
		t.Error("it is led to the application")
	}
}

func testDoorsAreNotReachedFromOutside(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	for _, path := range []string{"/session/verify", "/session/verify/forward", "/session/verify/path/",
		siteBase + "/session/verify", siteBase + "/session/verify/forward", siteBase + "/session/verify/path/x",
		siteBase + "/-check", siteBase + "//-check", siteBase + "/%2Dcheck", siteBase + "/x/../-check"} {
		for _, c := range []string{"", cookie} {
			response, body := s.do(path, nil, "Cookie", c, "X-Original-URI", "/", "X-Original-Method", "GET",
				"X-Forwarded-Uri", "/", "X-Forwarded-Method", "GET")
			for _, name := range []string{"Remote-User", "Remote-Session", "Cookie"} {
				if got := response.Header.Values(name); len(got) > 0 {
					t.Errorf("%s: %s, %s %q in the answer, %.200s", path, response.Status, name, got, body)
				}
			}
		}
	}
}

// testConnectionsAreKept sends several requests on one connection, with bodies that nobody reads.
func testConnectionsAreKept(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	c, err := net.Dial("tcp", s.at)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	in := bufio.NewReader(c)
	body := strings.Repeat("x", 20_000)
	for i, tt := range []struct {
		request string
		code    int
	}{
		{"GET / HTTP/1.1\r\nHost: x\r\nCookie: " + cookie + "\r\n\r\n", 200},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n" + body, 401},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4e20\r\n" + body + "\r\n0\r\n\r\n", 401},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\nCookie: " + cookie + "\r\n\r\n" + body, 200},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nCookie: " + cookie + "\r\n\r\n4e20\r\n" + body +
			"\r\n0\r\n\r\n", 200},
		{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 401},
	} {
		io.WriteString(c, tt.request)
		response, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		io.Copy(io.Discard, response.Body)
		if response.StatusCode != tt.code {
			t.Errorf("request %d: %s, want %d", i, response.Status, tt.code)
		}
		if response.Close && tt.code == 200 {
			t.Errorf("request %d ends the connection", i)
		}
		if response.Close { // a proxy may refuse to read what nobody wants
			c.Close()
			if c, err = net.Dial("tcp", s.at); err != nil {
				t.Fatal(err)
			}
			in = bufio.NewReader(c)
		}
	}
}

func testNavigationsAreActivity(t *testing.T, s *site) {
	cookie, _ := s.session("ada")
	for _, tt := range []struct {
		name    string
		header  []string
		extends bool
	}{
		{"a poll", []string{"Sec-Fetch-Mode", "cors"}, false},
		{"a page that a person asked for", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1",
			"Sec-Fetch-Dest", "document"}, true},
		{"a page that nobody asked for", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, false},
		{"a prefetch", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-User", "?1", "Sec-Purpose", "prefetch"},
			false},
	} {
		s.curfew.advance(time.Minute)
		_, before := s.curfew.status(cookie)
		s.echo("/", nil, append(tt.header, "Cookie", cookie)...)
		_, after := s.curfew.status(cookie)
		extended := after["expire_in_ms"].(float64) > before["expire_in_ms"].(float64)
		if extended != tt.extends {
			t.Errorf("%s: extended %v, want %v", tt.name, extended, tt.extends)
		}
	}
}

// testStoreOutOfReach asks with a cookie that only the store can know.
func testStoreOutOfReach(t *testing.T, s *site) {
	s.curfew.testing("store", `{"method":"Get","before":1}`)
	defer s.curfew.testing("store", `{}`)
	asked := s.app.asked.Load()
	unknown := "__Host-curfew=" + strings.Repeat("A", 43)
	for _, mode := range []string{"navigate", "cors"} {
		response, body := s.do("/", nil, "Cookie", unknown, "Sec-Fetch-Mode", mode)
		s.wantsAway(mode, response, body)
	}
	if now := s.app.asked.Load(); now != asked {
		t.Errorf("the application was asked %d times", now-asked)
	}
}

// wantsAway wants the answer to a request of this mode that cannot be checked.
func (s *site) wantsAway(mode string, response *http.Response, body string) {
	s.t.Helper()
	h := response.Header
	isPage := strings.HasPrefix(h.Get("Content-Type"), "text/html") && strings.Contains(body, "<h1>")
	if response.StatusCode != 503 || h.Get("Retry-After") == "" || h.Get("Cache-Control") != "no-store" ||
		len(h.Values("Content-Type")) != 1 || isPage != (mode == "navigate") {
		s.t.Errorf("%s: %s %v %s, want 503", mode, response.Status, h, body)
	}
	if mode == "cors" && !json.Valid([]byte(body)) {
		s.t.Errorf("a script gets %s", body)
	}
}
