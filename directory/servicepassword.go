package directory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// How long a refused password is not tried again: at first, and at most, since the time doubles
// with each refusal. A change of its file ends the wait. See
// docs/decisions.md#a-refused-service-password-rests.
const (
	refusedFor     = 5 * time.Minute
	refusedForMost = time.Hour
)

var errPasswordRefused = errors.New("the password was refused; it is tried again once its file has changed")

// servicePassword is the service account's password. If it comes from a file, the file is checked
// before each bind.
type servicePassword struct {
	file string

	mu      sync.Mutex
	current password
	read    os.FileInfo      // of the file when it was read; nil before
	refused map[int]refusal  // by server
	proven  map[int]password // by server: what it accepted last
	flights map[int]*flight  // by server: the bind that others wait for
}

// flight is a bind with a password that a server has not accepted yet. Others wait for it, so that
// a wrong password counts as one guess, however many people sign in.
type flight struct {
	done    chan struct{} // closed at its end
	failure error         // set before that: why the server takes no bind, whatever the password
}

// password is a password as it was read once. Writing the same text into the file again makes it
// another one, which is tried again.
type password struct {
	text  string
	round int
}

type refusal struct {
	of    password
	rest  time.Duration
	until time.Time
}

func newServicePassword(text, file string) *servicePassword {
	s := &servicePassword{
		file:    file,
		current: password{text: text},
		refused: make(map[int]refusal),
		proven:  make(map[int]password),
		flights: make(map[int]*flight),
	}
	if file != "" {
		if info, err := os.Stat(file); err == nil {
			s.readLocked(info)
		}
	}
	return s
}

// readLocked reads the file. An empty one is still being written: the known password stays, and the
// file is read again at the next bind.
func (s *servicePassword) readLocked(info os.FileInfo) {
	data, err := os.ReadFile(s.file)
	text := strings.TrimRight(string(data), "\r\n")
	if err != nil || text == "" {
		return
	}
	s.current = password{text: text, round: s.current.round + 1}
	s.read = info
}

// forServer returns the password to try at a server, or errPasswordRefused while none is to be
// tried there.
func (s *servicePassword) forServer(server int) (password, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forServerLocked(server)
}

func (s *servicePassword) forServerLocked(server int) (password, error) {
	if s.file != "" {
		info, err := os.Stat(s.file)
		if err == nil && (s.read == nil || !os.SameFile(info, s.read) || !info.ModTime().Equal(s.read.ModTime()) ||
			info.Size() != s.read.Size()) {
			s.readLocked(info)
		}
	}
	if r, ok := s.refused[server]; ok && r.of == s.current && time.Now().Before(r.until) {
		return password{}, fmt.Errorf("%w, or after %s", errPasswordRefused, time.Until(r.until).Round(time.Second))
	}
	return s.current, nil
}

// bind tries the password at a server. Until the server has accepted it, one bind goes first and
// the others share its result.
func (s *servicePassword) bind(ctx context.Context, server int, bind func(text string) error) error {
	for {
		p, before, mine, err := s.join(server)
		if err != nil {
			return err
		}
		if before == nil {
			return s.try(ctx, server, p, mine, bind)
		}
		select {
		case <-before.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if before.failure != nil {
			return before.failure
		}
	}
}

// join returns the password to try, and the bind to wait for before that, or, if others are to wait
// for this bind, its own flight.
func (s *servicePassword) join(server int) (p password, before, mine *flight, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err = s.forServerLocked(server)
	if proven, ok := s.proven[server]; err != nil || ok && proven == p {
		return p, nil, nil, err
	}
	if before = s.flights[server]; before != nil {
		return p, before, nil, nil
	}
	mine = &flight{done: make(chan struct{})}
	s.flights[server] = mine
	return p, nil, mine, nil
}

func (s *servicePassword) try(
	ctx context.Context,
	server int,
	p password,
	mine *flight,
	bind func(text string) error,
) error {
	err := errors.New("the bind was broken off")
	defer func() {
		s.tried(server, p, err)
		if mine == nil {
			return
		}
		if err != nil && !isWrongPassword(err) && ctx.Err() == nil { // else the next one goes first
			mine.failure = err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.flights, server)
		close(mine.done)
	}()
	err = bind(p.text)
	return err
}

// isWrongPassword reports whether the service account's bind was refused because of its name or
// password. All other refusals are trouble of the directory: nobody else binds as this account, and
// a server in maintenance refuses whatever the password.
func isWrongPassword(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInvalidDNSyntax)
}

// tried records the result of a bind.
func (s *servicePassword) tried(server int, p password, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.refused, server)
		s.proven[server] = p
	case isWrongPassword(err):
		delete(s.proven, server)
		rest := refusedFor
		if before, ok := s.refused[server]; ok && before.of == p {
			rest = min(2*before.rest, refusedForMost)
		}
		s.refused[server] = refusal{of: p, rest: rest, until: time.Now().Add(rest)}
	}
}
