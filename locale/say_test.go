package locale

import "testing"

func TestATextThatLacksAValueIsAMistake(t *testing.T) {
	t.Parallel()
	for _, l := range []*Locale{English(), load()["de"]} {
		if said, err := l.Say("home.hello", nil); err == nil {
			t.Errorf("%s: %q without a name", l.Name, said)
		}
		if said, err := l.Say("no.such", nil); err == nil {
			t.Errorf("%s: %q for no key", l.Name, said)
		}
		// What people are called is nobody's mistake.
		if _, err := l.Say("home.hello", Data{"Name": "<no value>"}); err != nil {
			t.Errorf("%s: %v", l.Name, err)
		}
	}
}
