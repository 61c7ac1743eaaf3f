package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"curfew/session"
)

// ageScript moves all times of a session back, unless it has ended or got other rules since it was
// read.
var ageScript = newVitalScript(online + `
local record, timing, ended = unpack(KEYS)
local by, created, revision, data, date, at, id = unpack(ARGV)
local known = redis.call('HMGET', timing, 'c', 'n', 'x')
if not known[1] then return {'unknown'} end
if known[1] ~= created or (known[2] or '0') ~= revision or (not known[3]) ~= (date == '') then return {'conflict'} end
redis.call('SET', record, data, 'KEEPTTL')
for _, field in ipairs({'c', 'a', 'l', 'to', 'ta', 'tc'}) do
  local t = redis.call('HGET', timing, field)
  if t and t ~= '0' then redis.call('HINCRBY', timing, field, '-' .. by) end
end
if date ~= '' then
  local why = cjson.decode(known[3])
  why.at = date
  redis.call('HSET', timing, 'x', cjson.encode(why))
  redis.call('ZADD', ended, at, id)
end
return {'ok', online()}
`)

// ageIndexScript moves the sign-in of a session back in the index of its user; see users.go.
var ageIndexScript = newVitalScript(`
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, 1) == 'l' then redis.call('HSET', KEYS[1], ARGV[1], 'l|' .. ARGV[2]) end
return {'ok'}
`)

// Age implements [session.Store].
func (s *Store) Age(ctx context.Context, ref string, by time.Duration) (session.Record, error) {
	r, err := s.age(ctx, ref, by)
	if err != nil {
		return session.Record{}, fmt.Errorf("age session: %w", err)
	}
	return r, nil
}

func (s *Store) age(ctx context.Context, ref string, by time.Duration) (session.Record, error) {
	id, err := s.ofRef(ctx, ref)
	if err != nil {
		return session.Record{}, err
	}
	for {
		read, err := s.get(ctx, id)
		if err != nil || by == 0 {
			return read.Record, err
		}
		r := read.Record
		err = s.ageRead(ctx, r, by)
		switch {
		case err == nil:
			read, err = s.get(ctx, id) // somebody may have acted meanwhile
			return read.Record, err
		case !errors.Is(err, session.ErrConflict):
			return session.Record{}, err
		}
	}
}

// ageRead ages the session of r, which was read just now. session.ErrConflict if it has changed.
func (s *Store) ageRead(ctx context.Context, r session.Record, by time.Duration) error {
	created := ms(r.CreatedAt)
	r.Age(by)
	date, at := "", ""
	if r.End != nil {
		date, at = r.End.At.Format(time.RFC3339Nano), ms(r.End.At)
	}
	bare := r
	bare.Values, bare.End = nil, nil
	data, err := bare.Encode()
	if err != nil {
		return err
	}
	p := partition(r.ID)
	answer, err := s.run(ctx, ageScript, []string{s.recordKey(r.ID), s.timingKey(r.ID), s.endedKey(p)},
		[]string{inMillis(by), created, strconv.FormatInt(r.Revision, 10), string(data), date, at, name(r.ID)})
	if err := outcome(answer, err); err != nil {
		return err
	}
	if err := s.replicatedAnswer(ctx, p, answer, 1); err != nil {
		return err
	}
	_, err = s.run(ctx, ageIndexScript, []string{s.userKey(r.User)}, []string{name(r.ID), ms(r.CreatedAt)})
	return err
}

// ofRef finds a session by its ref. It looks at all of them.
func (s *Store) ofRef(ctx context.Context, ref string) (session.ID, error) {
	for chunk := range slices.Chunk(partitions(), 16) {
		ids, err := s.namedIn(ctx, chunk, s.liveKey, s.endedKey)
		if err != nil {
			return session.ID{}, err
		}
		for _, id := range ids {
			if id.Ref() == ref {
				return id, nil
			}
		}
	}
	return session.ID{}, session.ErrNotFound
}
