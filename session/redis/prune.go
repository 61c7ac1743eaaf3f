package redis

import (
	"context"
	"fmt"
	"time"

	"curfew/session"
)

// pruneScript forgets ended sessions of a partition.
var pruneScript = newVitalScript(`
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('ZREM', KEYS[1], unpack(ARGV))
return {'ok'}
`)

// Prune implements [session.Store].
func (s *Store) Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error {
	for _, p := range partitions() {
		for {
			names, err := s.call(ctx, s.client.B().Zrangebyscore().Key(s.endedKey(p)).Min("-inf").
				Max(ms(now.Add(-session.TombstoneFor))).Limit(0, 500).Build()).AsStrSlice()
			if err != nil {
				return fmt.Errorf("prune store: %w", err)
			}
			if len(names) == 0 {
				break
			}
			keys := []string{s.endedKey(p)}
			for _, n := range names {
				id, err := parseName(n)
				if err != nil {
					return fmt.Errorf("prune store: %w", err)
				}
				keys = append(keys, s.recordKey(id), s.timingKey(id))
			}
			if _, err := s.run(ctx, pruneScript, keys, names); err != nil {
				return fmt.Errorf("prune store: %w", err)
			}
		}
	}
	if err := s.pruneWaiting(ctx, now); err != nil {
		return fmt.Errorf("prune store: %w", err)
	}
	if err := s.pruneAudit(ctx, now, auditKeep); err != nil {
		return fmt.Errorf("prune audit trail: %w", err)
	}
	if err := s.pruneRevocations(ctx, now); err != nil {
		return fmt.Errorf("prune forced logouts: %w", err)
	}
	return nil
}
