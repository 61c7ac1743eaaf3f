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

// A password that was refused is not tried again for so long, twice as long each time, unless its
// file has changed: else every poll and every sign-in would count as a guess, and the directory
// would lock its service account.
const (
	secretRest     = 5 * time.Minute
	secretRestMost = time.Hour
)

var errSecretRefused = errors.New("the password was refused; it is tried again once its file has changed")

// secret is the service account's password. Where it comes from a file, the file is looked at
// before each bind.
type secret struct {
	file string

	mu      sync.Mutex
	current password
	read    os.FileInfo      // of the file when it was read; nil before
	refused map[int]refusal  // by server
	proven  map[int]password // by server: what it took last
	flights map[int]*flight  // by server: the bind that goes before all others
}

// flight is a bind with a password that is not proven at a server yet. Others wait for it, so that
// one that is wrong counts as one guess, however many sign-ins there are.
type flight struct {
	done    chan struct{} // closed at its end
	trouble error         // set before that: why the server can take no bind, whatever the password
}

// password is a password as it was read once; who writes the same into the file again wants it
// tried again.
type password struct {
	text  string
	round int
}

type refusal struct {
	of    password
	rest  time.Duration
	until time.Time
}

func newSecret(text, file string) *secret {
	s := &secret{
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

// readLocked takes what the file holds. One that is empty is half written: what is known stays, and
// it is looked at again.
func (s *secret) readLocked(info os.FileInfo) {
	data, err := os.ReadFile(s.file)
	text := strings.TrimRight(string(data), "\r\n")
	if err != nil || text == "" {
		return
	}
	s.current = password{text: text, round: s.current.round + 1}
	s.read = info
}

// forServer is the password to be tried at a server, or errSecretRefused while it is not to be
// tried there.
func (s *secret) forServer(server int) (password, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.forServerLocked(server)
}

func (s *secret) forServerLocked(server int) (password, error) {
	if s.file != "" {
		info, err := os.Stat(s.file)
		if err == nil && (s.read == nil || !os.SameFile(info, s.read) || !info.ModTime().Equal(s.read.ModTime()) ||
			info.Size() != s.read.Size()) {
			s.readLocked(info)
		}
	}
	if r, ok := s.refused[server]; ok && r.of == s.current && time.Now().Before(r.until) {
		return password{}, fmt.Errorf("%w, or after %s", errSecretRefused, time.Until(r.until).Round(time.Second))
	}
	return s.current, nil
}

// bind tries the password at a server. While it is not proven there one bind goes first, and the
// others share what becomes of it.
func (s *secret) bind(ctx context.Context, server int, bind func(text string) error) error {
	for {
		p, before, mine, err := s.enter(server)
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
		if before.trouble != nil {
			return before.trouble
		}
	}
}

// enter is the password to be tried, and the bind to be waited for first, or, where others are to
// wait for this one, its own flight.
func (s *secret) enter(server int) (p password, before, mine *flight, err error) {
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

func (s *secret) try(ctx context.Context, server int, p password, mine *flight, bind func(text string) error) error {
	err := errors.New("the bind was broken off")
	defer func() {
		s.tried(server, p, err)
		if mine == nil {
			return
		}
		if err != nil && !isWrongPassword(err) && ctx.Err() == nil { // else the next one goes first
			mine.trouble = err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.flights, server)
		close(mine.done)
	}()
	err = bind(p.text)
	return err
}

// isWrongPassword reports whether the service account's bind was refused for what it was made with.
// All other refusals are the directory's trouble: nobody else binds as this account, and a server
// in maintenance refuses whatever the password.
func isWrongPassword(err error) bool {
	return ldap.IsErrorAnyOf(err, ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInvalidDNSyntax)
}

// tried notes what became of a bind.
func (s *secret) tried(server int, p password, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.refused, server)
		s.proven[server] = p
	case isWrongPassword(err):
		delete(s.proven, server)
		rest := secretRest
		if before, ok := s.refused[server]; ok && before.of == p {
			rest = min(2*before.rest, secretRestMost)
		}
		s.refused[server] = refusal{of: p, rest: rest, until: time.Now().Add(rest)}
	}
}
