package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocsHaveThePrintedConfigurations holds docs/proxies to what proxy-config prints.
func TestDocsHaveThePrintedConfigurations(t *testing.T) {
	for _, k := range proxyKinds() {
		folder, page := t.TempDir(), "../../docs/proxies/"+k.name+".md"
		if status, _, errs := printedFor(t, k.name, "--out", folder); status != 0 || errs != "" {
			t.Fatalf("%s: %s", k.name, errs)
		}
		data, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		for _, file := range k.files {
			printed, err := os.ReadFile(filepath.Join(folder, file))
			if err != nil {
				t.Fatal(err)
			}
			begin := fmt.Sprintf("<!-- %s: printed by go test ./cmd/server -run Docs -update -->\n```", file)
			end := fmt.Sprintf("```\n<!-- end of %s -->\n", file)
			before, rest, began := strings.Cut(text, begin)
			language, rest, _ := strings.Cut(rest, "\n")
			got, after, ended := strings.Cut(rest, end)
			if !began || !ended {
				t.Fatalf("%s lacks %q or %q", page, begin, end)
			}
			if !*update && got != string(printed) {
				t.Errorf("%s has another %s than is printed: run go test ./cmd/server -run Docs -update", page, file)
			}
			text = before + begin + language + "\n" + string(printed) + end + after
		}
		if *update {
			if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
