package bolt

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// Age implements [session.Store].
func (s *Store) Age(ctx context.Context, ref string, by time.Duration) (r session.Record, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		id, ok := ofRef(tx, ref)
		if !ok {
			return session.ErrNotFound
		}
		if r, err = getRecord(tx, id); err != nil {
			return err
		}
		ended := tx.Bucket(bucketEnded)
		if r.End != nil {
			if err := ended.Delete(endedKey(&r)); err != nil {
				return err
			}
		}
		r.Age(by)
		if r.End != nil {
			if err := ended.Put(endedKey(&r), nil); err != nil {
				return err
			}
		}
		if err := tx.Bucket(bucketActivity).Delete(r.ID[:]); err != nil { // r has taken it over
			return err
		}
		return putRecord(tx, r)
	})
	if err != nil {
		return session.Record{}, fmt.Errorf("age session: %w", err)
	}
	return r, nil
}

// ofRef finds a session by its ref. It looks at all of them.
func ofRef(tx *bbolt.Tx, ref string) (id session.ID, ok bool) {
	c := tx.Bucket(bucketSessions).Cursor()
	for k, _ := c.First(); k != nil; k, _ = c.Next() {
		if id = session.ID(k); id.Ref() == ref {
			return id, true
		}
	}
	return id, false
}

// endedKey is where bucketEnded lists the tombstone of r.
func endedKey(r *session.Record) []byte {
	return append(number(uint64(r.End.At.UnixMilli())), r.ID[:]...)
}
