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

// command is a sub-command of the program. Dispatch, usage, completion, manual pages and messages
// come from the table of them.
type command struct {
	name     string   // empty: what the program does where no command is named
	args     []string // one line for each way to use it
	meaning  string
	group    *commandGroup          // whose commands its --help shows; nil: the program's usage
	words    []string               // what an argument may be, for completion
	flags    func(fs *flag.FlagSet) // defines the flags that are its own; nil: it has none
	settings bool                   // it takes those of the server as well
	run      func(ctx context.Context, c invocation) error
}

// commandGroup are commands that are explained together.
type commandGroup struct {
	before string                 // what stands before them, each line ended
	flags  func(fs *flag.FlagSet) // those that they share, or that the only one has
	after  string                 // likewise
}

// commands is the table of all commands, in the order in which they are listed.
func commands() []command {
	return slices.Concat(settingsCommands(), aboutCommands(), clientCommands())
}

// settingsCommands are the server, and what is for those who set one up.
func settingsCommands() []command {
	flags := []string{"[flags]"}
	return []command{
		{
			name:     "",
			args:     flags,
			meaning:  "serve",
			settings: true,
			run:      serveCommand,
		},
		{
			name:     "check-config",
			args:     []string{"[--output json] [flags]"},
			meaning:  "print the effective policies, and what standards say of the settings",
			group:    checkGroup,
			flags:    new(checkOptions).flags,
			settings: true,
			run:      checkConfigCommand,
		},
		{
			name:    "schema",
			meaning: "print the JSON Schema of the YAML file",
			run:     schemaCommand,
		},
		{
			name:     "proxy-config",
			args:     []string{"PROXY --app URL [--at ADDRESS] [--out DIR] [--inject] [flags]"},
			meaning:  "print a proxy's configuration",
			group:    proxyGroup,
			words:    proxyNames(),
			flags:    new(proxyOptions).flags,
			settings: true,
			run:      proxyConfigCommand,
		},
		{
			name:    "verify-proxy",
			args:    []string{"URL --token-file FILE --user U --password-file FILE"},
			meaning: "try whether anything gets past the proxy of a site",
			group:   verifyGroup,
			flags:   new(verifyArguments).flags,
			run:     verifyProxyCommand,
		},
	}
}

// aboutCommands are about the program itself.
func aboutCommands() []command {
	return []command{
		{
			name:    "completion",
			args:    []string{"SHELL"},
			meaning: "print what completes commands and flags in bash, zsh or fish",
			words:   shells,
			run:     completionCommand,
		},
		{
			name:    "man",
			args:    []string{"FOLDER"},
			meaning: "write the manual pages",
			run:     manCommand,
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

// errCommand says that there is no such command.
type errCommand struct{ error }

// errSettings has the mistakes of settings.
type errSettings struct{ error }

// dispatch runs the command that args name and returns the exit status. Without a name it serves.
func dispatch(ctx context.Context, args, environ []string, stdout, stderr io.Writer) (status int) {
	root := newCommandLine(purposeOf(args), func(c command, args []string) {
		err := c.run(ctx, invocation{c.name, args, environ, stdout, stderr})
		status = c.report(err, stdout, stderr)
	})
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetArgs(withMarkedFlags(args))
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintf(stderr, "curfew: %v\n", err)
		return exitMistake
	}
	return status
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
	return fmt.Errorf("there is no command %q; there are %s, and without one the server starts",
		name, listed(namesOfCommands(), "and"))
}

func namesOfCommands() (names []string) {
	for _, c := range commands() {
		if c.name != "" {
			names = append(names, c.name)
		}
	}
	return names
}

// listed is a list as people write it: a, b and c.
func listed(names []string, conjunction string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " " + conjunction + " " + names[last]
}

// report tells how a command went, and returns the exit status.
func (c command) report(err error, stdout, stderr io.Writer) int {
	var (
		command  errCommand
		usage    errUsage
		settings errSettings
	)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		c.printUsage(stdout)
		return 0
	case errors.As(err, &command):
		fmt.Fprintf(stderr, "curfew: %v\n", err)
		return exitMistake
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

func helpCommand(_ context.Context, c invocation) error {
	name := ""
	if len(c.args) > 0 {
		name = c.args[0]
	}
	about, ok := commandNamed(name)
	switch {
	case len(c.args) > 1:
		return errUsage{errors.New("takes one COMMAND at most")}
	case isHelp(name):
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

// takeFlags reads the flags of args that define defines, and returns the others, which are
// settings.
func takeFlags(define func(*flag.FlagSet), args []string) (rest []string, err error) {
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	define(fs)
	for ; len(args) > 0; args = args[1:] {
		name, text, hasText := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(args[0], "-"), "-"), "=")
		ours := fs.Lookup(name)
		if ours == nil || !strings.HasPrefix(args[0], "-") {
			rest = append(rest, args[0])
			continue
		}
		is, ok := ours.Value.(interface{ IsBoolFlag() bool })
		isBool := ok && is.IsBoolFlag()
		switch {
		case hasText:
		case isBool:
			text = "true"
		case len(args) == 1:
			return nil, errUsage{fmt.Errorf("--%s needs a value", name)}
		default:
			text, args = args[1], args[1:]
		}
		if err := ours.Value.Set(text); err != nil {
			if isBool {
				err = errors.New("must be true or false")
			}
			return nil, errUsage{fmt.Errorf("%s %q: %w", name, text, err)}
		}
	}
	return rest, nil
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
