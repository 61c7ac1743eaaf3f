package main

import (
	"flag"
	"fmt"
	"io"
	"strings"
)

// printUsage prints how the commands of the group of c are used.
func (c command) printUsage(w io.Writer) {
	if c.group == nil {
		printProgramUsage(w)
		return
	}
	before := "Usage:"
	for _, other := range commands() {
		if other.group != c.group {
			continue
		}
		for i, args := range other.args {
			line := fmt.Sprintf("%-6s curfew %-7s %s", before, other.name, args)
			if i == len(other.args)-1 {
				fmt.Fprintf(w, "%s\n%14s %-7s %s\n", line, "", "", other.meaning)
			} else {
				fmt.Fprintln(w, line)
			}
			before = ""
		}
	}
	fmt.Fprint(w, c.group.before)
	c.group.printFlags(w)
	fmt.Fprint(w, c.group.after)
}

// printFlags prints the flags of the group, in columns.
func (g *commandGroup) printFlags(w io.Writer) {
	const columns = 110
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	g.flags(fs)
	width := 0
	names := func(f *flag.Flag) string {
		takes, _ := explained(f)
		return strings.TrimSpace("--" + f.Name + " " + takes)
	}
	fs.VisitAll(func(f *flag.Flag) { width = max(width, len(names(f))) })
	fs.VisitAll(func(f *flag.Flag) {
		_, meaning := explained(f)
		line := fmt.Sprintf("  %-*s ", width, names(f))
		for word := range strings.FieldsSeq(meaning) {
			if len(line)+1+len(word) > columns {
				fmt.Fprintln(w, line)
				line = fmt.Sprintf("  %-*s ", width, "")
			}
			line += " " + word
		}
		fmt.Fprintln(w, line)
	})
}

// explained is what a flag takes, empty if nothing, and what it means. In its usage the first
// stands before the second, between backticks.
func explained(f *flag.Flag) (takes, meaning string) {
	if rest, ok := strings.CutPrefix(f.Usage, "`"); ok {
		takes, meaning, _ = strings.Cut(rest, "` ")
		return takes, meaning
	}
	return "", f.Usage
}

// printProgramUsage lists the commands and the settings of the server.
func printProgramUsage(w io.Writer) {
	before := "Usage:"
	var further []string
	for _, c := range commands() {
		use := c.name
		if c.group == nil {
			use = strings.TrimSpace(c.name + " " + strings.Join(c.args, " "))
		} else {
			further = append(further, c.name)
		}
		fmt.Fprintf(w, "%-6s curfew %-21s %s\n", before, use, c.meaning)
		before = ""
	}
	fmt.Fprintf(w, "\n--help after %s tells more.\n", listed(further, "or"))
	fmt.Fprintln(w, "Each flag can also be an environment variable (CURFEW_LISTEN) or a key of the YAML file (listen).")
	for _, g := range (&config{}).groups() {
		fmt.Fprintf(w, "\n%s\n", g.title)
		for _, s := range g.settings {
			name, suffix := "--"+s.name, ""
			if s.kind == fileOnly {
				name = s.name + " (file only)"
			}
			if standard := s.shownDefault(); standard != "" {
				suffix = " (default " + standard + ")"
			}
			fmt.Fprintf(w, "  %-27s %s\n", name, strings.ReplaceAll(s.meaning+suffix, "`", ""))
		}
	}
}
