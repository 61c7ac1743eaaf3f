package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/session"
)

// The index of a user's sessions lies in a slot of its own, so that one script counts them. A sign-in reserves its place
// there, is created in its own slot, and confirms. The index is a hash, name of a session to
//
//	r|CREATED|RESERVED  being signed in; void after reservedFor, and forgotten when somebody counts
//	l|CREATED           live
//	d|CREATED|END       displaced by a newer sign-in, which is about to end it
//
// and an entry goes with the session's end, when its audit line is carried to the trail.

// reservedFor is how long a sign-in may take from its reservation. It is real time.
const reservedFor = 10 * time.Second

var reserveScript = newScript(clock + `
local index, id, created, limit, why, keep = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local present, living, displaced = now(0), {}, {}
local all = limit > 0 and redis.call('HGETALL', index) or {}
for i = 1, #all, 2 do
  local kind, at, rest = string.match(all[i + 1], '^(%a)|(%d+)|?(.*)$')
  if kind == 'd' then
    displaced[#displaced + 1] = all[i]
    displaced[#displaced + 1] = rest
  elseif kind == 'r' and present - tonumber(rest) > keep then
    redis.call('HDEL', index, all[i])
  else
    living[#living + 1] = {id = all[i], at = tonumber(at), order = #living}
  end
end
redis.call('HSET', index, id, 'r|' .. ARGV[2] .. '|' .. string.format('%d', present))
if limit > 0 then
  table.sort(living, function(a, b) if a.at ~= b.at then return a.at < b.at end return a.order < b.order end)
  for i = 1, #living + 1 - limit do
    redis.call('HSET', index, living[i].id, 'd|' .. string.format('%d', living[i].at) .. '|' .. why)
    displaced[#displaced + 1] = living[i].id
    displaced[#displaced + 1] = why
  end
end
return displaced
`)

var confirmScript = newScript(`
local entry = redis.call('HGET', KEYS[1], ARGV[1])
if entry and string.sub(entry, 1, 1) == 'd' then return {string.match(entry, '^d|%d+|(.*)$')} end
redis.call('HSET', KEYS[1], ARGV[1], 'l|' .. ARGV[2])
return {''}
`)

// displacement is a session that must end for a newer one.
type displacement struct {
	id  session.ID
	end session.End
}

// reserve counts the user's sessions and takes a place among them. Those that are one too many are to be ended.
func (s *Store) reserve(ctx context.Context, r session.Record, limit int) (list []displacement, err error) {
	why, err := json.Marshal(session.ReplacedBy(r))
	if err != nil {
		return nil, err
	}
	answer, err := s.run(ctx, reserveScript, []string{s.userKey(r.User)},
		[]string{name(r.ID), ms(r.CreatedAt), strconv.Itoa(limit), string(why), inMillis(reservedFor)})
	if err != nil {
		return nil, err
	}
	for pair := range slices.Chunk(answer, 2) {
		text, _ := pair[0].ToString()
		end, _ := pair[len(pair)-1].ToString()
		id, err := parseName(text)
		if err != nil {
			return nil, err
		}
		d := displacement{id: id}
		if err := json.Unmarshal([]byte(end), &d.end); err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// confirm makes a reservation a session of the index. If it was displaced meanwhile, it returns its end.
func (s *Store) confirm(ctx context.Context, r session.Record) (*session.End, error) {
	answer, err := s.run(ctx, confirmScript, []string{s.userKey(r.User)}, []string{name(r.ID), ms(r.CreatedAt)})
	if err != nil || first(answer) == "" {
		return nil, err
	}
	var end session.End
	return &end, json.Unmarshal([]byte(first(answer)), &end)
}

// OfUser implements [session.Store].
func (s *Store) OfUser(ctx context.Context, user string) ([]session.Record, error) {
	entries, err := s.call(ctx, s.client.B().Hgetall().Key(s.userKey(user)).Build()).AsStrMap()
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	var ids []session.ID
	for n, entry := range entries {
		if strings.HasPrefix(entry, "r") {
			continue // not signed in yet
		}
		id, err := parseName(n)
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	records, err := s.GetMany(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	records = slices.DeleteFunc(records, func(r session.Record) bool { return r.End != nil })
	slices.SortFunc(records, func(a, b session.Record) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return records, nil
}
