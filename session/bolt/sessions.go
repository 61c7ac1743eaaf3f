package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// Create implements [session.Store].
func (s *Store) Create(ctx context.Context, r session.Record, limit int) (displaced []session.ID, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		displaced = nil
		if tx.Bucket(bucketSessions).Get(r.ID[:]) != nil {
			return session.ErrExists
		}
		if limit > 0 {
			others, err := ofUser(tx, r.User)
			if err != nil {
				return err
			}
			for len(others) >= limit {
				if err := s.endRecord(tx, others[0], session.ReplacedBy(ctx, r, others[0].ID)); err != nil {
					return err
				}
				displaced = append(displaced, others[0].ID)
				others = others[1:]
			}
		}
		if err := putRecord(tx, r); err != nil {
			return err
		}
		if err := tx.Bucket(bucketUsers).Put(userKey(r.User, r.ID), nil); err != nil {
			return err
		}
		at := number(uint64(r.CreatedAt.UnixMilli()))
		if err := tx.Bucket(bucketKnown).Put(knownKey(r.User, r.Address), at); err != nil {
			return err
		}
		return s.appendEvent(tx, session.SignInEvent(ctx, r))
	})
	if err != nil {
		return nil, fmt.Errorf("create session: %w", err)
	}
	return displaced, nil
}

// Get implements [session.Store].
func (s *Store) Get(ctx context.Context, id session.ID) (r session.Record, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		r, err = getRecord(tx, id)
		return err
	})
	if err != nil {
		return session.Record{}, fmt.Errorf("get session: %w", err)
	}
	return r, nil
}

// change runs f on a live session and stores the result. ErrNotFound, ErrEnded, or the error of f.
func (s *Store) change(ctx context.Context, id session.ID, f func(*session.Record) error) error {
	return s.update(ctx, func(tx *bbolt.Tx) error {
		r, err := getRecord(tx, id)
		if err != nil {
			return err
		}
		if r.End != nil {
			return session.ErrEnded
		}
		if err := f(&r); err != nil {
			return err
		}
		return putRecord(tx, r)
	})
}

// Save implements [session.Store].
func (s *Store) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	err := s.change(ctx, id, func(r *session.Record) error {
		if r.Version != version {
			return session.ErrConflict
		}
		r.Version, r.Values = version+1, values
		return nil
	})
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// Leave implements [session.Store].
func (s *Store) Leave(ctx context.Context, id session.ID, news session.TabTimes) (known session.TabTimes, err error) {
	err = s.change(ctx, id, func(r *session.Record) error {
		r.Leave(news)
		known = r.Tabs
		return nil
	})
	if err != nil {
		return session.TabTimes{}, fmt.Errorf("note tabs of session: %w", err)
	}
	return known, nil
}

// SetRules implements [session.Store].
func (s *Store) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	err := s.change(ctx, id, func(r *session.Record) error {
		if r.Revision != revision {
			return session.ErrConflict
		}
		r.Groups, r.Former, r.Policy, r.Revision = rules.Groups, rules.Former, rules.Policy, revision+1
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("set session's rules: %w", err)
	}
	return revision + 1, nil
}

// touchesPerTransaction bounds how long a sign-in waits behind a batch of activities.
const touchesPerTransaction = 1000

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, acts []session.Activity) (unknown []session.ID, err error) {
	slices.SortFunc(acts, func(a, b session.Activity) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	for batch := range slices.Chunk(acts, touchesPerTransaction) {
		var missing []session.ID
		err := s.update(ctx, func(tx *bbolt.Tx) (err error) {
			missing, err = touch(tx, batch)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("touch sessions: %w", err)
		}
		unknown = append(unknown, missing...)
	}
	return unknown, nil
}

// touch records activities. It decodes no record and writes eight bytes of each, and it looks all
// of them up with the same two cursors: most of what the store does under load is this.
func touch(tx *bbolt.Tx, acts []session.Activity) (unknown []session.ID, err error) {
	sessions, activity := tx.Bucket(bucketSessions).Cursor(), tx.Bucket(bucketActivity).Cursor()
	values := make([]byte, 0, 8*len(acts)) // in one piece; the transaction needs them until its end
	for i := range acts {
		id := acts[i].ID[:]
		data := find(sessions, id)
		if data == nil {
			unknown = append(unknown, acts[i].ID)
			continue
		}
		r, ended, err := decodeTiming(data)
		if err != nil {
			return nil, err
		}
		if ended {
			continue
		}
		takeActivity(&r, find(activity, id))
		if end, _ := r.Policy.EndsAt(&r); !acts[i].At.After(r.LastActiveAt) || !acts[i].At.Before(end) {
			continue
		}
		values = binary.BigEndian.AppendUint64(values, uint64(acts[i].At.UnixMilli()))
		if err := activity.Bucket().Put(id, values[len(values)-8:]); err != nil {
			return nil, err
		}
	}
	return unknown, nil
}

// find is Get of the bucket of c, whatever was written since c was made.
func find(c *bbolt.Cursor, key []byte) []byte {
	k, v := c.Seek(key)
	if !bytes.Equal(k, key) {
		return nil
	}
	return v
}

// End implements [session.Store].
func (s *Store) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (first bool, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		first, err = s.end(tx, id, why, ifDueBy)
		return err
	})
	return first && err == nil, endError(err)
}

// EndSoon implements [session.Store]. What is ended so shares transactions.
func (s *Store) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) (wait func() (first bool, err error)) {
	if err := ctx.Err(); err != nil {
		return func() (bool, error) { return false, endError(err) }
	}
	first := false
	c, err := s.commits.add(func(tx *bbolt.Tx) (err error) {
		first, err = s.end(tx, id, why, ifDueBy)
		return err
	}, true)
	if err != nil {
		return func() (bool, error) { return false, endError(err) }
	}
	return func() (bool, error) {
		<-c.done
		return first && c.err == nil, endError(c.err)
	}
}

func endError(err error) error {
	if err != nil {
		err = fmt.Errorf("end session: %w", err)
	}
	return err
}

// end ends a session. It decodes no record: a forced logout is many of these.
func (s *Store) end(tx *bbolt.Tx, id session.ID, why session.End, ifDueBy time.Time) (first bool, err error) {
	sessions, activity := tx.Bucket(bucketSessions), tx.Bucket(bucketActivity)
	data := sessions.Get(id[:])
	if data == nil {
		return false, session.ErrNotFound
	}
	live, ended, err := decodeTiming(data)
	if err != nil || ended {
		return false, err
	}
	takeActivity(&live, activity.Get(id[:]))
	if !ifDueBy.IsZero() {
		if due, _ := live.Policy.EndsAt(&live); due.After(ifDueBy) {
			return false, session.ErrNotDue
		}
	}
	live.End = &why
	buffer := append(make([]byte, 0, len(data)+endedMore), timing(live)...)
	buffer, r, err := session.AppendEnded(buffer, id, data[timingSize:], live.LastActiveAt, why)
	if err != nil {
		return false, err
	}
	if err := sessions.Put(id[:], buffer); err != nil {
		return false, err
	}
	return true, s.noteEnd(tx, r)
}

// endedMore is by how much an end makes most records longer.
const endedMore = 200

// EndKeep implements [session.Store].
func (s *Store) EndKeep(ctx context.Context, id session.ID) error {
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		r, err := getRecord(tx, id)
		if errors.Is(err, session.ErrNotFound) || err == nil && (r.End == nil || r.End.KeepOver) {
			return nil
		}
		if err != nil {
			return err
		}
		r.End.KeepOver = true
		return putRecord(tx, r)
	})
	if err != nil {
		return fmt.Errorf("end waiting for session: %w", err)
	}
	return nil
}

// endRecord makes a tombstone of a live session, with its audit line.
func (s *Store) endRecord(tx *bbolt.Tx, r session.Record, why session.End) error {
	r.End, r.Values = &why, nil
	if err := putRecord(tx, r); err != nil {
		return err
	}
	return s.noteEnd(tx, r)
}

// noteEnd notes the end of a session, whose tombstone is written, wherever else it belongs.
func (s *Store) noteEnd(tx *bbolt.Tx, r session.Record) error {
	if err := tx.Bucket(bucketUsers).Delete(userKey(r.User, r.ID)); err != nil {
		return err
	}
	if err := tx.Bucket(bucketActivity).Delete(r.ID[:]); err != nil {
		return err
	}
	if err := tx.Bucket(bucketEnded).Put(endedKey(&r), nil); err != nil {
		return err
	}
	if until := r.KeepUntil(); !until.IsZero() {
		key := append(number(uint64(until.UnixMilli())), r.ID[:]...)
		if err := tx.Bucket(bucketWaiting).Put(key, []byte(session.FoldName(r.User))); err != nil {
			return err
		}
	}
	return s.appendEvent(tx, session.EndEvent(r, *r.End))
}

// Live implements [session.Store]. It reads in steps, so that no long transaction holds back the
// file's free pages.
func (s *Store) Live(ctx context.Context) iter.Seq2[session.Record, error] {
	const step = 1000
	return func(yield func(session.Record, error) bool) {
		var last []byte
		for {
			var page []session.Record
			err := s.view(ctx, func(tx *bbolt.Tx) error {
				c := tx.Bucket(bucketSessions).Cursor()
				k, v := c.Seek(last)
				if last != nil && bytes.Equal(k, last) {
					k, v = c.Next()
				}
				for seen := 0; k != nil && seen < step; seen++ {
					r, err := decodeRecord(tx, session.ID(k), v)
					if err != nil {
						return err
					}
					if r.End == nil {
						page = append(page, r)
					}
					last = bytes.Clone(k)
					k, v = c.Next()
				}
				if k == nil {
					last = nil
				}
				return nil
			})
			if err != nil {
				yield(session.Record{}, fmt.Errorf("list sessions: %w", err))
				return
			}
			for _, r := range page {
				if !yield(r, nil) {
					return
				}
			}
			if last == nil {
				return
			}
		}
	}
}
