// Command lint reports lines of Go that are too long: a comment has at most 100 columns, code at
// most 120, and a tab counts as four. A preformatted line of a comment counts as code. It reads the
// files that it is given, or all below the working directory, prints FILE:LINE of each line that is
// too long, and exits with 1 if there is any.
//
// A line is excused by the comment "//nolint:lll // REASON" at its end, or alone on the line above
// it. The reason is required, and an excuse that nothing needs is reported as well.
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

// notYet are directories whose lines are still to be broken. It becomes empty, and then goes.
var notYet = []string{"hub", "static"}

func main() {
	files := os.Args[1:]
	if len(files) == 0 {
		var err error
		if files, err = goFiles("."); err != nil {
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
		for _, mistake := range longLines(source) {
			fmt.Printf("%s:%s\n", name, mistake)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
}

// goFiles lists the Go files below root. Hidden directories and those of other people's code are
// left out.
func goFiles(root string) (files []string, err error) {
	err = filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		hidden := strings.HasPrefix(e.Name(), ".") && path != root
		switch {
		case err != nil:
			return err
		case e.IsDir() && (hidden || e.Name() == "node_modules" || slices.Contains(notYet, filepath.ToSlash(path))):
			return fs.SkipDir
		case !e.IsDir() && filepath.Ext(path) == ".go":
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
