// Package cluster lets several nodes work over one store.
//
// The store decides, and every node reads every live session from it. Messages between nodes only
// make things faster: each may be lost, late or repeated. Once a second a node's pulse finds what
// was lost, because the store numbers sign-ins, ends and forced logouts. A node publishes a report
// of its tabs of each session, so that every node counts the tabs of all nodes: for presence, and
// before a closed browser ends a session. When the lease of a node has run out, its tabs count no
// more.
//
// # What it may not know
//
// It knows sessions by their IDs and records. It knows no hub, no tab and no socket, and it decides
// nothing about a session: it calls the hub of this node through [Local]. One end is its own: a
// session that the store has lost is ended by lost.go. The hub in turn has a [*Member]. A nil
// *Member is a node alone, which shares its store with nobody: its methods send nothing and defer
// nothing. No code outside this package asks whether it is nil.
//
// # Files
//
// local.go is what this package asks of the hub, member.go what the hub asks of it, and tell.go
// what the hub tells other nodes. message.go has the messages, bus.go sends and receives them, and
// apply.go applies them. members.go has the other nodes and their leases. pulse.go finds what was
// missed, and refetch.go reads sessions again. recovery.go and ends.go write again what a fail-over
// may have lost. reports.go publishes tabs, lost.go finds sessions that the store has lost, and
// work.go divides work that any node could do. calls.go and testclock.go serve the test clock.
//
// # Locks
//
// Each part of a Member has its own lock, which stands above what it guards. No lock is held while
// Local or the store is called, because the hub takes its locks there. The hub holds no lock either
// when it calls a Member. Two mutexes are no such locks but queues: reports.turn and
// Member.advancing are held during calls, so that one piece of work follows the other, and no
// method of Local takes them. Two locks are taken inside others: calls.mu, then members.mu; and
// lost.mu, then recovery.mu.
//
// # Goroutines
//
// Member.Run starts seven loops by Local.Go. A call of another node and a session that is to be
// read again get a goroutine by Local.Go, too. So the hub owns all of them, and its Shutdown waits
// for them. They stop when Options.Context ends. [Member.PrepareToLeave] stops those before that
// which publish tabs, send pings or renew the lease.
package cluster
