package main

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"

	"curfew/directory/demo"
	"curfew/session"
)

// What a server says of itself: its log, its name, and that it is ready.

func newLogger(cfg *config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.operation.logLevel}
	if cfg.operation.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// auditLog writes every event of the audit trail to the log as JSON, whatever the log's own format:
// one line each.
func auditLog(w io.Writer) func(session.Event) {
	log := slog.New(slog.NewJSONHandler(w, nil))
	return func(e session.Event) { log.Info("audit", "event", e) }
}

// nodeName is the name that is set, or one that no other process has.
func nodeName(cfg *config) string {
	if cfg.store.nodeName != "" {
		return cfg.store.nodeName
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return host + "-" + strings.ToLower(rand.Text()[:6])
}

// announce tells people and programs that requests are accepted.
func (s *server) announce(stdout io.Writer) error {
	s.tellSystemd(daemon.SdNotifyReady)
	fmt.Fprintf(stdout, "Curfew is ready: %s%s/\n", s.public(), s.cfg.http.basePath)
	if admin := s.cfg.http.adminURL; admin != nil {
		fmt.Fprintf(stdout, "The console is at %s%s/admin\n", admin, s.cfg.http.basePath)
	}
	if s.cfg.operation.testing {
		fmt.Fprintln(stdout, "Testing mode: anybody on this machine can move the clock and sign in.")
	}
	if s.cfg.demo() {
		fmt.Fprintln(stdout, "\nNo ldap-url is set, so these demo users can sign in:")
		for _, u := range demo.Users() {
			fmt.Fprintf(stdout, "  %-6s password %-11s groups %s\n", u.Name, u.Password, strings.Join(u.Groups, ", "))
		}
	}
	if s.cfg.showsDemo() {
		s.log.Warn("ldap-url is not set: whoever reaches the public URL can sign in by passwords that everybody knows")
	}
	file := s.cfg.operation.readyFile
	if file == "" {
		return nil
	}
	half := filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".half")
	if err := os.WriteFile(half, []byte(s.local().String()), 0o644); err != nil {
		return fmt.Errorf("write ready-file: %w", err)
	}
	if err := os.Rename(half, file); err != nil {
		return fmt.Errorf("write ready-file: %w", err)
	}
	return nil
}

// tellSystemd tells a service manager, where one has started this process and listens.
func (s *server) tellSystemd(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		s.log.Warn("service manager not told", "state", state, "error", err)
	}
}

// withdraw takes back that requests are accepted.
func (s *server) withdraw() {
	s.tellSystemd(daemon.SdNotifyStopping)
	if file := s.cfg.operation.readyFile; file != "" {
		os.Remove(file)
	}
}
