package cluster

import (
	"context"
	"iter"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Local is the hub of this node, as the cluster sees it. The cluster calls it without holding a
// lock of its own; see the package comment. Its methods may be called concurrently. They ignore
// sessions that this node does not know, unless they say otherwise.
type Local interface {
	// What other nodes did, told by a message or found in the store.

	// SignedIn registers a session that was signed in on another node. isNew is false if this node
	// knows it already.
	SignedIn(r session.Record) (isNew bool)
	// Ended tells the tabs of a session that it has ended, and drops the session. The end is
	// stored. how is for the timeline: how this node learned of the end.
	Ended(id session.ID, end session.End, how string) (known bool)
	// Acted applies an activity that is stored.
	Acted(id session.ID, at time.Time)
	// TabTimes merges when tabs of a session were opened and closed.
	TabTimes(id session.ID, t session.TabTimes)
	// LeftAt is TabTimes for a node of an older version, which tells only when the last tab was
	// closed. Zero means that it was not.
	LeftAt(id session.ID, at time.Time)
	// TabsElsewhere notes the tabs that another node has of a session, instead of those that it
	// had.
	TabsElsewhere(id session.ID, r TabReport) (known bool)
	// TabsGone drops the tabs that a node had of a session. The node has gone, and no user has
	// closed them: they reconnect to other nodes, or the session goes on to its idle timeout.
	TabsGone(id session.ID, instance string)
	// Reconcile applies what the store has of a session that has not ended. r was read just now.
	Reconcile(ctx context.Context, r session.Record) (known bool)
	// Revoked applies a revocation that is stored, or its cancellation.
	Revoked(r session.Revocation)
	// Outcomes notes what became of the tabs that a forced logout has ended on another node.
	Outcomes(instance string, r revocation.OutcomeReport)
	// Notice sends a notice to the tabs of this node, once.
	Notice(n Notice)

	// What this node knows, and the others may not.

	// Knows reports whether a session is live on this node.
	Knows(id session.ID) bool
	// Record returns the record of a session, without the application's values.
	Record(id session.ID) (r session.Record, known bool)
	// Report describes this node's tabs of a session. It is zero for a session that this node does
	// not know. Instance is empty.
	Report(id session.ID) TabReport
	// WithTabs lists the sessions with a tab on this node.
	WithTabs() []session.ID
	// WarnedWithTabsElsewhere lists the sessions whose tabs are warned of the idle timeout, and
	// that have tabs here and on other nodes.
	WarnedWithTabsElsewhere() []session.ID
	// Parts is over how many lists the sessions are spread. It never changes.
	Parts() int
	// Part returns one of these lists; i counts from 0.
	Part(i int) []Known
	// OutcomeReports returns the outcomes on this node of those forced logouts for which they have
	// changed since the last call. With again it adds those that have changed lately, so that a
	// lost message does no lasting harm.
	OutcomeReports(again bool) []revocation.OutcomeReport
	// Revocations lists the revocations that this node knows, and returns the highest number that
	// was ever known.
	Revocations() (list []session.Revocation, highest int64)

	// What is between this node and the store.

	// Flush stores what the store does not know yet.
	Flush(ctx context.Context) error
	// SyncRevocations reads and applies the revocations that this node does not know, if there are
	// any by last, the number of the store's last one.
	SyncRevocations(ctx context.Context, last int64) error
	// RestoreEnd stores an end again that the store may have lost. A session that the store does
	// not know at all is no error.
	RestoreEnd(ctx context.Context, id session.ID, end session.End) error
	// Live reads the sessions of the store that have not ended.
	Live(ctx context.Context) iter.Seq2[session.Record, error]
	// ClockStepped sets all timers again, after the clock was set by the store's.
	ClockStepped()

	// Go runs f in a goroutine that the hub's Shutdown waits for. During Shutdown it runs f itself.
	Go(f func())

	// For the test clock.

	// AdvanceClock moves this node's test clock, and tells every tab its new deadlines.
	AdvanceClock(ctx context.Context, d time.Duration)
	// Age makes a session as old as the store has it since a moment ago: it was signed in at
	// created. What is due by then is done when Age returns.
	Age(ctx context.Context, id session.ID, created time.Time)
	// Reset drops everything that this node knows but its sessions.
	Reset()
}

// Known is a session that this node knows, in a list of [Local].
type Known struct {
	ID   session.ID
	Tabs bool // it has a tab on this node
}
