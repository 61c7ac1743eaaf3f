package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// After the store was away or has failed over: what it may have lost is written again, and until
// all nodes have had the time for that, nobody is signed in and no deadline is judged.

const (
	// recoverFor is how long nodes write what they know before any ends a session. It is real time.
	recoverFor = 2 * time.Second
	// restoredAfterFailover is how old ends and revocations may be that are written again.
	restoredAfterFailover = 10 * time.Minute
	// linesBack is how many audit lines are read again after a fail-over: lost ones leave their
	// numbers to others.
	linesBack = 10_000
)

// recovery is what this node knows of the store's health, and up to where it has read it.
//
// The epoch names the masters that decide in the store. This node knows two: the one that the last
// pulse has found, and the one to which it has written again what a fail-over may have lost.
type recovery struct {
	catchUpNow chan struct{} // a pulse wants catchUp
	synced     time.Time     // when the last resync began; used by catchUp alone

	mu           sync.Mutex
	after        uint64    // the audit line up to which all is known
	highestLine  uint64    // what after was when seenEpoch changed
	startOver    bool      // all was reset: audit lines are numbered from the beginning
	seenEpoch    string    // as the last pulse found it
	epoch        string    // to which this node has written again
	away         bool      // the last pulse has failed
	leased       time.Time // until when the store may be believed; see InReach
	recovered    time.Time // from when on deadlines may be judged
	resyncWanted bool      // the subscription has begun anew, or something else was missed
	reportAll    bool      // all tab reports are to be published
	leaves       bool      // the hub is shutting down
}

func newRecovery() recovery { return recovery{catchUpNow: make(chan struct{}, 1)} }

// begin notes what the first pulse has found.
func (r *recovery) begin(last uint64, epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = last
	r.epoch, r.seenEpoch, r.resyncWanted, r.reportAll = epoch, epoch, true, true
}

// requestResync makes the next pulse resynchronise everything.
func (r *recovery) requestResync() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resyncWanted = true
}

// requestReports makes the next pulse publish all tab reports.
func (r *recovery) requestReports() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reportAll = true
}

// setAway notes whether the last pulse has failed, and tells whether the one before had.
func (r *recovery) setAway(away bool) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, r.away = r.away, away
	return was
}

// nextLine is the audit line after which a pulse reads.
func (r *recovery) nextLine() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.startOver {
		r.startOver, r.after = false, 0
	}
	return r.after
}

// readUpTo notes that a pulse has read all lines between two, unless it turned out that it is to
// begin elsewhere.
func (r *recovery) readUpTo(after, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.after == after {
		r.after = last
	}
}

// noteEpoch notes what a pulse that read after that line has found of the masters. back: the pulse
// before had failed.
func (r *recovery) noteEpoch(p session.Heartbeat, after uint64) (back bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Fresh { // this node was away for long, or the store has been emptied: that is as a fail-over that has lost all
		r.epoch, r.seenEpoch = "", ""
	}
	if r.away || p.Epoch != r.epoch {
		r.recovered = time.Now().Add(recoverFor)
		r.resyncWanted = true
	}
	if p.Epoch != r.seenEpoch {
		r.seenEpoch, r.highestLine, r.after = p.Epoch, after, after-min(after, linesBack)
	}
	if p.Fresh || p.Epoch != r.epoch {
		r.reportAll = true
	}
	return r.away
}

// todo is what catchUp has to do.
type todo struct {
	epoch      string // the one that the last pulse has found
	failedOver bool   // and to which nothing was written again yet
	resync     bool
	reportAll  bool
}

// takeTodo tells what there is to do. newer: a node speaks a version that this one cannot read.
func (r *recovery) takeTodo(newer bool) todo {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := todo{
		epoch:      r.seenEpoch,
		failedOver: r.seenEpoch != r.epoch,
		resync:     r.resyncWanted || newer && time.Since(r.synced) > newerEvery,
		reportAll:  r.reportAll,
	}
	r.resyncWanted, r.reportAll = false, false
	return t
}

// giveBack notes that it was not done.
func (r *recovery) giveBack(t todo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resyncWanted, r.reportAll = r.resyncWanted || t.resync, r.reportAll || t.reportAll
}

// restoredTo notes that all was written again to these masters.
func (r *recovery) restoredTo(epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = epoch
}

// noteLast notes the store's last audit line after a fail-over. lower: lines were lost, and the
// numbers begin again lower.
func (r *recovery) noteLast(last uint64) (lower bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = min(r.after, last)
	return last < r.highestLine
}

// well reports whether the store may be believed when it does not know a session, and which masters
// say so.
func (r *recovery) well() (epoch string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch, r.isRecoveredLocked() && r.seenEpoch == r.epoch && time.Now().Before(r.leased)
}

// isRecoveredLocked reports whether deadlines may be judged. While the store is away, and for a
// moment after it, another node may know of acts that nobody else does.
func (r *recovery) isRecoveredLocked() bool { return !r.away && !time.Now().Before(r.recovered) }

// errRecovering refuses sign-ins for a moment.
var errRecovering = errors.New("the store has failed over, and nodes are writing again what it may have lost")

// HasRecovered returns nil if all nodes have had the time to write again what a fail-over may have
// lost. A sign-in that came before would be older than a forced logout that was.
func (m *Member) HasRecovered(ctx context.Context) error {
	if m == nil {
		return nil
	}
	epoch := m.shared.Epoch(ctx)
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	if epoch != m.recovery.epoch || time.Now().Before(m.recovery.recovered) {
		return errRecovering
	}
	return nil
}

// DeferEnd tells how long to wait before a deadline is judged: 0 for not at all. Nodes may be
// writing what they know after the store was away.
func (m *Member) DeferEnd() time.Duration {
	if m == nil {
		return 0
	}
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	if m.recovery.isRecoveredLocked() {
		return 0
	}
	return recoverFor / 4
}

// restore writes again to these masters what a fail-over may have lost: the revocations, and the
// ends of the last minutes. Where audit lines were lost, it looks at all that live.
func (m *Member) restore(ctx context.Context, epoch string) error {
	known, highest := m.local.Revocations()
	var revocations []session.Revocation
	for i := range known {
		if mustSurviveFailover(&known[i], m.clock.Now()) {
			revocations = append(revocations, known[i])
		}
	}
	if err := m.shared.RestoreRevocations(ctx, revocations, highest); err != nil {
		return err
	}
	if err := m.restoreEnds(ctx, epoch); err != nil {
		return err
	}
	last, err := m.shared.LastLine(ctx)
	if err != nil {
		return err
	}
	if !m.recovery.noteLast(last) {
		return nil
	}
	for r, err := range m.local.Live(ctx) {
		if err != nil {
			return err
		}
		m.reconcile(ctx, r)
	}
	return nil
}

// mustSurviveFailover reports whether a fail-over must not lose r: it is new, or was cancelled or
// took effect not long ago, or has yet to.
func mustSurviveFailover(r *session.Revocation, now time.Time) bool {
	recent := now.Add(-restoredAfterFailover)
	return r.At.After(recent) || r.CancelledAt.After(recent) || r.EffectiveAt.After(recent) || r.BlockUntil.After(now)
}

// Reset notes that everything was reset for testing, the store's content included.
func (m *Member) Reset() {
	if m == nil {
		return
	}
	m.shared.SetOffset(0)
	m.ends.clear()
	m.recovery.mu.Lock()
	defer m.recovery.mu.Unlock()
	m.recovery.startOver = true
}
