package hub

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

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

func (s *brokenStore) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

// startWithAccounts starts a hub over a store that may break, with a session for each record.
func startWithAccounts(t *testing.T, records ...session.Record) (*rig, *brokenStore) {
	t.Helper()
	broken := &brokenStore{}
	hub := startHubOver(t, t.TempDir(), standard, func(s *bolt.Store) session.Store {
		broken.Store = s
		return broken
	})
	for _, r := range records {
		now := session.Millis(time.Now())
		r.ID, r.Policy, r.Address = session.NewToken().ID(), standard, "192.0.2.1"
		r.CreatedAt, r.LastActiveAt = now, now
		if err := hub.Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	return hub, broken
}

func (r *rig) usersSignedIn() (list []string) {
	for _, one := range r.Sessions(Filter{}) {
		list = append(list, one.Record.User)
	}
	slices.Sort(list)
	return list
}

// deny has the directory refuse the account of a record, and allow gives it groups.
func (r *rig) deny(of session.Record, cause string) error {
	return r.Reconcile(r.t.Context(), AccountOf(&of), Standing{Denied: true, Cause: "locked", Why: cause})
}

func (r *rig) allow(of session.Record, groups ...string) error {
	return r.Reconcile(r.t.Context(), AccountOf(&of), Standing{Groups: groups})
}

func TestAccountsOfOneLoginNameAreApart(t *testing.T) {
	office := session.Record{
		User:     "linus",
		DN:       "cn=linus",
		Identity: "1",
		Login:    "office",
	}
	given := session.Record{
		User:     "grace",
		DN:       "cn=grace",
		Identity: "2",
		Login:    "office",
	}
	later := given
	later.PasswordChanged = "20260101000000Z"
	s, _ := startWithAccounts(t, office, given, given, later, session.Record{User: "nobody's", Login: "office"})
	accounts := s.Accounts()
	if len(accounts) != 3 {
		t.Fatalf("accounts are %+v, want three: linus, grace, and grace with another password", accounts)
	}
	if err := s.deny(office, "the name was given away"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.usersSignedIn(), []string{"grace", "grace", "grace", "nobody's"}; !slices.Equal(got, want) {
		t.Errorf("signed in are %q, want %q", got, want)
	}
	if err := s.deny(given, "the password was changed"); err != nil {
		t.Fatal(err)
	}
	if got, want := s.usersSignedIn(), []string{"grace", "nobody's"}; !slices.Equal(got, want) {
		t.Errorf("signed in are %q, want %q", got, want)
	}
}

// A directory may tell names apart that fold to one: each session is asked for by the name that its
// own sign-in was found by.
func TestSessionsAreAskedForByTheNameThatTheirOwnSignInTyped(t *testing.T) {
	typed := session.Record{
		User:     "gross",
		DN:       "uid=gross",
		Identity: "1",
		Login:    "J\u00fcrgen Gro\u00df",
	}
	before := typed
	before.Login = "j\u00fcrgen gross" // as older versions kept it
	s, _ := startWithAccounts(t, before, typed)
	if err := s.deny(before, "no longer in the directory"); err != nil {
		t.Fatal(err)
	}
	left := slices.Collect(maps.Keys(s.Accounts()))
	if len(left) != 1 || left[0].Login != typed.Login {
		t.Errorf("accounts are %+v, want %q alone", left, typed.Login)
	}
}

func TestWhatTheStoreDoesNotTakeIsAnErrorOfTheWatchers(t *testing.T) {
	ada := session.Record{
		User:   "ada",
		DN:     "cn=ada",
		Login:  "ada",
		Groups: []session.Group{{Name: "Staff"}},
	}
	s, store := startWithAccounts(t, ada)
	store.broken = errors.New("store is out of reach")
	if err := s.allow(ada, " staff"); err != nil {
		t.Errorf("groups that are written in another way are to be stored: %v", err)
	}
	if err := s.allow(ada); !errors.Is(err, store.broken) {
		t.Errorf("allowed: %v, want the store's error", err)
	}
	if err := s.deny(ada, "deleted"); !errors.Is(err, store.broken) {
		t.Errorf("denied: %v, want the store's error", err)
	}
	store.broken = nil
	if err := s.allow(ada); err != nil || len(s.Accounts()[AccountOf(&ada)]) > 0 {
		t.Errorf("allowed: %v; groups are %q, want none", err, s.Accounts()[AccountOf(&ada)])
	}
	if err := s.deny(ada, "deleted"); err != nil || len(s.usersSignedIn()) > 0 {
		t.Errorf("denied: %v; signed in are %q, want nobody", err, s.usersSignedIn())
	}
	if err := s.deny(ada, "deleted"); err != nil {
		t.Errorf("denied, of somebody who is gone = %v", err)
	}
}
