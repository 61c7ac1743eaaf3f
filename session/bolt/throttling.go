package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"curfew/session"
)

// failures counts failed sign-ins.
type failures struct {
	mu     sync.Mutex
	byKey  map[string][]time.Time
	pruned time.Time
}

// failureKeysTogether bounds the keys. Beyond it a tenth is forgotten, those whose last failure is
// the longest ago.
const failureKeysTogether = 100_000

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
		f.byKey[k] = times[max(0, len(times)-session.FailuresKept):]
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
	if now.Sub(f.pruned) < session.FailuresFor {
		return
	}
	f.pruned = now
	for k, times := range f.byKey {
		if now.Sub(times[len(times)-1]) > session.FailuresFor {
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

func knownKey(login, address string) []byte {
	return append(append([]byte(session.FoldName(login)), 0), session.Network(address)...)
}
