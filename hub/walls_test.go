package hub

import (
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
	calls := regexp.MustCompile(`(?i)store\.End\(`)
	for path, text := range sources(t) {
		if calls.MatchString(text) != (path == "ending.go") {
			t.Errorf("%s calls the store to end a session: %v, want that in ending.go alone", path, path != "ending.go")
		}
	}
}

// TestNobodyAsksWhetherThereIsACluster: a nil *cluster.Member is a node alone, and answers as one.
func TestNobodyAsksWhetherThereIsACluster(t *testing.T) {
	asks := regexp.MustCompile(`\b([cC]luster|[mM]ember) (==|!=) nil`)
	for path, text := range sources(t) {
		if strings.HasPrefix(path, filepath.Join("internal", "cluster")) {
			continue
		}
		if found := asks.FindString(text); found != "" {
			t.Errorf("%s asks %q", path, found)
		}
	}
}
