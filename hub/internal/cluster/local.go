package cluster

import (
	"context"
	"iter"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/session"
)

// Local is the hub of this node, as the cluster sees it. The cluster calls it without holding a
// lock of its own; see the package comment. Its methods may be called concurrently. What they are
// told of sessions that this node does not know, they pass over.
type Local interface {
	// What other nodes did, told by a message or found in the store.

	// SignedIn takes in a session that another node signed in. It returns false if this node knows
	// it.
	SignedIn(r session.Record) (isNew bool)
	// Ended tells the tabs of a session that it has ended, and forgets it. The end is stored. how
	// says how this node learned of it.
	Ended(id session.ID, end session.End, how string) (known bool)
	// Acted takes over an activity that is stored.
	Acted(id session.ID, at time.Time)
	// TabTimes takes over when tabs of a session came and went.
	TabTimes(id session.ID, t session.TabTimes)
	// LeftAt is TabTimes from a node of an older version, which tells the result alone: when the
	// last tab was closed, or zero.
	LeftAt(id session.ID, at time.Time)
	// TabsElsewhere takes over the tabs that another node has of a session.
	TabsElsewhere(id session.ID, r TabReport) (known bool)
	// TabsGone drops the tabs that a node had of a session. That node has gone, and nobody has
	// closed them: they come back elsewhere, or the session goes on to its idle timeout.
	TabsGone(id session.ID, instance string)
	// Reconcile takes over what the store has of a session that lives.
	Reconcile(ctx context.Context, r session.Record) (known bool)
	// Revoked enforces a forced logout, or its cancellation.
	Revoked(r session.Revocation)
	// Outcomes takes over how far a forced logout has come on another node.
	Outcomes(instance string, r revocation.OutcomeReport)
	// Notice tells a notice to the tabs here, once.
	Notice(n Notice)

	// What this node knows, and the others may not.

	Knows(id session.ID) bool
	// Record is the record of a session that this node knows, without its values.
	Record(id session.ID) (r session.Record, known bool)
	// Report describes this node's tabs of a session. It is zero for one that this node does not
	// know. Instance is left empty.
	Report(id session.ID) TabReport
	// WithTabs lists the sessions with a tab here.
	WithTabs() []session.ID
	// WarnedWithTabsElsewhere lists the sessions that are warned of their idle timeout here, and
	// have tabs here and elsewhere.
	WarnedWithTabsElsewhere() []session.ID
	// Parts is how many lists the sessions that this node knows are spread over. It never changes.
	Parts() int
	// Part is one of these lists.
	Part(i int) []Known
	// OutcomeReports tells how far forced logouts have come here: those of which something has
	// changed since it was called last. With again it adds those that have changed lately, so that
	// nothing stays lost.
	OutcomeReports(again bool) []revocation.OutcomeReport
	// Revocations lists the forced logouts that this node knows, and the highest number that one
	// ever had.
	Revocations() (list []session.Revocation, highest int64)

	// What is between this node and the store.

	// Flush stores what the store does not know.
	Flush(ctx context.Context) error
	// SyncRevocations reads the forced logouts that this node does not know, where last, the number
	// of the store's last one, says that there are any.
	SyncRevocations(ctx context.Context, last int64) error
	// RestoreEnd stores again an end that the store may have lost. A session that the store does
	// not know at all is no error.
	RestoreEnd(ctx context.Context, id session.ID, end session.End) error
	// Live reads the sessions that live by the store.
	Live(ctx context.Context) iter.Seq2[session.Record, error]
	// ClockStepped sets timers anew: the clock was set right by the store's.
	ClockStepped()

	// Go runs f in a goroutine that the hub's Shutdown waits for. During Shutdown it runs f itself.
	Go(f func())

	// For the test clock.

	AdvanceClock(ctx context.Context, d time.Duration)
	// Reset forgets all that this node knows but its sessions.
	Reset()
}

// Known is a session that this node knows.
type Known struct {
	ID   session.ID
	Tabs bool // it has one here
}
