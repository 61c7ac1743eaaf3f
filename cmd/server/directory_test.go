package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
	"curfew/session/bolt"
)

// brokenStore takes no change while it is broken.
type brokenStore struct {
	session.Store
	broken error
}

func (s *brokenStore) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	if s.broken != nil {
		return 0, s.broken
	}
	return s.Store.SetRules(ctx, id, revision, rules)
}

func (s *brokenStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if s.broken != nil {
		return false, s.broken
	}
	return s.Store.End(ctx, id, why, ifDueBy)
}

// newSignedIn is a hub with sessions, as the directory's watcher sees it.
func newSignedIn(t *testing.T, records ...session.Record) (signedIn, *brokenStore) {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	broken := &brokenStore{Store: store}
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	policy := session.Profiles()[0].Policy
	h, err := hub.New(t.Context(), hub.Options{
		Store:    broken,
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: policy},
		Log:      log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Shutdown(context.WithoutCancel(t.Context())); store.Close() })
	for _, r := range records {
		now := session.Millis(time.Now())
		r.ID, r.Policy, r.CreatedAt, r.LastActiveAt, r.Address = session.NewToken().ID(), policy, now, now, "192.0.2.1"
		if err := h.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return signedIn{h, store, session.RealClock{}, log}, broken
}

func (s signedIn) users() (list []string) {
	for _, one := range s.hub.Sessions(hub.Filter{}) {
		list = append(list, one.Record.User)
	}
	slices.Sort(list)
	return list
}

func TestAccountsOfOneLoginNameAreApart(t *testing.T) {
	office := session.Record{User: "linus", DN: "cn=linus", Identity: "1", Login: "office"}
	given := session.Record{User: "grace", DN: "cn=grace", Identity: "2", Login: "office"}
	later := given
	later.PasswordChanged = "20260101000000Z"
	s, _ := newSignedIn(t, office, given, given, later, session.Record{User: "nobody's", Login: "office"})
	accounts := s.Accounts()
	if len(accounts) != 3 {
		t.Fatalf("accounts are %+v, want three: linus, grace, and grace with another password", accounts)
	}
	if err := s.Denied(t.Context(), accountOf(office), "the name was given away"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.users(), []string{"grace", "grace", "grace", "nobody's"}; !slices.Equal(got, want) {
		t.Errorf("signed in are %q, want %q", got, want)
	}
	if err := s.Denied(t.Context(), accountOf(given), "the password was changed"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.users(), []string{"grace", "nobody's"}; !slices.Equal(got, want) {
		t.Errorf("signed in are %q, want %q", got, want)
	}
}

// A directory may tell names apart that fold to one: each session is asked for by the name that its
// own sign-in was found by.
func TestSessionsAreAskedForByTheNameThatTheirOwnSignInTyped(t *testing.T) {
	typed := session.Record{User: "gross", DN: "uid=gross", Identity: "1", Login: "J\u00fcrgen Gro\u00df"}
	before := typed
	before.Login = "j\u00fcrgen gross" // as older versions kept it
	s, _ := newSignedIn(t, before, typed)
	if err := s.Denied(t.Context(), accountOf(before), "no longer in the directory"); err != nil {
		t.Fatal(err)
	}
	if left := s.Accounts(); len(left) != 1 || left[0].Login != typed.Login {
		t.Errorf("accounts are %+v, want %q alone", left, typed.Login)
	}
}

func TestWhatTheStoreDoesNotTakeIsAnErrorOfTheWatchers(t *testing.T) {
	ada := session.Record{User: "ada", DN: "cn=ada", Login: "ada", Groups: []session.Group{{Name: "Staff"}}}
	s, store := newSignedIn(t, ada)
	store.broken = errors.New("store is out of reach")
	if err := s.Allowed(t.Context(), accountOf(ada), directory.Entry{Groups: []string{" staff"}}); err != nil {
		t.Errorf("groups that are written in another way are to be stored: %v", err)
	}
	if err := s.Allowed(t.Context(), accountOf(ada), directory.Entry{}); !errors.Is(err, store.broken) {
		t.Errorf("Found = %v, want the store's error", err)
	}
	if err := s.Denied(t.Context(), accountOf(ada), "deleted"); !errors.Is(err, store.broken) {
		t.Errorf("Barred = %v, want the store's error", err)
	}
	store.broken = nil
	if err := s.Allowed(t.Context(), accountOf(ada), directory.Entry{}); err != nil || len(s.Accounts()[0].Groups) > 0 {
		t.Errorf("Found = %v; groups are %q, want none", err, s.Accounts()[0].Groups)
	}
	if err := s.Denied(t.Context(), accountOf(ada), "deleted"); err != nil || len(s.users()) > 0 {
		t.Errorf("Barred = %v; signed in are %q, want nobody", err, s.users())
	}
	if err := s.Denied(t.Context(), accountOf(ada), "deleted"); err != nil {
		t.Errorf("Barred of somebody who is gone = %v", err)
	}
}
