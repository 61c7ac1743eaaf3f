package main

import (
	"go/ast"
	"go/parser"
	print "go/printer"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestLimitsAreDocumented holds the table of docs/limits.md against the constants of the code that
// are called max… or …Limit, and against the names of tests.
func TestLimitsAreDocumented(t *testing.T) {
	t.Parallel()
	constants, tests := declared(t)
	page, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([\\w/]+\\.\\w+)` \\| `([^`]+)` \\| ([^|]+) \\| ([^|]*) ?\\|$")
	documented := make(map[string]bool)
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		name, value := m[1], m[2]
		documented[name] = true
		if got, ok := constants[name]; !ok || got != value {
			t.Errorf("%s is documented as %s, and is %q", name, value, got)
		}
		for _, test := range strings.FieldsFunc(m[4], func(c rune) bool { return strings.ContainsRune("`, ", c) }) {
			if !slices.Contains(tests, test) {
				t.Errorf("%s: there is no test %s", name, test)
			}
		}
	}
	for name, value := range constants {
		if !documented[name] {
			t.Errorf("%s, which is %s, is not documented", name, value)
		}
	}
}

// declared lists the constants that are limits, by package and name, and the names of all tests.
func declared(t *testing.T) (constants map[string]string, tests []string) {
	t.Helper()
	const root = "../.."
	left := regexp.MustCompile(`^(\.git|node_modules|bench|chaos|examples|internal|e2e|hub/hubtest|directory/demo|` +
		`session/redis/redistest)$`)
	limit := regexp.MustCompile(`^[mM]ax[A-Z]\w*$|Limit$`)
	constants = make(map[string]string)
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		within, _ := filepath.Rel(root, file)
		if d.IsDir() && left.MatchString(within) {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				tests = append(tests, d.Name.Name)
			case *ast.GenDecl:
				if d.Tok != token.CONST || strings.HasSuffix(file, "_test.go") {
					continue
				}
				for _, s := range d.Specs {
					spec := s.(*ast.ValueSpec)
					for i, value := range spec.Values {
						if name := spec.Names[i].Name; limit.MatchString(name) {
							constants[path.Dir(filepath.ToSlash(within))+"."+name] = written(t, value)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return constants, tests
}

func written(t *testing.T, value ast.Expr) string {
	t.Helper()
	var b strings.Builder
	if err := print.Fprint(&b, token.NewFileSet(), value); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
