package session

import (
	"strings"
	"testing"
)

func TestAContextNotesNoRequestButByAnID(t *testing.T) {
	outer := WithRequest(t.Context(), "outer")
	for _, row := range []struct {
		why, id string
		kept    bool
	}{
		{"of all characters that it may have", "0b6f:Root=1-67/89+a.b_c", true},
		{"as long as it may be", strings.Repeat("a", MaxRequestID), true},
		{"a longer one", strings.Repeat("a", MaxRequestID+1), false},
		{"none", "", false},
		{"a line of a log", "a user=root", false},
		{"no ASCII", "ä", false},
	} {
		want := ""
		if row.kept {
			want = row.id
		}
		if got := RequestOf(WithRequest(outer, row.id)); got != want {
			t.Errorf("%s: the request is %q, want %q", row.why, got, want)
		}
	}
}
