// Package cluster is the conversation of several nodes over one store.
//
// The store is the truth, and every node knows every live session from it. What the nodes tell each
// other only hurries, and may be lost, late or repeated. Once a second a node's pulse finds what
// was lost: the store numbers sign-ins, ends and forced logouts. A node publishes a report of its
// tabs of each session, so that the tabs of all nodes are counted everywhere: for presence, and
// before a closed browser ends a session. When the lease of a node has run out, its tabs are gone.
//
// # What it may not know
//
// It knows sessions by their IDs and records. It knows no hub, no tab and no socket, and it decides
// nothing about a session: it asks the hub of this node through [Local]. The hub in turn has a
// [*Member]. A nil *Member is a node alone, which shares its store with nobody: all methods work on
// it, tell nobody and hold nothing back. Nobody outside this package asks whether it is nil.
//
// # Files
//
// local.go is what this package asks of the hub, member.go what the hub asks of it, tell.go what
// the hub tells the others. message.go is what nodes say, bus.go carries it and apply.go applies
// it. members.go has the other nodes and their leases, pulse.go the loop that finds what was
// missed, refetch.go reads sessions again, and recovery.go and ends.go write again what a fail-over
// may have lost. reports.go publishes tabs, lost.go finds sessions that the store has lost, work.go
// divides what all nodes could do, and calls.go and testclock.go serve the test clock.
//
// # Locks
//
// Each part of a Member has a lock of its own, which stands above what it guards. No lock is held
// while Local or the store is called: the hub takes its locks in there, and calls the Member with
// its locks held. Two mutexes are no such locks but queues: reports.turn and Member.advancing are
// held during calls, so that one piece of work follows the other, and nothing that Local does
// takes them. Two locks are taken inside others: calls.mu, then members.mu; and lost.mu, then
// recovery.mu.
//
// # Goroutines
//
// Member.Run starts seven loops by Local.Go, and whoever answers a call or reads a session again at
// once is started by it as well. So the hub owns them all, and its Shutdown waits for them. They
// stop when Options.Context ends; [Member.PrepareToLeave] stops the loops that speak of this node
// before that.
package cluster
