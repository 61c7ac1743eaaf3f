package redis

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/redis/rueidis"
)

// A command whose caller has given up may lie in a buffer, here or at Redis, and reach Redis
// seconds later. Where that would do harm, the script is told an instant by Redis's clock from
// which on it does nothing. Which scripts those are, and why the others are not, stands in
// docs/decisions.md#what-was-told-to-have-failed-is-not-done-later.

// inTime is the part of a script that does nothing when it is too late: where late(limit) is true,
// the script answers 'too late'. An empty limit is none.
const inTime = clock + `
local function late(limit) return limit ~= '' and now(0) >= tonumber(limit) end
`

// errLate says that a script has come too late, and has done nothing.
var errLate = errors.New("redis was reached too late: nothing was done")

// clockScript reads the clock of the server that has a key.
var clockScript = newReadingScript(clock + `return now(0)`)

// callWithClock runs a command, and reads the clock of the server that has a key, in ms, in one
// round trip.
func (s *Store) callWithClock(
	ctx context.Context,
	cmd rueidis.Completed,
	key string,
) (result rueidis.RedisResult, now int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	in := invocation{keys: []string{key}}
	results := s.callMany(ctx, cmd, s.evalsha(clockScript, in))
	now, err = s.known(ctx, clockScript, in, results[1]).AsInt64()
	return results[0], now, err
}

// runInTime runs a script that is told a limit as its last argument; without limited, none. With
// limited the script does nothing more once an error is returned, unless ctx was cancelled before
// its deadline.
//
// It does not matter how the clocks of this computer and of Redis differ. Redis reads its own
// before the answer is here. So what is left from then on until ctx ends, added to what Redis has
// read, is no later than the end of ctx; it is earlier by the way from Redis at most. In doubt the
// script does nothing, and the caller is right to say that nothing is confirmed. This relies on a
// clock of Redis that is not set back within callLimit. The clock is read where the script runs,
// and anew each time: servers of a cluster differ, and so do a master and the one after it.
func (s *Store) runInTime(
	ctx context.Context,
	sc *script,
	keys, args []string,
	limited bool,
) ([]rueidis.RedisMessage, error) {
	if !limited {
		return s.run(ctx, sc, keys, append(args, ""))
	}
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	now, err := s.runMany(ctx, clockScript, []invocation{{keys: keys[:1]}})[0].AsInt64()
	if err != nil {
		return nil, err
	}
	end, _ := ctx.Deadline()
	limit := now + time.Until(end).Milliseconds()
	answer, err := s.run(ctx, sc, keys, append(args, strconv.FormatInt(limit, 10)))
	if err == nil && first(answer) == "too late" {
		err = errLate
	}
	if err != nil && unanswered(err) {
		<-ctx.Done() // the connection was lost, and Redis may still have the script before it
	}
	return answer, err
}
