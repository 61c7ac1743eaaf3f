package locale

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/text/language"
)

// FuzzAccepted reads any Accept-Language, ?lang= and cookie. The language is one that is offered; a
// header that names one language with nothing else gets what its name gets; and what is refused by
// a weight of 0 is not taken.
func FuzzAccepted(f *testing.F) {
	for _, s := range []string{"de", "de-AT,en;q=0.5", "*", "de;q=0", "x;q=1", ",,", "zh-Hant-TW;q=0.1", "en;q=nan",
		"de;q=-1", "i-klingon",
		"de;q=1e400", strings.Repeat("a,", 60), "en-u-co-phonebk", "\xff", "pt_BR", "und"} {
		f.Add(s)
	}
	choice, err := NewChoice("de", "en", "fr", "pt-BR")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		offered := func(l *Locale) bool { return l != nil && slices.Contains(choice.Offered(), l.Name) }
		accepted := choice.Accepted(text)
		if !offered(accepted) || !offered(choice.Preferred(strings.Split(text, ","))) {
			t.Fatalf("%q leads to a language that is not offered", text)
		}
		named, ok := choice.Named(text)
		if ok && !offered(named) {
			t.Fatalf("%q names a language that is not offered", text)
		}
		if tag, err := language.Parse(text); (err != nil || tag == language.Und) && ok {
			t.Errorf("%q is no language, and names %s", text, named.Name)
		}
		if plain := strings.Trim(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") == ""; plain && ok &&
			accepted != named {
			t.Errorf("%q names %s, and as a header %s", text, named.Name, accepted.Name)
		}
		if plain, ok := choice.Named(strings.TrimSuffix(text, ";q=0")); ok && plain.Name == "de" &&
			text == "de;q=0" && accepted.Name == "de" {
			t.Errorf("%q is refused, and taken", text)
		}
	})
}
