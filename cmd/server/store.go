package main

import (
	"context"
	"log/slog"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis"
)

// openStore opens the store that is set, and tells what it offers to several nodes: nothing if it is the embedded one.
func openStore(ctx context.Context, cfg *config, clock session.Clock, follow func(session.Event), log *slog.Logger) (session.Store, session.SharedStore, error) {
	if cfg.redisURL == "" {
		store, err := bolt.Open(cfg.dataDir)
		if err != nil {
			return nil, nil, err
		}
		store.Follow(follow)
		store.SetClock(clock)
		return store, nil, nil
	}
	store, err := redis.Open(ctx, cfg.redisURL, cfg.redisPrefix, follow, log)
	if err != nil {
		return nil, nil, err
	}
	return store, store, nil
}

// clocks are the time of a server.
type clocks struct {
	session.Clock
	movable *session.TestClock   // of a server for testing, else nil
	steered *session.SyncedClock // set right by the store's, where several nodes share it; else nil
}

// newClocks makes the clock of a server. trouble is that of one for testing, else nil.
func newClocks(trouble *trouble, shared bool) (c clocks) {
	c.Clock = session.RealClock{}
	var wall func() time.Time
	if trouble != nil {
		c.movable = &session.TestClock{}
		trouble.clock.Clock = c.movable
		c.Clock, wall = trouble.clock, trouble.clock.Wall
	}
	if shared {
		c.steered = &session.SyncedClock{Clock: c.Clock, Wall: wall}
		c.Clock = c.steered
	}
	return c
}
