package redis

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Where a receiver stands lies in the slot of the trail: a fail-over that loses the last lines of
// the trail also loses that they were accepted. A hash says up to which number all lines are
// accepted ('at'), and with which text of chance it began ('born'); a sorted set lists those
// accepted above that; and the lease is the name of a node that expires.

func (s *Store) receiverKey(receiver string) string {
	return s.prefix + slotAudit + ":to:" + encode(receiver)
}

// receiverKeys are the keys of the scripts of receivers.
func (s *Store) receiverKeys(receiver string) []string {
	key := s.receiverKey(receiver)
	return []string{s.auditKey(), s.counterKey(), key, key + ":accepted", s.leaseKey(receiver)}
}

func (s *Store) leaseKey(receiver string) string { return s.receiverKey(receiver) + ":lease" }

// followScript makes a receiver known that is not.
var followScript = newVitalScript(`
local last, place = redis.call('GET', KEYS[2]) or '0', KEYS[3]
if redis.call('EXISTS', place) == 0 then redis.call('HSET', place, 'at', last, 'born', ARGV[1]) end
return {'ok'}
`)

// Follow implements [session.Outbox].
func (s *Store) Follow(ctx context.Context, receiver string) error {
	if err := outcome(s.run(ctx, followScript, s.receiverKeys(receiver), []string{rand.Text()})); err != nil {
		return fmt.Errorf("follow audit trail: %w", err)
	}
	return nil
}

// reading is the part of a script that goes through the trail after a line. entries lists up to
// count of its entries, and numberOf is the number of one.
const reading = `
local function entries(events, after, count)
  return redis.call('XRANGE', events, '(' .. string.format('%d', after) .. '-0', '+', 'COUNT', count)
end
local function numberOf(entry) return tonumber(string.match(entry[1], '^%d+')) end
local function lineOf(entry)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == 'e' then return entry[2][i + 1] end
  end
  return ''
end
local function advance(events, place, accepted, at)
  while true do
    local n = math.min(100, redis.call('ZCARD', accepted))
    local list = n > 0 and entries(events, at, n) or {}
    local on = #list > 0
    for _, entry in ipairs(list) do
      on = redis.call('ZREM', accepted, string.format('%d', numberOf(entry))) == 1
      if not on then break end
      at = numberOf(entry)
    end
    if not on then
      redis.call('HSET', place, 'at', string.format('%d', at))
      return at
    end
  end
end
`

// claimScript answers a session.OutboxClaim. Lines are given up as session/bolt does.
var claimScript = newVitalScript(serverRun + reading + `
local events, last, place, accepted, lease = unpack(KEYS)
local node, lasts, after, limit, keep = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
if redis.call('EXISTS', place) == 0 then redis.call('HSET', place, 'at', '0', 'born', ARGV[6]) end -- it was reset
local newest, at = tonumber(redis.call('GET', last) or '0'), tonumber(redis.call('HGET', place, 'at'))
if at > newest or after > newest then -- it was reset in between: numbers begin anew
  redis.call('DEL', accepted)
  redis.call('HSET', place, 'at', '0', 'born', ARGV[6])
  at, after = 0, 0
end
local holder = redis.call('GET', lease)
local held, dropped = not holder or holder == node, 0
if held then
  redis.call('SET', lease, node, 'PX', lasts)
  local oldest = entries(events, at, 1)[1]
  local floor = math.max(newest - keep, (oldest and numberOf(oldest) or newest + 1) - 1)
  if floor > at then
    dropped = floor - at - redis.call('ZREMRANGEBYSCORE', accepted, '-inf', string.format('%d', floor))
    at = advance(events, place, accepted, floor)
  end
end
local oldest = entries(events, at, 1)[1]
local lines, next, more, scanned = {}, math.max(after, at), 0, 0
while held and limit > 0 and more == 0 do
  local list = entries(events, next, 100)
  for _, entry in ipairs(list) do
    if #lines == limit or scanned == 2000 then
      more = 1
      break
    end
    next, scanned = numberOf(entry), scanned + 1
    if not redis.call('ZSCORE', accepted, string.format('%d', next)) then
      lines[#lines + 1] = {string.format('%d', next), lineOf(entry)}
    end
  end
  if #list < 100 then break end
end
return {held and 1 or 0, redis.call('HGET', place, 'born') .. ' ' .. run(), newest - at - redis.call('ZCARD', accepted),
  dropped, oldest and lineOf(oldest) or '', string.format('%d', next), more, lines, string.format('%d', at)}
`)

// Claim implements [session.Outbox].
func (s *Store) Claim(ctx context.Context, c session.OutboxClaim) (session.OutboxClaimed, error) {
	claimed, err := s.claim(ctx, c)
	if err != nil {
		return session.OutboxClaimed{}, fmt.Errorf("read outbox: %w", err)
	}
	return claimed, nil
}

func (s *Store) claim(ctx context.Context, c session.OutboxClaim) (claimed session.OutboxClaimed, err error) {
	answer, err := s.run(ctx, claimScript, s.receiverKeys(c.Receiver), []string{
		c.Node, inMillis(session.OutboxLease), strconv.FormatUint(c.After, 10), strconv.Itoa(c.Limit),
		strconv.Itoa(c.Keep), rand.Text(),
	})
	if err != nil {
		return claimed, err
	}
	if len(answer) != 9 {
		return claimed, errUnexpected
	}
	held, err1 := answer[0].AsInt64()
	epoch, err2 := answer[1].ToString()
	waiting, err3 := answer[2].AsInt64()
	dropped, err4 := answer[3].AsInt64()
	oldest, err5 := answer[4].ToString()
	next, err6 := answer[5].AsUint64()
	more, err7 := answer[6].AsInt64()
	lines, err8 := answer[7].ToArray()
	settled, err9 := answer[8].AsUint64()
	if err := errors.Join(err1, err2, err3, err4, err5, err6, err7, err8, err9); err != nil {
		return claimed, err
	}
	claimed = session.OutboxClaimed{
		Held:    held == 1,
		Epoch:   epoch,
		Waiting: int(waiting),
		Dropped: int(dropped),
		Settled: settled,
		Next:    next,
		More:    more == 1,
	}
	if oldest != "" {
		var e session.Event
		if err := json.Unmarshal([]byte(oldest), &e); err != nil {
			return claimed, err
		}
		claimed.Oldest = e.At
	}
	for _, l := range lines {
		e, err := claimedLine(l)
		if err != nil {
			return claimed, err
		}
		claimed.Lines = append(claimed.Lines, e)
	}
	return claimed, nil
}

// claimedLine reads the number and the text of a line.
func claimedLine(l rueidis.RedisMessage) (e session.Event, err error) {
	parts, err := l.AsStrSlice()
	if err != nil {
		return e, err
	}
	if len(parts) != 2 {
		return e, errUnexpected
	}
	n, err := strconv.ParseUint(parts[0], 10, 64)
	if err != nil {
		return e, err
	}
	err = json.Unmarshal([]byte(parts[1]), &e)
	return e.Numbered(n), err
}

var acceptScript = newVitalScript(serverRun + reading + `
local events, last, place, accepted = unpack(KEYS)
if (redis.call('HGET', place, 'born') or '') .. ' ' .. run() ~= ARGV[1] then return {'over'} end
local at = tonumber(redis.call('HGET', place, 'at'))
for i = 2, #ARGV do
  if tonumber(ARGV[i]) > at then redis.call('ZADD', accepted, ARGV[i], ARGV[i]) end
end
advance(events, place, accepted, at)
return {'ok'}
`)

// Accept implements [session.Outbox].
func (s *Store) Accept(ctx context.Context, receiver, epoch string, numbers []uint64) error {
	args := []string{epoch}
	for _, n := range numbers {
		args = append(args, strconv.FormatUint(n, 10))
	}
	if _, err := s.run(ctx, acceptScript, s.receiverKeys(receiver), args); err != nil {
		return fmt.Errorf("note what was accepted: %w", err)
	}
	return nil
}

var releaseScript = newVitalScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return {'ok'}
`)

// Release implements [session.Outbox].
func (s *Store) Release(ctx context.Context, receiver, node string) error {
	if _, err := s.run(ctx, releaseScript, []string{s.leaseKey(receiver)}, []string{node}); err != nil {
		return fmt.Errorf("give up lease of outbox: %w", err)
	}
	return nil
}
