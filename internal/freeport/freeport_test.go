package freeport

import (
	"fmt"
	"net"
	"testing"
)

func TestAReservedPortIsFreeAndNobodyElseGetsIt(t *testing.T) {
	t.Parallel()
	port := Reserve(t)
	if hold(t, port) {
		t.Errorf("port %d is given out twice", port)
	}
	server, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatalf("its server cannot listen: %v", err)
	}
	server.Close()
	if hold(t, port) {
		t.Errorf("port %d is given out while its server is down", port)
	}
}

func TestAPortIsGivenBackWithTheTest(t *testing.T) {
	t.Parallel()
	var port int
	t.Run("reserves", func(t *testing.T) { port = ReserveWithBus(t) })
	for _, p := range []int{port, port + 10_000} {
		if !hold(t, p) {
			t.Errorf("port %d is still held", p)
		}
	}
}
