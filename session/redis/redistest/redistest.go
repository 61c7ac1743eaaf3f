// Package redistest starts real Redis servers for tests, from Debian's redis-server.
package redistest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"curfew/internal/freeport"
)

// Server is a Redis server of a test's own, on a free port of this machine, with an append-only
// file.
type Server struct {
	Address string

	t      testing.TB
	folder string
	args   []string
	cmd    *exec.Cmd
	gone   chan struct{}
	output bytes.Buffer
}

// Start starts a server with further arguments, as "--replicaof", "127.0.0.1 6379". It is stopped
// when the test ends.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	address := freeAddress(t)
	folder, err := os.MkdirTemp("", "curfew-redis-")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(address)
	s := &Server{Address: address, t: t, folder: folder, args: append([]string{
		"--port", port, "--bind", "127.0.0.1", "--dir", folder, "--appendonly", "yes", "--appendfsync", "everysec",
		"--save", "", "--repl-diskless-sync-delay", "0",
	}, args...)}
	t.Cleanup(func() {
		s.Kill()
		os.RemoveAll(folder)
	})
	s.Run()
	return s
}

// freeAddress is one that no other server of the tests gets, and of which the bus of a cluster is
// free too.
func freeAddress(t testing.TB) string {
	return fmt.Sprintf("127.0.0.1:%d", freeport.ReserveWithBus(t))
}

// URL is where clients find the server.
func (s *Server) URL() string { return "redis://" + s.Address }

// Run starts the server again, on the same port and with what it has kept.
func (s *Server) Run() {
	s.t.Helper()
	s.output.Reset()
	s.cmd = exec.Command("redis-server", s.args...)
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		s.t.Fatalf("redis-server (Debian's redis-server): %v", err)
	}
	gone := make(chan struct{})
	s.gone = gone
	go func(cmd *exec.Cmd) { cmd.Wait(); close(gone) }(s.cmd)
	limit := time.Now().Add(10 * time.Second)
	for {
		if answer, err := s.Command("PING"); err == nil && strings.HasPrefix(answer, "+PONG") {
			return
		}
		select {
		case <-gone:
			s.t.Fatalf("redis-server did not start: %s", s.output.String())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(limit) {
			s.t.Fatal("redis-server did not answer within 10 s")
		}
	}
}

// Stop ends the server once all that it has answered is on the disk. With appendfsync everysec a
// server that is killed may lose the last two seconds of that, where the disk is busy.
func (s *Server) Stop() {
	s.t.Helper()
	if answer, err := s.Command("SHUTDOWN"); err == nil {
		s.t.Fatalf("SHUTDOWN: %s", answer)
	}
	<-s.gone
}

// Kill kills the server at once.
func (s *Server) Kill() {
	s.cmd.Process.Kill()
	<-s.gone
}

// Signal sends the server a signal, as SIGSTOP and SIGCONT.
func (s *Server) Signal(signal syscall.Signal) { s.cmd.Process.Signal(signal) }

// Command sends one inline command and returns the first line of the answer, in Redis's own
// notation.
func (s *Server) Command(line string) (string, error) { return command(s.Address, line) }

func command(address, line string) (string, error) {
	c, err := net.DialTimeout("tcp", address, time.Second)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := fmt.Fprintf(c, "%s\r\n", line); err != nil {
		return "", err
	}
	buffer := make([]byte, 16<<10)
	n, err := c.Read(buffer)
	return string(buffer[:n]), err
}
