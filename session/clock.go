package session

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock is where everything that runs by itself gets its time from. Implementations may be used
// concurrently.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f in a goroutine of its own once d has passed, unless the timer is stopped
	// before.
	AfterFunc(d time.Duration, f func()) Timer
}

// Timer is a pending call of a [Clock].
type Timer interface {
	// Stop keeps the call from happening; false if it has happened or was stopped before.
	Stop() bool
}

// RealClock is the time of the computer.
type RealClock struct{}

// Now is the wall clock's time.
func (RealClock) Now() time.Time { return time.Now() }

// AfterFunc is [time.AfterFunc].
func (RealClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// TestClock runs in real time and can be moved forward by [TestClock.Advance]. Its zero value
// is the real time.
type TestClock struct {
	leap sync.Mutex // held by Advance

	mu       sync.Mutex
	offset   time.Duration
	standing time.Time // where the clock stands during a leap, else zero
	pending  map[*testTimer]struct{}
}

type testTimer struct {
	clock *TestClock
	due   time.Time
	real  *time.Timer
	f     func()
}

// Now is the moved time. During Advance it stands at the due time of the call that is being made.
func (c *TestClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowLocked()
}

func (c *TestClock) nowLocked() time.Time {
	if !c.standing.IsZero() {
		return c.standing
	}
	return time.Now().Add(c.offset).Round(0)
}

// AfterFunc implements [Clock].
func (c *TestClock) AfterFunc(d time.Duration, f func()) Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &testTimer{clock: c, due: c.nowLocked().Add(d), f: f}
	if c.pending == nil {
		c.pending = make(map[*testTimer]struct{})
	}
	c.pending[t] = struct{}{}
	t.real = time.AfterFunc(d, t.fire)
	return t
}

// fire makes the call in real time. During Advance it leaves that to Advance, which keeps the
// order.
func (t *testTimer) fire() {
	t.clock.mu.Lock()
	_, due := t.clock.pending[t]
	due = due && t.clock.standing.IsZero()
	if due {
		delete(t.clock.pending, t)
	}
	t.clock.mu.Unlock()
	if due {
		t.f()
	}
}

// Stop implements [Timer].
func (t *testTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	_, pending := t.clock.pending[t]
	delete(t.clock.pending, t)
	t.real.Stop()
	return pending
}

// Advance moves the clock forward by d. Calls that fall due on the way are made one after the other
// in the order of their due times, the clock standing at each; Advance waits for them. It returns
// the new time.
func (c *TestClock) Advance(d time.Duration) time.Time {
	c.leap.Lock()
	defer c.leap.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standing = c.nowLocked()
	target := c.standing.Add(d)
	for {
		next := c.earliestLocked()
		if next == nil || next.due.After(target) {
			break
		}
		delete(c.pending, next)
		next.real.Stop()
		if next.due.After(c.standing) {
			c.standing = next.due
		}
		c.mu.Unlock()
		next.f()
		c.mu.Lock()
	}
	c.offset += d
	c.standing = time.Time{}
	now := c.nowLocked()
	for t := range c.pending {
		t.real.Reset(t.due.Sub(now))
	}
	return now
}

func (c *TestClock) earliestLocked() *testTimer {
	var first *testTimer
	for t := range c.pending {
		if first == nil || t.due.Before(first.due) {
			first = t
		}
	}
	return first
}

// Offset is how far the clock was moved.
func (c *TestClock) Offset() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// Reset moves the clock back to real time.
func (c *TestClock) Reset() {
	c.leap.Lock()
	defer c.leap.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset = 0
	now := c.nowLocked()
	for t := range c.pending {
		t.real.Reset(t.due.Sub(now))
	}
}

// SyncedClock is a clock that is corrected by another one, as that of a store which several
// computers share. Its methods may be called concurrently.
type SyncedClock struct {
	Clock
	Wall  func() time.Time // what the computer's own clock shows; nil: time.Now
	ahead atomic.Int64     // ns that are added to Clock
}

// How exactly a clock is corrected. The other clock shows whole milliseconds.
const (
	steeredBy = 2 * time.Millisecond // nothing less is corrected
	// an answer that may be off by more proves only that the clock is wrong, not what is right
	steeredFrom = 20 * time.Millisecond
)

// Now is the time of the other clock, as far as it is known.
func (c *SyncedClock) Now() time.Time { return c.Clock.Now().Add(time.Duration(c.ahead.Load())) }

// Sync corrects the clock by an answer of the other one, which was asked at asked, by [time.Now],
// and answered now after it took so long. It corrects only as far as the answer proves the clock
// wrong; see docs/decisions.md#a-clock-is-corrected-only-as-far-as-an-answer-proves-it-wrong. It
// reports whether the clock was moved.
func (c *SyncedClock) Sync(now, asked time.Time, took time.Duration) (moved bool) {
	wall := c.Wall
	if wall == nil {
		wall = time.Now
	}
	unsure := took / 2
	then := wall().Add(unsure - time.Since(asked)) // the middle, by this clock: asked itself may be from before a step
	ahead, known := now.Round(0).Sub(then.Round(0)), time.Duration(c.ahead.Load())
	off := ahead - known
	if off.Abs() <= max(unsure, steeredBy) {
		return false
	}
	if unsure > steeredFrom {
		if off < 0 {
			unsure = -unsure
		}
		ahead -= unsure
	}
	c.ahead.Store(int64(ahead))
	return true
}

// SkewedClock is a clock that is wrong, for tests: it is a while ahead of Clock, or behind.
type SkewedClock struct {
	Clock
	by atomic.Int64 // ns
}

// Now is the wrong time.
func (c *SkewedClock) Now() time.Time { return c.Clock.Now().Add(c.skew()) }

// Wall is what the computer's own clock would show.
func (c *SkewedClock) Wall() time.Time { return time.Now().Add(c.skew()) }

// skew is how far the clock is ahead.
func (c *SkewedClock) skew() time.Duration { return time.Duration(c.by.Load()) }

// SetSkew makes the clock that far ahead. Timers that run go on.
func (c *SkewedClock) SetSkew(by time.Duration) { c.by.Store(int64(by)) }
