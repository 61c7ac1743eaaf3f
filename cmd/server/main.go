// Command server is Curfew: it guards the sessions of web pages. Without a sub-command it serves; see README.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
)

// Exit statuses.
const (
	exitFailed  = 1
	exitMistake = 2 // in the settings
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(command(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// command runs a sub-command and returns the exit status.
func command(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	name := ""
	if len(args) > 0 && args[0] != "" && args[0][0] != '-' {
		name, args = args[0], args[1:]
	}
	switch name {
	case "", "check-config":
	case "token", "who", "logout", "notify", "audit":
		return cli(ctx, name, args, environ, stdout, stderr)
	case "version":
		fmt.Fprintln(stdout, "curfew", version())
		return 0
	default:
		fmt.Fprintf(stderr, "curfew: there is no command %q; there are check-config, version, token, who, logout, notify and audit, and without one the server starts\n", name)
		return exitMistake
	}
	read := func() (*config, error) { return load(args, environ) }
	hangup := make(chan os.Signal, 1)
	if name == "" { // whenever it comes, it asks a server for a reload and does not end it
		signal.Notify(hangup, syscall.SIGHUP)
		defer signal.Stop(hangup)
	}
	cfg, err := read()
	switch {
	case errors.Is(err, errHelp):
		usage(stdout)
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "curfew: the settings have mistakes:\n%v\n", err)
		return exitMistake
	}
	if name == "check-config" {
		checkConfig(stdout, cfg)
		return 0
	}
	if err := run(ctx, cfg, read, hangup, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "curfew: %v\n", err)
		return exitFailed
	}
	return 0
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
