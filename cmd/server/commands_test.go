package main

import (
	"regexp"
	"strings"
	"testing"
)

func TestHelpListsEveryCommandAndSetting(t *testing.T) {
	for _, args := range [][]string{{"help"}, {"--help"}, {"-h"}, {"schema", "--help"}, {"help", "--help"},
		{"help", "schema"}} {
		status, out, errs := curfew(t, args...)
		if status != 0 || errs != "" {
			t.Errorf("%v: status %d, %q", args, status, errs)
		}
		for _, c := range commands() {
			line := regexp.MustCompile(`(?m)^(Usage:| {6}) curfew ` + regexp.QuoteMeta(c.name) + `.*  ` +
				regexp.QuoteMeta(c.meaning) + `$`)
			if !line.MatchString(out) {
				t.Errorf("%v: nothing of the command %q in\n%s", args, c.name, out)
			}
		}
		for _, s := range (&config{}).settings() {
			if !strings.Contains(out, "\n  --"+s.name+" ") && !strings.Contains(out, "\n  "+s.name+" (file only) ") {
				t.Errorf("%v: nothing of the setting %s", args, s.name)
			}
		}
		if strings.Contains(out, "`") {
			t.Errorf("%v: Markdown in\n%s", args, out)
		}
	}
}

func TestCommandsOfAGroupExplainEachOther(t *testing.T) {
	helps := make(map[*commandGroup]string)
	for _, c := range commands() {
		if c.group == nil {
			continue
		}
		if helps[c.group] == "" {
			_, helps[c.group], _ = curfew(t, c.name, "--help")
		}
		want := helps[c.group]
		for _, args := range c.args {
			if !strings.Contains(want, args) {
				t.Errorf("nothing of curfew %s %s in\n%s", c.name, args, want)
			}
		}
		for _, args := range [][]string{{c.name, "--help"}, {c.name, "-h"}, {"help", c.name}} {
			if status, out, errs := curfew(t, args...); status != 0 || out != want || errs != "" {
				t.Errorf("%v: status %d, %q, %q", args, status, out, errs)
			}
		}
	}
	for command, flags := range map[string][]string{
		"who":          {"--token-file", "--server", "--output"},
		"proxy-config": {"--app", "--at", "--out", "--inject", "--verify-listen"},
	} {
		_, out, _ := curfew(t, command, "--help")
		for _, flag := range flags {
			if !strings.Contains(out, flag) {
				t.Errorf("%s is not said:\n%s", flag, out)
			}
		}
	}
}

func TestUnknownCommandsAreToldWhichThereAre(t *testing.T) {
	for _, args := range [][]string{{"serve"}, {"nosuch", "--help"}, {"help", "nosuch"}, {"help", "--nope"}} {
		status, out, errs := curfew(t, args...)
		if status != exitMistake || out != "" || strings.Count(errs, "\n") != 1 {
			t.Errorf("%v: status %d, %q, %q, want 2 and one line", args, status, out, errs)
		}
		for _, c := range commands() {
			if !strings.Contains(errs, c.name) {
				t.Errorf("%v: %s is not told: %s", args, c.name, errs)
			}
		}
	}
	status, _, errs := curfew(t, "help", "who", "audit")
	if status != exitMistake || !strings.Contains(errs, "one COMMAND at most") {
		t.Errorf("help for two: status %d, %s", status, errs)
	}
}

func TestVersionIsPrinted(t *testing.T) {
	if status, out, errs := curfew(t, "version"); status != 0 || !strings.HasPrefix(out, "curfew ") || errs != "" {
		t.Errorf("status %d, %q, %q", status, out, errs)
	}
}
