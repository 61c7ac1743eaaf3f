package directory

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// A password that was refused is not tried again for so long, twice as long each time, unless its file has changed: else every poll and
// every sign-in would count as a guess, and the directory would lock its service account.
const (
	secretRest     = 5 * time.Minute
	secretRestMost = time.Hour
)

var errSecretRefused = errors.New("the password was refused; it is tried again once its file has changed")

// secret is the service account's password. Where it comes from a file, the file is looked at before each bind.
type secret struct {
	file string

	mu      sync.Mutex
	current password
	read    os.FileInfo     // of the file when it was read; nil before
	refused map[int]refusal // by server
}

// password is a password as it was read once; who writes the same into the file again wants it tried again.
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
	s := &secret{file: file, current: password{text: text}, refused: make(map[int]refusal)}
	if file != "" {
		if info, err := os.Stat(file); err == nil {
			s.readLocked(info)
		}
	}
	return s
}

// readLocked takes what the file holds. One that is empty is half written: what is known stays, and it is looked at again.
func (s *secret) readLocked(info os.FileInfo) {
	data, err := os.ReadFile(s.file)
	text := strings.TrimRight(string(data), "\r\n")
	if err != nil || text == "" {
		return
	}
	s.current = password{text: text, round: s.current.round + 1}
	s.read = info
}

// forServer is the password to be tried at a server, or errSecretRefused while it is not to be tried there.
func (s *secret) forServer(server int) (password, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.file != "" {
		info, err := os.Stat(s.file)
		if err == nil && (s.read == nil || !os.SameFile(info, s.read) || !info.ModTime().Equal(s.read.ModTime()) || info.Size() != s.read.Size()) {
			s.readLocked(info)
		}
	}
	if r, ok := s.refused[server]; ok && r.of == s.current && time.Now().Before(r.until) {
		return password{}, fmt.Errorf("%w, or after %s", errSecretRefused, time.Until(r.until).Round(time.Second))
	}
	return s.current, nil
}

// tried notes what became of a bind.
func (s *secret) tried(server int, p password, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		delete(s.refused, server)
	case isRefused(err) || ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidDNSyntax):
		rest := secretRest
		if before, ok := s.refused[server]; ok && before.of == p {
			rest = min(2*before.rest, secretRestMost)
		}
		s.refused[server] = refusal{of: p, rest: rest, until: time.Now().Add(rest)}
	}
}
