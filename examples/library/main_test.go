package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"

	"curfew"
)

func TestAGuardedProgramIsShort(t *testing.T) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "main.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n >= 20 {
				t.Errorf("%s has %d lines, and 20 are too many", f.Name, n)
			}
		}
	}
}

func TestTheApplicationIsGuarded(t *testing.T) {
	guard, err := curfew.Open(t.Context(), curfew.Options{
		DataDir:     t.TempDir(),
		PublicURL:   "http://localhost:8080",
		PublicPaths: []string{"/about"},
		Log:         slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	defer guard.Close(t.Context())
	site := guard.Protect(application())
	for path, want := range map[string]int{"/": 401, "/clock": 401, "/about": 200} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost:8080"+path, nil))
		if body, _ := io.ReadAll(w.Body); w.Code != want || strings.Contains(string(body), "Hello") {
			t.Errorf("%s: %d, want %d: %s", path, w.Code, want, body)
		}
	}
}
