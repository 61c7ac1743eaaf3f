package hub

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// lifecycle is the time between New and Shutdown. It counts every goroutine of the hub, so that
// Shutdown can wait for them. After beginClosing only goroutines that are counted already may start
// others.
type lifecycle struct {
	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup // counts every goroutine of the hub

	closingMu sync.Mutex
	closing   atomic.Bool // set under closingMu
}

func newLifecycle(ctx context.Context) *lifecycle {
	l := &lifecycle{}
	l.ctx, l.cancel = context.WithCancel(context.WithoutCancel(ctx))
	return l
}

// begin counts a goroutine that is about to start. The goroutine calls running.Done when it ends.
// During Shutdown begin returns false: the goroutine must not start.
func (l *lifecycle) begin() bool {
	l.closingMu.Lock()
	defer l.closingMu.Unlock()
	closing := l.closing.Load()
	if !closing {
		l.running.Add(1)
	}
	return !closing
}

// goTracked runs f in a goroutine that Shutdown waits for. During Shutdown it runs f in the
// caller's goroutine.
func (l *lifecycle) goTracked(f func()) {
	if !l.goUnlessClosing(f) {
		f()
	}
}

// goUnlessClosing runs f in a goroutine that Shutdown waits for. During Shutdown it returns false
// and does not run f.
func (l *lifecycle) goUnlessClosing(f func()) bool {
	if !l.begin() {
		return false
	}
	go func() {
		defer l.running.Done()
		f()
	}()
	return true
}

// runUnlessClosing runs f in the goroutine of its caller, a timer's, and Shutdown waits for it.
// During Shutdown it does not run f.
func (l *lifecycle) runUnlessClosing(f func()) {
	if l.begin() {
		defer l.running.Done()
		f()
	}
}

// beginClosing lets no tab and no goroutine start any more.
func (l *lifecycle) beginClosing() {
	l.closingMu.Lock()
	defer l.closingMu.Unlock()
	l.closing.Store(true)
}

func (l *lifecycle) isClosing() bool { return l.closing.Load() }

// wait waits for d of real time. It returns false if the hub stops before.
func (l *lifecycle) wait(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ctx.Done():
		return false
	}
}
