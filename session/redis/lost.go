package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Sessions whose keys somebody has deleted. A session is known if it has both its record and its
// timing.

// Missing implements [session.SharedStore].
func (s *Store) Missing(ctx context.Context, ids []session.ID) (missing []session.ID, err error) {
	for some := range slices.Chunk(ids, 5000) {
		list, err := s.missing(ctx, some)
		if err != nil {
			return nil, fmt.Errorf("look for lost sessions: %w", err)
		}
		missing = append(missing, list...)
	}
	return missing, nil
}

func (s *Store) missing(ctx context.Context, ids []session.ID) (missing []session.ID, err error) {
	byPartition := make(map[byte][]session.ID)
	for _, id := range ids {
		byPartition[id[0]] = append(byPartition[id[0]], id)
	}
	var groups [][]session.ID
	for _, list := range byPartition {
		groups = slices.AppendSeq(groups, slices.Chunk(list, readTogether))
	}
	for len(groups) > 0 { // a group that is not whole is looked at one by one
		var commands []rueidis.Completed
		for _, group := range groups {
			var keys []string
			for _, id := range group {
				keys = append(keys, s.recordKey(id), s.timingKey(id))
			}
			commands = append(commands, s.client.B().Exists().Key(keys...).Build())
		}
		var again [][]session.ID
		for i, result := range s.callMany(ctx, commands...) {
			n, err := result.AsInt64()
			switch {
			case err != nil:
				return nil, err
			case n == int64(2*len(groups[i])):
			case len(groups[i]) == 1:
				missing = append(missing, groups[i][0])
			default:
				again = slices.AppendSeq(again, slices.Chunk(groups[i], 1))
			}
		}
		groups = again
	}
	return missing, nil
}

// lostScript writes the tombstone and the audit line of an unknown session, and deletes what is
// left of it.
var lostScript = newVitalScript(`
local record, timing, values, live, ended, outbox = unpack(KEYS)
local id, data, why, created, active, at, line, keep = unpack(ARGV)
if redis.call('EXISTS', record, timing) == 2 then return {'known'} end
redis.call('DEL', timing, values)
redis.call('ZREM', live, id)
redis.call('SET', record, data, 'PX', keep)
redis.call('HSET', timing, 'c', created, 'a', active, 'l', '0', 'e', '0', 'm', '0', 'g', '0', 'v', '0', 'x', why)
redis.call('PEXPIRE', timing, keep)
redis.call('ZADD', ended, at, id)
redis.call('RPUSH', outbox, line)
return {'lost'}
`)

// EndLost implements [session.SharedStore].
func (s *Store) EndLost(ctx context.Context, records []session.Record, end session.End) (lost []session.ID, err error) {
	why, err := json.Marshal(end)
	if err != nil {
		return nil, err
	}
	var calls []invocation
	for _, r := range records {
		r.Values = nil
		data, err := r.Encode()
		if err != nil {
			return nil, err
		}
		event, err := outboxEntry{Key: "x" + name(r.ID), Session: name(r.ID), Event: session.EndEvent(r, end)}.encode()
		if err != nil {
			return nil, err
		}
		p := partition(r.ID)
		calls = append(calls, invocation{
			[]string{s.recordKey(r.ID), s.timingKey(r.ID), s.valuesKey(r.ID), s.liveKey(p), s.endedKey(p),
				s.outboxKey(p)},
			[]string{name(r.ID), string(data), string(why), ms(r.CreatedAt), ms(r.LastActiveAt), ms(end.At), event,
				inMillis(keptEnded)},
		})
	}
	for i, result := range s.runMany(ctx, lostScript, calls) {
		answer, err := result.ToArray()
		if err != nil {
			return nil, fmt.Errorf("end lost sessions: %w", err)
		}
		if first(answer) == "lost" {
			lost = append(lost, records[i].ID)
			s.relay(partition(records[i].ID))
		}
	}
	return lost, nil
}
