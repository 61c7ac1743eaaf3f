package bolt

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// errClosed is returned to those who still write while the store closes.
var errClosed = errors.New("store is closed")

// maxPerTransaction bounds how many changes share one transaction, and so how long the first of
// them waits.
const maxPerTransaction = 2048

// maxQueued bounds how many changes wait that nobody waits for, and so how long a sign-in waits
// behind them. Of more, each keeps its caller.
const maxQueued = maxPerTransaction

// commit is a change that waits for its transaction. The function may refuse by returning an error,
// before it has written anything: its neighbours in the transaction are committed all the same.
type commit struct {
	change func(*bbolt.Tx) error
	err    error
	done   chan struct{}
}

// commitQueue are the changes that wait, in the order in which they are made.
type commitQueue struct {
	mu      sync.Mutex
	waiting []*commit
	closed  bool
	more    chan struct{} // has a value while there may be changes that wait
	room    sync.Cond     // of mu: waited for by those who may not ask for more while so many wait
}

func (q *commitQueue) init() {
	q.more = make(chan struct{}, 1)
	q.room.L = &q.mu
}

// add queues a change. With bounded it then waits until no more than maxQueued changes wait: c has
// its place by then, so that what is asked for meanwhile comes after it.
func (q *commitQueue) add(change func(*bbolt.Tx) error, bounded bool) (*commit, error) {
	c := &commit{change: change, done: make(chan struct{})}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return nil, errClosed
	}
	q.waiting = append(q.waiting, c)
	q.wakeLocked()
	for bounded && len(q.waiting) > maxQueued && !q.closed {
		q.room.Wait()
	}
	return c, nil
}

// wakeLocked has commitLoop look at the queue, which is not closed.
func (q *commitQueue) wakeLocked() {
	select {
	case q.more <- struct{}{}:
	default:
	}
}

// take removes the changes of the next transaction from the queue.
func (q *commitQueue) take() (group []*commit) {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxPerTransaction)
	group, q.waiting = q.waiting[:n:n], q.waiting[n:]
	switch {
	case len(q.waiting) == 0:
		q.waiting = nil
	case !q.closed: // else more is closed, and always tells to look again
		q.wakeLocked()
	}
	q.room.Broadcast()
	return group
}

// close refuses later changes. Those that wait are made.
func (q *commitQueue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		q.room.Broadcast()
		close(q.more)
	}
}

// withdraw removes a change that nobody waits for any more. It returns false if the change is being
// made, or was.
func (q *commitQueue) withdraw(c *commit) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, c)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

// update runs change in a transaction and returns once that is on disk, or with the error of
// change. A change that still waits for its transaction when ctx ends is not made.
func (s *Store) update(ctx context.Context, change func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil { // else it would be chance whether the change is made
		return err
	}
	c, err := s.commits.add(change, false)
	if err != nil {
		return err
	}
	select {
	case <-c.done:
	case <-ctx.Done():
		if s.commits.withdraw(c) {
			return ctx.Err()
		}
		<-c.done // a transaction is under way: its outcome is worth the milliseconds
	}
	return c.err
}

func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.View(f)
}

// commitLoop takes all changes that wait and commits them together, until the queue is closed and
// empty.
func (s *Store) commitLoop() {
	defer s.writer.Done()
	ticker := time.NewTicker(releaseEvery)
	defer ticker.Stop()
	for {
		open := true
		select {
		case _, open = <-s.commits.more:
		case <-ticker.C:
			s.releasePages()
			continue
		}
		group := s.commits.take()
		if len(group) > 0 {
			s.commit(group)
		} else if !open {
			return
		}
	}
}

// commit makes changes in one transaction, in their order.
func (s *Store) commit(group []*commit) {
	s.events = s.events[:0]
	err := s.db.Update(func(tx *bbolt.Tx) error {
		for _, c := range group {
			c.err = c.change(tx)
		}
		return nil
	})
	if err == nil {
		s.wrote.Store(time.Now().UnixMilli())
		for _, e := range s.events {
			s.onEvent(e)
		}
	} else {
		s.wrote.Store(0)
	}
	for _, c := range group {
		if err != nil {
			c.err = err
		}
		close(c.done)
	}
}
