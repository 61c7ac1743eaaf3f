// Package hub holds the live sessions and their open tabs. It hears what people do in their tabs,
// decides when a session warns and when it ends, and tells every tab of it. Stores, the clock and
// the directory's word come from outside, by interfaces of package session and by calls; the hub
// renders no page and knows no cookie.
//
// # Life of a session
//
//	signin.go      Create stores it and makes it live; what it displaces ends
//	handshake.go   Accept lets a tab in; tabs.go hears the tab's messages until it is gone
//	activity.go    an act moves the deadline, and reaches the store later, or at once in a warning
//	deadlines.go   the session is woken when something may be due; tell.go tells its tabs
//	closegrace.go  the last tab was closed, and nobody comes back
//	ending.go      it ends: the only file that calls Store.End
//
// The rule itself, when a session warns and when it is due, is session.Policy's.
//
// # Map
//
// check.go tells how a session stands. forcedlogout.go ends many by one revocation, and
// revocations.go keeps what is known of those; policies.go and reconcile.go apply other rules to
// sessions that live. registry.go finds sessions by ID, users.go by user, ticks.go those with tabs.
// presence.go, notices.go, listing.go and stats.go serve those who watch. remote.go is what other
// nodes did. session.go is a session in memory, tablimits.go how many tabs there may be,
// lifecycle.go what Shutdown waits for. faults.go, testclock.go and timeline.go serve --testing.
// Rooms of their own, none of which imports the hub: wire is the protocol, internal/socket moves
// bytes, internal/revocation registers forced logouts, internal/cluster talks with other nodes,
// internal/parallel goes through many at once.
//
// # Locks
//
// Each part owns its lock and says beside it what it guards. Where one is held while another is
// taken, the order is:
//
//	revocation.Register.View   no revocation is added while a session is registered
//	userIndex, a part of it    users by name
//	userSessions               one user's sessions and watchers
//	liveSession.mu             one session and its tabs
//	socket.Conn                a tab's outbox
//	revocation.Outcomes        what became of tabs
//	shard, refs, tickWheel,    leaves: nothing is called while they are held
//	tabLimits, lifecycle, …
//
// No lock is held during a call of the store, of the directory or of another node, nor while a
// socket is written to. Queueing a frame never waits, so it is done under liveSession.mu; the
// writers start once all locks are given back.
//
// # Goroutines
//
// Every goroutine belongs to the hub's lifecycle, and [Hub.Shutdown] waits for it: one reader for
// each tab, writers that wait for a slow peer, the loops that New starts, timers that are at work,
// and what goTracked began. A heartbeat takes no lock and starts none.
package hub
