package hub

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
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

// TestSessionsEndInOneFile keeps the answer to "where is a session ended" at one place. What the
// store itself has lost is buried by SharedStore.EndLost, in internal/cluster/lost.go.
func TestSessionsEndInOneFile(t *testing.T) {
	calls := regexp.MustCompile(`(?i)store\.End(Soon)?\(`)
	for path, text := range sources(t) {
		if calls.MatchString(text) != (path == "ending.go") {
			t.Errorf("%s calls the store to end a session: %v, want that in ending.go alone", path, path != "ending.go")
		}
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
