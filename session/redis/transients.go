package redis

import (
	"context"
	"strconv"
	"time"
)

// Texts for nodes that were not listening, each kept for its own time. A hash has the texts by
// name. A sorted set beside it has the time until which each is kept, by Redis's clock. Whoever
// writes a text deletes those whose time is over.

// transientsTogether bounds the texts of one kind. Beyond it those that would expire first are
// deleted at once: nodes that listen have had them as messages.
const transientsTogether = 4096

func (s *Store) transientKeys(kind string) []string {
	texts := s.prefix + slotRevocations + ":" + kind
	return []string{texts, texts + ":until"}
}

// putTransientScript also gives a time to texts of a node of an earlier version, which wrote none.
// The keys expire only so that they go when nobody writes any more.
var putTransientScript = newScript(clock + `
local texts, until_, name, text = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local lifetime, bound = tonumber(ARGV[3]), tonumber(ARGV[4])
local present = now(0)
redis.call('HSET', texts, name, text)
redis.call('ZADD', until_, string.format('%d', present + lifetime), name)
if redis.call('HLEN', texts) > redis.call('ZCARD', until_) then
  for _, n in ipairs(redis.call('HKEYS', texts)) do
    redis.call('ZADD', until_, 'NX', string.format('%d', present + lifetime), n)
  end
end
local function forget(list)
  for _, n in ipairs(list) do
    redis.call('HDEL', texts, n)
    redis.call('ZREM', until_, n)
  end
end
forget(redis.call('ZRANGE', until_, '-inf', string.format('%d', present), 'BYSCORE'))
forget(redis.call('ZRANGE', until_, 0, redis.call('ZCARD', until_) - bound - 1))
for _, key in ipairs(KEYS) do
  if redis.call('PTTL', key) < lifetime then redis.call('PEXPIRE', key, ARGV[3]) end
end
return {'ok'}
`)

// PutTransient implements [session.SharedStore].
func (s *Store) PutTransient(ctx context.Context, kind, name, text string, forHowLong time.Duration) error {
	_, err := s.run(ctx, putTransientScript, s.transientKeys(kind),
		[]string{name, text, inMillis(forHowLong), strconv.Itoa(transientsTogether)})
	return err
}

// transientsScript reads the texts whose time is not over.
var transientsScript = newReadingScript(clock + `
local texts, over = {}, {}
for _, n in ipairs(redis.call('ZRANGE', KEYS[2], '-inf', string.format('%d', now(0)), 'BYSCORE')) do over[n] = true end
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if not over[all[i]] then
    texts[#texts + 1] = all[i]
    texts[#texts + 1] = all[i + 1]
  end
end
return texts
`)

// Transients implements [session.SharedStore].
func (s *Store) Transients(ctx context.Context, kind string) (map[string]string, error) {
	answer, err := s.run(ctx, transientsScript, s.transientKeys(kind), nil)
	if err != nil {
		return nil, err
	}
	kept := make(map[string]string, len(answer)/2)
	for i := 0; i+1 < len(answer); i += 2 {
		name, err1 := answer[i].ToString()
		text, err2 := answer[i+1].ToString()
		if err1 != nil || err2 != nil {
			return nil, errUnexpected
		}
		kept[name] = text
	}
	return kept, nil
}
