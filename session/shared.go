package session

import (
	"context"
	"time"
)

// SharedStore is what a store offers beside [Store] to several nodes that keep their sessions in
// it: messages, leases, what each node publishes of its tabs, and ways to find out what was missed.
// The hub calls it where several nodes run, and a node alone needs none of it. session/redis has
// it; storetest.RunShared is the rest of this contract. A node is named by its instance: two runs
// of one process are two nodes.
//
// Methods may be called concurrently. An error means that the store is out of reach, or that ctx
// has ended: nothing may be concluded then, neither about a session nor about another node. All but
// Subscribe return within seconds even if the store does not answer.
//
// What [SharedStore.RestoreRevocations] has written is as durable as what [Store.AddRevocation]
// has. Everything else serves the nodes that run now. A fail-over may lose it, and the nodes write
// it again when they see another epoch.
//
// The store's own clock decides between nodes. It holds back a node whose clock is ahead: to this
// store no activity is later than now, and no session is due by an instant that is yet to come.
type SharedStore interface {
	// Publish sends a message to all nodes that listen, this one included. A message may be lost
	// although the error is nil. Messages that one node sends one after the other arrive in that
	// order, unless the store is a cluster of servers: there one may overtake another.
	Publish(ctx context.Context, message []byte) error
	// Subscribe calls began once messages are received, and heard with each message. It calls began
	// again after the connection was lost: messages from in between are lost. Calls come one at a
	// time and must not block, since the connection also carries answers to other calls. Subscribe
	// returns an error when ctx ends or the subscription fails.
	Subscribe(ctx context.Context, began func(), heard func(message []byte)) error

	// Pulse renews the lease of a node, and returns what the node may have missed: what the audit
	// lines with a number above after tell. A node calls it every second or so.
	Pulse(ctx context.Context, node string, after uint64) (Heartbeat, error)
	// Epoch names the servers that decide now. It returns another text after a restart or a
	// fail-over, and an empty one if no server answers.
	Epoch(ctx context.Context) string
	// LastLine is the number of the newest audit line, 0 if there is none.
	LastLine(ctx context.Context) (uint64, error)
	// RemoveNode gives up the lease of a node at once, and forgets what the node has published with
	// SetTabs. A node calls it for itself when it shuts down.
	RemoveNode(ctx context.Context, node string) error

	// SetTabs publishes what a node has to tell of its tabs, by session, in the hub's own notation.
	// An empty text removes the session's. With whole, tabs replaces all that the node has
	// published before, in one step; otherwise the other sessions' texts stay. The store keeps it
	// while the node's pulse goes on.
	SetTabs(ctx context.Context, node string, tabs map[ID]string, whole bool) error
	// Tabs reads what a node has published with SetTabs. It is empty for an unknown node.
	Tabs(ctx context.Context, node string) (map[ID]string, error)

	// GetWithRevocation is [Store.Get] and [Store.LastRevocation] in one round trip. What was
	// acknowledged before the call both have, in whatever order they are read; ErrNotFound.
	GetWithRevocation(ctx context.Context, id ID) (r Record, last int64, err error)
	// GetMany reads those of the sessions that the store knows, ended ones included, in the order
	// of ids.
	GetMany(ctx context.Context, ids []ID) ([]Record, error)
	// Missing returns those of the sessions that the store does not know, ended ones not included.
	Missing(ctx context.Context, ids []ID) (missing []ID, err error)
	// EndLost ends those of the sessions that the store still does not know, as [Store.End] would
	// have: with a tombstone and an audit line, in one step. It returns which these are, each to
	// exactly one caller. Sessions that the store knows stay as they are.
	EndLost(ctx context.Context, records []Record, end End) (lost []ID, err error)

	// RevocationsAfter lists the revocations that were added or cancelled since
	// [Store.LastRevocation] was after, by number. If the store cannot tell, it lists all of them,
	// and all is true. last is LastRevocation as it was before the list was read. In a shared
	// store LastRevocation rises when a revocation is cancelled, too.
	RevocationsAfter(ctx context.Context, after int64) (revocations []Revocation, last int64, all bool, err error)
	// RestoreRevocations writes again what a fail-over may have lost: revocations under their own
	// numbers, and that they were cancelled. What the store still knows stays. last is the highest
	// number that was ever read: from now on every new revocation gets a higher one.
	RestoreRevocations(ctx context.Context, revocations []Revocation, last int64) error

	// PutTransient leaves a text for nodes that do not listen now, under a kind and a name. It
	// replaces the text of that name, and is forgotten after forHowLong, or earlier if there are
	// thousands of the kind.
	PutTransient(ctx context.Context, kind, name, text string, forHowLong time.Duration) error
	// Transients reads the texts of a kind that are kept now, by name.
	Transients(ctx context.Context, kind string) (map[string]string, error)

	// MoveClock moves the test clocks of all nodes and returns how far they are ahead of the
	// store's. Nodes learn it from their next pulse. It serves --testing.
	MoveClock(ctx context.Context, by time.Duration) (ahead time.Duration, err error)
	// SetOffset says how far this node's test clock is ahead: by so much the store's clock is moved
	// where it judges for this node.
	SetOffset(ahead time.Duration)
}

// Heartbeat is what a node learns each time it tells the store that it is alive.
type Heartbeat struct {
	Nodes  []string      // the nodes whose lease runs, this one included, in no order
	Lease  time.Duration // how long this node counts as alive from Now on
	Fresh  bool          // the store had no lease of this node: it is new, was away for long, or was forgotten
	Epoch  string        // see SharedStore.Epoch
	Now    time.Time     // by the store's own clock
	Asked  time.Time     // when this computer asked for Now, by its own clock
	Took   time.Duration // from Asked until the answer was there
	Offset time.Duration // how far the nodes' test clocks are ahead of the store's; see MoveClock

	LastRevocation int64 // see Store.LastRevocation

	// The audit lines after the number that was asked for, oldest first.
	Last  uint64 // number of the newest line that was read; the number asked for if there is none
	More  bool   // there may be later lines: ask again at once
	Begun []ID   // sessions whose sign-in is among the lines
	Ended []ID   // sessions whose end is among the lines
}
