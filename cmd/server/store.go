package main

import (
	"context"
	"log/slog"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis"
)

// openStore opens the store that is set, and tells what it offers to several nodes: nothing if it is the embedded one.
func openStore(ctx context.Context, cfg *config, clock session.Clock, follow func(session.Event), log *slog.Logger) (session.Store, session.SharedStore, error) {
	if cfg.store.redisURL == "" {
		store, err := bolt.Open(cfg.store.dataDir)
		if err != nil {
			return nil, nil, err
		}
		store.Follow(follow)
		store.SetClock(clock)
		return store, nil, nil
	}
	store, err := redis.Open(ctx, cfg.store.redisURL, cfg.store.redisPrefix, follow, log)
	if err != nil {
		return nil, nil, err
	}
	return store, store, nil
}
