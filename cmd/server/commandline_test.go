package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// completed are the words that a shell is offered after args.
func completed(t *testing.T, args ...string) (words []string) {
	t.Helper()
	status, out, errs := curfew(t, append([]string{"__complete"}, args...)...)
	if status != 0 {
		t.Fatalf("%v: status %d, %s", args, status, errs)
	}
	for line := range strings.Lines(out) {
		word, _, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		if !strings.HasPrefix(word, ":") { // what the shell may do beside
			words = append(words, word)
		}
	}
	return words
}

func TestCompletionKnowsCommandsFlagsAndValues(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"ver"}, []string{"verify-proxy", "version"}},
		{[]string{"who", "--s"}, []string{"--server", "--sessions", "--state"}},
		{[]string{"who", "--sessions", "--output", ""}, []string{"table", "json"}},
		{[]string{"--ldap-bind"}, []string{"--ldap-bind-dn", "--ldap-bind-password-file"}},
		{[]string{"check-config", "--listen", "x", "--warn"}, []string{"--warn-after"}},
		{[]string{"proxy-config", ""}, proxyNames()},
		{[]string{"proxy-config", "nginx", "--in"}, []string{"--inject"}},
		{[]string{"help", ""}, namesOfCommands()},
		{[]string{"version", ""}, nil},
	} {
		if got := completed(t, tt.args...); !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
	all := completed(t, "")
	for _, c := range commands() {
		if c.name != "" && !slices.Contains(all, c.name) {
			t.Errorf("%s is not offered among %q", c.name, all)
		}
	}
	if _, out, _ := curfew(t, "__complete", "--"); strings.Contains(out, "`") {
		t.Errorf("Markdown in\n%s", out)
	}
}

func TestCompletionIsPrintedForShells(t *testing.T) {
	for _, shell := range shells {
		status, out, errs := curfew(t, "completion", shell)
		if status != 0 || errs != "" || !strings.Contains(out, "__complete") || !strings.Contains(out, "curfew") {
			t.Errorf("%s: status %d, %s\n%s", shell, status, errs, out)
		}
	}
	for _, args := range [][]string{{}, {"csh"}, {"bash", "zsh"}} {
		status, out, errs := curfew(t, append([]string{"completion"}, args...)...)
		if status != exitMistake || out != "" || !strings.Contains(errs, "bash, zsh or fish") {
			t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
		}
	}
}

func TestManualPagesHaveEveryCommandAndFlag(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man")
	if status, out, errs := curfew(t, "man", folder); status != 0 || out != "" || errs != "" {
		t.Fatalf("status %d, %q, %q", status, out, errs)
	}
	page := func(name string) string {
		data, err := os.ReadFile(filepath.Join(folder, strings.TrimSuffix("curfew-"+name, "-")+".1"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(data), `\-`, "-")
	}
	for _, c := range commands() {
		if c.name == "help" {
			continue // cobra has no page of it
		}
		text := page(c.name)
		for _, f := range c.ownFlags() {
			if !strings.Contains(text, `\fB--`+f.Name+`\fP`) {
				t.Errorf("the page of %s lacks --%s", c.name, f.Name)
			}
		}
		if c.name != "" && strings.Contains(text, `\fB--ldap-url\fP`) {
			t.Errorf("the page of %s has the settings, which are long, once more", c.name)
		}
	}
	server := page("")
	for _, s := range (&config{}).settings() {
		if s.kind != fileOnly && !strings.Contains(server, `\fB--`+s.name+`\fP`) {
			t.Errorf("the page of the program lacks --%s", s.name)
		}
	}
	for _, args := range [][]string{{}, {"a", "b"}, {"--nope"}} {
		if status, _, errs := curfew(t, append([]string{"man"}, args...)...); status != exitMistake ||
			!strings.Contains(errs, "FOLDER") {
			t.Errorf("man %v: status %d, %q", args, status, errs)
		}
	}
}

func TestFlagsBeforeAWordMakeItNoCommand(t *testing.T) {
	for _, args := range [][]string{{"--testing", "version"}, {"--listen", "127.0.0.1:0", "version"}, {"--", "version"},
		{"", "version"}} {
		status, out, errs := curfew(t, args...)
		if status != exitMistake || out != "" || !strings.Contains(errs, `"version": there is no such command`) {
			t.Errorf("%q: status %d, %q, %q", args, status, out, errs)
		}
	}
}
