package session

import (
	"context"
	"time"
)

// SharedStore is what a store offers to nodes that share it. session/redis has it.
type SharedStore interface {
	// Publish sends a message to all nodes, this one included. It may be lost.
	Publish(ctx context.Context, message []byte) error
	// Subscribe calls heard with every message and began whenever the subscription has begun anew,
	// until ctx ends or it fails.
	Subscribe(ctx context.Context, began func(), heard func(message []byte)) error
	// Pulse renews the node's lease and tells what comes after an audit line.
	Pulse(ctx context.Context, node string, after uint64) (Heartbeat, error)
	// Epoch names the servers that decide now: another text after a restart or a fail-over.
	Epoch(ctx context.Context) string
	// LastLine is the number of the newest audit line.
	LastLine(ctx context.Context) (uint64, error)
	// RemoveNode gives up the lease.
	RemoveNode(ctx context.Context, node string) error
	// SetTabs leaves word of a node's tabs, by session; an empty text means none.
	SetTabs(ctx context.Context, node string, tabs map[ID]string, whole bool) error
	// Tabs reads what a node has left by SetTabs.
	Tabs(ctx context.Context, node string) (map[ID]string, error)
	// GetMany reads the sessions that are known among these.
	GetMany(ctx context.Context, ids []ID) ([]Record, error)
	// Missing tells which of these sessions the store does not know.
	Missing(ctx context.Context, ids []ID) (missing []ID, err error)
	// EndLost ends those of the sessions that the store still does not know, as End would have, and
	// tells which.
	EndLost(ctx context.Context, records []Record, end End) (lost []ID, err error)
	// RevocationsAfter lists the revocations that were added or called off since LastRevocation was
	// after, or all revocations (all is true) where that cannot be told, and tells LastRevocation
	// as it was before it looked.
	RevocationsAfter(ctx context.Context, after int64) (revocations []Revocation, last int64, all bool, err error)
	// RestoreRevocations stores revocations under their own numbers, and that they were called off,
	// where that is not known. No revocation gets a number up to last any more.
	RestoreRevocations(ctx context.Context, revocations []Revocation, last int64) error
	// PutTransient leaves a text under a name for other nodes, for a while; Transients reads them.
	PutTransient(ctx context.Context, kind, name, text string, forHowLong time.Duration) error
	Transients(ctx context.Context, kind string) (map[string]string, error)
	// MoveClock moves the test clocks of all nodes and returns how far they are ahead of the
	// store's.
	MoveClock(ctx context.Context, by time.Duration) (ahead time.Duration, err error)
	// SetOffset says how far this node's test clock is ahead.
	SetOffset(ahead time.Duration)
}

// Heartbeat is what a node learns each time it tells the store that it is alive.
type Heartbeat struct {
	Nodes          []string      // whose lease runs, this one included
	Lease          time.Duration // how long this node counts as alive from Now on
	Now            time.Time     // by the store's own clock
	Asked          time.Time     // when it was asked for that, by this computer's
	Took           time.Duration // until it had answered
	Offset         time.Duration // how far the nodes' test clocks are ahead of it
	LastRevocation int64         // see Store.LastRevocation
	Last           uint64        // number of the newest audit line that was looked at
	More           bool          // there are later lines
	Begun          []ID          // sessions whose sign-in is among the lines
	Ended          []ID          // sessions whose end is
	Epoch          string        // names the store's servers; another text after a restart or a fail-over
	Fresh          bool          // the store had not heard of this node, or has forgotten it
}
