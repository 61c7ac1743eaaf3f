package bolt

import (
	"context"
	"errors"
	"time"

	"go.etcd.io/bbolt"
)

// errClosed is returned to those who still write while the store closes.
var errClosed = errors.New("store is closed")

// maxPerTransaction bounds how many changes share one transaction, and so how long the first of
// them waits.
const maxPerTransaction = 1024

// commit is a change that waits for its transaction. The function may refuse by returning an error,
// before it has written anything: its neighbours in the transaction are committed all the same.
type commit struct {
	change func(*bbolt.Tx) error
	err    error
	done   chan struct{}
}

// update runs change in a transaction and returns once that is on disk, or with the error of
// change. A context that ends while the change waits leaves it open whether the change is made.
func (s *Store) update(ctx context.Context, change func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil { // else it would be chance whether the change is made
		return err
	}
	c := &commit{change: change, done: make(chan struct{})}
	select {
	case s.commits <- c:
	case <-s.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	<-c.done // a transaction is under way: its outcome is worth the milliseconds
	return c.err
}

func (s *Store) view(ctx context.Context, f func(*bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.db.View(f)
}

// commitLoop takes all changes that wait and commits them together.
func (s *Store) commitLoop() {
	defer s.writer.Done()
	for {
		var group []*commit
		select {
		case c := <-s.commits:
			group = append(group, c)
		case <-s.closing:
			return
		}
	gather:
		for len(group) < maxPerTransaction {
			select {
			case c := <-s.commits:
				group = append(group, c)
			default:
				break gather
			}
		}
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
}
