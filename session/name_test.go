package session

import "testing"

func TestNamesAreComparedAsTheDirectoryComparesThem(t *testing.T) {
	for _, row := range []struct {
		why, a, b string
		same      bool
	}{
		{"the same name", "ada", "ada", true},
		{"case", "Ada", "aDA", true},
		{"outer spaces, and runs of inner ones", "  Ada   Lovelace ", "ada lovelace", true},
		{"a tab and a space that does not break", "ada\tlove\u00a0lace", "ada love lace", true},
		{"full width", "ａda", "ada", true},
		{"a soft hyphen and a joiner do not show", "gra\u00adc\u200de", "grace", true},
		{"ligatures", "ﬁnance", "finance", true},
		{"sharp s", "STRASSE", "straße", true},
		{"a letter in two parts", "u\u0308ber", "über", true},
		{"both sigmas", "ΟΔΥΣΣΕΥΣ", "οδυσσευς", true},
		{"the sign of kelvin", "\u212aarl", "karl", true},
		{"an accent matters", "jose", "josé", false},
		{"a space matters", "ada lovelace", "adalovelace", false},
		{"nothing is no name", "", "ada", false},
		{"only spaces", "  ", "", true},
	} {
		if got := SameName(row.a, row.b); got != row.same {
			t.Errorf("%s: SameName(%q, %q) = %v, want %v", row.why, row.a, row.b, got, row.same)
		}
	}
}

func FuzzFoldName(f *testing.F) {
	f.Add("  Ada\tLovelace ")
	f.Add("ﬁ\u00ad\u0345\u0130")
	f.Fuzz(func(t *testing.T, name string) {
		folded := FoldName(name)
		if again := FoldName(folded); again != folded {
			t.Errorf("FoldName(%q) = %q, and folded again %q", name, folded, again)
		}
	})
}
