package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// Append implements [session.Store]. A failed sign-in counts although its line cannot be written:
// on a full disk nobody may guess without end.
func (s *Store) Append(ctx context.Context, e session.Event) error {
	if e.Kind == session.EventSignInFailed && e.Reason == "" {
		known := false
		err := s.db.View(func(tx *bbolt.Tx) error {
			known = isKnown(tx, e.User, e.Address, e.At)
			return nil
		})
		s.failures.add(e.User, e.Address, e.At, known)
		if err != nil {
			return fmt.Errorf("append to audit trail: %w", err)
		}
	}
	if err := s.update(ctx, func(tx *bbolt.Tx) error { return s.appendEvent(tx, e) }); err != nil {
		return fmt.Errorf("append to audit trail: %w", err)
	}
	return nil
}

// Follow calls f with every event once it is durable, in order. It must be called before anything
// is written.
func (s *Store) Follow(f func(session.Event)) { s.follow = session.NewFollower(f) }

// auditLine is an event as it is kept. Lines stand in the order in which they were written, and an
// end is dated by its deadline, which may have passed long before. So each line also tells the
// latest date of all lines up to it: by that, whoever looks for what came since a time knows where
// to stop.
type auditLine struct {
	session.Event
	Highest int64 `json:"highest,omitempty"` // Unix ms; that of the line itself where it is missing
}

// highest is the latest date of all lines up to l. Earlier versions told it of no line: there an
// end tells nothing.
func (l *auditLine) highest() (at time.Time, known bool) {
	if l.Highest != 0 {
		return session.FromUnixMilli(l.Highest), true
	}
	return l.At, l.Kind != session.EventSessionEnd
}

func (s *Store) appendEvent(tx *bbolt.Tx, e session.Event) error {
	audit := tx.Bucket(bucketAudit)
	n, err := audit.NextSequence()
	if err != nil {
		return err
	}
	e.Number = n
	if e.At.After(s.highest) {
		s.highest = e.At
	}
	l := auditLine{Event: e}
	if e.Kind == session.EventSessionEnd || !e.At.Equal(s.highest) {
		l.Highest = session.UnixMilli(s.highest.Add(time.Millisecond - 1)) // no earlier than what it stands for
	}
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	if s.follow != nil {
		s.events = append(s.events, e)
	}
	return audit.Put(number(n), data)
}

// highestDate reads the latest date of all lines.
func highestDate(db *bbolt.DB) (at time.Time, err error) {
	err = db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		for k, v := c.Last(); k != nil; k, v = c.Prev() {
			var l auditLine
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			highest, known := l.highest()
			if highest.After(at) {
				at = highest
			}
			if known {
				return nil
			}
		}
		return nil
	})
	return at, err
}

// Events implements [session.Store].
func (s *Store) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	var events []session.Event
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketAudit).Cursor()
		k, v := c.Last()
		if q.Before != 0 {
			if at, _ := c.Seek(number(q.Before)); at != nil {
				k, v = c.Prev()
			} else { // all are older than that
				k, v = c.Last()
			}
		}
		for ; k != nil && len(events) < q.Limit; k, v = c.Prev() {
			var l auditLine
			if err := json.Unmarshal(v, &l); err != nil {
				return err
			}
			if highest, known := l.highest(); known && highest.Before(q.Since) {
				break
			}
			if q.Picks(l.Event) {
				events = append(events, l.Event)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read audit trail: %w", err)
	}
	return events, nil
}

// Failures implements [session.Store].
func (s *Store) Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error) {
	f := s.failures.since(login, address, since)
	err := s.view(ctx, func(tx *bbolt.Tx) error {
		f.Known = isKnown(tx, login, address, since)
		return nil
	})
	if err != nil {
		return session.Failures{}, fmt.Errorf("read failed sign-ins: %w", err)
	}
	return f, nil
}

func isKnown(tx *bbolt.Tx, login, address string, now time.Time) bool {
	at := tx.Bucket(bucketKnown).Get(knownKey(login, address))
	return at != nil && now.Sub(session.FromUnixMilli(int64(binary.BigEndian.Uint64(at)))) < session.KnownFor
}

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
	if err := s.pruneFacts(ctx, now); err != nil {
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

// failures counts failed sign-ins.
type failures struct {
	mu     sync.Mutex
	byKey  map[string][]time.Time
	pruned time.Time
}

// failuresKept bounds what one key may cost. Throttling asks for fewer.
const failuresKept = 64

// failureKeysTogether bounds the keys. Beyond it a tenth is forgotten, those whose last failure is
// the longest ago.
const failureKeysTogether = 100_000

// failuresFor is longer than any window that throttling asks for.
const failuresFor = 5 * time.Minute

func failureKeys(login, address string) (pair, byAddress, byName string) {
	network := session.Network(address)
	login = session.FoldName(login) // one name, however it is spelled
	return "pair\x00" + login + "\x00" + network, "address\x00" + network, "name\x00" + login
}

func (f *failures) add(login, address string, at time.Time, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.byKey == nil {
		f.byKey = make(map[string][]time.Time)
	}
	pair, byAddress, byName := failureKeys(login, address)
	keys := []string{pair}
	if !known {
		keys = append(keys, byAddress, byName)
	}
	for _, k := range keys {
		times := append(f.byKey[k], at)
		f.byKey[k] = times[max(0, len(times)-failuresKept):]
	}
	f.forgetLocked(at)
	if len(f.byKey) > failureKeysTogether {
		f.forgetOldestLocked(len(f.byKey) - failureKeysTogether*9/10)
	}
}

func (f *failures) forgetOldestLocked(n int) {
	last := func(key string) time.Time { return f.byKey[key][len(f.byKey[key])-1] }
	keys := slices.SortedFunc(maps.Keys(f.byKey), func(a, b string) int { return last(a).Compare(last(b)) })
	for _, k := range keys[:n] {
		delete(f.byKey, k)
	}
}

func (f *failures) forgetLocked(now time.Time) {
	if now.Sub(f.pruned) < failuresFor {
		return
	}
	f.pruned = now
	for k, times := range f.byKey {
		if now.Sub(times[len(times)-1]) > failuresFor {
			delete(f.byKey, k)
		}
	}
}

func (f *failures) since(login, address string, since time.Time) session.Failures {
	f.mu.Lock()
	defer f.mu.Unlock()
	pair, byAddress, byName := failureKeys(login, address)
	recent := func(key string) []time.Time {
		return slices.DeleteFunc(slices.Clone(f.byKey[key]), func(t time.Time) bool { return !t.After(since) })
	}
	return session.Failures{Pair: recent(pair), Address: recent(byAddress), Name: recent(byName)}
}

func (f *failures) reset() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.byKey = nil
}
