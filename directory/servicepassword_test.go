package directory

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-ldap/ldap/v3"
)

func TestTroubleOfTheDirectoryIsNoRefusalOfTheServicePassword(t *testing.T) {
	for code, rests := range map[uint16]bool{
		ldap.LDAPResultInvalidCredentials:       true,
		ldap.LDAPResultInvalidDNSyntax:          true,
		ldap.LDAPResultUnwillingToPerform:       false,
		ldap.LDAPResultInsufficientAccessRights: false,
		ldap.LDAPResultConstraintViolation:      false,
		ldap.LDAPResultAdminLimitExceeded:       false,
		ldap.LDAPResultNoSuchObject:             false,
		ldap.LDAPResultBusy:                     false,
	} {
		s := newServicePassword("right", "")
		p, err := s.forServer(0)
		if err != nil {
			t.Fatal(err)
		}
		s.tried(0, p, ldap.NewError(code, errors.New("maintenance")))
		if _, err := s.forServer(0); errors.Is(err, errPasswordRefused) != rests {
			t.Errorf("after %s: %v, want a rest: %v", ldap.LDAPResultCodeMap[code], err, rests)
		}
	}
}

// slowBinds binds with a password at a server whose first answer takes a second.
type slowBinds struct {
	password *servicePassword
	outcome  error

	mu sync.Mutex
	n  int
}

func (b *slowBinds) bind(ctx context.Context) error {
	return b.password.bind(ctx, 0, func(string) error {
		b.mu.Lock()
		b.n++
		first := b.n == 1
		b.mu.Unlock()
		if !first {
			return b.outcome
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
			return b.outcome
		}
	})
}

func (b *slowBinds) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

func TestPasswordThatIsNotProvenIsTriedByOneFirst(t *testing.T) {
	const others = 20
	wrong := ldap.NewError(ldap.LDAPResultInvalidCredentials, errors.New("no"))
	away := ldap.NewError(ldap.LDAPResultUnavailable, errors.New("starting"))
	for _, tt := range []struct {
		name    string
		outcome error
		gone    bool // who binds first is gone before the outcome
		binds   int
		want    error
	}{
		{"it is right", nil, false, 1 + others, nil},
		{"it is wrong", wrong, false, 1, errPasswordRefused},
		{"the server cannot tell", away, false, 1, away},
		{"who binds first is gone", nil, true, 1 + others, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServicePassword("it", "")
				binds := &slowBinds{password: s, outcome: tt.outcome}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { binds.bind(ctx) })
				synctest.Wait()
				for range others {
					wg.Go(func() {
						if err := binds.bind(t.Context()); !errors.Is(err, tt.want) {
							t.Errorf("another one: %v, want %v", err, tt.want)
						}
					})
				}
				synctest.Wait()
				if early := binds.count(); early != 1 {
					t.Errorf("%d binds before anything is known of the password, want 1", early)
				}
				if tt.gone {
					cancel()
				}
				wg.Wait()
				if n := binds.count(); n != tt.binds {
					t.Errorf("%d binds, want %d", n, tt.binds)
				}
			})
		})
	}
}

func TestWaitForTheFirstBindEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServicePassword("it", "")
		release := make(chan struct{})
		var wg sync.WaitGroup
		defer wg.Wait()
		defer close(release)
		wg.Go(func() { s.bind(t.Context(), 0, func(string) error { <-release; return nil }) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.bind(ctx, 0, func(string) error { return nil }); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("waited with %v, want the end of the context", err)
		}
		if err := s.bind(t.Context(), 1, func(string) error { return nil }); err != nil {
			t.Errorf("at another server: %v", err)
		}
	})
}
