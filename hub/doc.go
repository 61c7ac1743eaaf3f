// Package hub holds the live sessions and their open tabs. It receives what people do in their
// tabs, decides when a session warns and when it ends, and tells all tabs. The store and the clock
// are interfaces of package session. What the directory says is told to the hub by calls. The hub
// renders no page and reads no cookie.
//
// # Life of a session
//
//	signin.go      Create stores it and makes it live; what it displaces ends
//	handshake.go   Accept lets a tab in; tabs.go handles its messages until it is gone
//	activity.go    an act moves the deadline; the store learns of it later, in a warning at once
//	deadlines.go   the session is woken when something may be due; tell.go tells its tabs
//	closegrace.go  the last tab is closed, and nobody comes back
//	ending.go      the session ends; no other file calls Store.End. endqueue.go waits for the store
//
// The rule itself, when a session warns and when it is due, is session.Policy's.
//
// # Map
//
// check.go reports how a session stands, admit.go lets requests through to an application, and
// values.go has the application's values.
// forcedlogout.go ends many sessions by one revocation, and revocations.go reads and applies the
// revocations of other nodes. policies.go reloads policies, and reconcile.go applies what the
// directory says. registry.go finds sessions by ID, users.go by user, index.go in the order of
// their sign-ins, and ticks.go those with tabs. presence.go, notices.go, listing.go, pages.go,
// orders.go and stats.go serve pages that watch, administrators and metrics. remote.go applies what
// other nodes did. tablimits.go bounds the tabs, session.go is a session in memory, and
// lifecycle.go counts goroutines. garbage.go collects what handshakes leave behind. faults.go,
// testclock.go and timeline.go serve --testing.
//
// Packages below the hub, none of which imports it: wire is the protocol, internal/socket moves
// bytes, internal/revocation registers forced logouts, internal/cluster exchanges messages with
// other nodes, and internal/parallel goes through long lists. hubtest is a page for tests.
//
// # Locks
//
// Each part owns its lock and says beside it what it guards. Where one lock is held while another
// is taken, the order is:
//
//	revocation.Register.View   no revocation is added meanwhile
//	userIndex, a part of it    users by name
//	userSessions               one user's sessions and watchers
//	sessionIndex.mu            lists of sessions and users
//	liveSession.mu             one session and its tabs
//	leaves                     shard, notices, Timeline, socket.Conn, revocation.Outcomes, the
//	                           clock; and tickWheel, tabLimits, stats, queues, orphans, …
//
// A leaf may be taken while holding any lock above it. Three leaves take another one: shard takes
// refs and the clock, orphans takes lifecycle, and revocation.Outcomes takes the lists of outcomes
// of its register.
//
// No lock is held during a call of the store, of the cluster or of another node, nor while a socket
// is written to. Queueing a frame never waits, so it is done under liveSession.mu; the writers
// start once all locks are given back. Two mutexes are no such locks but queues: storeScans.mu is
// held during a scan of the store, and sessionIndex.settling while the index is brought up to date.
// Neither is taken while a lock is held, nor by anything that is called meanwhile.
//
// # Goroutines
//
// Every goroutine belongs to the hub's lifecycle, and [Hub.Shutdown] waits for it: one reader for
// each tab, writers that wait for a slow peer, the loops that New starts, those of the cluster,
// timers that have fired, and what goTracked and goUnlessClosing start.
//
// Most heartbeats of a page take no lock and start no goroutine. The first after a flush notes in
// the session's shard that there is something to store. The first after a quiet minute notes that
// in the index, and starts a goroutine where the user is watched. So does one by which a warning is
// withdrawn, or tabs are told a new deadline.
package hub
