package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Revocations and their counter lie in one slot. The counter also rises when a revocation is
// cancelled, so that it tells whether anything has changed; changes lists what changed at each of
// its last numbers. The counter notes which run of the server it belongs to, and leaps if that is
// another one: see docs/decisions.md#no-number-of-a-revocation-is-given-twice.

const slotRevocations = "{facts}"

func (s *Store) revocationsKey() string    { return s.prefix + slotRevocations + ":all" }
func (s *Store) lastRevocationKey() string { return s.prefix + slotRevocations + ":last" }

// number and ID of a revocation, by number
func (s *Store) changesKey() string        { return s.prefix + slotRevocations + ":changes" }
func (s *Store) revocationsRunKey() string { return s.prefix + slotRevocations + ":run" }

// revocationKeys are the keys of the scripts that change revocations.
func (s *Store) revocationKeys() []string {
	return []string{
		s.revocationsKey(),
		s.lastRevocationKey(),
		s.changesKey(),
		s.revocationsRunKey(),
		s.outboxKey(slotRevocations),
	}
}

const (
	revocationsSkip = 1 << 20 // more numbers than a fail-over loses
	changesKept     = 10_000  // a node that is further behind reads all revocations
	// ms before its effect at which a revocation can no longer be cancelled: nodes' clocks
	// differ by 20
	cancelMargin = 50
)

// numbering is the part of a script that counts. next takes the next number, above least, for a
// change of a revocation.
var numbering = serverRun + `
local function note(changes, number, id)
  local n = string.format('%d', number)
  redis.call('ZADD', changes, n, n .. ' ' .. id) -- each number once, also where one revocation has several
  redis.call('ZREMRANGEBYRANK', changes, 0, ` + strconv.Itoa(-1-changesKept) + `)
end
local function take(last, least, served)
  local number = math.max(tonumber(redis.call('GET', last) or '0'), least)
  local known, here = redis.call('GET', served), run()
  if known and known ~= here then number = number + ` + strconv.Itoa(revocationsSkip) + ` end
  if known ~= here then redis.call('SET', served, here) end
  redis.call('SET', last, string.format('%d', number + 1))
  return number + 1
end
`

// revocationScript stores a revocation: a new one under the next number, above the highest that the
// caller knows, or one that another node may have seen lost under its own. Only a new one can come
// too late: it would end sessions that began after its caller was told that it has failed.
var revocationScript = newVitalScript(online + inTime + numbering + `
local all, last, changes, served, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, revocation, line, number, own = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == 'own'
if redis.call('HEXISTS', all, id) == 1 then return {'exists', online(), '0'} end
if late(ARGV[6]) then return {'too late'} end
local change
if not own then
  number = take(last, number, served)
  change = number
elseif number > tonumber(redis.call('GET', last) or '0') then
  redis.call('SET', last, string.format('%d', number))
  change = number
else
  change = redis.call('INCR', last) -- nodes that never knew it see that something has changed
end
note(changes, change, id)
redis.call('HSET', all, id, string.format('%d', number) .. ' ' .. revocation)
redis.call('RPUSH', outbox, line)
return {'ok', online(), string.format('%d', number)}
`)

// AddRevocation implements [session.Store].
func (s *Store) AddRevocation(ctx context.Context, f session.Revocation) (session.Revocation, error) {
	f, err := s.addRevocation(ctx, f, "new")
	if err != nil {
		return session.Revocation{}, fmt.Errorf("store forced logout: %w", err)
	}
	return f, nil
}

// atLeastScript raises the counter to a number that sign-ins have read.
var atLeastScript = newVitalScript(online + `
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return {'ok', online()}
`)

// RestoreRevocations implements [session.SharedStore].
func (s *Store) RestoreRevocations(ctx context.Context, revocations []session.Revocation, last int64) error {
	for _, f := range revocations {
		if _, err := s.addRevocation(ctx, f, "own"); err != nil {
			return fmt.Errorf("store forced logout again: %w", err)
		}
		if !f.CancelledAt.IsZero() {
			known := cancelledLate
			if f.Cancelled() {
				known = cancelledInTime
			}
			if _, err := s.cancelRevocation(ctx, f.ID, f.CancelledAt, "", known); err != nil {
				return fmt.Errorf("call off forced logout again: %w", err)
			}
		}
	}
	answer, err := s.run(ctx, atLeastScript, []string{s.lastRevocationKey()}, []string{strconv.FormatInt(last, 10)})
	if err == nil {
		err = s.replicatedAnswer(ctx, slotRevocations, answer, 1)
	}
	if err != nil {
		return fmt.Errorf("restore number of the last forced logout: %w", err)
	}
	return nil
}

// addRevocation stores a revocation under a new number or under its own.
func (s *Store) addRevocation(ctx context.Context, f session.Revocation, number string) (session.Revocation, error) {
	if f.ID == "" {
		return f, fmt.Errorf("a revocation without an ID")
	}
	data, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	event, err := outboxEntry{Key: "f" + f.ID, Event: session.RevocationEvent(f)}.encode()
	if err != nil {
		return f, err
	}
	answer, err := s.runInTime(ctx, revocationScript, s.revocationKeys(),
		[]string{f.ID, string(data), event, strconv.FormatInt(f.Number, 10), number}, number == "new")
	if err != nil {
		return f, err
	}
	s.relay(slotRevocations)
	if err := s.replicatedAnswer(ctx, slotRevocations, answer, 1); err != nil {
		return f, err
	}
	if first(answer) == "ok" {
		f.Number, err = answer[2].AsInt64()
	}
	return f, err
}

// cancelScript stores one of two outcomes, which its caller has prepared: the revocation as it is
// if it was cancelled in time, and if that came too late. Redis's clock decides which one, unless
// the outcome is known already.
// The rule is that of session.Revocation.Cancel, with cancelMargin to spare.
var cancelScript = newVitalScript(online + inTime + numbering + `
local all, last, changes, served, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, before, known = ARGV[1], ARGV[2], ARGV[3]
local at, effective, blocked = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if redis.call('HGET', all, id) ~= before then return {'conflict', online()} end
if late(ARGV[12]) then return {'too late'} end
local outcome = known
if known == '' then
  at = math.max(at, now(tonumber(ARGV[4])))
  outcome = at + ` + strconv.Itoa(cancelMargin) + ` < effective and 'in time' or 'late'
  if outcome == 'late' and at >= blocked then return {'nothing', online()} end
end
local n = outcome == 'in time' and 8 or 10
local number = take(last, 0, served)
redis.call('HSET', all, id, ARGV[n])
redis.call('RPUSH', outbox, ARGV[n + 1])
note(changes, number, id)
return {outcome, online()}
`)

// CancelRevocation implements [session.Store].
func (s *Store) CancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor string,
) (session.Revocation, error) {
	f, err := s.cancelRevocation(ctx, id, at, actor, undecided)
	if err != nil {
		return session.Revocation{}, fmt.Errorf("call off forced logout: %w", err)
	}
	return f, nil
}

// The outcomes of cancelling a revocation.
const (
	undecided       = ""
	cancelledInTime = "in time"
	cancelledLate   = "late"
)

// cancelRevocation cancels a revocation with the outcome that is known, or that is decided now.
func (s *Store) cancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor, known string,
) (session.Revocation, error) {
	for {
		before, err := s.call(ctx, s.client.B().Hget().Key(s.revocationsKey()).Field(id).Build()).ToString()
		if rueidis.IsRedisNil(err) {
			return session.Revocation{}, session.ErrNotFound
		}
		if err != nil {
			return session.Revocation{}, err
		}
		f, err := decodeRevocation(before)
		if err != nil || !f.CancelledAt.IsZero() {
			return f, err
		}
		inTime, late := f, f
		inTime.CancelledAt, late.CancelledAt = at, at
		if at.Before(f.EffectiveAt) { // whichever holds, its instant agrees with it
			late.CancelledAt = f.EffectiveAt
		} else {
			inTime.CancelledAt = f.EffectiveAt.Add(-time.Millisecond)
		}
		effective := ms(f.EffectiveAt)
		if f.AtOnce() {
			effective = "0"
		}
		args := []string{id, before, known, s.offsetText(), ms(at), effective, ms(f.BlockUntil)}
		for _, outcome := range []session.Revocation{inTime, late} {
			data, err := json.Marshal(outcome)
			if err != nil {
				return session.Revocation{}, err
			}
			event, err := outboxEntry{Key: "c" + f.ID, Event: session.CancelEvent(ctx, outcome, actor)}.encode()
			if err != nil {
				return session.Revocation{}, err
			}
			args = append(args, fmt.Sprintf("%d %s", f.Number, data), event)
		}
		answer, err := s.runInTime(ctx, cancelScript, s.revocationKeys(), args, known == undecided)
		if err != nil {
			return session.Revocation{}, err
		}
		switch first(answer) {
		case "conflict":
			continue // somebody else cancelled it
		case "nothing":
			return session.Revocation{}, session.ErrTooLate
		case cancelledInTime:
			f = inTime
		default:
			f = late
		}
		s.relay(slotRevocations)
		return f, s.replicatedAnswer(ctx, slotRevocations, answer, 1)
	}
}

// decodeRevocation reads a revocation that has its number in front. The number in its JSON is not
// the one: it was written before the store gave it a number.
func decodeRevocation(text string) (f session.Revocation, err error) {
	var number int64
	var rest string
	for i := range text {
		if text[i] == ' ' {
			number, err = strconv.ParseInt(text[:i], 10, 64)
			rest = text[i+1:]
			break
		}
	}
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal([]byte(rest), &f); err != nil {
		return f, fmt.Errorf("decode forced logout: %w", err)
	}
	f.Number = number
	return f, nil
}

// Revocations implements [session.Store].
func (s *Store) Revocations(ctx context.Context) ([]session.Revocation, error) {
	all, err := s.call(ctx, s.client.B().Hvals().Key(s.revocationsKey()).Build()).AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	revocations := make([]session.Revocation, len(all))
	for i, text := range all {
		if revocations[i], err = decodeRevocation(text); err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
	}
	slices.SortFunc(revocations, func(a, b session.Revocation) int { return cmp.Compare(a.Number, b.Number) })
	return revocations, nil
}

// RevocationsAfter implements [session.SharedStore].
func (s *Store) RevocationsAfter(
	ctx context.Context,
	after int64,
) (revocations []session.Revocation, last int64, all bool, err error) {
	if last, err = s.LastRevocation(ctx); err != nil {
		return nil, 0, false, err
	}
	if last == after {
		return nil, last, false, nil
	}
	if since := last - after; since > 0 && since <= changesKept {
		above, upTo := "("+strconv.FormatInt(after, 10), strconv.FormatInt(last, 10)
		changes, err := s.call(ctx,
			s.client.B().Zrangebyscore().Key(s.changesKey()).Min(above).Max(upTo).Build()).AsStrSlice()
		if err != nil {
			return nil, 0, false, fmt.Errorf("read forced logouts: %w", err)
		}
		if int64(len(changes)) == since { // else an earlier version wrote some, or the numbers have leapt
			revocations, err = s.revocationsOf(ctx, changes)
			return revocations, last, false, err
		}
	}
	revocations, err = s.Revocations(ctx)
	return revocations, last, true, err
}

// revocationsOf reads the revocations of some changes. Those that were forgotten meanwhile are left
// out.
func (s *Store) revocationsOf(ctx context.Context, changes []string) ([]session.Revocation, error) {
	ids := make([]string, len(changes))
	for i, change := range changes {
		_, ids[i], _ = strings.Cut(change, " ")
	}
	slices.Sort(ids)
	texts, err := s.call(ctx,
		s.client.B().Hmget().Key(s.revocationsKey()).Field(slices.Compact(ids)...).Build()).ToArray()
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	var revocations []session.Revocation
	for _, message := range texts {
		if message.IsNil() {
			continue
		}
		text, err := message.ToString()
		if err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
		f, err := decodeRevocation(text)
		if err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
		revocations = append(revocations, f)
	}
	slices.SortFunc(revocations, func(a, b session.Revocation) int { return cmp.Compare(a.Number, b.Number) })
	return revocations, nil
}

// LastRevocation implements [session.Store].
func (s *Store) LastRevocation(ctx context.Context) (int64, error) {
	return lastRevocation(s.call(ctx, s.client.B().Get().Key(s.lastRevocationKey()).Build()))
}

// lastRevocation reads the answer to LastRevocation.
func lastRevocation(r rueidis.RedisResult) (int64, error) {
	n, err := r.AsInt64()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read number of the last forced logout: %w", err)
	}
	return n, nil
}

// GetWithRevocation implements [session.SharedStore]. In a cluster the two are read from two
// servers at the same time, elsewhere the session first.
func (s *Store) GetWithRevocation(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	in := invocation{keys: []string{s.recordKey(id), s.timingKey(id), s.valuesKey(id)}}
	results := s.callMany(ctx, s.evalsha(getScript, in), s.client.B().Get().Key(s.lastRevocationKey()).Build())
	answers, err := s.known(ctx, getScript, in, results[0]).ToArray()
	if err == nil && len(answers) != 1 {
		err = errUnexpected
	}
	var found stored
	if err == nil {
		found, err = decode(id, answers[0])
	}
	if err == nil && !found.found {
		err = session.ErrNotFound
	}
	if err != nil {
		return session.Record{}, 0, fmt.Errorf("get session: %w", err)
	}
	last, err = lastRevocation(results[1])
	return found.Record, last, err
}

// pruneRevocations deletes revocations that are past and that every live session knew of when it
// began.
func (s *Store) pruneRevocations(ctx context.Context, now time.Time) error {
	revocations, err := s.Revocations(ctx)
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(slices.Clone(revocations), func(f session.Revocation) bool {
		return !f.IsPast(now)
	})
	if len(old) == 0 {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var reads []rueidis.Completed
	for _, p := range partitions() {
		reads = append(reads, s.client.B().Zrange().Key(s.liveKey(p)).Min("0").Max("0").Withscores().Build())
	}
	oldest := revocations[len(revocations)-1].Number
	for _, result := range s.callMany(limited, reads...) {
		scores, err := result.AsZScores()
		if err != nil {
			return err
		}
		for _, score := range scores {
			oldest = min(oldest, int64(score.Score))
		}
	}
	for _, f := range old {
		if f.Number > oldest {
			continue
		}
		if err := s.call(ctx, s.client.B().Hdel().Key(s.revocationsKey()).Field(f.ID).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}
