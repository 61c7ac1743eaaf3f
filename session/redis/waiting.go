package redis

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Waiting implements [session.Store]. It asks all partitions in one round trip, and reads records
// only of those that are listed there, with the mark of the user or without any, and by their refs.
func (s *Store) Waiting(ctx context.Context, now time.Time, scope session.Scope) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		ids, err := s.waitingIDs(ctx, now, scope)
		if err != nil {
			yield(session.Record{}, fmt.Errorf("list sessions that wait: %w", err))
			return
		}
		for part := range slices.Chunk(ids, 2000) {
			list, err := s.getMany(ctx, part)
			if err != nil {
				yield(session.Record{}, fmt.Errorf("list sessions that wait: %w", err))
				return
			}
			for _, r := range list {
				isTheirs := scope.User == "" || session.SameName(scope.User, r.User)
				if r.found && r.End != nil && isTheirs && !yield(r.Record, nil) {
					return
				}
			}
		}
	}
}

func (s *Store) waitingIDs(ctx context.Context, now time.Time, scope session.Scope) (ids []session.ID, err error) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	mark := ""
	if scope.User != "" {
		mark = userMark(scope.User)
	}
	var commands []rueidis.Completed
	for _, p := range partitions() {
		commands = append(commands, s.client.B().Zrangebyscore().Key(s.waitingKey(p)).
			Min("("+ms(now)).Max("+inf").Build())
	}
	for _, result := range s.callMany(ctx, commands...) {
		members, err := result.AsStrSlice()
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			n, whose, _ := strings.Cut(member, " ")
			if mark != "" && whose != "" && whose != mark {
				continue
			}
			id, err := parseName(n)
			if err != nil {
				return nil, err
			}
			if scope.MayHave(id) {
				ids = append(ids, id)
			}
		}
	}
	return ids, nil
}

// pruneWaiting forgets the sessions whose pages wait no longer. The tombstones stay.
func (s *Store) pruneWaiting(ctx context.Context, now time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	var commands []rueidis.Completed
	for _, p := range partitions() {
		commands = append(commands,
			s.client.B().Zremrangebyscore().Key(s.waitingKey(p)).Min("-inf").Max(ms(now)).Build())
	}
	for _, result := range s.callMany(ctx, commands...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}
