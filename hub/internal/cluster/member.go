package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"sync"
	"time"

	"curfew/session"
)

// Options of a member. TestClock and SyncedClock may be nil; all else must be set.
type Options struct {
	Context     context.Context // ends when the node stops
	Local       Local
	Shared      session.SharedStore // nil: no other process writes to the store
	Name        string              // how this process is called
	Clock       session.Clock
	TestClock   *session.TestClock   // the test clock behind Clock
	SyncedClock *session.SyncedClock // set right by the store's time
	Log         *slog.Logger
}

// Member is this node among others that share a store. The hub makes one, and calls it from
// wherever a session changes; its methods may be called concurrently and with the hub's locks held,
// and wait for nothing unless they take a context. A nil Member is a node alone.
type Member struct {
	// set once
	ctx         context.Context
	local       Local
	shared      session.SharedStore
	self        string // this run of this process
	name        string
	clock       session.Clock
	testClock   *session.TestClock
	syncedClock *session.SyncedClock
	log         *slog.Logger

	// parts, each with its own lock
	bus      bus
	members  members
	recovery recovery
	ends     recentEnds
	reports  reports
	refetch  refetch
	lost     lost
	calls    calls

	advancing sync.Mutex // held while the test clock is moved
}

// New makes a member, which is nil, and so alone, if there is no shared store. It does not join the
// others yet.
func New(o Options) *Member {
	if o.Shared == nil {
		return nil
	}
	return &Member{
		ctx:         o.Context,
		local:       o.Local,
		shared:      o.Shared,
		self:        o.Name + "/" + rand.Text()[:10],
		name:        o.Name,
		clock:       o.Clock,
		testClock:   o.TestClock,
		syncedClock: o.SyncedClock,
		log:         o.Log,
		bus:         newBus(),
		members:     newMembers(),
		recovery:    newRecovery(),
		ends:        newRecentEnds(),
		reports:     newReports(),
		refetch:     newRefetch(),
		lost:        newLost(),
		calls:       newCalls(),
	}
}

// Join makes this a node among the others. The hub calls it before it reads the store: what comes
// after the audit line that Join has found, the pulse finds.
func (m *Member) Join(ctx context.Context) error {
	if m == nil {
		return nil
	}
	last, err := m.shared.LastLine(ctx)
	if err != nil {
		return err
	}
	p, err := m.shared.Pulse(ctx, m.self, last)
	if err != nil {
		return err
	}
	m.takePulse(p)
	m.recovery.begin(last, p.Epoch)
	m.lookForDead(p.Nodes)
	m.followClock(ctx, p.Offset)
	m.emit(event{Kind: eventPing})
	return nil
}

// Run starts what a member does by itself. The hub calls it once, when it has read the store.
func (m *Member) Run() {
	if m == nil {
		return
	}
	m.local.Go(m.sendLoop)
	m.local.Go(m.receiveLoop)
	m.local.Go(m.applyLoop)
	m.local.Go(m.pingLoop)
	m.local.Go(m.pulseLoop)
	m.local.Go(m.catchUpLoop)
	m.local.Go(m.reportLoop)
}

// PrepareToLeave has this node say nothing more of its tabs. The hub calls it before it closes
// them: they come back on other nodes.
func (m *Member) PrepareToLeave() {
	if m == nil {
		return
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	m.recovery.leaves = true
}

// Leave gives up the lease. The others drop the tabs of this node.
func (m *Member) Leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	m.emit(event{Kind: eventDeparts})
	return m.shared.RemoveNode(ctx, m.self)
}

// Alone reports whether no other process writes to the store. What this node knows is then all that
// anybody knows.
func (m *Member) Alone() bool { return m == nil }

// Nodes counts the nodes that this one knows of, itself included.
func (m *Member) Nodes() int {
	if m == nil {
		return 1
	}
	m.members.mu.Lock()
	defer m.members.mu.Unlock()
	return len(m.members.others) + 1
}

// StoreAway reports whether the store did not answer the last pulse.
func (m *Member) StoreAway() bool {
	if m == nil {
		return false
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	return m.recovery.away
}

// InReach returns nil if the store may be believed. One that answers but takes no writes may be a
// master on the wrong side of a partition, which knows nothing of what has ended on the other side.
// So nothing is believed once this node's lease has run out; one pulse that has failed is not
// enough.
func (m *Member) InReach() error {
	if m == nil {
		return nil
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	if time.Now().After(m.recovery.leased) {
		return errOutOfReach
	}
	return nil
}

// errOutOfReach refuses what a store was asked that takes no writes.
var errOutOfReach = errors.New("the store has taken no writes for a while: what it answers may be old")

// RevocationsAfter lists the revocations that are newer than the number after; see
// [session.SharedStore]. It may not be called on a node that is alone.
func (m *Member) RevocationsAfter(ctx context.Context, after int64) (
	list []session.Revocation, last int64, all bool, err error,
) {
	return m.shared.RevocationsAfter(ctx, after)
}

// tick waits for the next tick. It returns false once the node stops or is about to leave.
func (m *Member) tick(t *time.Ticker) bool {
	select {
	case <-m.ctx.Done():
		return false
	case <-t.C:
		return !m.leaving()
	}
}

func (m *Member) leaving() bool {
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	return m.recovery.leaves
}
