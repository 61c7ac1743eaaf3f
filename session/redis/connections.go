package redis

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"
)

// After a fail-over a host name may lead to another server, while the connections stay with the old
// one, which is now a replica. The replica refuses each write with that reason. Then all
// connections are closed, and new ones go where the name leads. In a cluster a replica answers
// where the master is instead.

// droppedEvery is the shortest time between two such closings: a server that stays a replica is
// asked once a second.
const droppedEvery = time.Second

// connections are those that a store has open.
type connections struct {
	mu      sync.Mutex
	open    map[*connection]struct{}
	dropped time.Time
}

type connection struct {
	net.Conn
	of *connections
}

func (c *connection) Close() error {
	c.of.mu.Lock()
	delete(c.of.open, c)
	c.of.mu.Unlock()
	return c.Conn.Close()
}

// forget has what is still on its way to Redis dropped when conn is closed. Nobody waits for the
// answers any more, and where the network was cut the kernel would deliver it when that is back,
// after what was sent meanwhile over the next connection.
func forget(conn net.Conn) {
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	if plain, ok := conn.(*net.TCPConn); ok {
		plain.SetLinger(0)
	}
}

// watch remembers the connections that o makes.
func (c *connections) watch(o *rueidis.ClientOption) {
	c.open = make(map[*connection]struct{})
	dial := o.DialCtxFn
	if dial == nil {
		dial = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
			if config != nil {
				return (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(ctx, "tcp", address)
			}
			return dialer.DialContext(ctx, "tcp", address)
		}
	}
	o.DialCtxFn = func(ctx context.Context, address string, dialer *net.Dialer, config *tls.Config) (net.Conn, error) {
		conn, err := dial(ctx, address, dialer, config)
		if err != nil {
			return nil, err
		}
		forget(conn)
		watched := &connection{conn, c}
		c.mu.Lock()
		c.open[watched] = struct{}{}
		c.mu.Unlock()
		return watched, nil
	}
}

// drop closes all connections. It returns false if it did so less than droppedEvery ago.
func (c *connections) drop() (dropped bool) {
	c.mu.Lock()
	if time.Since(c.dropped) < droppedEvery {
		c.mu.Unlock()
		return false
	}
	c.dropped = time.Now()
	var list []*connection
	for conn := range c.open {
		list = append(list, conn)
	}
	c.mu.Unlock()
	for _, conn := range list {
		conn.Close()
	}
	return true
}

// Answers by which Redis refuses a command that it has not begun.

// isDemoted reports whether the server that answered is no master, or has lost its own.
func isDemoted(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	return ok && (strings.Contains(e.Error(), "READONLY You can") || strings.HasPrefix(e.Error(), "MASTERDOWN"))
}

// isMoving reports whether the slot of a command is on its way to another server of the cluster, or
// is without one for a moment. rueidis follows a slot that has moved; where a script's keys lie on
// both servers it must wait.
func isMoving(err error) bool {
	e, ok := rueidis.IsRedisErr(err)
	if !ok {
		return false
	}
	_, moved := e.IsMoved()
	_, ask := e.IsAsk()
	return moved || ask || e.IsTryAgain() || e.IsClusterDown()
}

// movingEvery is how often a command is repeated whose slot is on its way.
const movingEvery = 25 * time.Millisecond

// pause waits before something is repeated. It returns false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
