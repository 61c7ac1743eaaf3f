package static

import (
	"encoding/json"
	"path"
	"regexp"
	"strings"
	"testing"
)

// modules returns what each module is served as.
func modules(t *testing.T) map[string]string {
	t.Helper()
	files, bodies := Load(), make(map[string]string)
	for _, name := range scripts {
		f, ok := files.Get(name)
		if !ok {
			t.Fatalf("there is no %s", name)
		}
		bodies[name] = string(f.Body)
	}
	return bodies
}

// What one file calls by a short name, another one has to have under the same.
func TestOwnNamesAreShortInAllFiles(t *testing.T) {
	long := make(map[any]string)
	for name, short := range shortNames() {
		if other, ok := long[short]; ok {
			t.Errorf("%s and %s are both written %v", name, other, short)
		}
		long[short] = name
		whole := regexp.MustCompile(`[.,{]` + name + `\b[^a-z'"]`)
		for file, body := range modules(t) {
			if found := whole.FindString(body); found != "" {
				t.Errorf("%s has %q of %q, which is written %v elsewhere", file, found, name, short)
			}
		}
	}
}

// Own names that a script looks up by a string would not be found: those of the words are.
func TestOwnNamesAreNoKeysOfWords(t *testing.T) {
	own, forms := shortNames(), 0
	for key, text := range words(t) {
		if _, ok := own[key]; ok {
			t.Errorf("the text %s is written short", key)
		}
		var plural map[string]string
		if json.Unmarshal(text, &plural) != nil {
			continue
		}
		for form := range plural {
			forms++
			if _, ok := own[form]; ok {
				t.Errorf("%s has the form %s, which is written short", key, form)
			}
		}
	}
	if forms == 0 {
		t.Error("no text has plural forms")
	}
}

// words are those that the browser client has without asking.
func words(t *testing.T) (texts map[string]json.RawMessage) {
	t.Helper()
	data, err := english("")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &texts); err != nil {
		t.Fatal(err)
	}
	return texts
}

// Own names that come from the server as keys would not be found either. The types of what it says
// have them all.
func TestOwnNamesAreNoKeysOfMessages(t *testing.T) {
	types := regexp.MustCompile(`(?s)@typedef \{.*?\} (?:Message|Own|Status|End)\n`)
	key := regexp.MustCompile(`(\w+)\??:`)
	own, keys := shortNames(), 0
	for _, name := range []string{"connection.js", "http.js"} {
		source, err := sources.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, typ := range types.FindAllString(string(source), -1) {
			for _, k := range key.FindAllStringSubmatch(typ, -1) {
				keys++
				if _, ok := own[k[1]]; ok {
					t.Errorf("%s: the server says %s, which is written short", name, k[1])
				}
			}
		}
	}
	if keys < 20 {
		t.Errorf("%d keys were looked at, want 20 and more", keys)
	}
}

// No module asks for a global name that a page may have replaced meanwhile.
func TestModulesUseOriginals(t *testing.T) {
	source, err := sources.ReadFile("originals.js")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(source), "{")
	list, _, _ = strings.Cut(list, "}")
	names := strings.Split(strings.ReplaceAll(list, " ", ""), ",")
	if len(names) < 10 {
		t.Fatalf("the originals are %q", names)
	}
	for file, body := range modules(t) {
		_, rest, ok := strings.Cut(body, "}=window;")
		if !ok {
			t.Errorf("%s does not begin with the originals", file)
		}
		for _, name := range names {
			name = strings.TrimSpace(name)
			if name == "" {
				continue
			}
			if found := regexp.MustCompile(`(^|[^.\w#"'-])` + name + `[.(]`).FindString(rest); found != "" {
				t.Errorf("%s has %q, which may be the page's", file, found)
			}
		}
	}
}

// Whatever a classic script declares at its top would be global in the application's pages.
func TestClassicScriptsDeclareNothing(t *testing.T) {
	for _, name := range classic {
		f, _ := Load().Get(name)
		if path.Ext(name) != ".js" || len(f.Body) == 0 {
			t.Errorf("%s has %d bytes", name, len(f.Body))
		}
		if found := regexp.MustCompile(`\b(var|let|const|function|class)\b`).Find(f.Body); found != nil {
			t.Errorf("%s declares something: %s", name, f.Body)
		}
	}
}
