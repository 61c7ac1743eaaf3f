package cluster

import (
	"context"
	"errors"
	"sync"
	"time"

	"curfew/session"
)

// Recovery after the store was out of reach or has failed over. Each node writes again what the
// store may have lost. Until all nodes have had the time for that, nobody can sign in, and no
// session ends by time.

const (
	// recoverFor is how long nodes may take to write what they know, before any node ends a session
	// by time. It is real time.
	recoverFor = 2 * time.Second
	// restoredAfterFailover is how old an end or a revocation may be to be written again.
	restoredAfterFailover = 10 * time.Minute
	// linesBack is how many audit lines are read again after a fail-over, because the numbers of
	// lost lines are given to others.
	linesBack = 10_000
)

// recovery is what this node knows of the store's health, and how far it has read the audit lines.
//
// The epoch names the servers that decide in the store. This node notes two: seenEpoch is that of
// the last pulse. epoch is the last one to which everything was written that a fail-over may have
// lost. If they differ, there was a fail-over, and catchUp is yet to restore.
type recovery struct {
	catchUpNow chan struct{} // wakes catchUpLoop
	synced     time.Time     // when the last resync began; used by catchUp alone

	mu           sync.Mutex
	after        uint64    // number of the last audit line that was applied
	highestLine  uint64    // what after was when seenEpoch changed
	startOver    bool      // the store was reset: audit lines are numbered from 1 again
	seenEpoch    string    // see above
	epoch        string    // see above
	away         bool      // the last pulse has failed
	leased       time.Time // until when answers of the store count; see InReach
	recovered    time.Time // from when on sessions may end by time
	resyncWanted bool      // the subscription has begun again, or messages were missed
	reportAll    bool      // all tab reports are to be published
	leaves       bool      // PrepareToLeave was called
}

func newRecovery() recovery { return recovery{catchUpNow: make(chan struct{}, 1)} }

// begin notes what Join has found.
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

// setAway notes whether the last pulse has failed, and returns whether the one before had.
func (r *recovery) setAway(away bool) (was bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	was, r.away = r.away, away
	return was
}

// nextLine returns the number after which the next pulse reads audit lines.
func (r *recovery) nextLine() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.startOver {
		r.startOver, r.after = false, 0
	}
	return r.after
}

// readUpTo notes that a pulse has applied the lines after one number up to another. If after was
// changed meanwhile, the lines are read again.
func (r *recovery) readUpTo(after, last uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.after == after {
		r.after = last
	}
}

// noteEpoch notes the epoch that a pulse has found, which read the lines after that number. back
// says that the pulse before had failed.
func (r *recovery) noteEpoch(p session.Heartbeat, after uint64) (back bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.Fresh { // this node was away for long, or the store was emptied: as if a fail-over had lost everything
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
	epoch      string // that of the last pulse
	failedOver bool   // and to which nothing was restored yet
	resync     bool
	reportAll  bool
}

// takeTodo returns what there is to do. newer says that a node sends messages that this one cannot
// read.
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

// giveBack notes that t was not done.
func (r *recovery) giveBack(t todo) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.resyncWanted, r.reportAll = r.resyncWanted || t.resync, r.reportAll || t.reportAll
}

// restoredTo notes that everything was written again to the servers of an epoch.
func (r *recovery) restoredTo(epoch string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.epoch = epoch
}

// noteLast notes the number of the store's last audit line after a fail-over. lower says that lines
// were lost, and that new lines get their numbers.
func (r *recovery) noteLast(last uint64) (lower bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.after = min(r.after, last)
	return last < r.highestLine
}

// well reports whether it means anything that the store does not know a session, and in which
// epoch.
func (r *recovery) well() (epoch string, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epoch, r.isRecoveredLocked() && r.seenEpoch == r.epoch && time.Now().Before(r.leased)
}

// isRecoveredLocked reports whether sessions may end by time. While the store is out of reach, and
// for a moment afterwards, another node may know of acts that no other does.
func (r *recovery) isRecoveredLocked() bool { return !r.away && !time.Now().Before(r.recovered) }

// errRecovering is the error of HasRecovered.
var errRecovering = errors.New("the store has failed over, and nodes are writing again what it may have lost")

// HasRecovered returns nil if all nodes have had the time to write again what a fail-over may have
// lost. A sign-in before that could read too low a number of the last revocation, and a forced
// logout that was answered before would end it.
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

// DeferEnd returns how long to wait before a session is ended by time: 0 for not at all. After the
// store was out of reach, other nodes may still be writing activity that they know.
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

// restore writes again, to the servers of an epoch, what a fail-over may have lost: revocations,
// and the ends of the last minutes. If audit lines were lost, it reads all live sessions again.
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

// mustSurviveFailover reports whether r is written again after a fail-over: it is new, was
// cancelled or took effect not long ago, is yet to take effect, or blocks sign-ins.
func mustSurviveFailover(r *session.Revocation, now time.Time) bool {
	recent := now.Add(-restoredAfterFailover)
	return r.At.After(recent) || r.CancelledAt.After(recent) || r.EffectiveAt.After(recent) || r.BlockUntil.After(now)
}

// Reset drops recent ends, after everything was reset for testing, the store's content included.
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
