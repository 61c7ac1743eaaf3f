package front_test

import (
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"curfew/front"
)

func TestCookiesOfSettings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, host string
		want       front.Cookie
		told       string // empty: it is taken
	}{
		{"sessionid", "app.example.org", front.Cookie{Name: "sessionid"}, ""},
		{"sid ; path = /app/ ; Domain=.Example.org", "app.example.org",
			front.Cookie{Name: "sid", Path: "/app/", Domain: "example.org"}, ""},
		{"sid;domain=app.example.org", "app.example.org", front.Cookie{Name: "sid", Domain: "app.example.org"}, ""},
		{"cart[1]", "localhost", front.Cookie{Name: "cart[1]"}, ""},
		{"__Secure-sid;domain=example.org", "app.example.org",
			front.Cookie{Name: "__Secure-sid", Domain: "example.org"}, ""},
		{"__Host-sid;path=/", "app.example.org", front.Cookie{Name: "__Host-sid", Path: "/"}, ""},
		{"sid;domain=127.0.0.1", "127.0.0.1", front.Cookie{Name: "sid", Domain: "127.0.0.1"}, ""},
		{"", "localhost", front.Cookie{}, "must begin with the name"},
		{";path=/", "localhost", front.Cookie{}, "must begin with the name"},
		{"sid=1", "localhost", front.Cookie{}, "must begin with the name"},
		{"two words", "localhost", front.Cookie{}, "must begin with the name"},
		{"sid\r\nX: y", "localhost", front.Cookie{}, "must begin with the name"},
		{"__Host-curfew", "localhost", front.Cookie{}, "Curfew's own"},
		{"__host-Curfew-other", "localhost", front.Cookie{}, "Curfew's own"},
		{"curfew-signed-in", "localhost", front.Cookie{}, "Curfew's own"},
		{"sid;path=app", "localhost", front.Cookie{}, "at most one path"},
		{"sid;path=/a;path=/b", "localhost", front.Cookie{}, "at most one path"},
		{"sid;path=/a\nb", "localhost", front.Cookie{}, "at most one path"},
		{"sid;secure", "localhost", front.Cookie{}, "nothing but"},
		{"sid;", "localhost", front.Cookie{}, "nothing but"},
		{"sid;domain=", "localhost", front.Cookie{}, "nothing but"},
		{"sid;domain=a.org;domain=b.org", "localhost", front.Cookie{}, "nothing but"},
		{"sid;domain=other.org", "app.example.org", front.Cookie{}, "public URL's host app.example.org"},
		{"sid;domain=ample.org", "app.example.org", front.Cookie{}, "public URL's host"},
		{"sid;domain=below.app.example.org", "app.example.org", front.Cookie{}, "public URL's host"},
		{"sid;domain=0.1", "127.0.0.1", front.Cookie{}, "public URL's host"},
		{"__Host-sid;path=/a", "localhost", front.Cookie{}, "__Host-"},
		{"__host-sid;domain=example.org", "app.example.org", front.Cookie{}, "__Host-"},
	} {
		got, err := front.ParseCookie(c.text, c.host)
		switch {
		case c.told == "" && (err != nil || got != c.want):
			t.Errorf("%q: %+v, %v, want %+v", c.text, got, err, c.want)
		case c.told != "" && (err == nil || !strings.Contains(err.Error(), c.told)):
			t.Errorf("%q: told %v, want %q", c.text, err, c.told)
		}
	}
}

func TestCookiesOfAnApplicationAreForgotten(t *testing.T) {
	t.Parallel()
	further := []front.Cookie{
		{Name: "sid"},
		{Name: "sid", Path: "/app"},
		{Name: "wide", Domain: "site.example"},
	}
	for _, c := range []struct {
		what string
		sent []string // lines of the request
		want []string // names that are ended on / for this host
	}{
		{"none", nil, []string{"sid"}},
		{"some", []string{"a=1; b=2"}, []string{"a", "b", "sid"}},
		{"two lines, as HTTP/2 may send them", []string{"a=1", "b=2"}, []string{"a", "b", "sid"}},
		{"one twice, and one of the settings", []string{"a=1; a=2; sid=3"}, []string{"a", "sid"}},
		{"Curfew's own", []string{"__Host-curfew=x; __HOST-CURFEW-last=y; curfew-signed-in=1"}, []string{"sid"}},
		{"names that need Secure", []string{"__Host-a=1; __Secure-b=2; __Http-c=3"},
			[]string{"__Host-a", "__Secure-b", "__Http-c", "sid"}},
		{"names of PHP and of other languages", []string{`cart[1]=x; "q"=y; straße=z; a b=c; a,b=c`},
			[]string{"cart[1]", `"q"`, "straße", "a b", "a,b", "sid"}},
		{"a value without a name", []string{"only; =a"}, []string{"", "sid"}},
		{"nothing between semicolons", []string{"; ;a=1;;"}, []string{"a", "sid"}},
		{"what no browser keeps", []string{"a\x01b=1; c\td=2; e\x7f=3; " + strings.Repeat("n", 5000) + "=4"},
			[]string{"sid"}},
	} {
		r := httptest.NewRequest("POST", "/login", nil)
		r.Header["Cookie"] = c.sent
		w := httptest.NewRecorder()
		front.ExpireCookies(w, r, further)
		var got []string
		for _, line := range w.Header()["Set-Cookie"] {
			name, attributes, _ := strings.Cut(line, "=")
			switch {
			case strings.ContainsAny(line, "\r\n\x00"):
				t.Errorf("%s: a line that breaks: %q", c.what, line)
			case strings.Contains(line, "Path=/app") || strings.Contains(line, "Domain=site.example"):
			case name == "" && attributes == "-; Path=/; Max-Age=0; Secure; HttpOnly",
				attributes == "; Path=/; Max-Age=0; Secure; HttpOnly":
				got = append(got, name)
			default:
				t.Errorf("%s: %q", c.what, line)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: ended %q, want %q", c.what, got, c.want)
		}
	}
}

func TestABrowserForgetsTheCookiesOfAnApplication(t *testing.T) {
	t.Parallel()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	at := &url.URL{Scheme: "https", Host: "app.site.example", Path: "/app/login"}
	jar.SetCookies(at, []*http.Cookie{
		{Name: "host", Value: "1", Path: "/"},
		{Name: "__Secure-host", Value: "1", Path: "/", Secure: true},
		{Name: "deep", Value: "1", Path: "/app"},
		{Name: "wide", Value: "1", Path: "/", Domain: "site.example"},
		{Name: "__Host-curfew", Value: "1", Path: "/", Secure: true},
	})
	r := httptest.NewRequest("POST", "/login", nil)
	for _, c := range jar.Cookies(at) {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	front.ExpireCookies(w, r, []front.Cookie{{Name: "deep", Path: "/app"}, {Name: "wide", Domain: "site.example"}})
	jar.SetCookies(at, w.Result().Cookies())
	if left := jar.Cookies(at); len(left) != 1 || left[0].Name != "__Host-curfew" {
		t.Errorf("left are %v", left)
	}
}

func TestARequestWithVeryManyCookiesIsAnsweredInBounds(t *testing.T) {
	t.Parallel()
	r := httptest.NewRequest("POST", "/login", nil)
	var line strings.Builder
	for i := range 16_000 {
		line.WriteString("c" + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + strings.Repeat("y", i/182) + "=;")
	}
	r.Header.Set("Cookie", line.String())
	w := httptest.NewRecorder()
	front.ExpireCookies(w, r, []front.Cookie{{Name: "sid"}})
	if lines := w.Header()["Set-Cookie"]; len(lines) != 1001 || !strings.HasPrefix(lines[1000], "sid=;") {
		t.Errorf("%d lines, the last is %s", len(lines), lines[len(lines)-1])
	}
}

// FuzzExpireCookies sends any cookies. What comes back is lines of a header that end cookies, and
// none of Curfew's.
func FuzzExpireCookies(f *testing.F) {
	for _, line := range []string{"a=b", "__Host-curfew=x", " __host-curfew =x", "a\r\nb=c", "=", ";;=;", "a\x00=b",
		"\xff=\xfe", `"a;b"=c`} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, cookies string) {
		w := httptest.NewRecorder()
		front.ExpireCookies(w, &http.Request{Header: http.Header{"Cookie": {cookies}}}, nil)
		for _, line := range w.Header()["Set-Cookie"] {
			name, _, _ := strings.Cut(line, "=")
			if !strings.HasSuffix(line, "; Path=/; Max-Age=0; Secure; HttpOnly") || strings.Count(line, ";") != 4 ||
				strings.ContainsAny(line, "\r\n\x00") || strings.HasPrefix(strings.ToLower(name), "__host-curfew") {
				t.Errorf("%q is answered with %q", cookies, line)
			}
		}
	})
}
