package redistest

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Counted is a way to a server on which round trips are counted.
type Counted struct {
	address string
	trips   atomic.Int64
}

// Count returns another way to s, until the test ends.
func (s *Server) Count(t testing.TB) *Counted {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &Counted{address: listener.Addr().String()}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", s.Address)
			if err != nil {
				client.Close()
				continue
			}
			var answered atomic.Bool // the server was the last to send
			answered.Store(true)
			serving.Go(func() {
				pass(client, server, func() {
					if answered.Swap(false) {
						c.trips.Add(1)
					}
				})
			})
			serving.Go(func() { pass(server, client, func() { answered.Store(true) }) })
		}
	})
	t.Cleanup(func() {
		listener.Close()
		serving.Wait() // the connections have ended with the clients, whose cleanup comes first
	})
	return c
}

// pass passes on what from sends, and says so each time before it does.
func pass(from, to net.Conn, each func()) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			each()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// URL is where clients find the server on this way.
func (c *Counted) URL() string { return "redis://" + c.address }

// Trips is how often a client has sent something after it was answered, on any connection: commands
// that are sent together are one.
func (c *Counted) Trips() int { return int(c.trips.Load()) }
