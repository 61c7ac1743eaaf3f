// Package freeport finds ports for servers that tests start as processes of their own.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"testing"
)

// Ports are taken from here: below those that the system gives to connections (from 32,768 on), so
// that none of them takes a port before the server does.
const first, count = 22_000, 10_700

// Reserve returns a port of 127.0.0.1 on which nothing listens. Until the test is over no other
// caller gets it, in whatever process, also while the server is down.
func Reserve(t testing.TB) int {
	t.Helper()
	return reserve(t, first, count, 0)
}

// ReserveWithBus is Reserve for a node of a Redis cluster, whose bus is at the port 10,000 above.
func ReserveWithBus(t testing.TB) int {
	t.Helper()
	return reserve(t, 11_000, 10_000, 10_000)
}

// reserve takes a port, and the one that lies bus above it.
func reserve(t testing.TB, first, count, bus int) int {
	t.Helper()
	for range 100 {
		port := first + rand.IntN(count)
		if hold(t, port) && (bus == 0 || hold(t, port+bus)) {
			return port
		}
	}
	t.Fatal("no free port found")
	return 0
}

// hold takes a port if nobody has it. The port of another address of loopback stands for it: the
// system gives that to one process only, and takes it back when the process dies.
func hold(t testing.TB, port int) bool {
	t.Helper()
	held, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.2:%d", port))
	if err != nil {
		return false
	}
	probe, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		held.Close()
		return false
	}
	probe.Close()
	t.Cleanup(func() { held.Close() })
	return true
}
