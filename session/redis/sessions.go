package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// A session has two or three keys: its record, which rarely changes; its timing, a small hash by
// which scripts judge it; and the application's values. The fields of the timing are
//
//	c        created                                                           (ms)
//	a        last activity                                                     (ms)
//	l        last tab closed; 0 while one may be open                          (ms)
//	to,ta,tc a tab opened, a page asked for, the last tab closed               (ms)
//	e, m, g  idle timeout, lifetime and close grace of its policy              (ms)
//	v        version of the values
//	n        revision of its rules
//	u        mark of its user; none in sessions of an older version
//	x        the end, as JSON, once it is over

var createScript = newScript(online + inTime + `
local record, timing, values, live, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if late(ARGV[14]) then return {'too late'} end
if redis.call('EXISTS', timing) == 1 then return {'exists'} end
redis.call('SET', record, ARGV[2])
redis.call('HSET', timing, 'c', ARGV[3], 'a', ARGV[4], 'l', ARGV[5],
  'e', ARGV[6], 'm', ARGV[7], 'g', ARGV[8], 'v', ARGV[9], 'u', ARGV[13])
if ARGV[10] ~= '' then redis.call('SET', values, ARGV[10]) end
redis.call('ZADD', live, ARGV[11], ARGV[1])
redis.call('RPUSH', outbox, ARGV[12])
return {'ok', online()}
`)

// errUnexpected is an answer that no script of ours gives.
var errUnexpected = errors.New("unexpected answer of redis")

// Create implements [session.Store]. It counts the user's sessions first, in an index that lies in
// a slot of its own; see users.go.
func (s *Store) Create(ctx context.Context, r session.Record, limit int) (displaced []session.ID, err error) {
	displaced, err = s.signIn(ctx, r, limit)
	if err != nil {
		return displaced, fmt.Errorf("create session: %w", err)
	}
	return displaced, nil
}

func (s *Store) signIn(ctx context.Context, r session.Record, limit int) (displaced []session.ID, err error) {
	if limit > 0 {
		if err := s.makeRoom(ctx, r.User, limit); err != nil {
			return nil, err
		}
	}
	others, err := s.reserve(ctx, r, limit)
	if err != nil {
		return nil, err
	}
	displaced, err = s.signInReserved(ctx, r, others)
	if err != nil && !unanswered(err) { // else the place is void soon, and the next sign-in of the user removes it
		err = errors.Join(err, s.drop(context.WithoutCancel(ctx), r.User, r.ID, true))
	}
	return displaced, err
}

// signInReserved is the rest of a sign-in that has reserved its place. If it fails, the session may
// have been stored nevertheless; the caller of Create then ends it.
func (s *Store) signInReserved(
	ctx context.Context,
	r session.Record,
	others []displacement,
) (displaced []session.ID, err error) {
	now, err := s.rememberAddress(ctx, r)
	if err != nil {
		return nil, err
	}
	if err := s.create(ctx, r, now); err != nil {
		return nil, err
	}
	for _, o := range others {
		ended, err := s.displace(ctx, r.User, o)
		if err != nil {
			return displaced, err
		}
		if ended {
			displaced = append(displaced, o.id)
		}
	}
	return displaced, s.commit(ctx, r)
}

// create stores the session itself, but not once its reservation is void: the hub has stopped to
// look for an orphan by then. now was read where the session will lie.
func (s *Store) create(ctx context.Context, r session.Record, now int64) error {
	bare := r
	bare.Values = nil
	data, err := bare.Encode()
	if err != nil {
		return err
	}
	event, err := outboxEntry{Key: "s" + name(r.ID), Session: name(r.ID), Event: session.SignInEvent(ctx, r)}.encode()
	if err != nil {
		return err
	}
	p := partition(r.ID)
	limit := now + reservedFor.Milliseconds()
	answer, err := s.run(ctx, createScript,
		[]string{s.recordKey(r.ID), s.timingKey(r.ID), s.valuesKey(r.ID), s.liveKey(p), s.outboxKey(p)},
		[]string{name(r.ID), string(data), ms(r.CreatedAt), ms(r.LastActiveAt), ms(r.LeftAt),
			inMillis(r.Policy.ExpireAfter), inMillis(r.Policy.MaxLifetime), inMillis(r.Policy.CloseGrace),
			strconv.FormatInt(r.Version, 10), string(r.Values), strconv.FormatInt(r.SeenRevocation, 10), event,
			userMark(r.User), strconv.FormatInt(limit, 10)})
	if err != nil {
		return err
	}
	switch first(answer) {
	case "exists":
		return session.ErrExists
	case "too late":
		return errLate
	}
	s.relay(p)
	return s.replicatedAnswer(ctx, p, answer, 1)
}

// unanswered reports whether err leaves open what Redis has done.
func unanswered(err error) bool {
	for _, answered := range []error{session.ErrExists, ErrNotReplicated, errVoid, errLate} {
		if errors.Is(err, answered) {
			return false
		}
	}
	var refused *rueidis.RedisError
	return !errors.As(err, &refused)
}

// replicatedAnswer is replicated for a script that has counted the replicas at index i of its
// answer.
func (s *Store) replicatedAnswer(ctx context.Context, slot string, answer []rueidis.RedisMessage, i int) error {
	if len(answer) <= i {
		return errUnexpected
	}
	replicas, err := answer[i].AsInt64()
	if err != nil {
		return err
	}
	return s.replicated(ctx, slot, replicas)
}

// getScript reads several sessions of a partition, each in one piece.
var getScript = newReadingScript(`
local out = {}
for i = 1, #KEYS, 3 do
  local record, timing = redis.call('GET', KEYS[i]), redis.call('HGETALL', KEYS[i + 1])
  if record and #timing > 0 then
    out[#out + 1] = {record, timing, redis.call('GET', KEYS[i + 2]) or ''}
  else
    out[#out + 1] = {}
  end
end
return out
`)

// Get implements [session.Store].
func (s *Store) Get(ctx context.Context, id session.ID) (session.Record, error) {
	r, err := s.get(ctx, id)
	if err != nil {
		return session.Record{}, fmt.Errorf("get session: %w", err)
	}
	return r.Record, nil
}

// stored is a session as it was read.
type stored struct {
	session.Record
	found bool
}

func (s *Store) get(ctx context.Context, id session.ID) (stored, error) {
	list, err := s.getMany(ctx, []session.ID{id})
	if err == nil && !list[0].found {
		err = session.ErrNotFound
	}
	if err != nil {
		return stored{}, err
	}
	return list[0], nil
}

// readTogether is how many sessions one script reads.
const readTogether = 100

// GetMany implements [session.SharedStore].
func (s *Store) GetMany(ctx context.Context, ids []session.ID) ([]session.Record, error) {
	var records []session.Record
	for chunk := range slices.Chunk(ids, 5000) {
		list, err := s.getMany(ctx, chunk)
		if err != nil {
			return nil, fmt.Errorf("get sessions: %w", err)
		}
		for _, r := range list {
			if r.found {
				records = append(records, r.Record)
			}
		}
	}
	return records, nil
}

// getMany reads sessions, one for each ID.
func (s *Store) getMany(ctx context.Context, ids []session.ID) ([]stored, error) {
	byPartition := make(map[byte][]int)
	for i, id := range ids {
		byPartition[id[0]] = append(byPartition[id[0]], i)
	}
	var calls []invocation
	var indexes [][]int
	for _, list := range byPartition {
		for chunk := range slices.Chunk(list, readTogether) {
			var in invocation
			for _, i := range chunk {
				in.keys = append(in.keys, s.recordKey(ids[i]), s.timingKey(ids[i]), s.valuesKey(ids[i]))
			}
			calls, indexes = append(calls, in), append(indexes, chunk)
		}
	}
	out := make([]stored, len(ids))
	for c, result := range s.runMany(ctx, getScript, calls) {
		answers, err := result.ToArray()
		if err != nil {
			return nil, err
		}
		if len(answers) != len(indexes[c]) {
			return nil, errUnexpected
		}
		for k, i := range indexes[c] {
			if out[i], err = decode(ids[i], answers[k]); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
}

func decode(id session.ID, answer rueidis.RedisMessage) (out stored, err error) {
	parts, err := answer.ToArray()
	if err != nil || len(parts) == 0 {
		return out, err
	}
	if len(parts) != 3 {
		return out, errUnexpected
	}
	record, err := parts[0].ToString()
	if err != nil {
		return out, err
	}
	timing, err := parts[1].AsStrMap()
	if err != nil {
		return out, err
	}
	values, err := parts[2].ToString()
	if err != nil {
		return out, err
	}
	r, err := session.Decode(id, []byte(record))
	if err != nil {
		return out, err
	}
	number := func(field string) int64 {
		n, _ := strconv.ParseInt(timing[field], 10, 64)
		return n
	}
	r.LastActiveAt, r.LeftAt = session.FromUnixMilli(number("a")), session.FromUnixMilli(number("l"))
	at := func(field string) time.Time { return session.FromUnixMilli(number(field)) }
	r.Tabs = session.TabTimes{OpenedAt: at("to"), AskedAt: at("ta"), ClosedAt: at("tc")}.Agreeing(r.LeftAt)
	r.Version, r.Revision = number("v"), number("n")
	if values != "" {
		r.Values = []byte(values)
	}
	if x := timing["x"]; x != "" {
		r.End = new(session.End)
		if err := json.Unmarshal([]byte(x), r.End); err != nil {
			return out, err
		}
	}
	return stored{r, true}, nil
}

// outcome turns the first word of a script's answer into an error.
func outcome(answer []rueidis.RedisMessage, err error) error {
	if err != nil {
		return err
	}
	switch first(answer) {
	case "ok":
		return nil
	case "unknown":
		return session.ErrNotFound
	case "ended":
		return session.ErrEnded
	case "conflict":
		return session.ErrConflict
	}
	return errUnexpected
}

var saveScript = newScript(`
local timing, values = KEYS[1], KEYS[2]
local known = redis.call('HMGET', timing, 'v', 'x')
if not known[1] then return {'unknown'} end
if known[2] then return {'ended'} end
if known[1] ~= ARGV[1] then return {'conflict'} end
redis.call('HINCRBY', timing, 'v', 1)
redis.call('SET', values, ARGV[2])
return {'ok'}
`)

// Save implements [session.Store].
func (s *Store) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	err := outcome(s.run(ctx, saveScript, []string{s.timingKey(id), s.valuesKey(id)},
		[]string{strconv.FormatInt(version, 10), string(values)}))
	if err != nil {
		return fmt.Errorf("save session: %w", err)
	}
	return nil
}

// touchScript takes the later time, but none that Redis's clock has not reached.
var touchScript = newVitalScript(clock + `
local present, unknown = now(tonumber(ARGV[1])), {}
for i, timing in ipairs(KEYS) do
  local t = redis.call('HMGET', timing, 'c', 'a', 'l', 'e', 'm', 'g', 'x')
  if not t[1] then unknown[#unknown + 1] = i - 1 end
  if t[1] and not t[7] then
    local at = math.min(tonumber(ARGV[i + 1]), present)
    local active = tonumber(t[2])
    local left, idle, lifetime, grace = tonumber(t[3]), tonumber(t[4]), tonumber(t[5]), tonumber(t[6])
    if at > active and at < due(tonumber(t[1]), active, left, idle, lifetime, grace) then
      redis.call('HSET', timing, 'a', string.format('%d', at))
    end
  end
end
return unknown
`)

// Touch implements [session.Store].
func (s *Store) Touch(ctx context.Context, acts []session.Activity) (unknown []session.ID, err error) {
	byPartition := make(map[byte][]session.Activity)
	for _, a := range acts {
		byPartition[a.ID[0]] = append(byPartition[a.ID[0]], a)
	}
	var calls []invocation
	var chunks [][]session.Activity
	for _, list := range byPartition {
		for chunk := range slices.Chunk(list, readTogether) {
			chunks = append(chunks, chunk)
			in := invocation{args: []string{s.offsetText()}}
			for _, a := range chunk {
				in.keys, in.args = append(in.keys, s.timingKey(a.ID)), append(in.args, ms(a.At))
			}
			calls = append(calls, in)
		}
	}
	for c, result := range s.runMany(ctx, touchScript, calls) {
		missing, err := result.AsIntSlice()
		if err != nil {
			return nil, fmt.Errorf("touch sessions: %w", err)
		}
		for _, i := range missing {
			unknown = append(unknown, chunks[c][i].ID)
		}
	}
	return unknown, nil
}

// leaveScript is session.Record.Leave.
var leaveScript = newVitalScript(`
local function left(opened, asked, closed, limit)
  if closed <= opened then return 0 end
  if asked > opened and asked > closed - limit then return 0 end
  return closed
end
local t = redis.call('HMGET', KEYS[1], 'c', 'x', 'l', 'g', 'to', 'ta', 'tc')
if not t[1] then return {'unknown'} end
if t[2] then return {'ended'} end
local was, grace = tonumber(t[3]), tonumber(t[4])
local opened, asked, closed = tonumber(t[5] or 0), tonumber(t[6] or 0), tonumber(t[7] or 0)
local limit, o, a, d = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if left(opened, asked, closed, limit) ~= was then -- written by a version that knew no other time
  if was == 0 then opened = math.max(opened, closed) else opened, asked, closed = 0, 0, was end
end
if grace > 0 and was > 0 then
  if o >= was + grace then o = 0 end
  if a >= was + grace then a = 0 end
end
opened, asked, closed = math.max(opened, o), math.max(asked, a), math.max(closed, d)
local function text(ms) return string.format('%d', ms) end
redis.call('HSET', KEYS[1], 'l', text(left(opened, asked, closed, limit)),
  'to', text(opened), 'ta', text(asked), 'tc', text(closed))
return {'ok', text(opened), text(asked), text(closed)}
`)

// Leave implements [session.Store].
func (s *Store) Leave(ctx context.Context, id session.ID, news session.TabTimes) (known session.TabTimes, err error) {
	answer, err := s.run(ctx, leaveScript, []string{s.timingKey(id)},
		[]string{inMillis(session.NavigationLimit), ms(news.OpenedAt), ms(news.AskedAt), ms(news.ClosedAt)})
	if err = outcome(answer, err); err == nil && len(answer) != 4 {
		err = errUnexpected
	}
	if err != nil {
		return session.TabTimes{}, fmt.Errorf("note tabs of session: %w", err)
	}
	for i, at := range []*time.Time{&known.OpenedAt, &known.AskedAt, &known.ClosedAt} {
		text, _ := answer[1+i].ToString()
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return session.TabTimes{}, fmt.Errorf("note tabs of session: %w", errUnexpected)
		}
		*at = session.FromUnixMilli(n)
	}
	return known, nil
}

// Live implements [session.Store].
func (s *Store) Live(ctx context.Context) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		for chunk := range slices.Chunk(partitions(), 16) {
			ids, err := s.namedIn(ctx, chunk, s.liveKey)
			if err != nil {
				yield(session.Record{}, fmt.Errorf("list sessions: %w", err))
				return
			}
			for part := range slices.Chunk(ids, 2000) {
				list, err := s.getMany(ctx, part)
				if err != nil {
					yield(session.Record{}, fmt.Errorf("list sessions: %w", err))
					return
				}
				for _, r := range list {
					if r.found && r.End == nil && !yield(r.Record, nil) {
						return
					}
				}
			}
		}
	}
}

// namedIn lists the sessions of some partitions that stand in any of these sorted sets of them.
func (s *Store) namedIn(
	ctx context.Context,
	parts []string,
	keys ...func(partition string) string,
) ([]session.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var commands []rueidis.Completed
	for _, p := range parts {
		for _, key := range keys {
			commands = append(commands, s.client.B().Zrange().Key(key(p)).Min("0").Max("-1").Build())
		}
	}
	var ids []session.ID
	for _, result := range s.callMany(ctx, commands...) {
		names, err := result.AsStrSlice()
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			id, err := parseName(n)
			if err != nil {
				return nil, err
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}
