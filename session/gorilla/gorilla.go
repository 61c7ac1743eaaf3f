package gorilla

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"

	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"

	"curfew/session"
)

// CookieName is the name of the cookie. Its prefix makes browsers insist on Secure, Path=/ and no
// Domain (RFC 6265bis §4.1.3.2).
const CookieName = "__Host-curfew"

// Sessions is what the adapter needs of those who keep sessions. A hub.Hub with its store does it,
// and so does a bare session.Store wrapped to judge deadlines.
type Sessions interface {
	// Lookup judges a session now: session.ErrNotFound, session.ErrEnded. The record need not have
	// the values.
	Lookup(ctx context.Context, id session.ID) (session.Record, error)
	// Values judges a session likewise, and returns what Save has stored, with the version of that.
	// The caller does not change the values.
	Values(ctx context.Context, id session.ID) (values []byte, version int64, err error)
	Create(ctx context.Context, r session.Record) error
	Save(ctx context.Context, id session.ID, version int64, values []byte) error
	End(ctx context.Context, id session.ID, end session.End) (first bool, err error)
	// EndOrphan ends a session whose cookie nobody got, now or as soon as it can be. ctx is that of
	// its sign-in.
	EndOrphan(ctx context.Context, id session.ID)
}

// Store implements [sessions.Store].
type Store struct {
	sessions Sessions
	clock    session.Clock
}

var _ sessions.Store = (*Store)(nil)

// New returns a store over s.
func New(s Sessions, clock session.Clock) *Store { return &Store{s, clock} }

// Token reads the token of the browser's cookie. ok is false without a well-formed one.
func Token(r *http.Request) (t session.Token, ok bool) {
	if lines := r.Header["Cookie"]; len(lines) == 1 {
		if t, ok = plainToken(lines[0]); ok {
			return t, true
		}
	}
	c, err := r.Cookie(CookieName)
	if err != nil {
		return t, false
	}
	t, err = session.ParseToken(c.Value)
	return t, err == nil
}

// plainCookies is how many cookies plainToken looks at. Requests of browsers have fewer.
const plainCookies = 200

// plainToken reads the token of a line of cookies as browsers write it. Where the line has anything
// else about the cookie, it returns false, and net/http has the word.
func plainToken(line string) (t session.Token, ok bool) {
	if strings.Count(line, ";") >= plainCookies { // net/http reads none of too many
		return t, false
	}
	for more := true; more; {
		var part string
		part, line, more = strings.Cut(line, ";")
		value, isOurs := strings.CutPrefix(textproto.TrimString(part), CookieName)
		if !isOurs || strings.HasPrefix(value, "-") { // such as CookieName-lang
			continue
		}
		value, ok = strings.CutPrefix(value, "=")
		if !ok {
			return t, false
		}
		t, err := session.ParseToken(value)
		return t, err == nil
	}
	return t, false
}

// Cookie is the cookie for a token. It has no Max-Age: the server decides when a session ends.
func Cookie(t session.Token) *http.Cookie {
	return &http.Cookie{
		Name:     CookieName,
		Value:    t.Text(),
		Path:     "/",
		Secure:   true,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
}

// Get returns the session of the request, the same one for all callers of one request.
func (s *Store) Get(r *http.Request, name string) (*sessions.Session, error) {
	return sessions.GetRegistry(r).Get(s, name)
}

// New reads the session of the request from the store. It never returns a nil session: without a
// live one the session is new and empty. The error is session.ErrEnded if the cookie's session is
// over, and any other if the store is out of reach.
func (s *Store) New(r *http.Request, name string) (*sessions.Session, error) {
	fresh := sessions.NewSession(s, name)
	fresh.IsNew = true
	fresh.Options = options()
	t, ok := Token(r)
	if !ok {
		return fresh, nil
	}
	values, version, err := s.sessions.Values(r.Context(), t.ID())
	if errors.Is(err, session.ErrNotFound) {
		return fresh, nil
	}
	if err != nil {
		return fresh, fmt.Errorf("read session: %w", err)
	}
	found := sessions.NewSession(s, name)
	found.Options = options()
	if len(values) > 0 {
		if err := (securecookie.GobEncoder{}).Deserialize(values, &found.Values); err != nil {
			return fresh, fmt.Errorf("read session's values: %w", err)
		}
	}
	found.ID = t.Text()
	found.Values[versionKey{}] = version
	return found, nil
}

// versionKey holds the version that was read. It is not stored.
type versionKey struct{}

// options are the flags of the cookie. Whatever a caller makes of them, [Cookie] is what is sent.
func options() *sessions.Options {
	return &sessions.Options{Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
}

// Save stores the session's values. With a negative Options.MaxAge it ends the session, as is the
// custom of gorilla/sessions. session.ErrNotFound without a signed-in session, session.ErrEnded,
// session.ErrConflict if another request saved first.
func (s *Store) Save(r *http.Request, w http.ResponseWriter, current *sessions.Session) error {
	t, err := session.ParseToken(current.ID)
	if err != nil {
		return fmt.Errorf("save session that nobody has signed in to: %w", session.ErrNotFound)
	}
	if current.Options != nil && current.Options.MaxAge < 0 {
		return s.end(r.Context(), t, session.End{Reason: session.ReasonLogout})
	}
	version, _ := current.Values[versionKey{}].(int64)
	values := make(map[any]any, len(current.Values))
	for k, v := range current.Values {
		if _, ours := k.(versionKey); !ours {
			values[k] = v
		}
	}
	data, err := (securecookie.GobEncoder{}).Serialize(values)
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	if err := s.sessions.Save(r.Context(), t.ID(), version, data); err != nil {
		return err
	}
	current.Values[versionKey{}] = version + 1
	return nil
}

// SignIn begins a session for the browser of r under a new ID and sends its cookie. The session
// that the browser had before ends as replaced once the new one is durable. The record's ID and
// times are set here. A sign-in that fails leaves no session.
func (s *Store) SignIn(w http.ResponseWriter, r *http.Request, record session.Record) (session.Token, error) {
	old, hasOld := Token(r)
	if hasOld {
		before, err := s.sessions.Lookup(r.Context(), old.ID())
		switch {
		case before.End != nil && s.clock.Now().Sub(before.End.At) >= session.TombstoneFor,
			errors.Is(err, session.ErrNotFound):
			hasOld = false
		case err == nil, errors.Is(err, session.ErrEnded):
			record.Before, record.Continues = old.ID(), session.SameUser(&before, &record)
		default:
			return session.Token{}, fmt.Errorf("read the browser's session: %w", err)
		}
	}
	t, err := s.Begin(r.Context(), record)
	if err != nil {
		return t, err
	}
	sent := false
	defer func() {
		if !sent {
			s.sessions.EndOrphan(r.Context(), t.ID())
		}
	}()
	if hasOld {
		from := record.From()
		from[session.DataBy] = session.ByBrowser
		err := s.end(r.Context(), old, session.End{
			Reason:    session.ReasonReplaced,
			Actor:     record.User,
			Data:      from,
			Continued: record.Continues,
		})
		if err != nil && !errors.Is(err, session.ErrNotFound) {
			return t, err
		}
	}
	http.SetCookie(w, Cookie(t))
	sent = true
	return t, nil
}

// Begin is SignIn without a browser: it returns the token of a new session.
func (s *Store) Begin(ctx context.Context, record session.Record) (session.Token, error) {
	t := session.NewToken()
	record.ID = t.ID()
	record.CreatedAt = session.Millis(s.clock.Now())
	record.LastActiveAt = record.CreatedAt
	if err := s.sessions.Create(ctx, record); err != nil {
		return t, fmt.Errorf("sign in: %w", err)
	}
	return t, nil
}

// SignOut ends the session of the browser of r, if it has one. The cookie stays: by it the sign-in
// page knows the reason.
func (s *Store) SignOut(r *http.Request) error {
	t, ok := Token(r)
	if !ok {
		return nil
	}
	record, err := s.sessions.Lookup(r.Context(), t.ID())
	if err == nil {
		err = s.end(r.Context(), t, session.End{Reason: session.ReasonLogout, Actor: record.User})
	}
	if errors.Is(err, session.ErrNotFound) || errors.Is(err, session.ErrEnded) {
		return nil
	}
	return err
}

func (s *Store) end(ctx context.Context, t session.Token, end session.End) error {
	end.At = session.Millis(s.clock.Now())
	_, err := s.sessions.End(ctx, t.ID(), end)
	return err
}
