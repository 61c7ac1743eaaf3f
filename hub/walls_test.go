package hub

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sources are the files of the hub and its rooms, tests apart, by path below the hub.
func sources(t *testing.T) map[string]string {
	t.Helper()
	files := make(map[string]string)
	err := filepath.WalkDir(".", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		data, err := os.ReadFile(path)
		files[path] = string(data)
		return err
	})
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	return files
}

// writers are the files of the hub that call a method of the store which changes sessions. What
// each has changed, the live session knows before the caller is answered: see Hub.Check, which asks
// the store no more.
var writers = map[string]string{
	"Create":   "signin.go",
	"Save":     "values.go",
	"Touch":    "activity.go",
	"Leave":    "closegrace.go",
	"SetRules": "policies.go",
	"End":      "ending.go", // what the store itself has lost is buried by SharedStore.EndLost
	"EndKeep":  "waiting.go",
	"Age":      "age.go",
	"Reset":    "testclock.go",
}

func TestEachChangeOfASessionIsWrittenInOneFile(t *testing.T) {
	for method, file := range writers {
		calls := regexp.MustCompile(`(?i)store\.` + method + `(Soon)?\(`)
		for path, text := range sources(t) {
			if calls.MatchString(text) != (path == file) {
				t.Errorf("%s calls Store.%s: %v, want that in %s alone", path, method, path != file, file)
			}
		}
	}
}

// TestNobodyWritesToTheStorePastTheHub keeps those who could at a few places, where a glance shows
// that they hand the store on. Which packages link an engine, cmd/server/imports_test.go says.
func TestNobodyWritesToTheStorePastTheHub(t *testing.T) {
	holds := regexp.MustCompile(`\bsession\.(Store|SharedStore)\b|"curfew/session/(bolt|redis)"`)
	comment := regexp.MustCompile(`(?m)^\s*//.*$`)
	holders := map[string]bool{
		"curfew.go":                   true,
		"cmd/server/serve.go":         true,
		"cmd/server/store.go":         true,
		"cmd/server/settings.go":      true, // the default of a setting
		"cmd/server/testingfaults.go": true,
		"internal/metrics/store.go":   true, // it measures the hub's calls
	}
	var methods []string
	for method := range writers {
		methods = append(methods, method)
	}
	writes := regexp.MustCompile(`(?i)(store|embedded|several)\.(` + strings.Join(methods, "|") + `)(Soon)?\(`)
	err := fs.WalkDir(os.DirFS(".."), ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains([]string{"node_modules", ".git", "hub", "session", "bench"}, path):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(filepath.Join("..", path))
		text := comment.ReplaceAllString(string(source), "")
		if holds.MatchString(text) != holders[path] {
			t.Errorf("%s holds a store: %v, want %v", path, !holders[path], holders[path])
		}
		if found := writes.FindString(text); found != "" && path != "internal/metrics/store.go" {
			t.Errorf("%s: %s…, want the hub asked for that", path, found)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// asksForNil finds code that asks whether a member of the cluster is nil.
var asksForNil = regexp.MustCompile(`(?i)\b(nodes|cluster|member) *[!=]= *nil\b`)

// A node that is alone has a nil *cluster.Member, whose methods work. So nobody else asks for that:
// the reader of one node need not know of others.
func TestNobodyAsksWhetherANodeIsAloneByNil(t *testing.T) {
	looked := 0
	module := os.DirFS("..")
	err := fs.WalkDir(module, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (path == "node_modules" || path == ".git" || path == "hub/internal/cluster"):
			return fs.SkipDir
		case !strings.HasSuffix(path, ".go"):
			return nil
		}
		looked++
		source, err := fs.ReadFile(module, path)
		if err != nil {
			return err
		}
		for _, found := range asksForNil.FindAllString(string(source), -1) {
			t.Errorf("%s asks %q: a method of the member says what it is asked for", path, found)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if looked < 100 {
		t.Errorf("looked at %d files, want those of the module", looked)
	}
	for text, want := range map[string]bool{"if h.cluster ==": true, "h.nodes !=": true, "err ==": false} {
		text += " nil"
		if got := asksForNil.MatchString(text); got != want {
			t.Errorf("%q is found: %v, want %v", text, got, want)
		}
	}
}
