package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Facts and their counter lie in one slot. The counter rises when a fact is called off, too, so that it tells whether
// anything has changed.

const slotFacts = "{facts}"

func (s *Store) factsKey() string    { return s.prefix + slotFacts + ":all" }
func (s *Store) lastFactKey() string { return s.prefix + slotFacts + ":last" }

// factScript stores a fact: a new one under the next number, or one that another node may have seen lost under its own.
var factScript = newVitalScript(online + `
local all, last, outbox = KEYS[1], KEYS[2], KEYS[3]
local id, fact, line, number = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
if redis.call('HEXISTS', all, id) == 1 then return {'exists', online(), '0'} end
if number == 0 then
  number = redis.call('INCR', last)
elseif number > tonumber(redis.call('GET', last) or '0') then
  redis.call('SET', last, string.format('%d', number))
end
redis.call('HSET', all, id, string.format('%d', number) .. ' ' .. fact)
redis.call('RPUSH', outbox, line)
return {'ok', online(), string.format('%d', number)}
`)

// AddFact implements [session.Store].
func (s *Store) AddFact(ctx context.Context, f session.Fact) (session.Fact, error) {
	f.Number = 0
	f, err := s.addFact(ctx, f)
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

// RestoreFacts stores facts again, under their own numbers, and that they were called off, in case a fail-over has lost that.
// last is the highest number that was ever read: the next fact gets a higher one.
func (s *Store) RestoreFacts(ctx context.Context, facts []session.Fact, last int64) error {
	for _, f := range facts {
		if _, err := s.addFact(ctx, f); err != nil {
			return fmt.Errorf("store forced logout again: %w", err)
		}
		if !f.Cancelled.IsZero() {
			if _, err := s.CancelFact(ctx, f.ID, f.Cancelled, ""); err != nil {
				return err
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

func (s *Store) addFact(ctx context.Context, f session.Fact) (session.Fact, error) {
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
	answer, err := s.run(ctx, factScript, []string{s.factsKey(), s.lastFactKey(), s.outboxKey(slotFacts)},
		[]string{f.ID, string(data), event, strconv.FormatInt(f.Number, 10)})
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

var cancelScript = newVitalScript(online + `
local all, last, outbox = KEYS[1], KEYS[2], KEYS[3]
if redis.call('HGET', all, ARGV[1]) ~= ARGV[2] then return {'conflict', online()} end
redis.call('HSET', all, ARGV[1], ARGV[3])
redis.call('INCR', last)
redis.call('RPUSH', outbox, ARGV[4])
return {'ok', online()}
`)

// CancelFact implements [session.Store].
func (s *Store) CancelFact(ctx context.Context, id string, at time.Time, actor string) (f session.Fact, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("call off forced logout: %w", err)
		}
	}()
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
		f.Cancelled = at
		data, err := json.Marshal(f)
		if err != nil {
			return session.Fact{}, err
		}
		event, err := line{Key: "c" + f.ID, Event: session.CancelEvent(f, actor)}.encode()
		if err != nil {
			return session.Fact{}, err
		}
		answer, err := s.run(ctx, cancelScript, []string{s.factsKey(), s.lastFactKey(), s.outboxKey(slotFacts)},
			[]string{id, before, fmt.Sprintf("%d %s", f.Number, data), event})
		if err != nil {
			return session.Fact{}, err
		}
		if first(answer) == "conflict" {
			continue // somebody else called it off
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
