package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
	"github.com/spf13/pflag"
)

// The command line as cobra knows it: cobra finds the command, completes what is typed in a shell
// and prints manual pages. Package flag reads the flags, so that all mistakes are told together and
// -listen means --listen.

// shells are those whose completion can be printed.
var shells = []string{"bash", "zsh", "fish"}

// purpose is what a command line is made for.
type purpose int

const (
	toRun      purpose = iota
	toComplete         // cobra reads the flags itself, and what they mean is plain text
	toPrint            // likewise, and it is Markdown
)

// purposeOf is to complete where a shell asks what args may go on with.
func purposeOf(args []string) purpose {
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		return toComplete
	}
	return toRun
}

// newCommandLine makes the command line of the table of commands. run is called with the command
// that is found and what follows its name.
func newCommandLine(is purpose, run func(c command, args []string)) *cobra.Command {
	var root *cobra.Command
	for _, c := range commands() {
		one := &cobra.Command{
			Use:                   strings.TrimSpace("curfew " + strings.Join(c.args, " | ")),
			Short:                 c.meaning,
			Args:                  cobra.ArbitraryArgs,
			DisableFlagParsing:    is == toRun,
			DisableFlagsInUseLine: true,
			SilenceErrors:         true,
			SilenceUsage:          true,
			Run:                   func(_ *cobra.Command, args []string) { run(c, args) },
		}
		if c.name != "man" {
			one.ValidArgsFunction = cobra.FixedCompletions(c.words, cobra.ShellCompDirectiveNoFileComp)
		}
		c.addFlags(one, is)
		if c.name == "" {
			root = one
			root.CompletionOptions.DisableDefaultCmd = true
			root.Run = func(_ *cobra.Command, args []string) { runUnnamed(c, args, run) }
			continue
		}
		one.Use = strings.TrimSpace(c.name + " " + strings.Join(c.args, " | "))
		root.AddCommand(one)
		if c.name == "help" {
			one.ValidArgsFunction = func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
				return namesOfCommands(), cobra.ShellCompDirectiveNoFileComp
			}
			root.SetHelpCommand(one)
		}
	}
	return root
}

// flagsFollow stands before flags of the server. Without it cobra takes a word that follows them
// for a command.
const flagsFollow = "--"

// withMarkedFlags is the command line for cobra: with [flagsFollow] where no command is named.
func withMarkedFlags(args []string) []string {
	if len(args) == 0 || args[0] == "" || args[0][0] == '-' {
		return append([]string{flagsFollow}, args...)
	}
	return args
}

// runUnnamed runs c, which has no name. Cobra calls it as well where no command has the name that
// is given: what that word is, is told by the command that comes out of it.
func runUnnamed(c command, args []string, run func(c command, args []string)) {
	if args[0] == flagsFollow {
		run(c, args[1:])
		return
	}
	c.run = func(context.Context, invocation) error { return errCommand{unknownCommand(args[0])} }
	run(c, args)
}

// shownFlag is the value of a flag that is shown and not read.
type shownFlag struct{ takes string }

func (s shownFlag) String() string   { return "" }
func (s shownFlag) Set(string) error { return nil }
func (s shownFlag) Type() string     { return s.takes }

// addFlags lets cobra show the flags of c.
func (c command) addFlags(to *cobra.Command, is purpose) {
	for _, f := range c.ownFlags() {
		takes, usage := explained(f)
		show(to, f.Name, takes, usage)
		switch {
		case f.Name == "output":
			complete(to, f.Name, []string{"table", "json"})
		case takes == "FILE":
			to.MarkFlagFilename(f.Name)
		case takes == "DIR":
			to.MarkFlagDirname(f.Name)
		}
	}
	if !c.settings {
		return
	}
	for _, s := range (&config{}).settings() {
		if s.kind == fileOnly {
			continue
		}
		takes, usage := "VALUE", s.meaning
		if s.kind == yesNo {
			takes = ""
		}
		if standard := s.shownDefault(); standard != "" {
			usage += " (default " + standard + ")"
		}
		if is == toComplete {
			usage = strings.ReplaceAll(usage, "`", "")
		}
		show(to, s.name, takes, usage)
		switch {
		case len(s.choices) > 0:
			complete(to, s.name, s.choices)
		case s.kind == aFile:
			to.MarkFlagFilename(s.name)
		case s.kind == aFolder:
			to.MarkFlagDirname(s.name)
		}
	}
}

// show adds a flag that takes a value, or none where takes is empty.
func show(to *cobra.Command, name, takes, usage string) {
	f := &pflag.Flag{Name: name, Usage: usage, Value: shownFlag{takes}, DefValue: takes}
	if takes == "" {
		f.Value, f.DefValue, f.NoOptDefVal = shownFlag{"bool"}, "false", "true"
	}
	to.Flags().AddFlag(f)
}

// complete says what the value of a flag may be.
func complete(to *cobra.Command, name string, choices []string) {
	values := cobra.FixedCompletions(choices, cobra.ShellCompDirectiveNoFileComp)
	if err := to.RegisterFlagCompletionFunc(name, values); err != nil {
		panic(err) // the flag was not added, or twice
	}
}

// ownFlags are the flags of c that are no settings, in the order of their names.
func (c command) ownFlags() (list []*flag.Flag) {
	fs := flag.NewFlagSet(c.name, flag.ContinueOnError)
	if c.flags != nil {
		c.flags(fs)
	}
	fs.VisitAll(func(f *flag.Flag) { list = append(list, f) })
	return list
}

// completionCommand prints what a shell reads to complete the words of this program.
func completionCommand(_ context.Context, c invocation) error {
	if len(c.args) > 0 && isHelp(c.args[0]) {
		return flag.ErrHelp
	}
	root := newCommandLine(toPrint, nil)
	if len(c.args) == 1 {
		switch c.args[0] {
		case "bash":
			return root.GenBashCompletionV2(c.stdout, true)
		case "zsh":
			return root.GenZshCompletion(c.stdout)
		case "fish":
			return root.GenFishCompletion(c.stdout, true)
		}
	}
	return errUsage{fmt.Errorf("needs the name of a shell: %s", listed(shells, "or"))}
}

// manCommand writes a manual page for the program and for each of its commands.
func manCommand(_ context.Context, c invocation) error {
	if len(c.args) > 0 && isHelp(c.args[0]) {
		return flag.ErrHelp
	}
	if len(c.args) != 1 || strings.HasPrefix(c.args[0], "-") {
		return errUsage{errors.New("needs the FOLDER that manual pages are written into")}
	}
	folder := c.args[0]
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return doc.GenManTree(newManual(), &doc.GenManHeader{
		Section: "1",
		Source:  "curfew " + version(),
		Manual:  "Curfew",
	}, folder)
}

// newManual is the command line as manual pages show it. The page of the program has the settings
// for all.
func newManual() *cobra.Command {
	root := newCommandLine(toPrint, nil)
	root.DisableAutoGenTag = true
	root.Short, root.Long = "guard the sessions of web pages", programNotes
	root.Flags().SortFlags = false
	for _, c := range commands() {
		if c.name == "" {
			continue
		}
		at := slices.IndexFunc(root.Commands(), func(one *cobra.Command) bool { return one.Name() == c.name })
		one := root.Commands()[at]
		one.Long = strings.ToUpper(c.meaning[:1]) + c.meaning[1:] + "."
		if c.group != nil && c.group != clientGroup { // its flags are all on the page
			one.Long += "\n\n" + strings.TrimSpace(c.group.before+"\n\n"+c.group.after)
		}
		if !c.settings {
			continue
		}
		one.Long += "\n\nIt takes all flags of **curfew**(1) as well, and reads the same variables and file."
		for _, s := range (&config{}).settings() {
			if f := one.Flags().Lookup(s.name); f != nil {
				f.Hidden = true
			}
		}
	}
	return root
}

// programNotes are what the manual page of the program says before its flags.
const programNotes = `Curfew guards the sessions of web pages. Without a command it serves, until SIGTERM or SIGINT.
At SIGHUP it reads its settings again and applies policies, passive paths and API tokens.

Each flag can also be an environment variable (**CURFEW_LISTEN**) or a key of the YAML file that **--config** names
(**listen**). A flag goes before the environment, and that before the file.

The status is 0, or 1 after a failure, or 2 where the command line or the settings have mistakes.`

// isHelp reports whether an argument asks for help.
func isHelp(arg string) bool { return arg == "-h" || arg == "-help" || arg == "--help" }
