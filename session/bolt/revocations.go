package bolt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// AddRevocation implements [session.Store].
func (s *Store) AddRevocation(ctx context.Context, f session.Revocation) (session.Revocation, error) {
	known := uint64(f.Number)
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		revocations := tx.Bucket(bucketRevocations)
		n := max(revocations.Sequence(), known) + 1
		if err := revocations.SetSequence(n); err != nil {
			return err
		}
		f.Number = int64(n)
		if err := putRevocation(tx, f); err != nil {
			return err
		}
		return s.appendEvent(tx, session.RevocationEvent(f))
	})
	if err != nil {
		return session.Revocation{}, fmt.Errorf("store forced logout: %w", err)
	}
	return f, nil
}

// CancelRevocation implements [session.Store].
func (s *Store) CancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor string,
) (f session.Revocation, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		if f, err = findRevocation(tx, id); err != nil {
			return err
		}
		if !f.CancelledAt.IsZero() {
			return nil
		}
		if now := session.Millis(s.clock.Now()); now.After(at) {
			at = now
		}
		if f, err = f.Cancel(at, false); err != nil {
			return err
		}
		if err := putRevocation(tx, f); err != nil {
			return err
		}
		return s.appendEvent(tx, session.CancelEvent(ctx, f, actor))
	})
	if err != nil {
		return session.Revocation{}, fmt.Errorf("call off forced logout: %w", err)
	}
	return f, nil
}

// findRevocation reads one of many without decoding the others.
func findRevocation(tx *bbolt.Tx, id string) (f session.Revocation, err error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return f, err
	}
	c := tx.Bucket(bucketRevocations).Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if !bytes.Contains(v, quoted) {
			continue
		}
		if err := json.Unmarshal(v, &f); err != nil || f.ID == id {
			return f, err
		}
	}
	return session.Revocation{}, session.ErrNotFound
}

// Revocations implements [session.Store].
func (s *Store) Revocations(ctx context.Context) (revocations []session.Revocation, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		revocations, err = readRevocations(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	return revocations, nil
}

// LastRevocation implements [session.Store].
func (s *Store) LastRevocation(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n = int64(tx.Bucket(bucketRevocations).Sequence())
		return nil
	})
	return n, err
}

func putRevocation(tx *bbolt.Tx, f session.Revocation) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketRevocations).Put(number(uint64(f.Number)), data)
}

func readRevocations(tx *bbolt.Tx) ([]session.Revocation, error) {
	var revocations []session.Revocation
	err := tx.Bucket(bucketRevocations).ForEach(func(_, v []byte) error {
		var f session.Revocation
		if err := json.Unmarshal(v, &f); err != nil {
			return err
		}
		revocations = append(revocations, f)
		return nil
	})
	return revocations, err
}
