package front

import (
	"bufio"
	"net/http"
	"net/http/cookiejar"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// fuzzed is a front for fuzzing: it trusts nobody, and its application stands at an inner address.
func fuzzed() *Front {
	return New(Options{
		Public: &url.URL{Scheme: "https", Host: "app.example"},
		Base:   "/.curfew",
		Inner:  []*url.URL{{Scheme: "http", Host: "10.0.0.1:8000"}},
	})
}

// headerOf reads lines as a server does; nil for what no server takes.
func headerOf(lines string) http.Header {
	h, err := textproto.NewReader(bufio.NewReader(strings.NewReader(lines + "\r\n\r\n"))).ReadMIMEHeader()
	if err != nil {
		return nil
	}
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) || !allOf(values, httpguts.ValidHeaderFieldValue) {
			return nil
		}
	}
	return http.Header(h)
}

func allOf(list []string, is func(string) bool) bool {
	return !slices.ContainsFunc(list, func(s string) bool { return !is(s) })
}

// FuzzRequestHeaders sends any header. Whoever reads the names of headers as CGI does finds no more
// about who asks than Curfew has set, and net/http finds every cookie but Curfew's.
func FuzzRequestHeaders(f *testing.F) {
	for _, seed := range []string{
		"Remote-User: eve", "remote_user: eve", "REMOTE.USER: eve", "Remote-Anything: x\r\nX-Forwarded-User: eve",
		"Connection: remote-user, close, TE\r\nTE: trailers", "Connection: Upgrade\r\nUpgrade: WebSocket",
		"Connection: upgrade, x-forwarded-for\r\nUpgrade: h2c", "Cookie: a=b; __Host-curfew=x; c=d",
		"Cookie: __host-CURFEW-last=x", "Cookie: curfew-signed-in=1;  a", "Cookie: ; ;=__Host-curfew",
		"X-Forwarded-For: 1.2.3.4", "Forwarded: for=x", "Proxy: http://evil", "Proxy-Authorization: x",
		"!remote-user: x",
	} {
		f.Add(seed)
	}
	front := fuzzed()
	told := Identity{User: "ada", Name: "Ada", Groups: []string{"staff"}, Session: "ref"}
	f.Fuzz(func(t *testing.T, lines string) {
		h := headerOf(lines)
		if h == nil {
			return
		}
		sent := h.Clone()
		r := &http.Request{Header: h, URL: &url.URL{Path: "/"}, RemoteAddr: "192.0.2.1:1"}
		out := front.prepare(t.Context(), r, &Session{Identity: told})
		seen := make(map[string][]string) // as CGI names them
		for name, values := range out.Header {
			name = strings.Map(func(c rune) rune {
				if c < 0x80 && (c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9') {
					return c
				}
				return '_'
			}, strings.ToUpper(name))
			seen[name] = append(seen[name], values...)
		}
		for name, want := range map[string]string{
			"REMOTE_USER": "ada", "REMOTE_NAME": "Ada", "REMOTE_EMAIL": "", "REMOTE_GROUPS": "staff",
			"REMOTE_SESSION": "ref", "X_FORWARDED_FOR": "192.0.2.1", "X_FORWARDED_PROTO": "https",
			"X_FORWARDED_HOST": "app.example",
		} {
			if !slices.Equal(seen[name], []string{want}) {
				t.Errorf("%q: the application is told %s: %q", lines, name, seen[name])
			}
			delete(seen, name)
		}
		for name, values := range seen {
			if strings.HasPrefix(name, "REMOTE_") || strings.HasPrefix(name, "X_FORWARDED_") ||
				strings.HasPrefix(name, "X_ORIGINAL_") || name == "FORWARDED" || name == "PROXY" ||
				name == "X_REAL_IP" {
				t.Errorf("%q: the application is told %s: %q", lines, name, values)
			}
		}
		if _, named := sent["Connection"]; !named { // else it may name Cookie
			checkCookies(t, sent, out.Header)
		}
		if len(h) != len(sent) {
			t.Errorf("%q: the header of the request itself has changed", lines)
		}
	})
}

// checkCookies wants out to have the cookies of sent but Curfew's.
func checkCookies(t *testing.T, sent, out http.Header) {
	t.Helper()
	cookies := func(h http.Header) (list []string) {
		for _, c := range (&http.Request{Header: h}).Cookies() {
			if !strings.HasPrefix(strings.ToLower(c.Name), "__host-curfew") && c.Name != "curfew-signed-in" {
				list = append(list, c.String())
			}
		}
		return list
	}
	if got, want := (&http.Request{Header: out}).Cookies(), cookies(sent); len(got) != len(want) ||
		!slices.Equal(cookies(out), want) {
		t.Errorf("of the cookies %q the application is told %q", sent["Cookie"], out["Cookie"])
	}
}

// FuzzAnswerHeaders has an application set anything. A browser, for which the cookie jar of
// net/http stands, keeps Curfew's cookies as they were, and is led to no inner address.
func FuzzAnswerHeaders(f *testing.F) {
	for _, seed := range []string{
		"Set-Cookie: __Host-curfew=evil; Path=/; Secure",
		"Set-Cookie: __HOST-Curfew-last=; Max-Age=0; Path=/; Secure",
		"Set-Cookie:  =__Host-curfew=evil; Secure; Path=/",
		"Set-Cookie: a=b\r\nSet-Cookie: __Host-curfew=x; Secure; Path=/",
		"Clear-Site-Data: \"cookies\", \"cache\"", "Clear-Site-Data: \"*\"", "Clear-Site-Data: \"STORAGE\",",
		"Location: http://10.0.0.1:8000/a?b#c", "Location: //10.0.0.1:8000", "Location: HTTP://app.example/",
		"Refresh: 0; url=http://10.0.0.1:8000/x", "Refresh: 0;URL='http://app.example/y'", "Refresh: 1,2",
	} {
		f.Add(seed)
	}
	front := fuzzed()
	at := &url.URL{Scheme: "https", Host: "app.example", Path: "/"}
	f.Fuzz(func(t *testing.T, lines string) {
		h := headerOf(lines)
		if h == nil {
			return
		}
		front.confine(h)
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		jar.SetCookies(at, []*http.Cookie{{Name: "__Host-curfew", Value: "mine", Path: "/", Secure: true}})
		jar.SetCookies(at, (&http.Response{Header: h}).Cookies())
		own := 0
		for _, c := range jar.Cookies(at) {
			if strings.HasPrefix(strings.ToLower(c.Name), "__host-curfew") {
				own++
				if c.Name != "__Host-curfew" || c.Value != "mine" {
					t.Errorf("%q: a browser keeps %s", lines, c)
				}
			}
		}
		if own != 1 {
			t.Errorf("%q: a browser keeps %d cookies of Curfew's", lines, own)
		}
		for _, line := range h["Clear-Site-Data"] {
			for kind := range strings.SplitSeq(line, ",") {
				switch strings.ToLower(strings.TrimSpace(kind)) {
				case `"cookies"`, `"storage"`, `"*"`:
					t.Errorf("%q: a browser clears %s", lines, kind)
				}
			}
		}
		for _, link := range h["Location"] {
			if u, err := url.Parse(link); err == nil && u.Host == "10.0.0.1:8000" && u.User == nil &&
				(u.Scheme == "http" || u.Scheme == "") {
				t.Errorf("%q: a browser is led to %s", lines, link)
			}
		}
	})
}

// FuzzLocation holds the links of an application against net/url: one that leads to an inner
// address becomes the same at the public URL, and any other one stays.
func FuzzLocation(f *testing.F) {
	for _, seed := range []string{
		"http://10.0.0.1:8000/a?b#c", "http://10.0.0.1:8000", "http://10.0.0.1:08000/", "//10.0.0.1:8000/x", "/a", "",
		"https://10.0.0.1:8000/", "http://app.example/x", "http://app.example.:80?x", "http://eve@app.example/",
		"http://app.example:81/", "HTTP://APP.EXAMPLE#x", "http:\\\\10.0.0.1:8000", "http:///10.0.0.1:8000",
		"x://app.example",
		"http://10.0.0.1:8000@evil.example/", "http://[::1]/", "http://app.example%2f/", "http://app.example:443/",
	} {
		f.Add(seed)
	}
	front := fuzzed()
	f.Fuzz(func(t *testing.T, link string) {
		got := front.publicURL(link)
		u, err := url.Parse(link)
		if got == link {
			if err == nil && u.User == nil && u.Scheme == "http" &&
				(u.Host == "10.0.0.1:8000" || u.Host == "app.example") {
				t.Errorf("%q stays", link)
			}
			return
		}
		rest, ok := strings.CutPrefix(got, "https://app.example")
		if !ok || !strings.HasSuffix(link, rest) || rest != "" && !strings.ContainsAny(rest[:1], "/?#") {
			t.Errorf("%q becomes %q", link, got)
		}
		if err != nil {
			return // its path or its fragment has escapes that are none
		}
		host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
		if host != "10.0.0.1" && host != "app.example" {
			t.Errorf("%q, which leads to %s, becomes %q", link, host, got)
		}
		public, err := url.Parse(got)
		if err != nil || public.Host != "app.example" || public.Path != u.Path || public.RawQuery != u.RawQuery ||
			public.Fragment != u.Fragment {
			t.Errorf("%q becomes %q, %v", link, got, err)
		}
	})
}

// FuzzIdentity tells an application of anybody. Each value is one that a header may have, is the
// same once it was told again, and no user can pose as a member of two groups by a name.
func FuzzIdentity(f *testing.F) {
	f.Add("ada", "Ada Lovelace", "ada@example.org", "staff", "a,b")
	f.Add("\r\nRemote-Groups: admins", "\xff\x00", "\u0085\u202e", " ", ",")
	f.Add("ü", strings.Repeat("x", 3000), "", strings.Repeat("g", 1999), "h")
	f.Fuzz(func(t *testing.T, user, name, email, one, other string) {
		h := make(http.Header)
		i := Identity{User: user, Name: name, Email: email, Groups: []string{one, other}, Session: "ref"}
		omitted := i.Set(h)
		for header, values := range h {
			if len(values) != 1 || !httpguts.ValidHeaderFieldValue(values[0]) || !utf8.ValidString(values[0]) ||
				printable(values[0]) != values[0] {
				t.Errorf("%s: %q", header, values)
			}
		}
		groups := strings.Split(h.Get("Remote-Groups"), ",")
		if h.Get("Remote-Groups") == "" {
			groups = nil
		}
		if len(h.Get("Remote-Groups")) > maxGroups || len(groups)+omitted != 2 {
			t.Errorf("%q and %q are told as %q, %d left out", one, other, groups, omitted)
		}
		for _, g := range groups {
			if g != printable(one) && g != printable(other) {
				t.Errorf("of %q and %q the application is told %q", one, other, g)
			}
		}
	})
}

// FuzzSettings reads what the settings say of an application. An upstream is an address that
// net/url finds as well; a cookie, written again, is the same one; and a route has its own path.
func FuzzSettings(f *testing.F) {
	for _, seed := range []string{
		"http://localhost:8000", "https://[::1]", "unix:/run/app.sock", "http://a:99999", "http://a/b", "http://a@b",
		"http://a?",
		"http://:80", "http://a:", "sid;path=/x;domain=app.example", "sid", "__Host-a;path=/", "__host-curfew", "a b",
		"sid;domain=.example",
		"/", "/api", "/api/", "/a/../b", "/a;b", "/%2e", "/a b", "//",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if u, err := ParseUpstream(text); err == nil {
			network, address := u.address()
			if network == "unix" {
				if text != "unix:"+address || u.URL() != nil {
					t.Errorf("%q is the socket %q", text, address)
				}
			} else if parsed, err := url.Parse(text); err != nil || u.URL().Host != parsed.Host ||
				(parsed.Scheme == "https") != u.IsTLS() || !strings.HasSuffix(address, ":"+u.port()) ||
				u.hostname() == "" {
				t.Errorf("%q is %q, %v", text, address, err)
			}
			if again, err := ParseUpstream(u.String()); err != nil || again.String() != text {
				t.Errorf("%q is written as %q, %v", text, u, err)
			}
		}
		if c, err := ParseCookie(text, "app.example"); err == nil {
			checkCookie(t, text, c)
		}
		if ValidateRoute(text) == nil {
			r := &http.Request{RequestURI: text}
			if path, rest := SentTarget(r); path != text || rest != "" || !(Route{Path: text}).matches(path) {
				t.Errorf("the route %q does not lead to itself but to %q", text, path)
			}
		}
	})
}

func checkCookie(t *testing.T, text string, c Cookie) {
	t.Helper()
	written := c.Name
	if c.Path != "" {
		written += ";path=" + c.Path
	}
	if c.Domain != "" {
		written += ";domain=" + c.Domain
	}
	if again, err := ParseCookie(written, "app.example"); err != nil || again != c {
		t.Errorf("%q is %+v, and %q %+v, %v", text, c, written, again, err)
	}
	if c.Path == "" {
		c.Path = "/"
	}
	if line := c.expiry(); !httpguts.ValidHeaderFieldValue(line) ||
		strings.HasPrefix(strings.ToLower(line), "__host-curfew") || strings.Count(line, ";") > 5 {
		t.Errorf("%q is ended by %q", text, line)
	}
}
