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
	Name        string              // of this process
	Clock       session.Clock
	TestClock   *session.TestClock   // the test clock behind Clock
	SyncedClock *session.SyncedClock // a clock behind Clock that is set by the store's
	Log         *slog.Logger
}

// Member is this node among others that share a store. The hub makes one by [New], and calls it
// wherever a session changes. Methods may be called concurrently, without a lock of the hub held.
// Those without a context do not wait; only during Shutdown, Refetch reads the store itself. A nil
// Member is a node alone, and all methods work on it unless they say otherwise.
type Member struct {
	// set once
	ctx         context.Context
	local       Local
	shared      session.SharedStore
	self        string // names this run of this process
	name        string // of this process
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

	advancing sync.Mutex // a queue: held while the test clock is moved
}

// New makes a member. It returns nil, a node alone, if there is no shared store. The member does
// not join the others yet.
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

// Join makes this node one of the others. The hub calls it once, before it reads the store: the
// pulse finds what comes after the audit line that Join has read. An error comes from the store.
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
	m.dropDead(p.Nodes)
	m.followClock(ctx, p.Offset)
	m.emit(event{Kind: eventPing})
	return nil
}

// Run starts the loops of a member. The hub calls it once, after it has read the store.
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

// PrepareToLeave stops publishing tabs. The hub calls it before it closes them: they reconnect to
// other nodes, and must not count as closed.
func (m *Member) PrepareToLeave() {
	if m == nil {
		return
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	m.recovery.leaves = true
}

// Leave gives up the lease, so that other nodes drop the tabs of this one at once. The hub calls it
// once, during Shutdown.
func (m *Member) Leave(ctx context.Context) error {
	if m == nil {
		return nil
	}
	m.emit(event{Kind: eventDeparts})
	return m.shared.RemoveNode(ctx, m.self)
}

// Alone reports whether no other process writes to the store. Then nobody knows of a later activity
// or of another revocation than this node.
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

// StoreAway reports whether the last pulse of this node has failed.
func (m *Member) StoreAway() bool {
	if m == nil {
		return false
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	return m.recovery.away
}

// InReach returns nil if answers of the store count. A store that answers but accepts no writes may
// be a master on the wrong side of a partition, which does not know what has ended on the other
// side. So its answers count no more once this node's lease has run out. One pulse that has failed
// is not enough for that.
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

// errOutOfReach is the error of InReach.
var errOutOfReach = errors.New("the store has taken no writes for a while: what it answers may be old")

// GetWithRevocation reads a session and the number of the last revocation together; see
// [session.SharedStore]. It must not be called on a node that is alone.
func (m *Member) GetWithRevocation(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	return m.shared.GetWithRevocation(ctx, id)
}

// RevocationsAfter lists the revocations that were stored since the store's last number was after;
// see [session.SharedStore]. It must not be called on a node that is alone.
func (m *Member) RevocationsAfter(ctx context.Context, after int64) (
	list []session.Revocation, last int64, all bool, err error,
) {
	return m.shared.RevocationsAfter(ctx, after)
}

// tick waits for the next tick. It returns false once the node stops or prepares to leave.
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
