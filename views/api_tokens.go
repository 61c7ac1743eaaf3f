package views

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"
	"unicode/utf8"
)

// TokenScope says what a bearer token of the API may do.
type TokenScope string

// The scopes.
const (
	ScopeRead  TokenScope = "read"
	ScopeAdmin TokenScope = "admin" // reads, ends sessions, sends notices
)

// APIToken is a bearer token of the API. Only its hash is kept.
type APIToken struct {
	Name  string
	Scope TokenScope
	Hash  [sha256.Size]byte
}

// NewAPIToken draws a token of 256 bits and returns it with its line for the file of tokens.
func NewAPIToken(name string, scope TokenScope) (secret, line string, err error) {
	var b [32]byte
	rand.Read(b[:])
	secret = "curfew_" + base64.RawURLEncoding.EncodeToString(b[:])
	sum := sha256.Sum256([]byte(secret))
	line = fmt.Sprintf("%s:%s:%s", name, scope, hex.EncodeToString(sum[:]))
	_, err = parseAPIToken(line)
	return secret, line, err
}

// ParseAPITokens reads lines of name:scope:sha256-hex. Empty lines and those that begin with # are
// passed over.
func ParseAPITokens(text string) ([]APIToken, error) {
	var tokens []APIToken
	var errs []error
	names := make(map[string]bool)
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		t, err := parseAPIToken(line)
		if err == nil && names[t.Name] {
			err = fmt.Errorf("name %q is there twice", t.Name)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", i+1, err))
			continue
		}
		names[t.Name] = true
		tokens = append(tokens, t)
	}
	return tokens, errors.Join(errs...)
}

func parseAPIToken(line string) (APIToken, error) {
	parts := strings.Split(line, ":")
	if len(parts) != 3 {
		return APIToken{}, errors.New("must be name:scope:sha256-hex")
	}
	t := APIToken{Name: parts[0], Scope: TokenScope(parts[1])}
	isSpace := func(c rune) bool { return unicode.IsControl(c) || unicode.IsSpace(c) }
	if t.Name == "" || len(t.Name) > 100 || !utf8.ValidString(t.Name) || strings.ContainsFunc(t.Name, isSpace) {
		return APIToken{}, errors.New("the name must be a word")
	}
	if t.Scope != ScopeRead && t.Scope != ScopeAdmin {
		return APIToken{}, fmt.Errorf("scope %q must be read or admin", parts[1])
	}
	hash, err := hex.DecodeString(parts[2])
	if err != nil || len(hash) != len(t.Hash) {
		return APIToken{}, errors.New("the hash must be a SHA-256 in hexadecimal")
	}
	copy(t.Hash[:], hash)
	return t, nil
}

// bearer is the request's token. given: the request has one, good or not.
func (s *Server) bearer(r *http.Request) (t APIToken, given, good bool) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return t, false, false
	}
	sum := sha256.Sum256([]byte(strings.TrimSpace(secret)))
	for _, known := range *s.tokens.Load() {
		if subtle.ConstantTimeCompare(known.Hash[:], sum[:]) == 1 {
			return known, true, true
		}
	}
	return t, true, false
}
