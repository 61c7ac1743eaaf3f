package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// The audit trail is a stream in a slot of its own. What changes a session writes its line into the
// outbox of the session's slot, in the same script; a node then relays it to the trail, which
// takes each line once. So the trail is also where a node reads what it has missed: see Since.

const slotAudit = "{trail}"

func (s *Store) auditKey() string   { return s.prefix + slotAudit + ":events" }
func (s *Store) counterKey() string { return s.prefix + slotAudit + ":last" }

// takenFor is how long the trail remembers that it has taken a line: longer than an outbox may wait
// for its node.
const takenFor = session.TombstoneFor + time.Hour

func (s *Store) highestKey() string { return s.prefix + slotAudit + ":highest" }

// appendText appends lines, each key once; the keys after the third remember which were taken. Each
// line also gets the latest date of all lines up to it ('h'), which bounds a search by date: see
// docs/decisions.md#an-audit-line-tells-the-latest-date-up-to-it.
const appendText = online + `
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
	relayScript  = newVitalScript(appendText)
	appendScript = newScript(appendText)
)

// appendLines writes lines into the trail, and returns once all replicas have them. Those that it
// has taken before are passed over.
func (s *Store) appendLines(ctx context.Context, how *script, lines []outboxEntry) error {
	if len(lines) == 0 {
		return nil
	}
	keys, args := []string{s.auditKey(), s.counterKey(), s.highestKey()}, []string{inMillis(takenFor)}
	for i, l := range lines {
		l.Event = l.Event.Named()
		lines[i].Event = l.Event
		data, err := json.Marshal(l.Event)
		if err != nil {
			return err
		}
		key := s.counterKey() // of a line that comes only once
		if l.Key != "" {
			key = s.prefix + slotAudit + ":k:" + l.Key
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
		if n > 0 && s.onEvent != nil {
			l.Event.Number = n
			s.onEvent(l.Event)
		}
	}
	return s.replicatedAnswer(ctx, slotAudit, numbers, len(lines))
}

// Append implements [session.Store].
func (s *Store) Append(ctx context.Context, e session.Event) error {
	if e.Kind == session.EventSignInFailed && e.Reason == "" {
		if err := s.countFailure(ctx, e); err != nil {
			return fmt.Errorf("append to audit trail: %w", err)
		}
	}
	err := s.relayPending(ctx) // what this node did before stands before it
	if err == nil || errors.Is(err, ErrNotReplicated) {
		err = s.appendLines(ctx, appendScript, []outboxEntry{{Event: e}})
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
	if err := s.relayFrom(ctx, outboxes()); err != nil && !errors.Is(err, ErrNotReplicated) {
		return nil, err
	}
	const step = 500
	before := "+"
	if q.Before != 0 {
		before = fmt.Sprintf("(%d-0", q.Before)
	}
	for {
		entries, err := s.call(ctx,
			s.client.B().Xrevrange().Key(s.auditKey()).End(before).Start("-").Count(step).Build()).AsXRange()
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
	number, ok := strings.CutSuffix(entry.ID, "-0")
	if !ok {
		return e, fmt.Errorf("line %q of the trail: %w", entry.ID, errUnexpected)
	}
	n, err := strconv.ParseUint(number, 10, 64)
	return e.Numbered(n), err
}

// highestOf is the latest date of all lines up to this one. Earlier versions told it of no line:
// there an end tells nothing.
func highestOf(entry rueidis.XRangeEntry, e session.Event) (at time.Time, known bool) {
	if h, err := strconv.ParseInt(entry.FieldValues["h"], 10, 64); err == nil {
		return session.FromUnixMilli(h), true
	}
	return e.At, e.Kind != session.EventSessionEnd
}

// pruneAudit drops what is older than keep.
func (s *Store) pruneAudit(ctx context.Context, now time.Time, keep time.Duration) error {
	const step = 1000
	for {
		entries, err := s.call(ctx,
			s.client.B().Xrange().Key(s.auditKey()).Start("-").End("+").Count(step).Build()).AsXRange()
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
			s.client.B().Xtrim().Key(s.auditKey()).Minid().Threshold(strconv.FormatUint(oldest, 10)).Build()).Error()
		if err != nil || len(entries) < step {
			return err
		}
	}
}
