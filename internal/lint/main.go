// Command lint reports what is too long for its reader.
//
// A line of Go has at most 100 columns if it is a comment, and 120 if it is code; a tab counts as
// four, and a preformatted line of a comment as code. A function has at most 60 lines, a struct 20
// fields and a file 500 lines; the last holds for JavaScript and TypeScript, too.
//
// It reads the files that it is given, or all below the working directory, prints FILE:LINE of each
// mistake, and exits with 1 if there is any.
//
// A line is excused by the comment "//nolint:lll // REASON" at its end, or alone on the line above
// it. A function is excused by "//nolint:funlen // REASON" in its comment, a struct by
// "//nolint:structlen", and a file by "//nolint:filelen" in its first lines. The reason is
// required, and an excuse that nothing needs is reported as well.
package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	commentColumns = 100
	codeColumns    = 120
	tabColumns     = 4

	excuse = "//nolint:lll"
)

func main() {
	files := os.Args[1:]
	if len(files) == 0 {
		var err error
		if files, err = sources("."); err != nil {
			fmt.Fprintln(os.Stderr, "lint:", err)
			os.Exit(2)
		}
	}
	failed := false
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(os.Stderr, "lint:", err)
			os.Exit(2)
		}
		mistakes := tooLarge(name, source)
		if filepath.Ext(name) == ".go" {
			mistakes = append(mistakes, longLines(source)...)
		}
		for _, mistake := range mistakes {
			fmt.Printf("%s:%s\n", name, mistake)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// sources lists the files in Go, JavaScript and TypeScript below root. Hidden directories, those of
// other people's code and what is built into bin are left out.
func sources(root string) (files []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(e.Name(), ".") && path != root
		switch {
		case err != nil:
			return err
		case e.IsDir() && (hidden || e.Name() == "node_modules" || path == filepath.Join(root, "bin")):
			return fs.SkipDir
		case !e.IsDir() && slices.Contains([]string{".go", ".js", ".ts"}, filepath.Ext(path)):
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// longLines tells what is wrong with each line of a Go file, as "LINE: what".
func longLines(source []byte) (mistakes []string) {
	excused := false // by the line above
	number := 0
	for line := range bytes.Lines(source) {
		number++
		refuse := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Sprintf("%d: ", number)+fmt.Sprintf(format, args...))
		}
		code, reason, marked := cutExcuse(strings.TrimRight(string(line), "\r\n"))
		if marked && strings.Trim(reason, " /") == "" {
			refuse("%s needs a reason: %s // REASON", excuse, excuse)
		}
		if marked && strings.TrimSpace(code) == "" {
			excused = true
			continue
		}
		code = strings.TrimRight(code, " \t")
		kind, most := "code", codeColumns
		if text := strings.TrimSpace(code); strings.HasPrefix(text, "//") && !strings.HasPrefix(text, "//\t") {
			kind, most = "a comment", commentColumns
		}
		switch n := columns(code); {
		case n > most && !marked && !excused:
			refuse("%s of %d columns; at most %d", kind, n, most)
		case n <= most && (marked || excused):
			refuse("%s that is not needed", excuse)
		}
		excused = false
	}
	return mistakes
}

// cutExcuse splits a line before its excuse. One in quotes is none.
func cutExcuse(line string) (code, reason string, marked bool) {
	code, reason, marked = strings.Cut(line, excuse)
	if !marked || code != "" && !strings.HasSuffix(code, " ") && !strings.HasSuffix(code, "\t") {
		return line, "", false
	}
	return code, reason, true
}

func columns(line string) int {
	return utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
}
