package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// Exit statuses.
const (
	exitFailed  = 1
	exitMistake = 2 // in the settings or on the command line
)

// command is a sub-command of the program. Dispatch, usage and messages come from the table of
// them.
type command struct {
	name    string   // empty: what the program does where no command is named
	args    []string // one line for each way to use it
	meaning string
	group   *commandGroup // whose commands its --help shows; nil: the program's usage
	run     func(ctx context.Context, c invocation) error
}

// commandGroup are commands that are explained together.
type commandGroup struct{ notes string }

// commands is the table of all commands, in the order in which they are listed.
func commands() []command {
	return append(ownCommands(), clientCommands()...)
}

// ownCommands are those that need no running server.
func ownCommands() []command {
	flags := []string{"[flags]"}
	return []command{
		{
			name:    "",
			args:    flags,
			meaning: "serve",
			run:     serveCommand,
		},
		{
			name:    "check-config",
			args:    flags,
			meaning: "print the effective policies, and what standard profiles say of them",
			run:     checkConfigCommand,
		},
		{
			name:    "proxy-config",
			args:    []string{"PROXY --app URL [--at ADDRESS] [--out DIR] [--inject] [flags]"},
			meaning: "print a proxy's configuration",
			group:   proxyGroup,
			run:     proxyConfigCommand,
		},
		{
			name:    "verify-proxy",
			args:    []string{"URL --token-file FILE --user U --password-file FILE"},
			meaning: "try whether anything gets past the proxy of a site",
			group:   verifyGroup,
			run:     verifyProxyCommand,
		},
		{
			name:    "version",
			meaning: "print the version",
			run:     versionCommand,
		},
		{
			name:    "help",
			args:    []string{"[COMMAND]"},
			meaning: "print this, or more about a command",
			run:     helpCommand,
		},
	}
}

// invocation is one use of a command.
type invocation struct {
	name           string
	args           []string // what follows the name
	environ        []string
	stdout, stderr io.Writer
}

// errUsage says that the command line cannot be understood.
type errUsage struct{ error }

// errSettings has the mistakes of settings.
type errSettings struct{ error }

// dispatch runs the command that args name and returns the exit status. Without a name it serves.
func dispatch(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	c, ok := commandNamed(name)
	if !ok {
		fmt.Fprintf(stderr, "curfew: %v\n", unknownCommand(name))
		return exitMistake
	}
	err := c.run(ctx, invocation{name, args, environ, stdout, stderr})
	return c.report(err, stdout, stderr)
}

func commandNamed(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

func unknownCommand(name string) error {
	var names []string
	for _, c := range commands() {
		if c.name != "" {
			names = append(names, c.name)
		}
	}
	return fmt.Errorf("there is no command %q; there are %s, and without one the server starts",
		name, listed(names, "and"))
}

// listed is a list as people write it: a, b and c.
func listed(names []string, conjunction string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}

// report tells how a command went, and returns the exit status.
func (c command) report(err error, stdout, stderr io.Writer) int {
	var (
		usage    errUsage
		settings errSettings
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		c.printUsage(stdout)
		return 0
	case errors.As(err, &settings):
		fmt.Fprintf(stderr, "curfew: the settings have mistakes:\n%v\n", err)
		return exitMistake
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "curfew %s: %v; curfew %[1]s --help tells more\n", c.name, err)
		return exitMistake
	case c.name == "":
		fmt.Fprintf(stderr, "curfew: %v\n", err)
	default:
		fmt.Fprintf(stderr, "curfew %s: %s\n", c.name, oneLine(err.Error()))
	}
	return exitFailed
}

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
	fmt.Fprint(w, c.group.notes)
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

func helpCommand(_ context.Context, c invocation) error {
	name := ""
	if len(c.args) > 0 {
		name = c.args[0]
	}
	about, ok := commandNamed(name)
	switch {
	case len(c.args) > 1:
		return errUsage{errors.New("takes one COMMAND at most")}
	case slices.Contains([]string{"-h", "-help", "--help"}, name):
		return flag.ErrHelp
	case !ok:
		return errUsage{unknownCommand(name)}
	}
	about.printUsage(c.stdout)
	return nil
}

func versionCommand(_ context.Context, c invocation) error {
	fmt.Fprintln(c.stdout, "curfew", version())
	return nil
}

// settings reads the settings of an invocation, and reads them again whenever it is called.
func (c invocation) settings() (*config, error) {
	cfg, err := load(c.args, c.environ)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return nil, errSettings{err}
	}
	return cfg, err
}

func checkConfigCommand(_ context.Context, c invocation) error {
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	checkConfig(c.stdout, cfg)
	return nil
}

// serveCommand serves until ctx ends. Whenever a hangup comes, also while the server starts, it
// asks for a reload and does not end the program.
func serveCommand(ctx context.Context, c invocation) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	cfg, err := c.settings()
	if err != nil {
		return err
	}
	return run(ctx, cfg, reloads{c.settings, hangup}, c.stdout, c.stderr)
}
