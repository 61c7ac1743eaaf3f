package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/session"
)

// The index of a user's sessions lies in a slot of its own, so that one script counts them. A
// sign-in reserves a place there, creates the session in its own slot, and commits the place. The
// index is a hash from the name of a session to
//
//	r|CREATED|RESERVED  being signed in; void after reservedFor, and deleted by the next sign-in
//	l|CREATED           live
//	d|CREATED|END       displaced by a newer sign-in, which is about to end it
//
// A sorted set beside it lists the sessions that are being signed in, by the time of reservation.
//
// An entry is deleted when the audit line of the session's end is relayed to the trail, or by
// whoever finds that a displaced session has ended. Only a reservation makes an entry, and only an
// entry that is still reserved is committed: a deleted entry stays deleted.

// reservedFor is how long a sign-in may take from its reservation. It is real time.
const reservedFor = 10 * time.Second

// errVoid is the error of a sign-in that took so long that other sign-ins no longer counted it.
var errVoid = errors.New("the sign-in took too long")

func (s *Store) indexKeys(user string) []string {
	index := s.userKey(user)
	return []string{index, index + ":pending"}
}

var reserveScript = newScript(clock + `
local index, pending, id, created = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2])
local limit, why, keep = tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
if redis.call('HEXISTS', index, id) == 1 then return {'exists'} end
local present, living, displaced = now(0), {}, {'ok'}
for _, n in ipairs(redis.call('ZRANGE', pending, '-inf', '(' .. string.format('%d', present - keep), 'BYSCORE')) do
  local entry = redis.call('HGET', index, n)
  if entry and string.sub(entry, 1, 1) == 'r' then redis.call('HDEL', index, n) end
  redis.call('ZREM', pending, n)
end
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
redis.call('ZADD', pending, string.format('%d', present), id)
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

var commitScript = newVitalScript(`
local index, pending, id = KEYS[1], KEYS[2], ARGV[1]
redis.call('ZREM', pending, id)
local entry = redis.call('HGET', index, id)
if not entry then return {'void'} end
if string.sub(entry, 1, 1) == 'd' then return {'displaced', (string.match(entry, '^d|%d+|(.*)$'))} end
redis.call('HSET', index, id, 'l|' .. ARGV[2])
return {'ok'}
`)

// dropScript deletes the entry of a session that is unknown or has ended. It spares one that is
// being signed in, unless that is known to have ended.
var dropScript = newVitalScript(clock + `
local index, pending, id, keep, ended = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), ARGV[3]
local since = redis.call('ZSCORE', pending, id)
if since and ended ~= 'ended' and now(0) - tonumber(since) <= keep then return {'reserved'} end
redis.call('HDEL', index, id)
redis.call('ZREM', pending, id)
return {'ok'}
`)

// displacement is a session that must end for a newer one.
type displacement struct {
	id  session.ID
	end session.End
}

// reserve counts the user's sessions and takes a place among them. It returns those beyond the
// limit, which the caller must end.
func (s *Store) reserve(ctx context.Context, r session.Record, limit int) (list []displacement, err error) {
	why, err := json.Marshal(session.ReplacedBy(ctx, r, session.ID{}))
	if err != nil {
		return nil, err
	}
	answer, err := s.run(ctx, reserveScript, s.indexKeys(r.User),
		[]string{name(r.ID), ms(r.CreatedAt), strconv.Itoa(limit), string(why), inMillis(reservedFor)})
	if err != nil {
		return nil, err
	}
	switch first(answer) {
	case "ok":
	case "exists":
		return nil, session.ErrExists
	default:
		return nil, errUnexpected
	}
	for pair := range slices.Chunk(answer[1:], 2) {
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
		d.end.Continued = r.Continued(id)
		list = append(list, d)
	}
	return list, nil
}

// commit makes a reservation a session of the index. If it was displaced meanwhile, or has become
// void, the session ends.
func (s *Store) commit(ctx context.Context, r session.Record) error {
	answer, err := s.run(ctx, commitScript, s.indexKeys(r.User), []string{name(r.ID), ms(r.CreatedAt)})
	if err != nil {
		return err
	}
	switch first(answer) {
	case "ok":
		return nil
	case "displaced":
		d := displacement{id: r.ID}
		text, err := answer[len(answer)-1].ToString()
		if err == nil {
			err = json.Unmarshal([]byte(text), &d.end)
		}
		if err == nil {
			_, err = s.displace(ctx, r.User, d)
		}
		return err
	case "void":
		ended, err := s.End(ctx, r.ID,
			session.End{
				Reason:  session.ReasonLogout,
				At:      r.CreatedAt,
				Cause:   session.CauseSignInSlow,
				Detail:  "its sign-in took too long",
				Request: session.RequestOf(ctx),
			},
			time.Time{})
		if ended && err == nil {
			err = errVoid
		}
		return err // nil: it has ended meanwhile, and its entry went with that
	}
	return errUnexpected
}

// displace ends a session for a newer one. If it is still being signed in, its own commit ends it.
func (s *Store) displace(ctx context.Context, user string, d displacement) (ended bool, err error) {
	ended, err = s.End(ctx, d.id, d.end, time.Time{})
	switch {
	case errors.Is(err, session.ErrNotFound):
		return false, s.drop(ctx, user, d.id, false)
	case err == nil && !ended: // the line of its end may have been carried before the entry was marked
		return false, s.drop(ctx, user, d.id, true)
	}
	return ended, err
}

// drop removes the entry of a session that is unknown, or has ended.
func (s *Store) drop(ctx context.Context, user string, id session.ID, ended bool) error {
	how := ""
	if ended {
		how = "ended"
	}
	_, err := s.run(ctx, dropScript, s.indexKeys(user), []string{name(id), inMillis(reservedFor), how})
	return err
}

// makeRoom deletes entries of sessions that have ended, before a sign-in counts them against the
// limit. There are none, unless a fail-over has lost a deletion or somebody has deleted a session's
// keys.
func (s *Store) makeRoom(ctx context.Context, user string, limit int) error {
	if err := s.takeFormerIndex(ctx, user); err != nil {
		return err
	}
	n, err := s.call(ctx, s.client.B().Hlen().Key(s.userKey(user)).Build()).AsInt64()
	if err != nil || n < int64(limit) {
		return err
	}
	_, err = s.ofUser(ctx, user)
	return err
}

// takeFormerIndex moves the entries of an earlier version, which used the name as the directory
// writes it, to the index of all spellings. Nodes of that version may make more of them, which the
// next sign-in finds. Reservations stay where they are.
func (s *Store) takeFormerIndex(ctx context.Context, user string) error {
	former := s.formerUserKey(user)
	if former == "" {
		return nil
	}
	entries, err := s.call(ctx, s.client.B().Hgetall().Key(former).Build()).AsStrMap()
	if err != nil {
		return err
	}
	b := s.client.B()
	for id, entry := range entries {
		if strings.HasPrefix(entry, "r") {
			continue
		}
		if err := s.call(ctx, b.Hsetnx().Key(s.userKey(user)).Field(id).Value(entry).Build()).Error(); err != nil {
			return err
		}
		if err := s.call(ctx, b.Hdel().Key(former).Field(id).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

// OfUser implements [session.Store].
func (s *Store) OfUser(ctx context.Context, user string) ([]session.Record, error) {
	err := s.takeFormerIndex(ctx, user)
	var records []session.Record
	if err == nil {
		records, err = s.ofUser(ctx, user)
	}
	if err != nil {
		return nil, fmt.Errorf("list sessions of user: %w", err)
	}
	slices.SortFunc(records, func(a, b session.Record) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return records, nil
}

// ofUser reads the live sessions of a user, and deletes the entries of all others.
func (s *Store) ofUser(ctx context.Context, user string) (records []session.Record, err error) {
	entries, err := s.call(ctx, s.client.B().Hgetall().Key(s.userKey(user)).Build()).AsStrMap()
	if err != nil {
		return nil, err
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
	for chunk := range slices.Chunk(ids, 5000) {
		list, err := s.getMany(ctx, chunk)
		if err != nil {
			return nil, err
		}
		for i, r := range list {
			if r.found && r.End == nil {
				records = append(records, r.Record)
			} else if err := s.drop(ctx, user, chunk[i], r.found); err != nil {
				return nil, err
			}
		}
	}
	return records, nil
}

// Indexed is how many entries the index of a user's sessions has. storetest asks.
func (s *Store) Indexed(ctx context.Context, user string) (int, error) {
	n, err := s.call(ctx, s.client.B().Hlen().Key(s.userKey(user)).Build()).AsInt64()
	return int(n), err
}
