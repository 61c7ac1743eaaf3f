package static

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxEntry is how many bytes of the script every page of every application fetches before it is
// guarded.
const maxEntry = 7 << 10

// A browser that knows no rules within rules drops all of the curtain's.
func TestSheetsHoldInOldBrowsers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"curtain.css", "plain.css", "curfew.css", "pages.css"} {
		sheet, err := minify(name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(sheet), "&") {
			t.Errorf("%s has rules within rules: %s", name, sheet)
		}
	}
}

func TestEntryIsShort(t *testing.T) {
	f, ok := Load().Get("curfew.js")
	if !ok {
		t.Fatal("there is no curfew.js")
	}
	t.Logf("%d bytes, %d of the source are left", len(f.Gzip), len(f.Body))
	if len(f.Gzip) > maxEntry {
		t.Errorf("curfew.js is %d bytes as it is served, want %d at most", len(f.Gzip), maxEntry)
	}
}

func TestFilesAreWholeInBothForms(t *testing.T) {
	files := Load()
	for _, name := range files.Names() {
		f, _ := files.Get(name)
		r, err := gzip.NewReader(bytes.NewReader(f.Gzip))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		body, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(body, f.Body) || len(body) == 0 {
			t.Errorf("%s: %d bytes unzipped, %v, want the %d of its body", name, len(body), err, len(f.Body))
		}
		if f.Type == "" {
			t.Errorf("%s has no media type", name)
		}
	}
}

// A comment of each source is missing in what is served, and there in its source map.
func TestCommentsAreLeftOut(t *testing.T) {
	files := Load()
	for name, comment := range map[string]string{
		"curfew.js":   "Guards this page",
		"warning.js":  "What the page says",
		"presence.js": "What users may be",
		"console.js":  "The live part of the console",
		"drafts.js":   "Keeps what is typed into the forms",
		"login.js":    "The sign-in page goes on",
		"curfew.css":  "no rule of the page outweighs",
		"pages.css":   "/*",
	} {
		f, _ := files.Get(name)
		if bytes.Contains(f.Body, []byte(comment)) {
			t.Errorf("%s is served with the comment %q", name, comment)
		}
		if path.Ext(name) != ".js" {
			continue
		}
		m, ok := files.Get(f.SourceMap)
		if !ok {
			t.Errorf("%s has no source map", name)
			continue
		}
		var parsed struct{ SourcesContent []string }
		if err := json.Unmarshal(m.Body, &parsed); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(parsed.SourcesContent, ""), comment) {
			t.Errorf("the source map of %s lacks the comment %q", name, comment)
		}
	}
}

// What a script imports with import() is served, and only the entry knows the version.
func TestModulesAreThere(t *testing.T) {
	files := Load()
	imported := regexp.MustCompile("`\\./\\$\\{\\w+\\}/([a-z]+\\.js)`|[(\"']\\./([a-z]+\\.js)[\"']")
	var found []string
	for _, name := range files.Names() {
		f, _ := files.Get(name)
		if path.Ext(name) != ".js" {
			continue
		}
		for _, m := range imported.FindAllStringSubmatch(string(f.Body), -1) {
			module := m[1] + m[2]
			found = append(found, module)
			if _, ok := files.Module(files.Version, module); !ok {
				t.Errorf("%s imports %s, which is not served", name, module)
			}
		}
		if strings.Contains(string(f.Body), versionMark) {
			t.Errorf("%s has the mark of the version still in it", name)
		}
		if has := strings.Contains(string(f.Body), files.Version); has != (name == entry) {
			t.Errorf("%s knows the version: %t", name, has)
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	want := []string{"drafts.js", "frames.js", "leaving.js", "links.js", "presence.js", "warning.js"}
	if !slices.Equal(found, want) {
		t.Errorf("scripts import %q, want %q", found, want)
	}
}

func TestModulesHaveOneVersion(t *testing.T) {
	files := Load()
	again, err := prepare()
	if err != nil {
		t.Fatal(err)
	}
	if files.Version != again.Version || len(files.Version) != 12 {
		t.Errorf("the version is %q, and then %q", files.Version, again.Version)
	}
	for _, tt := range []struct {
		version, name string
		want          bool
	}{
		{files.Version, "warning.js", true},
		{files.Version, "warning.js.map", true},
		{files.Version, "curfew.js", false},
		{files.Version, "curtain.js", false},
		{"0123456789ab", "warning.js", false},
		{"", "warning.js", false},
	} {
		if _, ok := files.Module(tt.version, tt.name); ok != tt.want {
			t.Errorf("%s below %q: %t, want %t", tt.name, tt.version, ok, tt.want)
		}
	}
}

// Every source is part of some file that is served.
func TestNoSourceIsForgotten(t *testing.T) {
	files := Load()
	var used strings.Builder
	for _, name := range files.Names() {
		if f, _ := files.Get(name); path.Ext(name) == ".map" {
			used.Write(f.Body)
		} else {
			used.WriteString(name)
		}
	}
	names, err := fs.Glob(sources, "*")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if !strings.Contains(used.String(), name) {
			t.Errorf("%s is in no file that is served", name)
		}
	}
}
