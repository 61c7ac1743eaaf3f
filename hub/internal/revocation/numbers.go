package revocation

import (
	"context"
	"sync"
)

// The numbers of revocations, and up to which they were read.

// Newest returns the number of the newest entry; 0 if there is none.
func (r *Register) Newest() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if n := len(r.entries); n > 0 {
		return r.entries[n-1].Revocation.Number
	}
	return 0
}

// Highest returns the highest number that was ever known. After a fail-over the store may have lost
// the newest revocations, and must not give their numbers again.
func (r *Register) Highest() int64 { return r.highest.Load() }

func (r *Register) raise(number int64) {
	for {
		old := r.highest.Load()
		if number <= old || r.highest.CompareAndSwap(old, number) {
			return
		}
	}
}

// Last returns the number of the store's last revocation as of the last reading.
func (r *Register) Last() int64 { return r.last.Load() }

// SetLast notes that all revocations of the store were read, and the number of its last one. That
// may be lower than before, because a fail-over may have lost some.
func (r *Register) SetLast(last int64) {
	r.last.Store(last)
	r.raise(last)
}

// Follow notes that the revocation of this number is known. If it is the next one after the last
// reading, none is missing in between, and nothing needs to be read.
func (r *Register) Follow(number int64) { r.last.CompareAndSwap(number-1, number) }

// Sync returns once the revocations up to last, the number of the store's last one, are known. If
// they are not, it calls read, which adds what is missing, calls [Register.SetLast] and returns the
// number that the store had. Of many callers at the same time one reads, and the others wait; an
// error of read goes to all of them. The context of read does not end with the caller's, because
// others wait, too. A caller that waits returns when its own ctx ends.
func (r *Register) Sync(ctx context.Context, last int64, read func(context.Context) (last int64, err error)) error {
	for r.last.Load() != last {
		reading, mine := r.reads.join()
		if mine {
			reading.last, reading.err = read(context.WithoutCancel(ctx))
			r.reads.finish(reading)
			return reading.err
		}
		select {
		case <-reading.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		// if it read less, it began before the revocation that this caller knows of: read again
		if reading.err != nil || reading.last >= last {
			return reading.err
		}
	}
	return nil
}

// reads lets many callers share one reading.
type reads struct {
	mu      sync.Mutex
	current *reading // nil: none
}

// reading is one call of read. last and err are set before done is closed.
type reading struct {
	done chan struct{}
	last int64
	err  error
}

// join returns the reading that is under way. If there is none, mine is true, and the caller
// carries out the new reading that is returned.
func (r *reads) join() (_ *reading, mine bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.current != nil {
		return r.current, false
	}
	r.current = &reading{done: make(chan struct{})}
	return r.current, true
}

func (r *reads) finish(done *reading) {
	r.mu.Lock()
	r.current = nil
	r.mu.Unlock()
	close(done.done)
}
