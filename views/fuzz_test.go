package views

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"curfew/locale"
	"curfew/session"
	"curfew/session/gorilla"
)

// FuzzForwarded has any peer tell where a browser is. A peer that is not trusted tells nothing. A
// trusted one names an address, and behind that, as far as the browser, stand trusted ones alone.
func FuzzForwarded(f *testing.F) {
	for _, s := range []string{"192.0.2.7", "10.0.0.2", "192.0.2.7, 10.0.0.2", `"[2001:db8::1]:80"`, "[2001:db8::1]",
		"192.0.2.7:80", "unknown", "", ",", "::ffff:192.0.2.7", "fe80::1%a", "10.0.0.2%x", "01.2.3.4",
		"192.0.2.7,,"} {
		f.Add(s, "10.0.0.1:1234", s)
		f.Add(s, "192.0.2.1:1", "")
	}
	f.Add("192.0.2.7", "x", "")
	f.Add("192.0.2.7", "[::ffff:10.0.0.1]:1", "")
	network := netip.MustParsePrefix("10.0.0.0/8")
	p := NewProxies([]netip.Prefix{network})
	shape := regexp.MustCompile(`^[0-9a-f.:]+$`)
	f.Fuzz(func(t *testing.T, one, remote, other string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {one, other}}}
		got, from := p.Address(r), peer(r)
		if !network.Contains(from) {
			if got != from.String() {
				t.Errorf("%q is not trusted and has a browser at %q", remote, got)
			}
			return
		}
		address, err := netip.ParseAddr(got)
		if err != nil || !shape.MatchString(got) || address.Is4In6() {
			t.Fatalf("%q and %q of %q lead to %q, %v", one, other, remote, got, err)
		}
		hops := strings.Split(one+","+other, ",")
		slices.Reverse(hops)
		for _, hop := range append([]string{from.String()}, hops...) {
			ip, err := parseHop(hop)
			ip = ip.Unmap().WithZone("")
			if err == nil && ip == address {
				return
			}
			if err != nil || !network.Contains(ip) {
				break
			}
		}
		t.Errorf("%q and %q of %q lead to %q", one, other, remote, got)
	})
}

// FuzzOrigin reads origins. One that is taken is what a browser would send: written again it is the
// same, and net/url finds the same scheme, host and port in it.
func FuzzOrigin(f *testing.F) {
	for _, s := range []string{"https://app.example", "HTTP://APP.example:80/", "https://ü.example",
		"https://[::1]:8443",
		"http://127.1", "http://0x7f.0.0.1", "https://a..b", "https://a_b", "https://xn--a", "https://a:0443",
		"https://a:",
		"https://a@b", "https://a?b", "https://[::ffff:1.2.3.4]", "https://[fe80::1%25a]", "https://a%2fb",
		"https://a.", "http://\xfc"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o, err := ParseOrigin(text)
		if err != nil {
			return
		}
		written := o.String()
		again, err := ParseOrigin(written)
		if err != nil || *again != *o || Origin(o) != written {
			t.Errorf("%q is %q, and that %v, %v", text, written, again, err)
		}
		u, err := url.Parse(written)
		if err != nil || u.Host != o.Host || u.Scheme != o.Scheme || u.Hostname() == "" ||
			strings.ContainsFunc(written, func(c rune) bool { return c <= ' ' || c > '~' || unicode.IsUpper(c) }) {
			t.Errorf("%q is %q, which net/url reads as %v, %v", text, written, u, err)
		}
		given, err := url.Parse(text)
		if err != nil || given.Port() != "" && u.Port() != "" && strings.TrimLeft(given.Port(), "0") != u.Port() {
			t.Errorf("%q is %q, %v", text, written, err)
		}
	})
}

// FuzzCookies sends any cookies. A session, who was here last and a toast are only what this server
// has made itself, to the letter; and a language is one that is offered.
func FuzzCookies(f *testing.F) {
	s := &Server{shared: &shared{secrets: secrets{secret: []byte("secret")}}}
	s.site.Languages = locale.All()
	token := session.Token{1}
	good := s.seal("ada")
	for _, line := range []string{"__Host-curfew=" + token.Text(), "__Host-curfew=" + token.Text() + "x",
		"__Host-curfew=x; __Host-curfew=" + token.Text(),
		"__Host-curfew-last=" + good, "__Host-curfew-last=\"" + good + `"`,
		"__Host-curfew-last=" + good + "; __Host-curfew-last=" + good, "__host-curfew-last=" + good,
		"__Host-curfew-lang=de", "__Host-curfew-lang=../x", "__Host-curfew-told=AAAA", "__Host-curfew-told=====",
		""} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{URL: &url.URL{}, Header: http.Header{"Cookie": {line}}}
		if token, ok := gorilla.Token(r); ok && !strings.Contains(line, "__Host-curfew="+token.Text()) &&
			!strings.Contains(line, `__Host-curfew="`+token.Text()) {
			t.Errorf("%q is the session %s", line, token.Text())
		}
		if signedInLast(r, good) && !strings.Contains(line, "__Host-curfew-last="+good) &&
			!strings.Contains(line, `__Host-curfew-last="`+good) {
			t.Errorf("%q has a user that was here last", line)
		}
		if signedInLast(r, s.seal("eve")) && !strings.Contains(line, s.seal("eve")) {
			t.Errorf("%q is eve's", line)
		}
		if l := s.locale(r); !slices.Contains(locale.Names(), l.Name) {
			t.Errorf("%q speaks %s", line, l.Name)
		}
		if told := s.toastOf(r, token.ID(), locale.English()); told != "" {
			t.Errorf("%q tells %q, which nobody has sealed", line, told)
		}
	})
}

// FuzzToast seals anything for one session. It is told to that one as it was sealed, and to another
// one, or once it was changed, not at all.
func FuzzToast(f *testing.F) {
	f.Add("bar.stayed", "name", "ada", 1, 7, byte(1))
	f.Add("console.ended", "count", "", -1, 50, byte(0x20))
	f.Add("no.such", "\xff", "{{.x}}", 1<<53, 0, byte('\n'))
	s := &Server{shared: &shared{secrets: secrets{secret: []byte("secret")}}}
	one, other := session.ID{1}, session.ID{2}
	f.Fuzz(func(t *testing.T, key, name, value string, number, at int, change byte) {
		data := locale.Pairs(name, value, "count", number)
		w := httptest.NewRecorder()
		var token session.Token
		r := withVisit(&http.Request{}, visit{token: token})
		s.toast(w, r, key, name, value, "count", number)
		cookies := w.Result().Cookies()
		if len(cookies) == 0 {
			return // it is too long to be told
		}
		asked := func(value string, id session.ID) string {
			r := &http.Request{Header: http.Header{"Cookie": {toastCookie + "=" + value}}}
			return s.toastOf(r, id, locale.English())
		}
		sealed := cookies[0].Value
		want, err := locale.English().Say(key, data)
		if got := asked(sealed, token.ID()); err == nil && utf8.ValidString(key+name+value) &&
			got != strings.TrimSpace(want) {
			t.Errorf("%q with %v is told as %q, want %q", key, data, got, want)
		}
		if got := asked(sealed, one) + asked(sealed, other); got != "" {
			t.Errorf("another session is told %q", got)
		}
		changed := []byte(sealed)
		changed[uint(at)%uint(len(changed))] ^= change
		if got := asked(string(changed), token.ID()); got != "" && got != asked(sealed, token.ID()) {
			t.Errorf("changed, it tells %q", got)
		}
	})
}

// FuzzListParams reads any query. What is taken is what net/url finds, with no name that there is
// not and none twice; and where a page ends, the next one begins.
func FuzzListParams(f *testing.F) {
	for _, s := range []string{"", "limit=10", "limit=0", "limit=+5", "limit=1001", "cursor=MTI", "cursor=MTI%3D",
		"cursor=MTJ",
		"cursor=LTE", "cursor=MDEy", "cursor=%0aMTI", "a=b", "limit=1&limit=2", "state=idle", "state=x",
		"limit=1;cursor=MTI",
		"since=2026-01-02T03:04:05Z", "since=x", "%zz", "limit=%31", "limit=01", "cursor=\n"} {
		f.Add(s, uint64(12))
	}
	names := []string{"state", "since"}
	f.Fuzz(func(t *testing.T, query string, number uint64) {
		q := readListParams(&http.Request{URL: &url.URL{RawQuery: query}}, names...)
		limit, before, state, since := q.limit(), q.before(), q.state(), q.instant("since")
		if limit < 1 || limit > maxLimit {
			t.Errorf("%q has the limit %d", query, limit)
		}
		if q.err == nil {
			values, err := url.ParseQuery(query)
			for name, given := range values {
				if len(given) != 1 || !slices.Contains(append(names, "limit", "cursor"), name) {
					t.Errorf("%q is taken with %s=%q", query, name, given)
				}
			}
			if text := values.Get("limit"); err != nil || text != "" && text != strconv.Itoa(limit) {
				t.Errorf("%q has the limit %d, %v", query, limit, err)
			}
			if text := values.Get("cursor"); text != "" && text != cursorOf(before) {
				t.Errorf("%q goes on before %d, which is written %q", query, before, cursorOf(before))
			}
			if string(state) != values.Get("state") || since.IsZero() && values.Get("since") > "0001-01-02" {
				t.Errorf("%q asks for %q since %s", query, state, since)
			}
		}
		if number == 0 || number >= 1<<63 {
			return
		}
		next := &http.Request{URL: &url.URL{RawQuery: "cursor=" + cursorOf(number)}}
		if q := readListParams(next); q.before() != number || q.err != nil {
			t.Errorf("after %d it goes on before %d, %v", number, q.before(), q.err)
		}
	})
}

// FuzzAPITokens reads any file of tokens. What is taken is, line by line, what a strict expression
// takes, and the same once it was written again.
func FuzzAPITokens(f *testing.F) {
	_, good, err := NewAPIToken("ci", ScopeRead)
	if err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{good, good + "\n" + good, "# " + good, "\r\n\t" + good + "\r\n", "a:admin:",
		"a b:read:00",
		strings.ToUpper(good), good + ":",
		"\xff" + good, "\u00a0" + good, "a\u200bb" + good, "\x00" + good, ":" + good} {
		f.Add(s)
	}
	shape := regexp.MustCompile(`^[^:\pZ\p{Cc}]{1,100}:(read|admin):[0-9a-fA-F]{64}$`)
	f.Fuzz(func(t *testing.T, text string) {
		tokens, err := ParseAPITokens(text)
		if err != nil {
			return
		}
		var lines []string
		for line := range strings.SplitSeq(text, "\n") {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
				if !shape.MatchString(line) || !utf8.ValidString(line) {
					t.Errorf("%q is taken", line)
				}
			}
		}
		var written strings.Builder
		for _, token := range tokens {
			fmt.Fprintf(&written, "%s:%s:%x\n", token.Name, token.Scope, token.Hash)
		}
		again, err := ParseAPITokens(written.String())
		if err != nil || !slices.Equal(again, tokens) || len(tokens) != len(lines) {
			t.Errorf("%q has %d tokens, and written again %d, %v", text, len(tokens), len(again), err)
		}
	})
}

// FuzzTicket has a stranger ask for the echo. Only a ticket that this server has made opens it, and
// only for its time.
func FuzzTicket(f *testing.F) {
	for _, s := range []string{"", ".", "1.x", "+1.x", "9223372036854775807.x", "-1.", "1800000000000"} {
		f.Add(s, int64(1000))
	}
	now := time.UnixMilli(1_800_000_000_000)
	s := &Server{shared: &shared{secrets: secrets{secret: []byte("secret")}, clock: fixedClock{now}}}
	f.Fuzz(func(t *testing.T, given string, after int64) {
		asks := func(ticket string) bool {
			return s.hasTicket(&http.Request{URL: &url.URL{RawQuery: "ticket=" + url.QueryEscape(ticket)}})
		}
		left := time.Duration(after%1e9) * time.Millisecond
		made := s.ticket(now.Add(left))
		if got, want := asks(made), left > 0 && left <= echoFor; got != want {
			t.Errorf("a ticket for another %s is good: %t", left, got)
		}
		if given != made && (asks(given) || asks(made+given) && given != "" || asks(given+made) && given != "") {
			t.Errorf("%q is good", given)
		}
	})
}

// fixedClock is a clock that stands still.
type fixedClock struct{ now time.Time }

func (c fixedClock) Now() time.Time { return c.now }
func (c fixedClock) AfterFunc(time.Duration, func()) session.Timer {
	panic("a clock that stands still wakes nobody")
}

// FuzzContentTypes asks whether an answer takes a tab to another page. What mime reads as a page
// does, and what it reads as an attachment does not.
func FuzzContentTypes(f *testing.F) {
	for _, s := range []string{"text/html", "TEXT/HTML; charset=x", "application/zip", "image/png", "text/csv", "",
		"a", ";",
		"application/xhtml+xml", "multipart/x-mixed-replace; boundary=x", "text/html;charset=a;charset=b"} {
		for _, disposition := range []string{"", "inline", "attachment", `Attachment; filename="a;b"`, " inline ;x",
			"x"} {
			f.Add(s, disposition)
		}
	}
	f.Fuzz(func(t *testing.T, contentType, disposition string) {
		keeps := keepsPage(200, http.Header{"Content-Type": {contentType}, "Content-Disposition": {disposition}})
		kind, _, err := mime.ParseMediaType(contentType)
		how, _, errHow := mime.ParseMediaType(disposition)
		switch {
		case errHow == nil && how == "attachment" && !keeps:
			t.Errorf("an attachment %q shows a page", disposition)
		case errHow == nil && how == "inline" || disposition == "":
			shown := kind == "text/html" || kind == "application/xhtml+xml" || kind == "text/plain" ||
				kind == "image/png"
			if err == nil && (shown && keeps || kind == "application/zip" && !keeps) {
				t.Errorf("%q %q keeps its page: %t", contentType, disposition, keeps)
			}
		}
	})
}

// FuzzConsoleQuestion sends the console's socket anything. What is done is bounded, and tidying
// once more changes nothing.
func FuzzConsoleQuestion(f *testing.F) {
	for _, s := range []string{`{}`, `{"n":1,"shown":["a"],"selected":[]}`, `{"page":-1,"sort":"x","state":"y"}`,
		`{"all":true}`,
		`{"page":9223372036854775807}`, `{"q":"` + strings.Repeat("x", 5000) + `"}`, `[]`,
		`{"user":"ada","logout":"k"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var q consoleQuestion
		if json.Unmarshal(data, &q) != nil {
			return
		}
		tidy := q.tidy()
		if len(tidy.Shown) > maxShown || len(tidy.Selected) > maxSessions ||
			(tidy.Selected == nil) != (q.Selected == nil) {
			t.Errorf("%q has %d rows and %d selected", data, len(tidy.Shown), len(tidy.Selected))
		}
		one, err := json.Marshal(tidy)
		two, errTwo := json.Marshal(tidy.tidy())
		if err != nil || errTwo != nil || !bytes.Equal(one, two) {
			t.Errorf("%q is tidied to %s, and that to %s", data, one, two)
		}
	})
}
