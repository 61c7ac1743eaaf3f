package redis

import (
	"context"
	"fmt"
	"strconv"

	"curfew/session"
)

// rulesScript replaces a record of which nobody has replaced the rules meanwhile. Revisions are
// times where they can be, so that one which a fail-over has lost is not given to other rules.
var rulesScript = newVitalScript(online + clock + `
local record, timing = KEYS[1], KEYS[2]
local known = redis.call('HMGET', timing, 'c', 'x', 'n')
if not known[1] then return {'unknown'} end
if known[2] then return {'ended'} end
if (known[3] or '0') ~= ARGV[1] then return {'conflict'} end
local revision = string.format('%d', math.max(ARGV[1] + 1, now(0)))
redis.call('SET', record, ARGV[2])
redis.call('HSET', timing, 'e', ARGV[3], 'm', ARGV[4], 'g', ARGV[5], 'n', revision)
return {'ok', online(), revision}
`)

// SetRules implements [session.Store].
func (s *Store) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	revision, err := s.setRules(ctx, id, revision, rules)
	if err != nil {
		return 0, fmt.Errorf("set session's rules: %w", err)
	}
	return revision, nil
}

func (s *Store) setRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	r, err := s.get(ctx, id)
	switch {
	case err != nil:
		return 0, err
	case r.End != nil:
		return 0, session.ErrEnded
	case r.Revision != revision:
		return 0, session.ErrConflict
	}
	p := rules.Policy
	r.Values, r.Groups, r.Former, r.Policy = nil, rules.Groups, rules.Former, p
	data, err := r.Encode()
	if err != nil {
		return 0, err
	}
	answer, err := s.run(ctx, rulesScript, []string{s.recordKey(id), s.timingKey(id)},
		[]string{strconv.FormatInt(revision, 10), string(data), inMillis(p.ExpireAfter), inMillis(p.MaxLifetime),
			inMillis(p.CloseGrace)})
	if err := outcome(answer, err); err != nil {
		return 0, err
	}
	if len(answer) != 3 {
		return 0, errUnexpected
	}
	if err := s.replicatedAnswer(ctx, partition(id), answer, 1); err != nil {
		return 0, err
	}
	text, err := answer[2].ToString()
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(text, 10, 64)
}
