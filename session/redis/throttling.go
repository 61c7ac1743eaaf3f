package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// What throttling counts: failed sign-ins by name and by address, each in a slot of its own, and
// the addresses that a name has signed in from.

// loginSlot is that of a name, however it is spelled.
func (s *Store) loginSlot(login string) string {
	return s.prefix + "{l:" + encode(session.FoldName(login)) + "}"
}

// knownKey lists the addresses that a name has signed in from, by the time of the last sign-in.
func (s *Store) knownKey(login string) string { return s.loginSlot(login) + ":from" }

// formerlyKnownKey is where earlier versions kept them, as a hash. It is only read, and expires.
func (s *Store) formerlyKnownKey(login string) string { return s.loginSlot(login) + ":known" }

func (s *Store) pairKey(login, address string) string {
	return s.loginSlot(login) + ":pair:" + session.Network(address)
}

func (s *Store) nameKey(login string) string { return s.loginSlot(login) + ":name" }

func (s *Store) addressKey(address string) string {
	return s.prefix + "{a:" + session.Network(address) + "}"
}

// addressesKept bounds the addresses of one name. Beyond it those that it has not signed in from
// for longest are forgotten.
const addressesKept = 1024

// rememberScript notes an address, and forgets those that count no more, by the clock that has
// dated them all.
var rememberScript = newScript(`
local from, network, at, keep, bound = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZADD', from, 'GT', ARGV[2], network)
redis.call('ZREMRANGEBYSCORE', from, '-inf', string.format('%d', at - keep))
redis.call('ZREMRANGEBYRANK', from, 0, -1 - bound)
redis.call('PEXPIRE', from, ARGV[3])
return {'ok'}
`)

// rememberAddress notes that a name signs in from an address. It also reads the clock, in ms, where
// the session will lie.
func (s *Store) rememberAddress(ctx context.Context, r session.Record) (now int64, err error) {
	in := invocation{
		keys: []string{s.knownKey(r.User)},
		args: []string{session.Network(r.Address), ms(r.CreatedAt), inMillis(session.KnownFor),
			strconv.Itoa(addressesKept)},
	}
	result, now, err := s.callWithClock(ctx, s.evalsha(rememberScript, in), s.timingKey(r.ID))
	return now, errors.Join(s.known(ctx, rememberScript, in, result).Error(), err)
}

func (s *Store) isKnown(ctx context.Context, login, address string, now time.Time) (bool, error) {
	network := session.Network(address)
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	results := s.callMany(limited,
		s.client.B().Zscore().Key(s.knownKey(login)).Member(network).Build(),
		s.client.B().Hget().Key(s.formerlyKnownKey(login)).Field(network).Build())
	var last float64
	for _, result := range results {
		at, err := result.AsFloat64()
		if err != nil && !rueidis.IsRedisNil(err) {
			return false, err
		}
		last = max(last, at)
	}
	return last > 0 && now.Sub(session.FromUnixMilli(int64(last))) < session.KnownFor, nil
}

// failScript notes a failure in a list by time.
var failScript = newScript(`
redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%d', ARGV[1] - ARGV[4]))
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[3]))
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return {'ok'}
`)

func (s *Store) countFailure(ctx context.Context, e session.Event) error {
	known, err := s.isKnown(ctx, e.User, e.Address, e.At)
	if err != nil {
		return err
	}
	keys := []string{s.pairKey(e.User, e.Address)}
	if !known {
		keys = append(keys, s.addressKey(e.Address), s.nameKey(e.User))
	}
	var calls []invocation
	for _, key := range keys {
		calls = append(calls, invocation{[]string{key},
			[]string{ms(e.At), name(session.NewToken().ID()), strconv.Itoa(session.FailuresKept),
				inMillis(session.FailuresFor)}})
	}
	for _, result := range s.runMany(ctx, failScript, calls) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

// Failures implements [session.Store].
func (s *Store) Failures(ctx context.Context, login, address string, since time.Time) (f session.Failures, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read failed sign-ins: %w", err)
		}
	}()
	if f.Known, err = s.isKnown(ctx, login, address, since); err != nil {
		return session.Failures{}, err
	}
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var reads []rueidis.Completed
	for _, key := range []string{s.pairKey(login, address), s.addressKey(address), s.nameKey(login)} {
		reads = append(reads, s.client.B().Zrangebyscore().Key(key).Min("("+ms(since)).Max("+inf").Withscores().Build())
	}
	lists := []*[]time.Time{&f.Pair, &f.Address, &f.Name}
	for i, result := range s.callMany(limited, reads...) {
		scores, err := result.AsZScores()
		if err != nil {
			return session.Failures{}, err
		}
		for _, score := range scores {
			*lists[i] = append(*lists[i], session.FromUnixMilli(int64(score.Score)))
		}
	}
	return f, nil
}
