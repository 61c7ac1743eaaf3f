package views

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/front/spoofing"
	"curfew/session"
)

// What an application would be told, for whoever checks a proxy: GET /session/echo. The printed
// configurations lead it through check and header rules as they lead the application's own paths.
//
// A program with an administrator's rights opens it for a minute, and gets a ticket. Without the
// ticket there is no such page. The ticket is a time that the server has signed: no node remembers
// anything, and each node that shares the store knows it.

// echoFor is how long a ticket is good.
const echoFor = time.Minute

// echoJSON is what opens the echo.
type echoJSON struct {
	Path   string `json:"path"` // of this origin, with its ticket
	OpenMS int64  `json:"open_ms"`
}

// apiOpenEcho reads no body.
func (s *Server) apiOpenEcho(*http.Request, caller) (any, error) {
	return echoJSON{
		Path:   s.main.base + "/session/echo?ticket=" + s.ticket(s.clock.Now().Add(echoFor)),
		OpenMS: echoFor.Milliseconds(),
	}, nil
}

// ticket is one that is good before an instant.
func (s *Server) ticket(before time.Time) string {
	until := strconv.FormatInt(session.Millis(before).UnixMilli(), 10)
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("session/echo, open before the instant " + until)) // longer than what [Server.csrf] signs
	return until + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// hasTicket reports whether a request has a ticket that is still good.
func (s *Server) hasTicket(r *http.Request) bool {
	given := r.URL.Query().Get("ticket")
	text, _, _ := strings.Cut(given, ".")
	ms, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return false
	}
	until, now := time.UnixMilli(ms), s.clock.Now()
	return now.Before(until) && until.Sub(now) <= echoFor && hmac.Equal([]byte(given), []byte(s.ticket(until)))
}

// echoAnswer is what a request tells an application: names and values of the headers that say who
// asks, from where and for what, and the names of cookies.
type echoAnswer struct {
	Headers []spoofing.Field `json:"headers"`
	Cookies []string         `json:"cookies"`
}

// echo answers what an application would be told. Where Curfew is the application's reverse proxy,
// or guards it in its own process, its rules are applied first, unless the query asks for what was
// received: a proxy that asks a door may stand beside those.
func (s *Server) echo(w http.ResponseWriter, r *http.Request) error {
	if s.isConsole || !s.hasTicket(r) {
		return errNoPage
	}
	if !s.guard.requires.Load() || r.URL.Query().Has("received") {
		writeJSON(w, http.StatusOK, toldBy(r))
		return nil
	}
	s.Require(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ownHeaders(w.Header(), r)
		writeJSON(w, http.StatusOK, toldBy(r))
	})).ServeHTTP(w, r)
	return nil
}

// toldBy is what a request tells.
func toldBy(r *http.Request) echoAnswer {
	t := echoAnswer{Headers: []spoofing.Field{}, Cookies: []string{}}
	for name, values := range r.Header {
		if !isClaim(name) {
			continue
		}
		for _, v := range values {
			t.Headers = append(t.Headers, spoofing.Field{Name: name, Value: v})
		}
	}
	slices.SortStableFunc(t.Headers, func(a, b spoofing.Field) int { return strings.Compare(a.Name, b.Name) })
	for _, line := range r.Header["Cookie"] {
		for pair := range strings.SplitSeq(line, ";") {
			name, _, _ := strings.Cut(strings.TrimSpace(pair), "=")
			t.Cookies = append(t.Cookies, name)
		}
	}
	return t
}

// isClaim reports whether an application may read a header as one of those that the corpus forges.
func isClaim(name string) bool { return claims[spoofing.Fold(name)] }

var claims = func() map[string]bool {
	folded := make(map[string]bool)
	for _, name := range slices.Concat(spoofing.Identity(), spoofing.Untrusted()) {
		folded[spoofing.Fold(name)] = true
	}
	return folded
}()
