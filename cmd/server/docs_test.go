package main

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// root is where the repository is, seen from the tests of this package.
const root = "../.."

// documents are the pages that people read, by their paths from the root.
func documents(t *testing.T) (names []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(root), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch hidden := len(name) > 1 && strings.HasPrefix(e.Name(), "."); {
		case e.IsDir() && (hidden || e.Name() == "node_modules" || name == "bin" || e.Name() == "dist" ||
			e.Name() == "test-results"):
			return fs.SkipDir
		case path.Ext(name) == ".md":
			names = append(names, name)
		}
		return nil
	})
	if err != nil || len(names) < 20 {
		t.Fatalf("%d documents: %v", len(names), err)
	}
	return names
}

// textOf is a document without its fenced blocks, in which nothing is a heading or a link.
func textOf(document []byte) string {
	var b strings.Builder
	fenced := false
	for line := range bytes.Lines(document) {
		if bytes.HasPrefix(bytes.TrimSpace(line), []byte("```")) {
			fenced = !fenced
		} else if !fenced {
			b.Write(line)
		}
	}
	return b.String()
}

var heading = regexp.MustCompile(`(?m)^#+ +(.*?) *$`)

// anchors are the names of the headings of a document, as GitHub makes them and mkdocs.yml has them
// made.
func anchors(text string) map[string]bool {
	names := make(map[string]bool)
	for _, found := range heading.FindAllStringSubmatch(text, -1) {
		name := strings.Map(func(r rune) rune {
			switch {
			case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
				return unicode.ToLower(r)
			case r == ' ':
				return '-'
			}
			return -1
		}, found[1])
		names[name] = true
	}
	return names
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)|\b(?:href|src)="([^"]+)"`)

// TestDocsAndREADMELeadSomewhere follows every link that stays within the repository.
func TestDocsAndREADMELeadSomewhere(t *testing.T) {
	headings := make(map[string]map[string]bool)
	for _, name := range documents(t) {
		headings[name] = anchors(textOf(fileOf(t, filepath.Join(root, name))))
	}
	inline := regexp.MustCompile("`[^`]*`")
	for name := range headings {
		text := inline.ReplaceAllString(textOf(fileOf(t, filepath.Join(root, name))), "")
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			target := found[1] + found[2]
			if strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			file, anchor, _ := strings.Cut(target, "#")
			to := name
			if file != "" {
				to = path.Join(path.Dir(name), file)
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", name, target)
			} else if known, ok := headings[to]; anchor != "" && (!ok || !known[anchor]) {
				t.Errorf("%s: the link to %s names no heading", name, target)
			}
		}
	}
}

// TestDocsAreAllInTheSite has every page of docs in the navigation of the site, once.
func TestDocsAreAllInTheSite(t *testing.T) {
	var site struct {
		Nav yaml.Node `yaml:"nav"`
	}
	if err := yaml.Unmarshal(fileOf(t, root+"/mkdocs.yml"), &site); err != nil {
		t.Fatal(err)
	}
	var pages []string
	var collect func(n *yaml.Node)
	collect = func(n *yaml.Node) {
		switch n.Kind {
		case yaml.SequenceNode:
			for _, child := range n.Content {
				collect(child)
			}
		case yaml.MappingNode:
			for i := 1; i < len(n.Content); i += 2 {
				collect(n.Content[i])
			}
		case yaml.ScalarNode:
			pages = append(pages, n.Value)
		}
	}
	collect(&site.Nav)
	for i, page := range pages {
		if slices.Contains(pages[:i], page) {
			t.Errorf("mkdocs.yml has %s twice", page)
		}
		_, inDocs := os.Stat(filepath.Join(root, "docs", page))
		if _, outside := os.Stat(filepath.Join(root, page)); inDocs != nil && outside != nil {
			t.Errorf("mkdocs.yml has %s, which is no file", page)
		}
	}
	for _, name := range documents(t) {
		if page, ok := strings.CutPrefix(name, "docs/"); ok && !slices.Contains(pages, page) {
			t.Errorf("mkdocs.yml lacks %s", page)
		}
	}
}

// TestDocsHaveTheUsageOfCommands holds docs/commands.md to what the program prints.
func TestDocsHaveTheUsageOfCommands(t *testing.T) {
	const page = root + "/docs/commands.md"
	text := string(fileOf(t, page))
	for _, name := range []string{"", "who", "proxy-config", "verify-proxy"} {
		of, args := "", []string{"help"}
		if name != "" {
			of, args = " of "+name, []string{"help", name}
		}
		_, printed, _ := curfew(t, args...)
		if name == "" { // the settings follow, which have a page of their own
			printed, _, _ = strings.Cut(printed, "\nHTTP\n")
		}
		begin := "<!-- usage" + of + ": printed by go test ./cmd/server -run Docs -update -->\n```text\n"
		end := "```\n<!-- end of usage" + of + " -->\n"
		before, rest, began := strings.Cut(text, begin)
		got, after, ended := strings.Cut(rest, end)
		if !began || !ended {
			t.Fatalf("%s lacks %q or %q", page, begin, end)
		}
		if !*update && got != printed {
			t.Errorf("%s has another usage%s than is printed: run go test ./cmd/server -run Docs -update", page, of)
		}
		text = before + begin + printed + end + after
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
