package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// prunedPerTransaction bounds how long a sign-in waits behind the housekeeping.
const prunedPerTransaction = 1000

// Prune implements [session.Store].
func (s *Store) Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error {
	for {
		deleted := 0
		err := s.update(ctx, func(tx *bbolt.Tx) error {
			n, err := prune(tx, now, auditKeep)
			deleted = n
			return err
		})
		if err != nil {
			return fmt.Errorf("prune store: %w", err)
		}
		if deleted < prunedPerTransaction {
			break
		}
	}
	if err := s.pruneRevocations(ctx, now); err != nil {
		return fmt.Errorf("prune forced logouts: %w", err)
	}
	return nil
}

func prune(tx *bbolt.Tx, now time.Time, auditKeep time.Duration) (deleted int, err error) {
	remove := func(b *bbolt.Bucket, keys [][]byte) error {
		for _, k := range keys {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
		deleted += len(keys)
		return nil
	}
	ended, sessions := tx.Bucket(bucketEnded), tx.Bucket(bucketSessions)
	old := collect(ended, func(k, _ []byte) (take, more bool) {
		take = !now.Before(session.FromUnixMilli(int64(binary.BigEndian.Uint64(k))).Add(session.TombstoneFor))
		return take, take // oldest first
	})
	for _, k := range old {
		if err := sessions.Delete(k[8:]); err != nil {
			return 0, err
		}
	}
	if err := remove(ended, old); err != nil {
		return 0, err
	}
	waiting := tx.Bucket(bucketWaiting)
	err = remove(waiting, collect(waiting, func(k, _ []byte) (take, more bool) {
		take = isOver(k, now)
		return take, take
	}))
	if err != nil {
		return 0, err
	}
	audit := tx.Bucket(bucketAudit)
	err = remove(audit, collect(audit, func(_, v []byte) (take, more bool) {
		var e session.Event
		take = json.Unmarshal(v, &e) == nil && now.Sub(e.At) > auditKeep
		return take, take
	}))
	if err != nil {
		return 0, err
	}
	known := tx.Bucket(bucketKnown)
	err = remove(known, collect(known, func(_, v []byte) (take, more bool) {
		return now.Sub(session.FromUnixMilli(int64(binary.BigEndian.Uint64(v)))) >= session.KnownFor, true
	}))
	return deleted, err
}

// collect lists the keys that pick takes, at most prunedPerTransaction, until it wants no more.
func collect(b *bbolt.Bucket, pick func(k, v []byte) (take, more bool)) [][]byte {
	var keys [][]byte
	c := b.Cursor()
	for k, v := c.First(); k != nil && len(keys) < prunedPerTransaction; k, v = c.Next() {
		take, more := pick(k, v)
		if take {
			keys = append(keys, bytes.Clone(k))
		}
		if !more {
			break
		}
	}
	return keys
}

// pruneRevocations forgets the revocations that can end nobody any more: every live session knew of
// them when it began.
func (s *Store) pruneRevocations(ctx context.Context, now time.Time) error {
	revocations, err := s.Revocations(ctx)
	if err != nil || len(revocations) == 0 {
		return err
	}
	oldest := revocations[len(revocations)-1].Number
	for r, err := range s.Live(ctx) {
		if err != nil {
			return err
		}
		oldest = min(oldest, r.SeenRevocation)
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for i := range revocations {
			if f := &revocations[i]; f.Number <= oldest && f.IsPast(now) {
				if err := tx.Bucket(bucketRevocations).Delete(number(uint64(f.Number))); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
