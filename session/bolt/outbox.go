package bolt

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// Where a receiver stands is a bucket of its own name, below bucketReceivers. The receiver has
// accepted all lines up to keyAt, and those above it that bucketAccepted lists.
var (
	keyAt          = []byte("at")       // number of a line
	keyCount       = []byte("count")    // how many lines are listed
	keyBorn        = []byte("born")     // Epoch
	bucketAccepted = []byte("accepted") // number of a line: 1
)

var _ session.Outbox = (*Store)(nil)

// Follow implements [session.Outbox].
func (s *Store) Follow(ctx context.Context, receiver string) error {
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketReceivers).Bucket([]byte(receiver)) != nil {
			return nil
		}
		_, err := newReceiver(tx, receiver, tx.Bucket(bucketAudit).Sequence())
		return err
	})
	if err != nil {
		return fmt.Errorf("follow audit trail: %w", err)
	}
	return nil
}

// newReceiver makes a receiver that has accepted the lines up to a number.
func newReceiver(tx *bbolt.Tx, name string, at uint64) (*receiver, error) {
	b, err := tx.Bucket(bucketReceivers).CreateBucket([]byte(name))
	if err != nil {
		return nil, err
	}
	if err := b.Put(keyBorn, []byte(rand.Text())); err != nil {
		return nil, err
	}
	if _, err := b.CreateBucket(bucketAccepted); err != nil {
		return nil, err
	}
	r := &receiver{bucket: b, trail: tx.Bucket(bucketAudit), at: at}
	return r, r.put()
}

// receiver is where a receiver stands, within one transaction.
type receiver struct {
	bucket, trail *bbolt.Bucket
	at, count     uint64
}

// openReceiver finds a receiver; nil if there is none.
func openReceiver(tx *bbolt.Tx, name string) *receiver {
	b := tx.Bucket(bucketReceivers).Bucket([]byte(name))
	if b == nil {
		return nil
	}
	return &receiver{
		bucket: b,
		trail:  tx.Bucket(bucketAudit),
		at:     binary.BigEndian.Uint64(b.Get(keyAt)),
		count:  binary.BigEndian.Uint64(b.Get(keyCount)),
	}
}

func (r *receiver) epoch() string { return string(r.bucket.Get(keyBorn)) }

func (r *receiver) accepted() *bbolt.Bucket { return r.bucket.Bucket(bucketAccepted) }

func (r *receiver) put() error {
	if err := r.bucket.Put(keyAt, number(r.at)); err != nil {
		return err
	}
	return r.bucket.Put(keyCount, number(r.count))
}

// after is the first line of the trail after a number.
func (r *receiver) after(n uint64) (c *bbolt.Cursor, k, v []byte) {
	c = r.trail.Cursor()
	k, v = c.Seek(number(n + 1))
	return c, k, v
}

// floor is up to where lines are given up: those that were pruned, and those that are too many.
func (r *receiver) floor(keep int) uint64 {
	newest := r.trail.Sequence()
	first := newest + 1
	if _, k, _ := r.after(r.at); k != nil {
		first = binary.BigEndian.Uint64(k)
	}
	floor := max(r.at, first-1)
	if keep := uint64(keep); newest > keep {
		floor = max(floor, newest-keep)
	}
	return floor
}

// giveUp takes the lines up to floor as accepted, and returns how many were not.
func (r *receiver) giveUp(floor uint64) (dropped int, err error) {
	span, known := floor-r.at, uint64(0)
	accepted := r.accepted()
	for k, _ := accepted.Cursor().First(); k != nil; k, _ = accepted.Cursor().First() {
		if binary.BigEndian.Uint64(k) > floor {
			break
		}
		if err := accepted.Delete(k); err != nil {
			return 0, err
		}
		known++
	}
	r.at, r.count = floor, r.count-known
	return int(span - known), r.advance()
}

// advance moves on over lines that are accepted.
func (r *receiver) advance() error {
	accepted := r.accepted()
	for c, k, _ := r.after(r.at); k != nil && accepted.Get(k) != nil; k, _ = c.Next() {
		if err := accepted.Delete(k); err != nil {
			return err
		}
		r.at = binary.BigEndian.Uint64(k)
		r.count--
	}
	return r.put()
}

// scannedTogether bounds how long one claim reads.
const scannedTogether = 2000

// Claim implements [session.Outbox]. There is one process, so it always has the lease.
func (s *Store) Claim(ctx context.Context, c session.OutboxClaim) (session.OutboxClaimed, error) {
	claimed, err := s.claim(ctx, c)
	if err != nil {
		return session.OutboxClaimed{}, fmt.Errorf("read outbox: %w", err)
	}
	return claimed, nil
}

func (s *Store) claim(ctx context.Context, c session.OutboxClaim) (claimed session.OutboxClaimed, err error) {
	toWrite := false
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		r := openReceiver(tx, c.Receiver)
		toWrite = r == nil || r.floor(c.Keep) > r.at
		return nil
	})
	dropped := 0
	if err == nil && toWrite {
		err = s.update(ctx, func(tx *bbolt.Tx) (err error) {
			r := openReceiver(tx, c.Receiver)
			if r == nil { // the store was reset
				if r, err = newReceiver(tx, c.Receiver, 0); err != nil {
					return err
				}
			}
			dropped, err = r.giveUp(r.floor(c.Keep))
			return err
		})
	}
	if err == nil {
		err = s.view(ctx, func(tx *bbolt.Tx) error { return readClaim(tx, c, &claimed) })
	}
	claimed.Dropped = dropped
	return claimed, err
}

// readClaim reads what a claim asks for.
func readClaim(tx *bbolt.Tx, c session.OutboxClaim, claimed *session.OutboxClaimed) error {
	r := openReceiver(tx, c.Receiver)
	if r == nil {
		return nil // reset in between: nothing is held
	}
	claimed.Held, claimed.Epoch, claimed.Settled, claimed.Next = true, r.epoch(), r.at, max(c.After, r.at)
	claimed.Waiting = int(r.trail.Sequence() - r.at - r.count)
	if _, k, v := r.after(r.at); k != nil {
		e, err := decodeLine(v)
		if err != nil {
			return err
		}
		claimed.Oldest = e.At
	}
	accepted := r.accepted()
	cursor, k, v := r.after(claimed.Next)
	for scanned := 0; k != nil; k, v = cursor.Next() {
		if scanned++; len(claimed.Lines) >= c.Limit || scanned > scannedTogether {
			claimed.More = true
			break
		}
		claimed.Next = binary.BigEndian.Uint64(k)
		if accepted.Get(k) != nil {
			continue
		}
		e, err := decodeLine(v)
		if err != nil {
			return err
		}
		claimed.Lines = append(claimed.Lines, e)
	}
	return nil
}

func decodeLine(data []byte) (session.Event, error) {
	var l auditLine
	err := json.Unmarshal(data, &l)
	return l.Event.Numbered(l.Number), err
}

// Accept implements [session.Outbox].
func (s *Store) Accept(ctx context.Context, receiver, epoch string, numbers []uint64) error {
	err := s.update(ctx, func(tx *bbolt.Tx) error {
		r := openReceiver(tx, receiver)
		if r == nil || r.epoch() != epoch {
			return nil
		}
		accepted := r.accepted()
		for _, n := range numbers {
			if n <= r.at || accepted.Get(number(n)) != nil {
				continue
			}
			if err := accepted.Put(number(n), []byte{1}); err != nil {
				return err
			}
			r.count++
		}
		return r.advance()
	})
	if err != nil {
		return fmt.Errorf("note what was accepted: %w", err)
	}
	return nil
}

// Release implements [session.Outbox]. The lease ends with the process.
func (s *Store) Release(context.Context, string, string) error { return nil }
