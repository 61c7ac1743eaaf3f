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

// Facts and their counter lie in one slot. The counter rises when a fact is called off, too, so
// that it tells whether anything has changed, and changes lists what did so at each of its last
// numbers.
//
// A fail-over may take back the counter's last numbers, which sign-ins have read. Therefore the
// counter notes which run of the server it belongs to, and leaps where that is another one: no
// number is given twice.

const slotFacts = "{facts}"

func (s *Store) factsKey() string    { return s.prefix + slotFacts + ":all" }
func (s *Store) lastFactKey() string { return s.prefix + slotFacts + ":last" }
func (s *Store) changesKey() string  { return s.prefix + slotFacts + ":changes" } // number and ID of a fact, by number
func (s *Store) factsRunKey() string { return s.prefix + slotFacts + ":run" }

// factKeys are the keys of the scripts that change facts.
func (s *Store) factKeys() []string {
	return []string{s.factsKey(), s.lastFactKey(), s.changesKey(), s.factsRunKey(), s.outboxKey(slotFacts)}
}

const (
	factsLeap   = 1 << 20 // more numbers than a fail-over loses
	changesKept = 10_000  // a node that is further behind reads all facts
	// ms before its effect at which a fact cannot be called off any more: nodes' clocks differ by
	// 20
	cancelMargin = 50
)

// numbering is the part of a script that counts. next takes the next number, above least, for a
// change of a fact.
var numbering = `
local function run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
local function note(changes, number, id)
  local n = string.format('%d', number)
  redis.call('ZADD', changes, n, n .. ' ' .. id) -- each number once, also where one fact has several
  redis.call('ZREMRANGEBYRANK', changes, 0, ` + strconv.Itoa(-1-changesKept) + `)
end
local function take(last, least, served)
  local number = math.max(tonumber(redis.call('GET', last) or '0'), least)
  local known, here = redis.call('GET', served), run()
  if known and known ~= here then number = number + ` + strconv.Itoa(factsLeap) + ` end
  if known ~= here then redis.call('SET', served, here) end
  redis.call('SET', last, string.format('%d', number + 1))
  return number + 1
end
`

// factScript stores a fact: a new one under the next number, above the highest that the caller
// knows, or one that another node may have seen lost under its own.
var factScript = newVitalScript(online + numbering + `
local all, last, changes, served, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, fact, line, number, own = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5] == 'own'
if redis.call('HEXISTS', all, id) == 1 then return {'exists', online(), '0'} end
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
redis.call('HSET', all, id, string.format('%d', number) .. ' ' .. fact)
redis.call('RPUSH', outbox, line)
return {'ok', online(), string.format('%d', number)}
`)

// AddFact implements [session.Store].
func (s *Store) AddFact(ctx context.Context, f session.Fact) (session.Fact, error) {
	f, err := s.addFact(ctx, f, "new")
	if err != nil {
		return session.Fact{}, fmt.Errorf("store forced logout: %w", err)
	}
	return f, nil
}

// atLeastScript raises the counter to what it once was: sign-ins have read that number.
var atLeastScript = newVitalScript(online + `
if tonumber(redis.call('GET', KEYS[1]) or '0') < tonumber(ARGV[1]) then redis.call('SET', KEYS[1], ARGV[1]) end
return {'ok', online()}
`)

// RestoreFacts stores facts again, under their own numbers, and that they were called off, in case
// a fail-over has lost that. last is the highest number that was ever read: the next fact gets a
// higher one.
func (s *Store) RestoreFacts(ctx context.Context, facts []session.Fact, last int64) error {
	for _, f := range facts {
		if _, err := s.addFact(ctx, f, "own"); err != nil {
			return fmt.Errorf("store forced logout again: %w", err)
		}
		if !f.Cancelled.IsZero() {
			known := calledOffLate
			if f.Void() {
				known = calledOffInTime
			}
			if _, err := s.cancelFact(ctx, f.ID, f.Cancelled, "", known); err != nil {
				return fmt.Errorf("call off forced logout again: %w", err)
			}
		}
	}
	answer, err := s.run(ctx, atLeastScript, []string{s.lastFactKey()}, []string{strconv.FormatInt(last, 10)})
	if err == nil {
		err = s.replicatedAnswer(ctx, slotFacts, answer, 1)
	}
	if err != nil {
		return fmt.Errorf("restore number of the last forced logout: %w", err)
	}
	return nil
}

// addFact stores a fact under a new number or under its own.
func (s *Store) addFact(ctx context.Context, f session.Fact, number string) (session.Fact, error) {
	if f.ID == "" {
		return f, fmt.Errorf("a fact without an ID")
	}
	data, err := json.Marshal(f)
	if err != nil {
		return f, err
	}
	event, err := line{Key: "f" + f.ID, Event: session.FactEvent(f)}.encode()
	if err != nil {
		return f, err
	}
	answer, err := s.run(ctx, factScript, s.factKeys(),
		[]string{f.ID, string(data), event, strconv.FormatInt(f.Number, 10), number})
	if err != nil {
		return f, err
	}
	s.carry(slotFacts)
	if err := s.replicatedAnswer(ctx, slotFacts, answer, 1); err != nil {
		return f, err
	}
	if first(answer) == "ok" {
		f.Number, err = answer[2].AsInt64()
	}
	return f, err
}

// cancelScript stores one of two outcomes: what the fact is where it was called off in time, and
// where that came too late. Which one holds is decided by the time of this step, unless it is known
// already.
var cancelScript = newVitalScript(online + clock + numbering + `
local all, last, changes, served, outbox = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, before, known = ARGV[1], ARGV[2], ARGV[3]
local at, effective, blocked = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
if redis.call('HGET', all, id) ~= before then return {'conflict', online()} end
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

// CancelFact implements [session.Store].
func (s *Store) CancelFact(ctx context.Context, id string, at time.Time, actor string) (session.Fact, error) {
	f, err := s.cancelFact(ctx, id, at, actor, undecided)
	if err != nil {
		return session.Fact{}, fmt.Errorf("call off forced logout: %w", err)
	}
	return f, nil
}

// The outcomes of calling a fact off.
const (
	undecided       = ""
	calledOffInTime = "in time"
	calledOffLate   = "late"
)

// cancelFact calls a fact off with the outcome that is known, or that is decided now.
func (s *Store) cancelFact(ctx context.Context, id string, at time.Time, actor, known string) (session.Fact, error) {
	for {
		before, err := s.call(ctx, s.client.B().Hget().Key(s.factsKey()).Field(id).Build()).ToString()
		if rueidis.IsRedisNil(err) {
			return session.Fact{}, session.ErrNotFound
		}
		if err != nil {
			return session.Fact{}, err
		}
		f, err := decodeFact(before)
		if err != nil || !f.Cancelled.IsZero() {
			return f, err
		}
		inTime, late := f, f
		inTime.Cancelled, late.Cancelled = at, at
		if at.Before(f.EffectiveAt) { // whichever holds, its instant agrees with it
			late.Cancelled = f.EffectiveAt
		} else {
			inTime.Cancelled = f.EffectiveAt.Add(-time.Millisecond)
		}
		effective := ms(f.EffectiveAt)
		if f.AtOnce() {
			effective = "0"
		}
		args := []string{id, before, known, s.ahead(), ms(at), effective, ms(f.BlockUntil)}
		for _, outcome := range []session.Fact{inTime, late} {
			data, err := json.Marshal(outcome)
			if err != nil {
				return session.Fact{}, err
			}
			event, err := line{Key: "c" + f.ID, Event: session.CancelEvent(outcome, actor)}.encode()
			if err != nil {
				return session.Fact{}, err
			}
			args = append(args, fmt.Sprintf("%d %s", f.Number, data), event)
		}
		answer, err := s.run(ctx, cancelScript, s.factKeys(), args)
		if err != nil {
			return session.Fact{}, err
		}
		switch first(answer) {
		case "conflict":
			continue // somebody else called it off
		case "nothing":
			return session.Fact{}, session.ErrTooLate
		case calledOffInTime:
			f = inTime
		default:
			f = late
		}
		s.carry(slotFacts)
		return f, s.replicatedAnswer(ctx, slotFacts, answer, 1)
	}
}

// decodeFact reads a fact with the number before it: that of the fact's own JSON was not known yet.
func decodeFact(text string) (f session.Fact, err error) {
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
		return f, fmt.Errorf("decode fact: %w", err)
	}
	f.Number = number
	return f, nil
}

// Facts implements [session.Store].
func (s *Store) Facts(ctx context.Context) ([]session.Fact, error) {
	all, err := s.call(ctx, s.client.B().Hvals().Key(s.factsKey()).Build()).AsStrSlice()
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	facts := make([]session.Fact, len(all))
	for i, text := range all {
		if facts[i], err = decodeFact(text); err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
	}
	slices.SortFunc(facts, func(a, b session.Fact) int { return cmp.Compare(a.Number, b.Number) })
	return facts, nil
}

// FactsAfter lists the facts that were added or called off since LastFact was after, or all facts
// where that cannot be told, and tells LastFact as it was before it looked.
func (s *Store) FactsAfter(ctx context.Context, after int64) (facts []session.Fact, last int64, all bool, err error) {
	if last, err = s.LastFact(ctx); err != nil {
		return nil, 0, false, err
	}
	if last == after {
		return nil, last, false, nil
	}
	if since := last - after; since > 0 && since <= changesKept {
		changes, err := s.call(ctx, s.client.B().Zrangebyscore().Key(s.changesKey()).Min("("+strconv.FormatInt(after,
			10)).
			Max(strconv.FormatInt(last, 10)).Build()).AsStrSlice()
		if err != nil {
			return nil, 0, false, fmt.Errorf("read forced logouts: %w", err)
		}
		if int64(len(changes)) == since { // else an earlier version wrote some, or the numbers have leapt
			facts, err = s.factsOf(ctx, changes)
			return facts, last, false, err
		}
	}
	facts, err = s.Facts(ctx)
	return facts, last, true, err
}

// factsOf reads the facts of some changes. Those that were forgotten meanwhile are left out.
func (s *Store) factsOf(ctx context.Context, changes []string) ([]session.Fact, error) {
	ids := make([]string, len(changes))
	for i, change := range changes {
		_, ids[i], _ = strings.Cut(change, " ")
	}
	slices.Sort(ids)
	texts, err := s.call(ctx, s.client.B().Hmget().Key(s.factsKey()).Field(slices.Compact(ids)...).Build()).ToArray()
	if err != nil {
		return nil, fmt.Errorf("read forced logouts: %w", err)
	}
	var facts []session.Fact
	for _, message := range texts {
		if message.IsNil() {
			continue
		}
		text, err := message.ToString()
		if err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
		f, err := decodeFact(text)
		if err != nil {
			return nil, fmt.Errorf("read forced logouts: %w", err)
		}
		facts = append(facts, f)
	}
	slices.SortFunc(facts, func(a, b session.Fact) int { return cmp.Compare(a.Number, b.Number) })
	return facts, nil
}

// LastFact implements [session.Store].
func (s *Store) LastFact(ctx context.Context) (int64, error) {
	n, err := s.call(ctx, s.client.B().Get().Key(s.lastFactKey()).Build()).AsInt64()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read number of the last forced logout: %w", err)
	}
	return n, nil
}

// pruneFacts forgets facts that are older than a day and than every live session.
func (s *Store) pruneFacts(ctx context.Context, now time.Time) error {
	facts, err := s.Facts(ctx)
	if err != nil {
		return err
	}
	old := slices.DeleteFunc(slices.Clone(facts), func(f session.Fact) bool {
		return now.Sub(f.At) <= session.FactKeptFor || !now.After(f.EffectiveAt) || !now.After(f.BlockUntil)
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
	oldest := facts[len(facts)-1].Number
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
		if err := s.call(ctx, s.client.B().Hdel().Key(s.factsKey()).Field(f.ID).Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}
