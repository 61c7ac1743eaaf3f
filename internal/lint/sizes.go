package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// Beyond these sizes a reader loses the thread.
const (
	functionLines = 60
	structFields  = 20
	fileLines     = 500
)

// Excuses for what is larger, each with a reason: in the comment of the function or type, or in the
// first lines of the file.
const (
	excuseFunction = "//nolint:funlen"
	excuseStruct   = "//nolint:structlen"
	excuseFile     = "//nolint:filelen"
)

// tooLarge tells what of a file is too large, as "LINE: what". Of files that are not Go it looks at
// their length only.
func tooLarge(name string, source []byte) (mistakes []string) {
	head, _, _ := strings.Cut(string(source), "\n\n")
	mistakes = judge(1, "a file", strings.Count(string(source), "\n"), fileLines, "lines", head, excuseFile)
	if !strings.HasSuffix(name, ".go") {
		return mistakes
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, name, source, parser.ParseComments)
	if err != nil {
		return append(mistakes, fmt.Sprintf("1: %v", err))
	}
	line := func(p token.Pos) int { return files.Position(p).Line }
	for _, d := range parsed.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			lines := line(d.End()) - line(d.Pos()) + 1
			mistakes = append(mistakes,
				judge(line(d.Pos()), d.Name.Name, lines, functionLines, "lines", comment(d.Doc), excuseFunction)...)
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				t, ok := spec.(*ast.TypeSpec)
				if !ok {
					continue
				}
				if s, ok := t.Type.(*ast.StructType); ok {
					n := s.Fields.NumFields()
					mistakes = append(mistakes,
						judge(line(t.Pos()), t.Name.Name, n, structFields, "fields", comment(d.Doc), excuseStruct)...)
				}
			}
		}
	}
	return mistakes
}

// judge refuses what has more than most, unless it is excused with a reason, and an excuse that is
// not needed.
func judge(line int, what string, n, most int, unit, beside, excuse string) []string {
	_, reason, marked := strings.Cut("\n"+beside, "\n"+excuse) // at the beginning of a line
	reason, _, _ = strings.Cut(reason, "\n")
	switch {
	case marked && strings.Trim(reason, " /") == "":
		return []string{fmt.Sprintf("%d: %s needs a reason: %s // REASON", line, excuse, excuse)}
	case n > most && !marked:
		return []string{fmt.Sprintf("%d: %s of %d %s; at most %d", line, what, n, unit, most)}
	case n <= most && marked:
		return []string{fmt.Sprintf("%d: %s that is not needed", line, excuse)}
	}
	return nil
}

// comment is a comment group as it is written. Text would leave out what looks like a directive.
func comment(group *ast.CommentGroup) string {
	if group == nil {
		return ""
	}
	var lines []string
	for _, c := range group.List {
		lines = append(lines, c.Text)
	}
	return strings.Join(lines, "\n")
}
