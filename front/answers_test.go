package front_test

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"curfew/front"
)

// newAnsweringSite is in front of an application that answers each request with these bytes, and
// keeps the connection open.
func newAnsweringSite(t *testing.T, answer string, setups ...func(*setup)) *site {
	t.Helper()
	return newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		for {
			if _, err := head(r); err != nil {
				return
			}
			io.WriteString(conn, answer)
		}
	}, setups...)
}

func TestAnswersGoThroughAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		method, answer, body string
		status               int
	}{
		"a length": {"GET", lines("HTTP/1.1 200 OK", "Content-Length: 5") + "<b>hi", "<b>hi", 200},
		"chunks": {"GET", lines("HTTP/1.1 200 OK", "Transfer-Encoding: chunked") +
			"2\r\nab\r\n0\r\n\r\n", "ab", 200},
		"a range":          {"GET", withBody("206 Partial Content\r\nContent-Range: bytes 1-2/9", "bc"), "bc", 206},
		"an unknown code":  {"GET", lines("HTTP/1.1 799 Odd", "Content-Length: 1") + "x", "x", 799},
		"not modified":     {"GET", lines("HTTP/1.1 304 Not Modified", `ETag: "a"`), "", 304},
		"HEAD":             {"HEAD", lines("HTTP/1.1 200 OK", "Content-Length: 5"), "", 200},
		"nothing":          {"GET", lines("HTTP/1.1 204 No Content"), "", 204},
		"an empty 404":     {"GET", lines("HTTP/1.1 404 Not Found", "Content-Length: 0"), "", 404},
		"a reason of many": {"GET", lines("HTTP/1.0 403 Keep  out", "Content-Length: 0"), "", 403},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newAnsweringSite(t, c.answer)
			b := s.dial()
			for range 2 { // the connection stays of use
				b.send("", c.method+" / HTTP/1.1", "Host: x", "Range: bytes=1-2")
				response := b.answer(c.method)
				if body := text(t, response); response.StatusCode != c.status || body != c.body {
					t.Fatalf("answer %d %q, want %d %q", response.StatusCode, body, c.status, c.body)
				}
				if kind, ok := response.Header["Content-Type"]; ok {
					t.Errorf("it got a type: %q", kind)
				}
				length := response.Header.Get("Content-Length")
				if strings.Contains(c.answer, "Length: 5") && length != "5" {
					t.Errorf("its length is %q", length)
				}
			}
		})
	}
}

func TestHeadersOfAnswersArePassedOn(t *testing.T) {
	t.Parallel()
	kept := []string{"Cache-Control: max-age=5", "Access-Control-Allow-Origin: https://b.example", "Vary: a",
		"Vary: b", "Server: x", "Date: Mon, 01 Jan 2024 00:00:00 GMT", "X-Frame-Options: DENY",
		"Content-Security-Policy: default-src 'none'",
		"Set-Cookie: a=b; Path=/", "Set-Cookie: __Host-other=c", "Content-Type: text/plain", "WWW-Authenticate: Basic"}
	s := newAnsweringSite(t, lines(slices.Concat([]string{"HTTP/1.1 401 No"}, kept, []string{"Content-Length: 0",
		"Connection: X-Hop", "X-Hop: y", "Keep-Alive: timeout=3", "Upgrade: h2c"})...))
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x")
	b.wants(401)
	b.send("", "GET / HTTP/1.1", "Host: x")
	got, err := head(b.Reader)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(got)
	want := append(slices.Clone(kept), "HTTP/1.1 401 Unauthorized", "Content-Length: 0")
	for i := range want { // names come in the case of net/http
		want[i] = strings.Replace(want[i], "WWW-", "Www-", 1)
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestOwnCookiesCannotBeSet(t *testing.T) {
	t.Parallel()
	evil := []string{"Set-Cookie: __Host-curfew=x", "Set-Cookie: __host-CURFEW-seen=x; Path=/",
		"Set-Cookie:  __Host-curfew-last = x", "Set-Cookie: =__Host-curfew=x", "Set-Cookie: __Host-curfew",
		"set-cookie: __Host-curfewed=; Max-Age=0"}
	good := []string{"Set-Cookie: a=__Host-curfew", "Set-Cookie: X__Host-curfew=y"}
	early := append([]string{"HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload"}, evil...)
	final := []string{"HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: Set-Cookie, X-Sum"}
	trailer := []string{"Set-Cookie: __Host-curfew=z", "X-Sum: 1"}
	s := newAnsweringSite(t, lines(early...)+lines(slices.Concat(final, evil, good)...)+
		"1\r\nx\r\n0\r\n"+lines(trailer...))
	b := s.dial()
	b.send("", "GET / HTTP/1.1", "Host: x", "TE: trailers")
	hints, err := head(b.Reader)
	if err != nil || !slices.Equal(hints, []string{"HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload"}) {
		t.Errorf("hints %q, %v", hints, err)
	}
	response := b.answer("GET")
	text(t, response)
	if got := response.Header["Set-Cookie"]; !slices.Equal(got, []string{"a=__Host-curfew", "X__Host-curfew=y"}) {
		t.Errorf("cookies %q", got)
	}
	for _, line := range response.Trailer["Set-Cookie"] {
		if strings.Contains(line, "__Host-curfew=z") {
			t.Errorf("trailer %q", line)
		}
	}
	if response.Trailer.Get("X-Sum") != "1" {
		t.Errorf("trailers %q", response.Trailer)
	}
}

func TestClearSiteDataLeavesTheSession(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ sent, want []string }{
		{[]string{`"cache", "cookies", "storage", "executionContexts"`}, []string{`"cache", "executionContexts"`}},
		{[]string{`"*"`}, nil},
		{[]string{`"cookies"`, `"cache"`}, []string{`"cache"`}},
		{[]string{`"Cookies",  "clientHints"`}, []string{`"clientHints"`}},
		{[]string{`"cache",  "prefetchCache"`}, []string{`"cache",  "prefetchCache"`}},
	} {
		all := []string{"HTTP/1.1 200 OK", "Content-Length: 0"}
		for _, line := range c.sent {
			all = append(all, "Clear-Site-Data: "+line)
		}
		b := newAnsweringSite(t, lines(all...)).dial()
		b.send("", "GET / HTTP/1.1", "Host: x")
		if got := b.wants(200).Header["Clear-Site-Data"]; !slices.Equal(got, c.want) {
			t.Errorf("%q becomes %q, want %q", c.sent, got, c.want)
		}
	}
}

// redirects are links of an application, each with what it becomes; empty: it stays. Applications
// are at 127.0.0.1:8000, at inner.example and plain.example, and at [::1]:81.
var redirects = map[string][][2]string{
	"https://app.example": {
		{
			"http://127.0.0.1:8000/a%2Fb//c;d?x=http://127.0.0.1:8000/#f",
			"https://app.example/a%2Fb//c;d?x=http://127.0.0.1:8000/#f",
		},
		{"http://127.0.0.1:8000", "https://app.example"},
		{"http://127.0.0.1:8000?q", "https://app.example?q"},
		{"HTTP://127.0.0.1:8000#f", "https://app.example#f"},
		{"//127.0.0.1:8000/a", "https://app.example/a"},
		{"http://user:pw@127.0.0.1:8000/a", "https://app.example/a"},
		{"https://127.0.0.1:8000/a", ""},
		{"http://127.0.0.1:8001/a", ""},
		{"http://127.0.0.1/a", ""},
		{"http://127.0.0.1:8000@evil.example/a", ""},
		{"http://127.0.0.1:8000.evil.example/a", ""},
		{"https://inner.EXAMPLE:443/a", "https://app.example/a"},
		{"https://inner.example./a", "https://app.example/a"},
		{"//inner.example/a", "https://app.example/a"},
		{"http://inner.example/a", ""},
		{"http://[0:0::1]:81/a", "https://app.example/a"},
		{"http://plain.example:80/a", "https://app.example/a"},
		{"http://plain.example:/a", "https://app.example/a"},
		{"http://app.example/a", "https://app.example/a"},
		{"http://APP.example:443/a", "https://app.example/a"},
		{"http://app.example:8080/a", ""},
		{"https://app.example/a", ""},
		{"//app.example/a", ""},
		{"/a", ""},
		{"a?u=//127.0.0.1:8000/", ""},
		{"ftp://127.0.0.1:8000/", ""},
		{"http://[::1/", ""},
		{"http:///a", ""},
		{"", ""},
	},
	"https://app.example:8443": {
		{"http://app.example:8443/a", "https://app.example:8443/a"},
		{"http://app.example/a", ""},
	},
	"http://localhost:8080": {
		{"http://127.0.0.1:8000/a", "http://localhost:8080/a"},
		{"//localhost:8000/a", "http://localhost:8080/a"},
		{"//localhost:8080/a", ""},
		{"http://localhost:8080/a", ""},
		{"https://localhost:8080/a", ""},
	},
}

func TestRedirectsLeadToThePublicURL(t *testing.T) {
	t.Parallel()
	var inner []*url.URL
	for _, text := range []string{
		"http://127.0.0.1:8000", "http://localhost:8000", "http://[::1]:81",
		"https://Inner.example", "http://plain.example",
	} {
		u, err := front.ParseUpstream(text)
		if err != nil {
			t.Fatal(err)
		}
		inner = append(inner, u.URL())
	}
	for public, links := range redirects {
		at, err := url.Parse(public)
		if err != nil {
			t.Fatal(err)
		}
		f := front.New(front.Options{Public: at, Inner: inner, Fail: fail})
		for _, link := range links {
			wantsRedirect(t, f, link[0], cmp.Or(link[1], link[0]))
		}
	}
}

// wantsRedirect compares what a link becomes in each header.
func wantsRedirect(t *testing.T, f *front.Front, link, want string) {
	t.Helper()
	for _, form := range []string{"0;url=%s", "5; URL = '%s' x", "1.5 \t url=\"%s\"", "3;%s", "2,url=\"%s"} {
		h := http.Header{}
		f.Serve(recorder{header: h}, request(t), nil, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", link)
			w.Header().Set("Content-Location", link)
			w.Header().Set("Refresh", fmt.Sprintf(form, link))
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusFound)
		}))
		if h.Get("Location") != want || h.Get("Content-Location") != want {
			t.Errorf("%q becomes %q and %q, want %q", link, h.Get("Location"), h.Get("Content-Location"), want)
		}
		if refresh := fmt.Sprintf(form, want); h.Get("Refresh") != refresh {
			t.Errorf("%q becomes %q, want %q", fmt.Sprintf(form, link), h.Get("Refresh"), refresh)
		}
	}
}

// recorder takes an answer.
type recorder struct {
	header http.Header
	body   *strings.Builder
}

func (r recorder) Header() http.Header         { return r.header }
func (r recorder) Write(p []byte) (int, error) { return r.body.Write(p) }
func (r recorder) WriteHeader(int)             {}

func request(t *testing.T) *http.Request {
	r, err := http.NewRequestWithContext(t.Context(), "GET", "/", nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
