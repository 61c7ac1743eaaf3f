package front_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"curfew/front"
)

// newRecordingSite tells the channel of the head of each request.
func newRecordingSite(t *testing.T, setups ...func(*setup)) (*site, <-chan []string) {
	heads := make(chan []string, 100)
	return newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			lines, err := head(r)
			if err != nil {
				return
			}
			heads <- lines
			io.WriteString(conn, emptyAnswer)
		}
	}, setups...), heads
}

// values are those of a header in a head, whatever the case of its name.
func values(lines []string, name string) (list []string) {
	for _, line := range lines[1:] {
		if n, value, _ := strings.Cut(line, ":"); strings.EqualFold(n, name) {
			list = append(list, strings.TrimSpace(value))
		}
	}
	return list
}

func TestTargetsArriveByteForByte(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for _, target := range []string{
		"/", "/a%2Fb", "/a%2fb//c", "/a;b=c;d", "/?", "/a?", "/a??b", "/a?b;c&d=%zz&e", "/a?100%", "/%7Euser/~user",
		"/a/./b/../c", "/a/%2e%2e/b", "/caf\xc3\xa9?q=\xff\xfe", `/"<>^|{}` + "`", `/\a\b`, "/a#b", "/a?b#c", "/a:b@c",
		"//", "//host", "//host/a%2Fb", "//host//%2e/\"<>^|{}\xff?x;y", "///", "///a", "//a?", "//user@host:99/x",
		"/*", "/*/x", "/http://other.example/x?y", "/" + strings.Repeat("a", 8000) + "?" + strings.Repeat("b;", 4000),
	} {
		for _, method := range []string{"GET", "POST", "HEAD", "PROPFIND"} {
			b := s.dial()
			b.send("", method+" "+target+" HTTP/1.1", "Host: app.example", "Content-Length: 0")
			b.answer(method)
			if got := within(t, heads, "request")[0]; got != method+" "+target+" HTTP/1.1" {
				t.Errorf("%s %q arrives as %q", method, target, got)
			}
		}
	}
}

// TestNothingButTheTargetIsTouched sends what looks like the mark that stands before some targets.
func TestNothingButTheTargetIsTouched(t *testing.T) {
	t.Parallel()
	const body = "a */ b */"
	type arrived struct {
		head []string
		body string
	}
	got := make(chan arrived, 1)
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		lines, err := head(r)
		if err != nil {
			return
		}
		p := make([]byte, len(body))
		io.ReadFull(r, p)
		got <- arrived{lines, string(p)}
		io.WriteString(conn, emptyAnswer)
	})
	long := strings.Repeat("M", 4095) // with the space behind it, as much as net/http writes at once
	for _, first := range []string{"POST /x", "POST //x", "PUT /*/*", "A* //x", long + " //x", long + "M //x"} {
		b := s.dial()
		b.send(body, first+" HTTP/1.1", "Host: x", "Accept: */*", "X-Odd: a */ b", "Content-Length: 9")
		b.wants(http.StatusOK)
		request := within(t, got, "request")
		accept, odd := values(request.head, "Accept"), values(request.head, "X-Odd")
		if request.head[0] != first+" HTTP/1.1" || !slices.Equal(accept, []string{"*/*"}) ||
			!slices.Equal(odd, []string{"a */ b"}) || request.body != body {
			t.Errorf("%.20q arrives as %.20q, with Accept %q, X-Odd %q and body %q",
				first, request.head[0], accept, odd, request.body)
		}
	}
}

func TestTargetsInOtherForms(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for sent, want := range map[string]string{
		"GET http://other.example/a%2Fb?c;d HTTP/1.1":    "GET /a%2Fb?c;d HTTP/1.1",
		"GET http://app.example//x\"y HTTP/1.1":          "GET //x\"y HTTP/1.1",
		"GET http://app.example?q HTTP/1.1":              "GET /?q HTTP/1.1",
		"GET http://app.example HTTP/1.1":                "GET / HTTP/1.1",
		"OPTIONS * HTTP/1.1":                             "OPTIONS * HTTP/1.1",
		"GET /old HTTP/1.0":                              "GET /old HTTP/1.1",
		"GET http://u:p@app.example/a?http://b HTTP/1.1": "GET /a?http://b HTTP/1.1",
	} {
		b := s.dial()
		b.send("", sent, "Host: app.example")
		b.wants(http.StatusOK)
		lines := within(t, heads, "request")
		if lines[0] != want {
			t.Errorf("%q arrives as %q, want %q", sent, lines[0], want)
		}
		if host := values(lines, "Host"); !slices.Equal(host, []string{"app.example"}) {
			t.Errorf("%q arrives for host %q", sent, host)
		}
	}
}

func TestTargetsThatNoRequestMayHaveAreRefused(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for _, target := range []string{"/a\x01b", "/a\x7fb", "/a\tb", "a", "*/x", "*//x", "/%zz", "/a b", ""} {
		b := s.dial()
		b.send("", "GET "+target+" HTTP/1.1", "Host: app.example")
		b.wants(http.StatusBadRequest)
	}
	select {
	case lines := <-heads:
		t.Errorf("the application gets %q", lines)
	default:
	}
}

func TestHTTP10KeepsItsConnection(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	b := s.dial()
	for range 2 {
		b.send("", "GET /x HTTP/1.0", "Connection: keep-alive")
		b.wants(http.StatusOK)
		if host := values(within(t, heads, "request"), "Host"); !slices.Equal(host, []string{"app.example"}) {
			t.Errorf("host %q", host)
		}
	}
}

func TestHopByHopHeadersAreNotPassedOn(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: app.example",
		"Connection: Remote-User, X-Forwarded-For, Host, x-private", "Connection: REMOTE-GROUPS, X-Forwarded-Proto, TE",
		"Keep-Alive: timeout=5", "Proxy-Connection: keep-alive", "Proxy-Authorization: secret", "Proxy-Authenticate: x",
		"TE: trailers, gzip", "Upgrade: h2c", "X-Private: x", "X-Kept: y")
	b.wants(http.StatusOK)
	lines := within(t, heads, "request")
	for _, name := range []string{"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization",
		"Proxy-Authenticate", "Upgrade", "X-Private"} {
		if got := values(lines, name); got != nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	for name, want := range map[string]string{
		"Remote-User":       "ada",
		"Remote-Groups":     "admins,staff",
		"X-Forwarded-Proto": "https",
		"X-Forwarded-For":   "127.0.0.1",
		"X-Kept":            "y",
		"Te":                "trailers",
	} {
		if got := values(lines, name); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestOnlyWebSocketsAreUpgradedTo(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for _, lines := range [][]string{
		{"Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
		{"Connection: Upgrade", "Upgrade: TLS/1.0"},
		{"Connection: Upgrade", "Upgrade: h2c, websocket"},
		{"Connection: Upgrade", "Upgrade: h2c", "Upgrade: websocket"},
		{"Connection: close", "Upgrade: websocket"},
	} {
		b := s.dial()
		b.send("", append([]string{"GET / HTTP/1.1", "Host: app.example"}, lines...)...)
		b.wants(http.StatusOK)
		got := within(t, heads, "request")
		if values(got, "Upgrade") != nil || values(got, "HTTP2-Settings") != nil {
			t.Errorf("%q arrives as %q", lines, got)
		}
	}
}

func TestRequestsThatCouldHideAnotherAreRefused(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for _, lines := range [][]string{
		{"Content-Length: 1", "Content-Length: 2"},
		{"Content-Length: 1, 2"},
		{"Content-Length: +1"},
		{"Transfer-Encoding: identity, chunked"},
		{"Transfer-Encoding: chunked", "Transfer-Encoding: chunked"},
		{"Transfer-Encoding : chunked"},
		{"Content-Length : 4"},
		{"X\x00Y: z"},
		{"Remote\u2010User: x"},
		{"Host: two.example"},
	} {
		b := s.dial()
		b.send("0\r\n\r\n", append([]string{"POST / HTTP/1.1", "Host: app.example"}, lines...)...)
		response := b.answer("POST")
		if response.StatusCode != http.StatusBadRequest && response.StatusCode != http.StatusNotImplemented {
			t.Errorf("%q: status %d", lines, response.StatusCode)
		}
	}
	select {
	case lines := <-heads:
		t.Errorf("the application gets %q", lines)
	default:
	}
}

func TestChunkedGoesBeforeALength(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 10)
	s := newSite(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.Method + " " + string(body)
	})
	b := s.dial()
	b.send("3\r\nabc\r\n0\r\n\r\n", "POST / HTTP/1.1", "Host: app.example", "Content-Length: 3",
		"Transfer-Encoding: chunked")
	b.wants(http.StatusOK)
	if got := within(t, bodies, "request"); got != "POST abc" {
		t.Errorf("the application gets %q", got)
	}
}

func TestFoldedLinesAreOneLine(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: app.example", "X-Folded: a", " Remote-User: root", "\tb")
	b.wants(http.StatusOK)
	lines := within(t, heads, "request")
	if got := values(lines, "X-Folded"); !slices.Equal(got, []string{"a Remote-User: root b"}) {
		t.Errorf("it arrives as %q", got)
	}
	if got := values(lines, "Remote-User"); !slices.Equal(got, []string{"ada"}) {
		t.Errorf("the user is %q", got)
	}
}

func TestOwnCookiesAreTakenOut(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t)
	for _, c := range []struct{ sent, want []string }{
		{[]string{"a=b"}, []string{"a=b"}},
		{[]string{"a=b;c=d;  e ;; =f; g=\"h;i\"\t"}, []string{"a=b;c=d;  e ;; =f; g=\"h;i\""}},
		{[]string{"__Host-curfew=x"}, nil},
		{[]string{"__Host-curfew=x; a=b"}, []string{"a=b"}},
		{[]string{"a=b; __Host-curfew=x"}, []string{"a=b"}},
		{[]string{"a=b;  c=\"d\"; __Host-curfew=x;e=f"}, []string{"a=b;  c=\"d\";e=f"}},
		{[]string{"__host-CURFEW-seen=x;\t__Host-curfew-last =y; __Host-curfew; a"}, []string{"a"}},
		{[]string{"a=b", "__Host-curfew=x", "c=d; __Host-curfew=y"}, []string{"a=b", "c=d"}},
		{[]string{"a=__Host-curfew=x; X__Host-curfew=y"}, []string{"a=__Host-curfew=x; X__Host-curfew=y"}},
		{[]string{"__Host-curfewish=x; __Host-other=y"}, []string{"__Host-other=y"}},
	} {
		b := s.dial()
		lines := []string{"GET / HTTP/1.1", "Host: app.example"}
		for _, cookie := range c.sent {
			lines = append(lines, "Cookie: "+cookie)
		}
		b.send("", lines...)
		b.wants(http.StatusOK)
		if got := values(within(t, heads, "request"), "Cookie"); !slices.Equal(got, c.want) {
			t.Errorf("%q arrive as %q, want %q", c.sent, got, c.want)
		}
	}
}

func TestForwardedForIsContinuedBehindATrustedProxyOnly(t *testing.T) {
	t.Parallel()
	for _, trusted := range []bool{false, true} {
		s, heads := newRecordingSite(t, func(o *setup) { o.Trusted = func(*http.Request) bool { return trusted } })
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x", "X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2, 192.0.2.3",
			"X_Forwarded_For: 192.0.2.9", "Connection: X-Forwarded-For", "X-Forwarded-Host: evil.example",
			"X-Forwarded-Proto: http", "X-Forwarded-Prefix: /evil")
		b.wants(http.StatusOK)
		lines := within(t, heads, "request")
		want := "127.0.0.1"
		if trusted {
			want = "192.0.2.1, 192.0.2.2, 192.0.2.3, 127.0.0.1"
		}
		for name, want := range map[string][]string{
			"X-Forwarded-For":    {want},
			"X_Forwarded_For":    nil,
			"X-Forwarded-Host":   {"app.example"},
			"X-Forwarded-Proto":  {"https"},
			"X-Forwarded-Prefix": nil,
			"Host":               {"app.example"},
		} {
			if got := values(lines, name); !slices.Equal(got, want) {
				t.Errorf("trusted %t: %s is %q, want %q", trusted, name, got, want)
			}
		}
	}
}

func TestPublicPathsCarryNoIdentity(t *testing.T) {
	t.Parallel()
	s, heads := newRecordingSite(t, func(o *setup) { o.PublicPaths = front.PublicPaths{"/public/*"} })
	b := s.dial()
	b.send("", "GET /public/x HTTP/1.1", "Host: x", "Remote-User: root", "remote_groups: admins",
		"Cookie: __Host-curfew=x; a=b")
	b.wants(http.StatusOK)
	lines := within(t, heads, "request")
	for _, line := range lines {
		if strings.HasPrefix(strings.ToLower(strings.ReplaceAll(line, "_", "-")), "remote-") {
			t.Errorf("the application is told %q", line)
		}
	}
	if got := values(lines, "Cookie"); !slices.Equal(got, []string{"a=b"}) {
		t.Errorf("cookies %q", got)
	}
}

// The site gives no IDs to requests: what stands in one is passed on.
func TestTheAnswerHasTheIDOfTheRequest(t *testing.T) {
	t.Parallel()
	for what, answer := range map[string]string{
		"a page": lines("HTTP/1.1 200 OK", "X-Request-Id: other", "Content-Length: 0"),
		"a socket": lines("HTTP/1.1 101 Switching Protocols", "X-Request-Id: other", "Connection: Upgrade",
			"Upgrade: websocket"),
		"nothing": "",
	} {
		s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
			request, _ := head(r)
			if !slices.Contains(request, "X-Request-Id: k7") {
				t.Errorf("%s: the application got %q", what, request)
			}
			io.WriteString(conn, answer)
		})
		handler := s.Config.Handler
		s.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header()[front.RequestID] = r.Header[front.RequestID] // as who serves does
			handler.ServeHTTP(w, r)
		})
		b := s.dial()
		b.send("", "GET / HTTP/1.1", "Host: x", "Origin: https://app.example", "X-Request-Id: k7",
			"Connection: Upgrade, X-Request-Id", "Upgrade: websocket")
		if got := b.answer("GET").Header[front.RequestID]; answer != "" && !slices.Equal(got, []string{"k7"}) {
			t.Errorf("%s: the answer has the IDs %q", what, got)
		}
	}
}
