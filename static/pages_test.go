package static

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sheet is one of the components.
func sheet(t *testing.T, component string) string {
	t.Helper()
	body, err := sources.ReadFile("pages/" + component + ".css")
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(string(body), "")
}

// selectorsOf are the selectors of a style sheet, each behind the at-rules that it stands in, and
// as often as it has rules.
func selectorsOf(sheet string) (found []string) {
	var within []string
	for {
		i := strings.IndexAny(sheet, "{}")
		if i < 0 {
			return found
		}
		head := sheet[strings.LastIndex(sheet[:i], ";")+1 : i]
		switch head = strings.Join(strings.Fields(head), " "); {
		case sheet[i] == '}':
			within = within[:len(within)-1]
		case strings.HasPrefix(head, "@"):
			within = append(within, head)
		default:
			for _, selector := range parts(head) {
				found = append(found, strings.Join(append(slices.Clone(within), selector), " "))
			}
			within = append(within, head)
		}
		sheet = sheet[i+1:]
	}
}

// parts are the selectors of a list. The commas between brackets are theirs.
func parts(list string) (selectors []string) {
	depth, from := 0, 0
	for i, c := range list {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			selectors = append(selectors, strings.TrimSpace(list[from:i]))
			from = i + 1
		}
	}
	return append(selectors, strings.TrimSpace(list[from:]))
}

func TestEachComponentHasItsRulesInOneFile(t *testing.T) {
	t.Parallel()
	in := make(map[string]string)
	for _, component := range components {
		for _, selector := range selectorsOf(sheet(t, component)) {
			if other, ok := in[selector]; ok && other != component {
				t.Errorf("%s has rules in %s.css and in %s.css", selector, other, component)
			}
			in[selector] = component
		}
	}
	if in["button:hover"] != "buttons" || in["@media (max-width: 40rem) table.cards td:empty"] != "table" {
		t.Errorf("of %d selectors those of buttons and cards are not found", len(in))
	}
}

func TestEachTokenIsDeclaredAndUsed(t *testing.T) {
	t.Parallel()
	declared, used := make(map[string]bool), make(map[string]bool)
	for _, component := range components {
		for _, m := range regexp.MustCompile(`(--[\w-]+)\s*(:)?`).FindAllStringSubmatch(sheet(t, component), -1) {
			if m[2] == "" {
				used[m[1]] = true
			} else if declared[m[1]] = true; component != "tokens" {
				t.Errorf("%s.css declares %s, which is no token then", component, m[1])
			}
		}
	}
	for name := range used {
		if !declared[name] {
			t.Errorf("%s is used, and is no token", name)
		}
	}
	for name := range declared {
		if !used[name] {
			t.Errorf("the token %s is not used", name)
		}
	}
}

// A file that nobody lists would be embedded for nothing, and the page of the components would look
// other than those that are served.
func TestAllComponentsAreServedAndShown(t *testing.T) {
	t.Parallel()
	files, err := fs.Glob(sources, "pages/*.css")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		files[i] = strings.TrimSuffix(path.Base(file), ".css")
	}
	if !slices.Equal(files, slices.Sorted(slices.Values(components))) {
		t.Errorf("components are %q, and pages/ has %q", components, files)
	}
	page, err := os.ReadFile("../docs/components.html")
	if err != nil {
		t.Fatal(err)
	}
	var shown []string
	for _, m := range regexp.MustCompile(`static/pages/(\w+)\.css`).FindAllSubmatch(page, -1) {
		shown = append(shown, string(m[1]))
	}
	if !slices.Equal(shown, components) {
		t.Errorf("docs/components.html has %q, want %q", shown, components)
	}
}
