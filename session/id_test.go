package session

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestTokensAndIDs(t *testing.T) {
	token := NewToken()
	back, err := ParseToken(token.Text())
	if err != nil || back != token || back.ID() != token.ID() {
		t.Errorf("ParseToken(Text) = %v, %v", back, err)
	}
	for _, s := range []string{"", "x", token.Text() + "A", token.Text()[:42], strings.Repeat("=", 43),
		strings.Repeat("_", 42) + "9"} {
		if _, err := ParseToken(s); !errors.Is(err, ErrBadToken) {
			t.Errorf("ParseToken(%q) = %v, want ErrBadToken", s, err)
		}
	}
	if s := fmt.Sprintf("%v %s", token, token); strings.Contains(s, token.Text()) {
		t.Errorf("printing a token shows it: %s", s)
	}
	if NewToken() == token {
		t.Error("two tokens are the same")
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(NewToken().Text())
	f.Add("")
	f.Add("AAAA\n" + strings.Repeat("A", 38))
	f.Fuzz(func(t *testing.T, s string) {
		if token, err := ParseToken(s); err == nil && token.Text() != s {
			t.Errorf("two spellings of one token: %q and %q", s, token.Text())
		}
	})
}
