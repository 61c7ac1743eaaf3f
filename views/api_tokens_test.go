package views

import (
	"strings"
	"testing"
)

func TestATokenMayDoWhatItsScopeSays(t *testing.T) {
	s := startSite(t, "")
	grace := s.signIn("grace")
	reader, admin := s.program(ScopeRead), s.program(ScopeAdmin)
	reader.call("GET", "/api/v1/presence", "").wants(t, "reading", 200, `"user":"grace"`)
	reader.call("POST", "/api/v1/logouts", `{"user":"grace"}`).wants(t, "a forced logout by a reader", 403,
		`"error":"read-only"`)
	reader.call("DELETE", "/api/v1/logouts/x", "").wants(t, "calling off by a reader", 403, `"error":"read-only"`)
	grace.get("/session/status").wants(t, "after that", 200)
	admin.call("POST", "/api/v1/logouts", `{"everyone":true,"except_self":true}`).wants(t, "sparing no session", 422,
		"a token has no session")
	admin.call("POST", "/api/v1/logouts", `{"user":"grace"}`).wants(t, "a forced logout", 200, `"actor":"robot-admin"`)
	grace.get("/session/status", scripted...).wants(t, "after that", 401, `"reason":"admin"`)

	forged := &browser{site: s, token: "curfew_x", cookie: s.signIn("ada").cookie}
	a := forged.call("GET", "/api/v1/presence", "")
	a.wants(t, "a token that is not known, beside a cookie", 401, `"error":"bad-token"`)
	if a.Header.Get("WWW-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	s.SetTokens(nil)
	admin.call("GET", "/api/v1/presence", "").wants(t, "a token that was taken away", 401, `"error":"bad-token"`)
}

func TestLinesOfTokens(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for _, tt := range []struct {
		text  string
		names string
		err   string // a part of it; empty for none
	}{
		{"", "", ""},
		{"# a comment\n\n a:read:" + hash + "\r\nb:admin:" + strings.ToUpper(hash), "a b", ""},
		{"a:read:" + hash + "\na:admin:" + hash, "a", `line 2: name "a" is there twice`},
		{"a:read", "", "must be name:scope:sha256-hex"},
		{"a:write:" + hash, "", `scope "write" must be read or admin`},
		{"a:read:" + hash[2:], "", "SHA-256"},
		{"a:read:" + hash[2:] + "zz", "", "SHA-256"},
		{":read:" + hash, "", "the name must be a word"},
		{"a b:read:" + hash, "", "the name must be a word"},
		{strings.Repeat("a", 101) + ":read:" + hash, "", "the name must be a word"},
	} {
		tokens, err := ParseAPITokens(tt.text)
		var names []string
		for _, token := range tokens {
			names = append(names, token.Name)
		}
		if got := strings.Join(names, " "); got != tt.names {
			t.Errorf("%q: %q, want %q", tt.text, got, tt.names)
		}
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%q: %v, want an error with %q", tt.text, err, tt.err)
		}
	}
	if _, _, err := NewAPIToken("two words", ScopeRead); err == nil {
		t.Error("a token whose line cannot be read was made")
	}
}
