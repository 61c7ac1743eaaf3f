package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"

	"github.com/redis/rueidis"
)

// script is a Lua script. It is sent once to each server, and then named.
type script struct {
	text, sha string
	reads     bool // it changes nothing
}

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text))
	return &script{text: text, sha: hex.EncodeToString(sum[:])}
}

// newVitalScript is a script that Redis runs although its memory is full: what ends sessions, takes
// something away or keeps people signed in who act. It must not let a caller fill the memory
// further but by a little for each session that exists.
func newVitalScript(text string) *script { return newScript("#!lua flags=allow-oom\n" + text) }

func newReadingScript(text string) *script {
	sc := newScript(text)
	sc.reads = true
	return sc
}

// invocation is a script with its keys and arguments. All keys are in one slot.
type invocation struct {
	keys, args []string
}

func (s *Store) evalsha(sc *script, in invocation) rueidis.Completed {
	if sc.reads {
		return s.client.B().EvalshaRo().Sha1(sc.sha).Numkeys(int64(len(in.keys))).Key(in.keys...).Arg(in.args...).
			Build()
	}
	return s.client.B().Evalsha().Sha1(sc.sha).Numkeys(int64(len(in.keys))).Key(in.keys...).Arg(in.args...).Build()
}

func (s *Store) eval(sc *script, in invocation) rueidis.Completed {
	return s.client.B().Eval().Script(sc.text).Numkeys(int64(len(in.keys))).Key(in.keys...).Arg(in.args...).Build()
}

// run runs a script.
func (s *Store) run(ctx context.Context, sc *script, keys, args []string) ([]rueidis.RedisMessage, error) {
	return s.runMany(ctx, sc, []invocation{{keys, args}})[0].ToArray()
}

// runMany runs a script several times, in one round trip to each server.
func (s *Store) runMany(ctx context.Context, sc *script, list []invocation) []rueidis.RedisResult {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	commands := make([]rueidis.Completed, len(list))
	for i, in := range list {
		commands[i] = s.evalsha(sc, in)
	}
	results := s.callMany(ctx, commands...)
	for i, r := range results {
		results[i] = s.known(ctx, sc, list[i], r)
	}
	return results
}

// known returns the answer to a script. If the server does not know the script, it is sent there.
func (s *Store) known(ctx context.Context, sc *script, in invocation, r rueidis.RedisResult) rueidis.RedisResult {
	if e, ok := rueidis.IsRedisErr(r.Error()); ok && e.IsNoScript() {
		return s.call(ctx, s.eval(sc, in))
	}
	return r
}

// online is the part of a script that counts the replicas that are in step with the master.
const online = `
local function online()
  local n = 0
  for _ in string.gmatch(redis.call('INFO', 'replication'), 'state=online') do n = n + 1 end
  return n
end
`

// serverRun is the part of a script that names the run of the server.
const serverRun = `
local function run()
  return string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
end
`

// clock is the part of a script that knows what time it is, in ms, and when a session is due.
// ahead: of a test clock. due is session.Policy.EndsAt without its forced logout, which is for
// callers to judge: who changes one changes the other. storetest.DueRows compares them.
const clock = `
local function now(ahead)
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000) + ahead
end
local function due(created, active, left, expire, life, grace)
  local at = active + expire
  if life > 0 and created + life < at then at = created + life end
  if grace > 0 and left > 0 and left + grace < at then at = left + grace end
  return at
end
`
