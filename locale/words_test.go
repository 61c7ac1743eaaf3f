package locale

import (
	"encoding/json"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/nicksnyder/go-i18n/v2/i18n"
	"golang.org/x/text/language"
)

var update = flag.Bool("update", false, "write testdata/plurals.json anew")

// forms are a text as a file has it: by plural category, or as "other" alone where there is one
// form for all numbers.
type forms struct {
	text   map[string]string
	plural bool
}

// fileOf reads the words of a language as they stand in its file.
func fileOf(t *testing.T, name string) map[string]forms {
	t.Helper()
	data, err := files.ReadFile("words/" + name + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	words := make(map[string]forms, len(raw))
	for key, value := range raw {
		var one string
		if json.Unmarshal(value, &one) == nil {
			words[key] = forms{text: map[string]string{"other": one}}
			continue
		}
		f := forms{plural: true}
		if err := json.Unmarshal(value, &f.text); err != nil {
			t.Fatalf("%s: %s is neither a text nor plural forms: %v", name, key, err)
		}
		words[key] = f
	}
	return words
}

// categories are all plural categories that CLDR knows.
var categories = []string{"zero", "one", "two", "few", "many", "other"}

// chooser returns what go-i18n chooses for a number in a language: one of categories.
func chooser(t *testing.T, name string) func(n any) string {
	t.Helper()
	bundle := i18n.NewBundle(language.English)
	message := &i18n.Message{ID: "n", Zero: "zero", One: "one", Two: "two", Few: "few", Many: "many", Other: "other"}
	if err := bundle.AddMessages(language.MustParse(name), message); err != nil {
		t.Fatal(err)
	}
	l := i18n.NewLocalizer(bundle, name)
	return func(n any) string {
		form, err := l.Localize(&i18n.LocalizeConfig{MessageID: "n", PluralCount: n})
		if err != nil {
			t.Fatalf("%s: %v: %v", name, n, err)
		}
		return form
	}
}

// counts are the numbers for which server and browser have to choose the same form.
func counts() []int {
	var all []int
	for n := range 1001 {
		all = append(all, n)
	}
	return append(all, 1_000_000)
}

// categoriesOf are the plural categories that a language has, those of fractions too.
func categoriesOf(t *testing.T, name string) []string {
	t.Helper()
	choose, found := chooser(t, name), make(map[string]bool)
	for _, n := range counts() {
		found[choose(n)] = true
	}
	for _, fraction := range []string{"0.0", "0.5", "1.0", "1.5", "2.0", "5.5"} {
		found[choose(fraction)] = true
	}
	return slices.DeleteFunc(slices.Clone(categories), func(c string) bool { return !found[c] })
}

// The table of the forms that the server chooses is that of testdata/plurals.json, to which
// e2e/languages.spec.ts holds the browsers: by language the categories, and for each number, 0 to
// 1,000 and 1,000,000, the index of its category, as one digit.
func TestPluralFormsAreTheGoldenOnes(t *testing.T) {
	t.Parallel()
	type table struct {
		Categories []string `json:"categories"`
		Chosen     string   `json:"chosen"`
	}
	got := make(map[string]table)
	for _, name := range names {
		choose, chosen, of := chooser(t, name), new(strings.Builder), categoriesOf(t, name)
		for _, n := range counts() {
			chosen.WriteByte(byte('0' + slices.Index(of, choose(n))))
		}
		got[name] = table{of, chosen.String()}
	}
	file := filepath.Join("testdata", "plurals.json")
	if *update {
		data, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(data, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]table)
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("go-i18n chooses other forms than %s has: see -update", file)
	}
}

// What is said in a language has the values of the English text, in each of exactly those plural
// forms that the language has.
func TestWordsFitTheEnglishOnes(t *testing.T) {
	t.Parallel()
	english := fileOf(t, "en")
	for _, name := range names {
		words, in := fileOf(t, name), formsIn(t, name)
		for _, key := range slices.Sorted(maps.Keys(words)) {
			want, ok := english[key]
			if !ok {
				t.Errorf("%s: %s is no text that English has", name, key)
				continue
			}
			fits(t, in, key, words[key], want)
		}
		for _, key := range slices.Sorted(maps.Keys(english)) {
			if _, ok := words[key]; !ok {
				t.Errorf("%s lacks %s", name, key)
			}
		}
	}
}

// pluralForms are those of a language.
type pluralForms struct {
	language   string
	categories []string
	exact      map[string]bool // those that stand for a single number
}

func formsIn(t *testing.T, name string) pluralForms {
	return pluralForms{name, categoriesOf(t, name), exactOf(t, name)}
}

// fits holds a text of a language to the English one.
func fits(t *testing.T, in pluralForms, key string, got, english forms) {
	t.Helper()
	name, want := in.language, []string{"other"}
	if english.plural {
		want = in.categories
	}
	// A language of one form may have it as a plain text.
	has := slices.Sorted(maps.Keys(got.text))
	if !slices.Equal(has, slices.Sorted(slices.Values(want))) {
		t.Errorf("%s: %s has the forms %q, want %q", name, key, has, want)
	}
	values := valuesIn(english.text["other"])
	for form, text := range got.text {
		if strings.TrimSpace(text) != text || text == "" {
			t.Errorf("%s: %s is empty, or has space around it: %q", name, key, text)
		}
		have := valuesIn(text)
		if english.plural && in.exact[form] && !slices.Contains(have, "Count") {
			have = slices.Sorted(slices.Values(append(have, "Count"))) // the form itself says how many
		}
		if !slices.Equal(have, values) {
			t.Errorf("%s: %s (%s) has the values %q, want %q: %s", name, key, form, valuesIn(text), values, text)
		}
		if rest := value.ReplaceAllString(text, ""); strings.ContainsAny(rest, "{}⟦⟧<>") {
			t.Errorf("%s: %s has a bracket that is part of no value: %q", name, key, text)
		}
	}
}

// exactOf are the forms of a language that stand for a single number. In French 0 has that of 1.
func exactOf(t *testing.T, name string) map[string]bool {
	t.Helper()
	choose, numbers := chooser(t, name), make(map[string]int)
	for _, n := range counts() {
		numbers[choose(n)]++
	}
	exact := make(map[string]bool)
	for form, n := range numbers {
		exact[form] = n == 1 && form != "other" && form != "many"
	}
	return exact
}

var value = regexp.MustCompile(`{{\.(\w+)}}`)

// valuesIn are the names of the values in a text, each once and in order.
func valuesIn(text string) []string {
	var found []string
	for _, m := range value.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// Every text can be said in every language, and in the one for testing.
func TestEveryTextCanBeSaid(t *testing.T) {
	t.Parallel()
	for _, name := range append(Names(), Pseudo) {
		l, ok := Of(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		for key, f := range fileOf(t, "en") {
			data := Data{}
			for _, v := range valuesIn(f.text["other"]) {
				data[v] = "◆"
			}
			if !f.plural {
				canSay(t, l, key, data)
				continue
			}
			for _, n := range []int{0, 1, 2, 3, 11, 100, 1_000_000} {
				data["Count"] = n
				canSay(t, l, key, data)
			}
		}
	}
}

func canSay(t *testing.T, l *Locale, key string, data Data) {
	t.Helper()
	text, err := l.Say(key, data)
	if err != nil || text == "" || strings.Contains(text, "{{") {
		t.Errorf("%s: %s with %v is %q, %v", l.Name, key, data, text, err)
	}
	if isMarked := strings.HasPrefix(text, "⟦") && strings.HasSuffix(text, "⟧"); isMarked != (l.Name == Pseudo) {
		t.Errorf("%s: %s is %q", l.Name, key, text)
	}
}
