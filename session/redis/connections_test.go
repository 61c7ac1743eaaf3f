package redis

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/redis/rueidis"
)

// The kernel goes on delivering what a connection had sent that was closed as usual.
func TestAConnectionThatIsClosedDeliversNothingMore(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var o rueidis.ClientOption
	var c connections
	c.watch(&o)
	conn, err := o.DialCtxFn(t.Context(), l.Addr().String(), &net.Dialer{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if _, err := io.ReadAll(peer); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the peer reads up to %v, want that the connection is reset", err)
	}
}
