package session

import (
	"context"
	"time"
)

// Outbox hands the audit trail on to receivers outside, each line at least once. Package delivery
// calls it, and each store has it; storetest.RunOutbox is the rest of this contract.
//
// The trail itself is what waits: a line that is written is in the outbox by the same step, and
// nothing that writes one does more because there are receivers. Beside the trail the store keeps
// where each receiver stands. Receivers are independent of each other.
//
// Several nodes share the work: one of them holds the lease of a receiver and sends, and another
// one gets the lease when that node is gone. A node that stood still may send once more what
// another has sent since. The receiver knows the lines again by [Event.ID].
//
// Methods may be called concurrently. An error means that the store is out of reach, or that ctx
// has ended.
type Outbox interface {
	// Follow makes a receiver known: it gets the lines that are written from now on. One that is
	// known stays where it is, so that it gets what was written while no node had it in its
	// settings. It comes before the first line is written.
	Follow(ctx context.Context, receiver string) error
	// Claim asks for the lease of a receiver, or prolongs it, and reads lines that the receiver has
	// not accepted. The lease is the node's for OutboxLease from the call on.
	Claim(ctx context.Context, c OutboxClaim) (OutboxClaimed, error)
	// Accept notes that a receiver has accepted lines. It does nothing if epoch is over: a line of
	// that number may be another one by now.
	Accept(ctx context.Context, receiver, epoch string, numbers []uint64) error
	// Release gives up the lease of a node, if the node has it.
	Release(ctx context.Context, receiver, node string) error
}

// OutboxLease is how long a node is the one that sends to a receiver after it has asked for that.
const OutboxLease = 5 * time.Second

// OutboxClaim is what a node asks for with [Outbox.Claim].
type OutboxClaim struct {
	Receiver string
	Node     string // the run of a process: no two have the same
	After    uint64 // the node has read the lines up to this number; 0: none
	Limit    int    // at most so many lines
	Keep     int    // only so many of the newest lines wait, and older ones are given up
}

// OutboxClaimed is the answer to an [OutboxClaim].
type OutboxClaimed struct {
	Held    bool      // this node sends; else it gets no lines, and nothing is given up
	Epoch   string    // if it is another one than before, numbers mean other lines: read again, After 0
	Lines   []Event   // after OutboxClaim.After and not accepted, oldest first
	Next    uint64    // the After of the next claim
	More    bool      // there may be later lines: ask again at once
	Waiting int       // how many lines the receiver has not accepted, those that were read included
	Oldest  time.Time // the date of the first of them; zero if there is none
	Settled uint64    // lines up to this number do not wait: accepted, or given up
	Dropped int       // lines that this call has given up: more than Keep wait, or the trail was pruned
}
