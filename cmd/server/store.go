package main

import (
	"context"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis"
)

// openStore opens the store that is set, and keeps its outbox. shared is what it offers to several
// nodes: nil where it is the embedded one. onEvent gets every event of the audit trail, once it is
// stored; nobody waits for it.
func (s *server) openStore(
	ctx context.Context, onEvent func(session.Event),
) (store session.Store, shared session.SharedStore, err error) {
	dispatcher := session.NewEventDispatcher(onEvent)
	s.closers = append(s.closers, func() error { dispatcher.Close(); return nil })
	onLine := func(e session.Event) {
		s.metrics.Line(e)
		s.wakeSenders()
		dispatcher.Dispatch(e)
	}
	settings := s.cfg.store
	if settings.redisURL == "" {
		embedded, err := bolt.Open(settings.dataDir)
		if err != nil {
			return nil, nil, err
		}
		embedded.OnEvent(onLine)
		embedded.SetClock(s.clock)
		s.outbox = embedded
		return embedded, nil, nil
	}
	several, err := redis.Open(ctx, settings.redisURL, settings.redisPrefix, onLine, s.log)
	if err != nil {
		return nil, nil, err
	}
	s.outbox = several
	return several, several, nil
}
