package views

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"curfew/front"
	"curfew/session"
	"curfew/session/gorilla"
)

// Who signed in last in a browser. The next user does not inherit what an application keeps there,
// and pages that wait for their user notice a sign-in.

const (
	// seenCookie tells scripts who has signed in, and that somebody did: hub.Hub.Who, and a random
	// number that no other sign-in has.
	seenCookie = "__Host-curfew-seen"
	// lastCookie has who signed in last, sealed. Only a sign-in changes it.
	lastCookie = "__Host-curfew-last"
	lastFor    = 400 * 24 * time.Hour // no browser keeps a cookie for longer (RFC 6265bis §5.6.1)
)

// browsers are those of an application's users, and what it keeps there.
type browsers struct {
	keepCookies atomic.Bool    // an application is guarded, whoever forwards to it
	further     []front.Cookie // of it, that a sign-in does not get to see
}

// SeenCookie is the cookie by which pages notice a sign-in. who is what [hub.Hub.Who] tells of its
// session. Scripts can read it, and it lasts as long as the browser.
func SeenCookie(who string) *http.Cookie {
	return &http.Cookie{
		Name:     seenCookie,
		Value:    who + "." + rand.Text(),
		Path:     "/",
		Secure:   true,
		SameSite: http.SameSiteLaxMode,
	}
}

// greet sets the cookies that a sign-in leaves beside the session's, after the session of record
// has begun. Unless the same user signed in last in this browser, it ends the cookies of the
// application.
func (s *Server) greet(w http.ResponseWriter, r *http.Request, record *session.Record) {
	who := s.hub.Who(record)
	sealed := s.seal(who)
	if s.browsers.keepCookies.Load() && (!signedInLast(r, sealed) || s.wasOvertaken(r, record)) {
		front.ExpireCookies(w, r, s.browsers.further)
	}
	http.SetCookie(w, SeenCookie(who))
	http.SetCookie(w, &http.Cookie{
		Name:     lastCookie,
		Value:    sealed,
		Path:     "/",
		MaxAge:   int(lastFor / time.Second),
		Secure:   true,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	})
}

// seal makes of who somebody is what only a server with this store can make.
func (s *Server) seal(who string) string {
	mac := hmac.New(sha256.New, s.secret)
	mac.Write([]byte("last user of a browser\x00" + who))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// signedInLast reports whether a browser was last signed in to by the user of that seal. Without a
// cookie that this server has sealed, everybody is another user.
func signedInLast(r *http.Request, sealed string) bool {
	last := r.CookiesNamed(lastCookie)
	return len(last) == 1 && hmac.Equal([]byte(last[0].Value), []byte(sealed))
}

// wasOvertaken reports whether another user has signed in in this browser while this sign-in was on
// its way: theirs has ended the session that the browser had when both were sent. Whether it was so
// is unknown while the store is away; then it was.
func (s *Server) wasOvertaken(r *http.Request, record *session.Record) bool {
	before, ok := gorilla.Token(r)
	if !ok {
		return false
	}
	old, err := s.hub.Lookup(r.Context(), before.ID())
	switch {
	case errors.Is(err, session.ErrNotFound):
		return false
	case !errors.Is(err, session.ErrEnded) || old.End == nil:
		return true
	}
	return old.End.Reason == session.ReasonReplaced && !session.SameName(old.End.Actor, record.User)
}
