package gorilla_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/sessions"

	"curfew/hub"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/gorilla"
)

func open(t *testing.T) *gorilla.Store {
	t.Helper()
	s, _ := openHub(t)
	return s
}

func openHub(t *testing.T) (*gorilla.Store, *hub.Hub) {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h, err := hub.New(t.Context(), hub.Options{
		Store:    store,
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: session.Profiles()[0].Policy},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(h.Shutdown(t.Context()), store.Close()); err != nil {
			t.Error(err)
		}
	})
	return gorilla.New(h, session.RealClock{}), h
}

func request(cookies ...*http.Cookie) *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for _, c := range cookies {
		r.AddCookie(c)
	}
	return r
}

func signIn(t *testing.T, s *gorilla.Store, before ...*http.Cookie) *http.Cookie {
	t.Helper()
	w := httptest.NewRecorder()
	_, err := s.SignIn(w, request(before...), session.Record{User: "ada", Policy: session.Profiles()[0].Policy})
	if err != nil {
		t.Fatal(err)
	}
	return w.Result().Cookies()[0]
}

func TestValuesSurviveARoundTrip(t *testing.T) {
	s := open(t)
	cookie := signIn(t, s)
	first, err := s.Get(request(cookie), "app")
	if err != nil || first.IsNew {
		t.Fatalf("Get = %+v, %v", first, err)
	}
	first.Values["colour"], first.Values[7] = "blue", true
	if err := first.Save(request(cookie), httptest.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	second, err := s.Get(request(cookie), "app")
	if err != nil || second.Values["colour"] != "blue" || second.Values[7] != true {
		t.Errorf("values = %v, %v", second.Values, err)
	}
	first.Values["colour"] = "red"
	if err := first.Save(request(cookie), httptest.NewRecorder()); err != nil {
		t.Errorf("second save of one request: %v", err)
	}
	if err := second.Save(request(cookie), httptest.NewRecorder()); !errors.Is(err, session.ErrConflict) {
		t.Errorf("save over another request's: %v, want ErrConflict", err)
	}
}

func TestNewNeverReturnsNil(t *testing.T) {
	s := open(t)
	for _, value := range []string{"", "x", "'; DROP TABLE", session.NewToken().Text()} {
		got, err := s.New(request(&http.Cookie{Name: gorilla.CookieName, Value: value}), "app")
		if got == nil || !got.IsNew || err != nil {
			t.Errorf("New with cookie %q = %+v, %v, want a new session", value, got, err)
		}
	}
	stranger, _ := s.New(request(), "app")
	if err := stranger.Save(request(), httptest.NewRecorder()); !errors.Is(err, session.ErrNotFound) {
		t.Errorf("Save without a sign-in = %v, want ErrNotFound", err)
	}
}

func TestCookieFlagsAreOurs(t *testing.T) {
	cookie := signIn(t, open(t))
	want := http.Cookie{
		Name:     gorilla.CookieName,
		Value:    cookie.Value,
		Path:     "/",
		Secure:   true,
		HttpOnly: true,
		SameSite: http.SameSiteLaxMode,
	}
	if cookie.Raw = ""; fmt.Sprint(*cookie) != fmt.Sprint(want) {
		t.Errorf("cookie = %+v, want %+v", *cookie, want)
	}
}

func TestIDChangesAtSignInAndTheOldOneEnds(t *testing.T) {
	s := open(t)
	old := signIn(t, s)
	cookie := signIn(t, s, old)
	if cookie.Value == old.Value {
		t.Fatal("the ID is the same")
	}
	if _, err := s.New(request(old), "app"); !errors.Is(err, session.ErrEnded) {
		t.Errorf("the old cookie: %v, want ErrEnded", err)
	}
	if got, err := s.New(request(cookie), "app"); err != nil || got.IsNew {
		t.Errorf("the new cookie: %+v, %v", got, err)
	}
}

func TestSlowRequestCannotReviveAnEndedSession(t *testing.T) {
	s := open(t)
	cookie := signIn(t, s)
	slow := request(cookie)
	values, err := s.Get(slow, "app")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SignOut(request(cookie)); err != nil {
		t.Fatal(err)
	}
	values.Values["late"] = true
	if err := values.Save(slow, httptest.NewRecorder()); !errors.Is(err, session.ErrEnded) {
		t.Errorf("Save = %v, want ErrEnded", err)
	}
	if again, err := s.New(request(cookie), "app"); !errors.Is(err, session.ErrEnded) || len(again.Values) > 0 {
		t.Errorf("New = %+v, %v, want an empty session and ErrEnded", again, err)
	}
}

func TestNegativeMaxAgeSignsOut(t *testing.T) {
	s := open(t)
	cookie := signIn(t, s)
	r := request(cookie)
	values, _ := s.Get(r, "app")
	values.Options.MaxAge = -1
	if err := values.Save(r, httptest.NewRecorder()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.New(request(cookie), "app"); !errors.Is(err, session.ErrEnded) {
		t.Errorf("New = %v, want ErrEnded", err)
	}
}

func ExampleStore() {
	var store sessions.Store = gorilla.New(nil, session.RealClock{}) // in earnest, a hub
	handler := func(w http.ResponseWriter, r *http.Request) {
		values, err := store.Get(r, "app")
		if err != nil {
			http.Error(w, "sign in again", http.StatusUnauthorized)
			return
		}
		values.Values["seen"] = true
		if err := values.Save(r, w); err != nil {
			http.Error(w, "sign in again", http.StatusUnauthorized)
		}
	}
	w := httptest.NewRecorder()
	handler(w, httptest.NewRequest("GET", "/", nil)) // nobody has signed in
	fmt.Println(w.Code)
	// Output: 401
}

// endless is a hub that cannot end the session that a browser had before.
type endless struct {
	*hub.Hub
	old session.ID
}

var errAway = errors.New("the store is away")

func (e endless) End(ctx context.Context, id session.ID, end session.End) (bool, error) {
	if id == e.old {
		return false, errAway
	}
	return e.Hub.End(ctx, id, end)
}

func TestASignInThatFailsLeavesNoSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, h := openHub(t)
		old := signIn(t, s)
		token, err := session.ParseToken(old.Value)
		if err != nil {
			t.Fatal(err)
		}
		failing := gorilla.New(endless{h, token.ID()}, session.RealClock{})
		w := httptest.NewRecorder()
		fresh, err := failing.SignIn(w, request(old), session.Record{User: "ada", Policy: session.Profiles()[0].Policy})
		if !errors.Is(err, errAway) || len(w.Result().Cookies()) != 0 {
			t.Fatalf("SignIn = %v, cookies %v, want the error and none", err, w.Result().Cookies())
		}
		time.Sleep(2 * time.Second)
		if r, err := h.Lookup(t.Context(), fresh.ID()); !errors.Is(err, session.ErrEnded) ||
			r.End.Detail != "its sign-in failed" {
			t.Errorf("the new session: %+v, %v, want it ended", r.End, err)
		}
		if _, err := h.Lookup(t.Context(), token.ID()); err != nil {
			t.Errorf("the old session: %v, want it alive: its browser has no other", err)
		}
	})
}

// FuzzToken holds the short way to a token to what net/http makes of the same header.
func FuzzToken(f *testing.F) {
	token := session.NewToken().Text()
	own := gorilla.CookieName + "=" + token
	for _, line := range []string{
		"", own, own + ";", "; " + own, "a=b; " + own + "; c=d", "\t" + own + " ", own + "; " + own,
		gorilla.CookieName + "-lang=de; " + own, gorilla.CookieName + "=x; " + own, gorilla.CookieName + "; " + own,
		gorilla.CookieName + " =" + token, gorilla.CookieName + `="` + token + `"`, `"` + own + `"`,
		"x" + own, "x=" + own,
		gorilla.CookieName + "= " + token, gorilla.CookieName + "=" + token[1:], own + "=", own + "\n", own + ",a=b",
		gorilla.CookieName + "=\x00; " + own, gorilla.CookieName + "=;" + own, strings.Repeat(";", 250) + own,
		strings.Repeat("a=b;", 4000) + own,
		gorilla.CookieName + "=" + session.NewToken().Text() + ";" + own,
		strings.ToLower("__HOST-curfew=") + token,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		r := &http.Request{Header: http.Header{"Cookie": {line}}}
		var want session.Token
		wantOK := false
		if c, err := r.Cookie(gorilla.CookieName); err == nil {
			want, err = session.ParseToken(c.Value)
			wantOK = err == nil
		}
		if got, ok := gorilla.Token(r); ok != wantOK || got.Text() != want.Text() {
			t.Errorf("the token of %q is found: %t, want %t", line, ok, wantOK)
		}
	})
}
