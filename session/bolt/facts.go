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

// AddFact implements [session.Store].
func (s *Store) AddFact(ctx context.Context, f session.Fact) (session.Fact, error) {
	known := uint64(f.Number)
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		facts := tx.Bucket(bucketFacts)
		n := max(facts.Sequence(), known) + 1
		if err := facts.SetSequence(n); err != nil {
			return err
		}
		f.Number = int64(n)
		if err := putFact(tx, f); err != nil {
			return err
		}
		return s.appendEvent(tx, session.FactEvent(f))
	})
	if err != nil {
		return session.Fact{}, fmt.Errorf("store forced logout: %w", err)
	}
	return f, nil
}

// CancelFact implements [session.Store].
func (s *Store) CancelFact(ctx context.Context, id string, at time.Time, actor string) (f session.Fact, err error) {
	err = s.update(ctx, func(tx *bbolt.Tx) error {
		if f, err = findFact(tx, id); err != nil {
			return err
		}
		if !f.Cancelled.IsZero() {
			return nil
		}
		if now := session.Millis(s.clock.Now()); now.After(at) {
			at = now
		}
		if f, err = f.CallOff(at, false); err != nil {
			return err
		}
		if err := putFact(tx, f); err != nil {
			return err
		}
		return s.appendEvent(tx, session.CancelEvent(f, actor))
	})
	if err != nil {
		return session.Fact{}, fmt.Errorf("call off forced logout: %w", err)
	}
	return f, nil
}

// findFact reads one of many without decoding the others.
func findFact(tx *bbolt.Tx, id string) (f session.Fact, err error) {
	quoted, err := json.Marshal(id)
	if err != nil {
		return f, err
	}
	c := tx.Bucket(bucketFacts).Cursor()
	for k, v := c.Last(); k != nil; k, v = c.Prev() {
		if !bytes.Contains(v, quoted) {
			continue
		}
		if err := json.Unmarshal(v, &f); err != nil || f.ID == id {
			return f, err
		}
	}
	return session.Fact{}, session.ErrNotFound
}

// Facts implements [session.Store].
func (s *Store) Facts(ctx context.Context) (facts []session.Fact, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		facts, err = readFacts(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	return facts, nil
}

// LastFact implements [session.Store].
func (s *Store) LastFact(ctx context.Context) (n int64, err error) {
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n = int64(tx.Bucket(bucketFacts).Sequence())
		return nil
	})
	return n, err
}

func putFact(tx *bbolt.Tx, f session.Fact) error {
	data, err := json.Marshal(f)
	if err != nil {
		return err
	}
	return tx.Bucket(bucketFacts).Put(number(uint64(f.Number)), data)
}

func readFacts(tx *bbolt.Tx) ([]session.Fact, error) {
	var facts []session.Fact
	err := tx.Bucket(bucketFacts).ForEach(func(_, v []byte) error {
		var f session.Fact
		if err := json.Unmarshal(v, &f); err != nil {
			return err
		}
		facts = append(facts, f)
		return nil
	})
	return facts, err
}

// pruneFacts forgets the facts that can end nobody any more: every live session knew of them when
// it began.
func (s *Store) pruneFacts(ctx context.Context, now time.Time) error {
	facts, err := s.Facts(ctx)
	if err != nil || len(facts) == 0 {
		return err
	}
	oldest := facts[len(facts)-1].Number
	for r, err := range s.Live(ctx) {
		if err != nil {
			return err
		}
		oldest = min(oldest, r.SeenFact)
	}
	return s.update(ctx, func(tx *bbolt.Tx) error {
		for _, f := range facts {
			if f.Number <= oldest && now.Sub(f.At) > session.FactKeptFor && now.After(f.EffectiveAt) &&
				now.After(f.BlockUntil) {
				if err := tx.Bucket(bucketFacts).Delete(number(uint64(f.Number))); err != nil {
					return err
				}
			}
		}
		return nil
	})
}
