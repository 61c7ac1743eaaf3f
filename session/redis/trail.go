package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// The audit trail is a stream in a slot of its own. What changes a session writes its line into the
// outbox of the session's slot, in the same script; a node then carries it to the trail, which
// takes each line once. So the trail is also where a node reads what it has missed: see Since.

const slotTrail = "{trail}"

func (s *Store) trailKey() string   { return s.prefix + slotTrail + ":events" }
func (s *Store) counterKey() string { return s.prefix + slotTrail + ":last" }

// takenFor is how long the trail remembers that it has taken a line: longer than an outbox may wait
// for its node.
const takenFor = session.TombstoneFor + time.Hour

func (s *Store) highestKey() string { return s.prefix + slotTrail + ":highest" }

// trailText appends lines, each key once. The keys after the third remember that. Lines stand in
// the order in which they come, and an end is dated by its deadline, which may have passed long
// before. So each line also tells the latest date of all lines up to it: by that, whoever looks for
// what came since a time knows where to stop.
const trailText = online + `
local events, last, highest = KEYS[1], KEYS[2], KEYS[3]
local latest = tonumber(redis.call('GET', highest) or '0')
local numbers = {}
for i = 2, #ARGV, 3 do
  local key = KEYS[3 + (i + 1) / 3]
  local fresh = true
  if key ~= last then fresh = redis.call('SET', key, '1', 'NX', 'PX', ARGV[1]) end
  if fresh then
    local n = string.format('%d', redis.call('INCR', last))
    latest = math.max(latest, tonumber(ARGV[i + 2]))
    redis.call('XADD', events, n .. '-0', 'e', ARGV[i], 'id', ARGV[i + 1], 'h', string.format('%d', latest))
    numbers[#numbers + 1] = n
  else
    numbers[#numbers + 1] = '0'
  end
end
redis.call('SET', highest, string.format('%d', latest))
numbers[#numbers + 1] = online()
return numbers
`

// What was written to an outbox moves to the trail although the memory is full; a line that comes
// only now waits.
var (
	carryScript  = newVitalScript(trailText)
	appendScript = newScript(trailText)
)

// appendLines writes lines into the trail, and returns once all replicas have them. Those that it
// has taken before are passed over.
func (s *Store) appendLines(ctx context.Context, how *script, lines []line) error {
	if len(lines) == 0 {
		return nil
	}
	keys, args := []string{s.trailKey(), s.counterKey(), s.highestKey()}, []string{inMillis(takenFor)}
	for _, l := range lines {
		data, err := json.Marshal(l.Event)
		if err != nil {
			return err
		}
		key := s.counterKey() // of a line that comes only once
		if l.Key != "" {
			key = s.prefix + slotTrail + ":k:" + l.Key
		}
		// no earlier than its date
		keys, args = append(keys, key), append(args, string(data), l.Session, ms(l.Event.At.Add(time.Millisecond-1)))
	}
	numbers, err := s.run(ctx, how, keys, args)
	if err != nil {
		return err
	}
	if len(numbers) != len(lines)+1 {
		return errUnexpected
	}
	for i, l := range lines {
		n, err := numbers[i].AsUint64()
		if err != nil {
			return err
		}
		if n > 0 && s.follow != nil {
			l.Event.Number = n
			s.follow.Tell(l.Event)
		}
	}
	return s.replicatedAnswer(ctx, slotTrail, numbers, len(lines))
}

// carry has what lies in a slot's outbox brought to the trail soon.
func (s *Store) carry(slot string) {
	s.mu.Lock()
	s.pending[slot] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sweepEvery is how often all outboxes are looked at, for lines that a node has left behind.
const sweepEvery = 2 * time.Second

func (s *Store) carryLoop() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.work.Done():
			return
		case <-s.wake:
		case <-ticker.C:
			s.mu.Lock()
			for _, slot := range outboxes() {
				s.pending[slot] = struct{}{}
			}
			s.mu.Unlock()
		}
		if err := s.carryPending(s.work); err != nil && s.work.Err() == nil {
			s.log.Debug("audit lines wait in their outboxes", "error", err)
		}
	}
}

func outboxes() []string { return append(partitions(), slotFacts) }

func (s *Store) carryPending(ctx context.Context) error {
	s.carrying.Lock()
	defer s.carrying.Unlock()
	s.mu.Lock()
	slots := make([]string, 0, len(s.pending))
	for slot := range s.pending {
		slots = append(slots, slot)
	}
	clear(s.pending)
	s.mu.Unlock()
	return s.carryFrom(ctx, slots) // what fails is found by the next sweep
}

// carriedTogether is how many lines of one outbox are carried at once.
const carriedTogether = 100

// carryFrom carries what lies in the outboxes of these slots.
func (s *Store) carryFrom(ctx context.Context, slots []string) error {
	for len(slots) > 0 {
		full, err := s.carryOnce(ctx, slots)
		if err != nil {
			return err
		}
		slots = full
	}
	return nil
}

// carryOnce carries the first lines of these outboxes, and tells which have more. Who has ended
// goes from the index of the user's sessions first, and the line from the outbox last, once all
// replicas have it in the trail: where it breaks off, it begins again, and so an end has its line
// though the trail's master is lost.
func (s *Store) carryOnce(ctx context.Context, slots []string) (full []string, err error) {
	b := s.client.B()
	var reads []rueidis.Completed
	for _, slot := range slots {
		reads = append(reads, b.Lrange().Key(s.outboxKey(slot)).Start(0).Stop(carriedTogether-1).Build())
	}
	var lines []line
	var over, carried []rueidis.Completed
	for i, result := range s.callMany(ctx, reads...) {
		texts, err := result.AsStrSlice()
		if err != nil {
			return nil, err
		}
		if len(texts) == carriedTogether {
			full = append(full, slots[i])
		}
		for _, text := range texts {
			var l line
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				return nil, fmt.Errorf("audit line in outbox: %w", err)
			}
			lines = append(lines, l)
			if l.Event.Kind == session.EventSessionEnd {
				over = append(over, b.Hdel().Key(s.userKey(l.Event.User)).Field(l.Session).Build())
				if former := s.formerUserKey(l.Event.User); former != "" {
					over = append(over, b.Hdel().Key(former).Field(l.Session).Build())
				}
			}
			carried = append(carried, b.Lrem().Key(s.outboxKey(slots[i])).Count(1).Element(text).Build())
		}
	}
	if err := s.all(ctx, over); err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(lines, 500) {
		if err := s.appendLines(ctx, carryScript, chunk); err != nil {
			return nil, err
		}
	}
	return full, s.all(ctx, carried)
}

// all runs commands and fails if one of them does.
func (s *Store) all(ctx context.Context, commands []rueidis.Completed) error {
	if len(commands) == 0 {
		return nil
	}
	for _, result := range s.callMany(ctx, commands...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

// Append implements [session.Store].
func (s *Store) Append(ctx context.Context, e session.Event) error {
	if e.Kind == session.EventSignInFailed && e.Reason == "" {
		if err := s.countFailure(ctx, e); err != nil {
			return fmt.Errorf("append to audit trail: %w", err)
		}
	}
	err := s.carryPending(ctx) // what this node did before stands before it
	if err == nil || errors.Is(err, ErrNotReplicated) {
		err = s.appendLines(ctx, appendScript, []line{{Event: e}})
	}
	if err != nil {
		return fmt.Errorf("append to audit trail: %w", err)
	}
	return nil
}

// Events implements [session.Store].
func (s *Store) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	events, err := s.events(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("read audit trail: %w", err)
	}
	return events, nil
}

func (s *Store) events(ctx context.Context, q session.EventQuery) (events []session.Event, err error) {
	// they stand in the trail all the same
	if err := s.carryFrom(ctx, outboxes()); err != nil && !errors.Is(err, ErrNotReplicated) {
		return nil, err
	}
	const step = 500
	before := "+"
	if q.Before != 0 {
		before = fmt.Sprintf("(%d-0", q.Before)
	}
	for {
		entries, err := s.call(ctx,
			s.client.B().Xrevrange().Key(s.trailKey()).End(before).Start("-").Count(step).Build()).AsXRange()
		if err != nil {
			return nil, err
		}
		for _, entry := range entries {
			e, err := eventOf(entry)
			if err != nil {
				return nil, err
			}
			if highest, known := highestOf(entry, e); known && highest.Before(q.Since) {
				return events, nil
			}
			if q.Picks(e) {
				events = append(events, e)
			}
			if len(events) == q.Limit {
				return events, nil
			}
		}
		if len(entries) < step {
			return events, nil
		}
		before = "(" + entries[len(entries)-1].ID
	}
}

func eventOf(entry rueidis.XRangeEntry) (e session.Event, err error) {
	if err := json.Unmarshal([]byte(entry.FieldValues["e"]), &e); err != nil {
		return e, err
	}
	e.Number, err = strconv.ParseUint(entry.ID[:len(entry.ID)-len("-0")], 10, 64)
	return e, err
}

// highestOf is the latest date of all lines up to this one. Earlier versions told it of no line:
// there an end tells nothing.
func highestOf(entry rueidis.XRangeEntry, e session.Event) (at time.Time, known bool) {
	if h, err := strconv.ParseInt(entry.FieldValues["h"], 10, 64); err == nil {
		return session.FromUnixMilli(h), true
	}
	return e.At, e.Kind != session.EventSessionEnd
}

// pruneTrail drops what is older than keep.
func (s *Store) pruneTrail(ctx context.Context, now time.Time, keep time.Duration) error {
	const step = 1000
	for {
		entries, err := s.call(ctx,
			s.client.B().Xrange().Key(s.trailKey()).Start("-").End("+").Count(step).Build()).AsXRange()
		if err != nil {
			return err
		}
		var oldest uint64
		for _, entry := range entries {
			e, err := eventOf(entry)
			if err != nil {
				return err
			}
			if now.Sub(e.At) <= keep {
				break
			}
			oldest = e.Number + 1
		}
		if oldest == 0 {
			return nil
		}
		err = s.call(ctx,
			s.client.B().Xtrim().Key(s.trailKey()).Minid().Threshold(strconv.FormatUint(oldest, 10)).Build()).Error()
		if err != nil || len(entries) < step {
			return err
		}
	}
}

// What throttling counts: failed sign-ins by name and by address, each in a slot of its own, and
// the addresses that a name has signed in from.

// failuresFor is how long a failed sign-in is kept: longer than throttling looks back.
const failuresFor = 5 * time.Minute

// failuresKept bounds the failures of one key. Throttling needs fewer.
const failuresKept = 64

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

// knowScript notes an address, and forgets those that count no more, by the clock that has dated
// them all.
var knowScript = newScript(`
local from, network, at, keep, bound = KEYS[1], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
redis.call('ZADD', from, 'GT', ARGV[2], network)
redis.call('ZREMRANGEBYSCORE', from, '-inf', string.format('%d', at - keep))
redis.call('ZREMRANGEBYRANK', from, 0, -1 - bound)
redis.call('PEXPIRE', from, ARGV[3])
return {'ok'}
`)

// know notes that a name signs in from an address.
func (s *Store) know(ctx context.Context, r session.Record) error {
	_, err := s.run(ctx, knowScript, []string{s.knownKey(r.User)},
		[]string{session.Network(r.Address), ms(r.CreatedAt), inMillis(session.KnownFor), strconv.Itoa(addressesKept)})
	return err
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
			[]string{ms(e.At), name(session.NewToken().ID()), strconv.Itoa(failuresKept), inMillis(failuresFor)}})
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

// pruneScript forgets ended sessions of a partition.
var pruneScript = newVitalScript(`
for i = 2, #KEYS do redis.call('UNLINK', KEYS[i]) end
redis.call('ZREM', KEYS[1], unpack(ARGV))
return {'ok'}
`)

// Prune implements [session.Store].
func (s *Store) Prune(ctx context.Context, now time.Time, auditKeep time.Duration) error {
	for _, p := range partitions() {
		for {
			names, err := s.call(ctx, s.client.B().Zrangebyscore().Key(s.endedKey(p)).Min("-inf").
				Max(ms(now.Add(-session.TombstoneFor))).Limit(0, 500).Build()).AsStrSlice()
			if err != nil {
				return fmt.Errorf("prune store: %w", err)
			}
			if len(names) == 0 {
				break
			}
			keys := []string{s.endedKey(p)}
			for _, n := range names {
				id, err := parseName(n)
				if err != nil {
					return fmt.Errorf("prune store: %w", err)
				}
				keys = append(keys, s.recordKey(id), s.timingKey(id))
			}
			if _, err := s.run(ctx, pruneScript, keys, names); err != nil {
				return fmt.Errorf("prune store: %w", err)
			}
		}
	}
	if err := s.pruneTrail(ctx, now, auditKeep); err != nil {
		return fmt.Errorf("prune audit trail: %w", err)
	}
	if err := s.pruneFacts(ctx, now); err != nil {
		return fmt.Errorf("prune forced logouts: %w", err)
	}
	return nil
}
