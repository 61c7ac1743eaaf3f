package delivery

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"curfew/session"
)

// MaxWaiting is how many lines wait for a receiver. Beyond that the oldest are given up; the trail
// keeps them.
const MaxWaiting = 100_000

// Options are what all senders need.
type Options struct {
	Outbox session.Outbox
	Node   string                              // the run of this process: no two have the same
	Encode func(session.Event) ([]byte, error) // a line as JSON
	Log    *slog.Logger
}

// Sender sends the trail to one receiver: a [Webhook] or a [Syslog].
type Sender interface {
	Name() string                     // of the receiver, for logs and metrics
	Follow(ctx context.Context) error // comes first: the receiver gets what is written from now on
	Run(ctx context.Context)
	Wake() // there is a new line; it never waits
	Stats() Stats
}

// Stats are the figures of a sender. Sent, Failed and Dropped count what this node did.
type Stats struct {
	Sending bool          // this node is the one that sends
	Waiting int           // lines that the receiver has not accepted, for all nodes
	Oldest  time.Duration // age of the oldest of them; 0 if there is none
	Sent    uint64        // lines that the receiver has accepted
	Refused int           // of those that wait: refused last time, or behind a line of their session that was
	Failed  uint64        // attempts that it has not
	Dropped uint64        // lines that were given up because too many waited
}

const (
	// claimEvery is how often the store is asked for lines; a line of this node's wakes a sender
	// at once.
	claimEvery = 250 * time.Millisecond
	// claimPause is the least time between two claims, however many lines are written.
	claimPause = 20 * time.Millisecond
	// standbyEvery is how often the store is asked while another node sends, or does not answer.
	standbyEvery = time.Second
	// acceptEvery is how long what was accepted waits for more before it is noted.
	acceptEvery = 100 * time.Millisecond
	// acceptTogether is how much is noted at once.
	acceptTogether = 500
	// stopLimit is how long a sender that is told to stop waits for what is under way.
	stopLimit = 2 * time.Second
	// tellEvery is how often the log tells of the same trouble.
	tellEvery = time.Minute
)

// follower reads the outbox for one receiver. All but Wake and Stats belong to the goroutine of its
// sender.
type follower struct {
	Options
	receiver string
	keep     int           // MaxWaiting
	woken    chan struct{} // there may be lines
	news     chan struct{} // a goroutine of the sender has something to say

	until   time.Time // up to when this node may send
	asked   time.Time // when it claimed last
	next    time.Time // when to claim again
	after   uint64    // lines up to this number were read
	settled uint64    // lines up to this number wait no longer
	epoch   string
	isAway  bool // the store does not answer
	pending []uint64
	flushAt time.Time // when pending is noted; zero if it is empty

	told told

	mu     sync.Mutex
	stats  Stats
	oldest time.Time
}

// told is what the log has told, so that it does not tell the same too often.
type told struct {
	isFailing bool // that the receiver does not accept
	failing   time.Time
	untold    int // lines that were given up, of which it has not told
	dropped   time.Time
}

func newFollower(o Options, receiver string) *follower {
	return &follower{
		Options:  o,
		receiver: receiver,
		keep:     MaxWaiting,
		woken:    make(chan struct{}, 1),
		news:     make(chan struct{}, 1),
	}
}

// Name is how logs and metrics call the receiver.
func (f *follower) Name() string { return f.receiver }

// Follow has the receiver get what is written from now on. It comes before all else.
func (f *follower) Follow(ctx context.Context) error { return f.Outbox.Follow(ctx, f.receiver) }

// Wake has the sender look for new lines at once. It never waits.
func (f *follower) Wake() { signal(f.woken) }

// signal leaves a signal unless there is one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Stats returns the figures as they are now.
func (f *follower) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := f.stats
	if !f.oldest.IsZero() {
		s.Oldest = max(0, time.Since(f.oldest))
	}
	return s
}

func (f *follower) count(change func(*Stats)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.stats)
}

// holds reports whether this node may send at now.
func (f *follower) holds(now time.Time) bool { return now.Before(f.until) }

// claim prolongs the lease and reads up to room further lines. With anew, all lines that were read
// before are void: they come once more unless they were accepted.
func (f *follower) claim(ctx context.Context, room int) (lines []session.Event, anew bool) {
	asked := time.Now()
	f.asked, f.next = asked, asked.Add(claimEvery)
	limited, cancel := context.WithTimeout(ctx, session.OutboxLease)
	defer cancel()
	c, err := f.Outbox.Claim(limited, session.OutboxClaim{
		Receiver: f.receiver,
		Node:     f.Node,
		After:    f.after,
		Limit:    max(0, room),
		Keep:     f.keep,
	})
	if err != nil {
		f.next = asked.Add(standbyEvery)
		if !f.holds(asked) {
			f.count(func(s *Stats) { s.Sending = false })
		}
		if !f.isAway && ctx.Err() == nil {
			f.isAway = true
			f.Log.Warn("audit lines wait in the store, which does not answer", "receiver", f.receiver, "error", err)
		}
		return nil, false
	}
	f.isAway = false
	f.note(c)
	if !c.Held {
		f.next = asked.Add(standbyEvery)
		anew = !f.until.IsZero()
		f.until, f.after = time.Time{}, 0
		return nil, anew
	}
	anew = c.Epoch != f.epoch || !f.holds(time.Now())
	f.until = asked.Add(session.OutboxLease)
	if c.Epoch != f.epoch { // what was accepted were other lines
		f.epoch, f.pending, f.flushAt = c.Epoch, nil, time.Time{}
	}
	if anew && f.after != 0 { // these lines are not those that follow
		f.after, f.next = 0, asked
		return nil, true
	}
	f.after, f.settled = c.Next, c.Settled
	if c.More && len(c.Lines) < room {
		f.next = asked
	}
	return c.Lines, anew
}

// again reads lines once more, from a number on: those that still wait. It is not ok if the store
// does not say, or if another claim has to find out what has changed.
func (f *follower) again(ctx context.Context, from uint64, limit int) (lines []session.Event, ok bool) {
	limited, cancel := context.WithTimeout(ctx, session.OutboxLease)
	defer cancel()
	c, err := f.Outbox.Claim(limited, session.OutboxClaim{
		Receiver: f.receiver,
		Node:     f.Node,
		After:    from - 1,
		Limit:    limit,
		Keep:     f.keep,
	})
	if err != nil {
		return nil, false
	}
	f.note(c)
	if !c.Held || c.Epoch != f.epoch || !f.holds(time.Now()) {
		f.next = time.Now()
		return nil, false
	}
	return c.Lines, true
}

// note keeps the figures of a claim, and tells of lines that were given up.
func (f *follower) note(c session.OutboxClaimed) {
	f.mu.Lock()
	f.stats.Sending, f.stats.Waiting = c.Held, c.Waiting
	f.stats.Dropped += uint64(c.Dropped)
	f.oldest = c.Oldest
	f.mu.Unlock()
	f.told.untold += c.Dropped
	if f.told.untold > 0 && time.Since(f.told.dropped) >= tellEvery {
		f.Log.Error("audit lines are not sent: too many wait, or the trail no longer has them",
			"receiver", f.receiver, "lines", f.told.untold, "bound", f.keep)
		f.told.untold, f.told.dropped = 0, time.Now()
	}
}

// accepted notes lines of the current epoch.
func (f *follower) accepted(numbers ...uint64) {
	if len(f.pending) == 0 {
		f.flushAt = time.Now().Add(acceptEvery)
	}
	f.pending = append(f.pending, numbers...)
	f.count(func(s *Stats) { s.Sent += uint64(len(numbers)) })
	if f.told.isFailing {
		f.told.isFailing = false
		f.Log.Info("receiver accepts audit lines again", "receiver", f.receiver)
	}
}

// refused notes an attempt that the receiver has not accepted. The log tells of the first, and
// where a receiver takes some lines and others not, once a minute.
func (f *follower) refused(err error) {
	f.count(func(s *Stats) { s.Failed++ })
	if f.told.isFailing || time.Since(f.told.failing) < tellEvery {
		f.Log.Debug("receiver does not accept audit lines", "receiver", f.receiver, "error", err)
		return
	}
	f.told.isFailing, f.told.failing = true, time.Now()
	f.Log.Warn("receiver does not accept audit lines; they wait", "receiver", f.receiver, "error", err)
}

// flush writes down what was accepted, once that is due. What the store does not take stays.
func (f *follower) flush(ctx context.Context, isDue bool) {
	if len(f.pending) == 0 || !isDue {
		return
	}
	limited, cancel := context.WithTimeout(ctx, session.OutboxLease)
	defer cancel()
	n := min(len(f.pending), acceptTogether)
	if err := f.Outbox.Accept(limited, f.receiver, f.epoch, f.pending[:n]); err != nil {
		f.flushAt = time.Now().Add(standbyEvery)
		f.Log.Debug("not noted which audit lines were accepted", "receiver", f.receiver, "error", err)
		return
	}
	if f.pending = f.pending[n:]; len(f.pending) > 0 {
		f.flushAt = time.Now()
	} else {
		f.pending, f.flushAt = nil, time.Time{}
	}
}

// leave writes down what was accepted, and lets another node send.
func (f *follower) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), stopLimit)
	defer cancel()
	for len(f.pending) > 0 && ctx.Err() == nil {
		before := len(f.pending)
		if f.flush(ctx, true); len(f.pending) == before {
			break
		}
	}
	if err := f.Outbox.Release(ctx, f.receiver, f.Node); err != nil {
		f.Log.Debug("another node has to wait until it may send", "receiver", f.receiver, "error", err)
	}
}

// sleep waits until the earliest of some instants, none of which is meant by zero, or until
// something is to be done.
func (f *follower) sleep(ctx context.Context, instants ...time.Time) {
	earliest := f.next
	for _, at := range instants {
		if !at.IsZero() && at.Before(earliest) {
			earliest = at
		}
	}
	timer := time.NewTimer(time.Until(earliest))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-f.woken:
		f.next = f.asked.Add(claimPause)
	case <-f.news:
	case <-ctx.Done():
	}
}

// How long a receiver that has not accepted is left alone: at first, and at most. The time doubles
// with each attempt.
const (
	firstWait = 250 * time.Millisecond
	longWait  = 30 * time.Second
)

// backoff is how long to wait after so many failed attempts, 1 or more: half of it by chance, so
// that not all come back at once.
func backoff(attempts int) time.Duration {
	wait := longWait
	if attempts < 10 {
		wait = min(longWait, firstWait<<(attempts-1))
	}
	return wait/2 + rand.N(wait/2)
}

// errLate says that a receiver has taken too long.
var errLate = errors.New("no answer in time")

// withoutTimeout tells people of a timeout in words.
func withoutTimeout(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errLate
	}
	return err
}
