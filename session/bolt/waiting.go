package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// seenPerView bounds how long one transaction of a reader takes: long ones hold back the file's
// free pages.
const seenPerView = 1000

// Waiting implements [session.Store]. It begins in the index where now is, so that what has passed
// costs nothing, and decodes no session that the index tells is not meant.
func (s *Store) Waiting(ctx context.Context, now time.Time, scope session.Scope) iter.Seq2[session.Record, error] {
	user := []byte(session.FoldName(scope.User))
	isMeant := func(id session.ID, of []byte) bool {
		return (len(user) == 0 || bytes.Equal(of, user)) && scope.MayHave(id)
	}
	return func(yield func(session.Record, error) bool) {
		next := number(uint64(now.UnixMilli()) + 1)
		for next != nil {
			var page []session.Record
			err := s.view(ctx, func(tx *bbolt.Tx) (err error) {
				page, next, err = waitingFrom(tx, next, isMeant)
				return err
			})
			if err != nil {
				yield(session.Record{}, fmt.Errorf("list sessions that wait: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
		}
	}
}

// waitingFrom reads a part of the index. next is where the next part begins, nil after the last.
func waitingFrom(
	tx *bbolt.Tx,
	from []byte,
	isMeant func(id session.ID, user []byte) bool,
) (page []session.Record, next []byte, err error) {
	c := tx.Bucket(bucketWaiting).Cursor()
	k, v := c.Seek(from)
	for seen := 0; k != nil && seen < seenPerView; seen++ {
		if id := session.ID(k[8:]); isMeant(id, v) {
			r, err := getRecord(tx, id)
			switch {
			case errors.Is(err, session.ErrNotFound): // its tombstone was pruned
			case err != nil:
				return nil, nil, err
			default:
				page = append(page, r)
			}
		}
		k, v = c.Next()
	}
	return page, bytes.Clone(k), nil
}

// isOver says of a key of an index by time that its time has come.
func isOver(key []byte, now time.Time) bool {
	return !now.Before(session.FromUnixMilli(int64(binary.BigEndian.Uint64(key))))
}
