package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"curfew/session"
)

// keptEnded is when Redis forgets what is left of an ended session by itself. Prune comes first.
const keptEnded = session.TombstoneFor + time.Hour

// endScript ends a session, unless it has a time by which it must be due and is not: no node's
// clock counts there beyond Redis's own. How long its pages wait is what
// session.Record.KeepUntil says.
var endScript = newVitalScript(online + clock + `
local record, timing, values, live, ended, outbox, waiting = unpack(KEYS)
local id, why, by, ahead, line, at, keep = unpack(ARGV)
local t, stored = redis.call('HMGET', timing, 'c', 'a', 'l', 'e', 'm', 'g', 'x'), redis.call('GET', record)
if not t[1] or not stored then return {'unknown'} end
if t[7] then return {'again', online()} end
local whose = cjson.decode(stored)
if by ~= '0' then
  local when = math.min(tonumber(by), now(tonumber(ahead)))
  local created, active, left = tonumber(t[1]), tonumber(t[2]), tonumber(t[3])
  if due(created, active, left, tonumber(t[4]), tonumber(t[5]), tonumber(t[6])) > when then return {'not due'} end
end
redis.call('HSET', timing, 'x', why)
redis.call('DEL', values)
redis.call('ZREM', live, id)
redis.call('ZADD', ended, at, id)
local keeps, how = 0, cjson.decode(why)
if how.reason == 'idle' or how.reason == 'lifetime' or how.reason == 'replaced' and how.continued then
  keeps = math.floor((whose.policy.keep_page or 0) / 1000000)
end
if keeps > 0 then
  redis.call('ZADD', waiting, string.format('%d', at + keeps), id .. ' ' .. (redis.call('HGET', timing, 'u') or ''))
end
redis.call('PEXPIRE', record, keep)
redis.call('PEXPIRE', timing, keep)
line = cjson.decode(line)
line.e.user = whose.user
line.e.address = whose.address
redis.call('RPUSH', outbox, cjson.encode(line))
return {'first', online()}
`)

// End implements [session.Store].
func (s *Store) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (ended bool, err error) {
	ended, err = s.end(ctx, id, why, ifDueBy)
	if err != nil {
		return ended, fmt.Errorf("end session: %w", err)
	}
	return ended, nil
}

// EndSoon implements [session.Store]. Each end is a script of its own, which is run at once.
func (s *Store) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) (wait func() (first bool, err error)) {
	first, err := s.End(ctx, id, why, ifDueBy)
	return func() (bool, error) { return first, err }
}

func (s *Store) end(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (ended bool, err error) {
	reason, err := json.Marshal(why)
	if err != nil {
		return false, err
	}
	event, err := outboxEntry{
		Key:     "x" + name(id),
		Session: name(id),
		Event:   session.EndEvent(session.Record{ID: id}, why),
	}.encode()
	if err != nil {
		return false, err
	}
	p := partition(id)
	answer, err := s.run(ctx, endScript,
		[]string{s.recordKey(id), s.timingKey(id), s.valuesKey(id), s.liveKey(p), s.endedKey(p), s.outboxKey(p),
			s.waitingKey(p)},
		[]string{name(id), string(reason), ms(ifDueBy), s.offsetText(), event, ms(why.At), inMillis(keptEnded)})
	if err != nil {
		return false, err
	}
	switch first(answer) {
	case "unknown":
		return false, session.ErrNotFound
	case "not due":
		return false, session.ErrNotDue
	case "first":
		ended = true
		s.relay(p)
	case "again": // the first may not have waited for the replicas
	default:
		return false, errUnexpected
	}
	return ended, s.replicatedAnswer(ctx, p, answer, 1)
}

// endKeepScript notes in an end that no page waits any more.
var endKeepScript = newVitalScript(online + `
local why = redis.call('HGET', KEYS[1], 'x')
if why then
  local noted = cjson.decode(why)
  noted.keep_over = true
  redis.call('HSET', KEYS[1], 'x', cjson.encode(noted))
end
return {'ok', online()}
`)

// EndKeep implements [session.Store].
func (s *Store) EndKeep(ctx context.Context, id session.ID) error {
	answer, err := s.run(ctx, endKeepScript, []string{s.timingKey(id)}, nil)
	if err = outcome(answer, err); err == nil {
		err = s.replicatedAnswer(ctx, partition(id), answer, 1)
	}
	if err != nil {
		return fmt.Errorf("end waiting for session: %w", err)
	}
	return nil
}
