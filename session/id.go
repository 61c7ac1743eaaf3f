package session

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"log/slog"
	"strings"
)

// Token is the secret that a browser's cookie carries: 256 random bits. Holding the token is being
// the session, so it is never stored or logged, and leaves the server only in the cookie.
// Everything else works with its hash, the [ID].
type Token [32]byte

// ErrBadToken is the error of [ParseToken] for text that [Token.Text] does not write.
var ErrBadToken = errors.New("malformed session token")

// NewToken draws a token from the operating system's generator (NIST SP 800-63B §5.1).
func NewToken() Token {
	var t Token
	rand.Read(t[:]) // crypto/rand.Read never fails since Go 1.24
	return t
}

// ParseToken reads what [Token.Text] wrote. Only that one spelling is accepted, so that no two
// cookies mean one session.
func ParseToken(s string) (Token, error) {
	var t Token
	if len(s) != base64.RawURLEncoding.EncodedLen(len(t)) {
		return t, ErrBadToken
	}
	n, err := base64.RawURLEncoding.Strict().Decode(t[:], []byte(s))
	if err != nil || n < len(t) { // the decoder passes over line breaks, which leave it short
		return Token{}, ErrBadToken
	}
	return t, nil
}

// Text is the token as the cookie carries it.
func (t Token) Text() string { return base64.RawURLEncoding.EncodeToString(t[:]) }

// ID is the hash by which the session of t is stored.
func (t Token) ID() ID { return sha256.Sum256(t[:]) }

// String hides the token, so that no careless %v prints a credential.
func (t Token) String() string { return "[token]" }

// LogValue hides the token from structured logs.
func (t Token) LogValue() slog.Value { return slog.StringValue(t.String()) }

// ID names a session at rest: the SHA-256 of its [Token]. Reading a store therefore lets nobody in.
type ID [sha256.Size]byte

// String is the ID in hexadecimal.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// LogValue shortens the ID to what tells sessions apart in a log.
func (id ID) LogValue() slog.Value { return slog.StringValue(id.Ref()) }

// Ref is the session's public name, for pages, logs and the API. It is a hash of the ID, so it does
// not lead back to it.
func (id ID) Ref() string {
	sum := sha256.Sum256(append([]byte("curfew ref\x00"), id[:]...))
	return strings.ToLower(base32.StdEncoding.EncodeToString(sum[:10]))
}

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText implements [encoding.TextUnmarshaler].
func (id *ID) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil || len(b) != len(id) {
		return errors.New("malformed session ID")
	}
	*id = ID(b)
	return nil
}
