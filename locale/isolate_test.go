package locale

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"golang.org/x/text/unicode/bidi"
)

// The cases are those of e2e/languages.spec.ts as well, for what the browser says.
func TestNamesDoNotTurnTheSentenceAroundThem(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/isolated.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct{ Dir, Value, Want string }
	if err := json.Unmarshal(data, &cases); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		l := load()[map[string]string{"ltr": "de", "rtl": "ar"}[c.Dir]]
		want := strings.ReplaceAll(l.texts["home.hello"].Other, "{{.Name}}", c.Want)
		said, err := l.Say("home.hello", Data{"Name": c.Value})
		if err != nil || said != want || l.Dir != c.Dir {
			t.Errorf("%s: %+q is said %+q, %v, want %+q", l.Name, c.Value, said, err, want)
		}
	}
}

func TestNumbersStandWithoutIsolates(t *testing.T) {
	t.Parallel()
	said, err := load()["ar"].Say("count.sessions", Data{"Count": 12_345})
	isolates := string(isolate) + string(popped)
	if err != nil || !turns.MatchString(said) || strings.ContainsAny(said, isolates) {
		t.Errorf("%+q, %v", said, err)
	}
}

// What runs from right to left, as Unicode has it, turns a sentence.
func TestEveryLetterFromRightToLeftTurns(t *testing.T) {
	t.Parallel()
	for r := rune(0); r < 0x20000; r++ {
		p, _ := bidi.LookupRune(r)
		if c := p.Class(); (c == bidi.R || c == bidi.AL) && !turns.MatchString(string(r)) {
			t.Errorf("%U is of class %v, and not found", r, c)
		}
	}
}
