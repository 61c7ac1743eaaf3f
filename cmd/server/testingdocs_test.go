package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// snippet is a block of code of a page.
type snippet struct {
	language, text string
	answer         string // of a block of shell: the block below it, which is what it prints
}

// fences are the blocks of code of a page, each with what stands before it.
var fences = regexp.MustCompile("(?sm)(.*?)^```([a-z]+)\n(.*?)^```\n")

// samplesOf lists the blocks of code of a page.
func samplesOf(page string) (list []snippet) {
	for _, found := range fences.FindAllStringSubmatch(page, -1) {
		before, language, text := found[1], found[2], found[3]
		if n := len(list); n > 0 && list[n-1].language == "sh" && before == "" {
			list[n-1].answer = text
			continue
		}
		list = append(list, snippet{language: language, text: text})
	}
	return list
}

// in puts the samples of a language together.
func in(language string, list []snippet) string {
	var texts []string
	for _, s := range list {
		if s.language == language {
			texts = append(texts, s.text)
		}
	}
	return strings.Join(texts, "\n")
}

// TestTheSamplesOfThePageAboutTestingRun runs the samples of docs/testing.md against a server,
// those of each language as one program, and holds the calls that it names to what the server
// describes.
func TestTheSamplesOfThePageAboutTestingRun(t *testing.T) {
	t.Parallel()
	page := string(fileOf(t, "../../docs/testing.md"))
	list := samplesOf(page)
	p := start(t, "--testing", "--upstream", startApplication(t).URL)
	t.Run("curl", func(t *testing.T) { wantsPrinted(t, p, list) })
	t.Run("Python", func(t *testing.T) { p.runs(t, "python3", "-c", in("python", list)) })
	t.Run("Cypress", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "curfew.js")
		if err := os.WriteFile(file, []byte(in("js", list)), 0o600); err != nil {
			t.Fatal(err)
		}
		p.runs(t, "node", "--check", file)
	})
	t.Run("calls", func(t *testing.T) { wantsDescribedCalls(t, p, page) })
}

// runs runs a program that knows where the server is, and returns what it prints.
func (p *process) runs(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "CURFEW_URL="+p.url+"/.curfew", "NO_PROXY=*", "no_proxy=*")
	var mistakes strings.Builder
	cmd.Stderr = &mistakes
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, mistakes.String())
	}
	return string(out)
}

// wantsPrinted runs the samples of shell. Each must print what the page says; … stands for any text
// without a quotation mark.
func wantsPrinted(t *testing.T, p *process, list []snippet) {
	const end = "--- end of a sample\n"
	var script strings.Builder
	var want []string
	for _, s := range list {
		if s.language == "sh" {
			script.WriteString(s.text + "echo '" + strings.TrimSpace(end) + "'\n")
			want = append(want, s.answer)
		}
	}
	got := strings.Split(p.runs(t, "bash", "-euo", "pipefail", "-c", script.String()), end)
	for i, text := range want {
		pattern := strings.ReplaceAll(regexp.QuoteMeta(text), "…", `[^"]*`)
		if !regexp.MustCompile("^" + pattern + "$").MatchString(got[i]) {
			t.Errorf("sample %d printed\n%swant\n%s", i+1, got[i], text)
		}
	}
}

// wantsDescribedCalls wants a section with samples for each call that the server describes, and
// none of another.
func wantsDescribedCalls(t *testing.T, p *process, page string) {
	_, text := p.do("/.curfew/api/v1/openapi.json", nil)
	var description struct{ Paths map[string]map[string]any }
	if err := json.Unmarshal([]byte(text), &description); err != nil {
		t.Fatal(err)
	}
	sections := map[string]string{}
	for _, section := range strings.Split(page, "\n### ")[1:] {
		heading, text, _ := strings.Cut(section, "\n")
		_, path, _ := strings.Cut(strings.Trim(heading, "`"), " ")
		sections[path] = text
	}
	for path := range description.Paths {
		list := samplesOf(sections[path])
		if strings.HasPrefix(path, "/testing/") && (in("sh", list) == "" || in("python", list) == "") {
			t.Errorf("%s: the page has no section with samples for curl and Python", path)
		}
	}
	for _, path := range regexp.MustCompile(`/testing/[a-z]+`).FindAllString(page, -1) {
		if description.Paths[path] == nil {
			t.Errorf("the page names %s, which the server does not describe", path)
		}
	}
}
