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
		s := newSecret("right", "")
		p, err := s.forServer(0)
		if err != nil {
			t.Fatal(err)
		}
		s.tried(0, p, ldap.NewError(code, errors.New("maintenance")))
		if _, err := s.forServer(0); errors.Is(err, errSecretRefused) != rests {
			t.Errorf("after %s: %v, want a rest: %v", ldap.LDAPResultCodeMap[code], err, rests)
		}
	}
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
		{"it is wrong", wrong, false, 1, errSecretRefused},
		{"the server cannot tell", away, false, 1, away},
		{"who binds first is gone", nil, true, 1 + others, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSecret("it", "")
				var mu sync.Mutex
				binds := 0
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				bind := func(ctx context.Context) error {
					return s.bind(ctx, 0, func(string) error {
						mu.Lock()
						binds++
						first := binds == 1
						mu.Unlock()
						if !first {
							return tt.outcome
						}
						select {
						case <-ctx.Done():
							return ctx.Err()
						case <-time.After(time.Second):
							return tt.outcome
						}
					})
				}
				var wg sync.WaitGroup
				defer wg.Wait()
				wg.Go(func() { bind(ctx) })
				synctest.Wait()
				for range others {
					wg.Go(func() {
						if err := bind(t.Context()); !errors.Is(err, tt.want) {
							t.Errorf("another one: %v, want %v", err, tt.want)
						}
					})
				}
				synctest.Wait()
				mu.Lock()
				early := binds
				mu.Unlock()
				if early != 1 {
					t.Errorf("%d binds before anything is known of the password, want 1", early)
				}
				if tt.gone {
					cancel()
				}
				wg.Wait()
				if binds != tt.binds {
					t.Errorf("%d binds, want %d", binds, tt.binds)
				}
			})
		})
	}
}

func TestWaitForTheFirstBindEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSecret("it", "")
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
