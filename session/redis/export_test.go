package redis

import (
	"context"
	"time"

	"curfew/session"
)

// IndexedAndPending is Indexed, and how many sign-ins are listed as under way.
func (s *Store) IndexedAndPending(ctx context.Context, user string) (entries, pending int64, err error) {
	keys := s.indexKeys(user)
	if entries, err = s.client.Do(ctx, s.client.B().Hlen().Key(keys[0]).Build()).AsInt64(); err != nil {
		return 0, 0, err
	}
	pending, err = s.client.Do(ctx, s.client.B().Zcard().Key(keys[1]).Build()).AsInt64()
	return entries, pending, err
}

// Name is how a session is called in the index.
var Name = name

// CreateUnreserved is the rest of a sign-in whose reservation others have forgotten.
func (s *Store) CreateUnreserved(ctx context.Context, r session.Record) error {
	_, err := s.signInReserved(ctx, r, nil)
	return err
}

// CreateLate creates the session of a sign-in that has read Redis's clock so long ago.
func (s *Store) CreateLate(ctx context.Context, r session.Record, by time.Duration) error {
	return s.create(ctx, r, time.Now().Add(-by).UnixMilli())
}

// LeaveAsBefore writes as nodes of an older version do, which know only when the last tab was
// closed.
func (s *Store) LeaveAsBefore(ctx context.Context, id session.ID, at time.Time) error {
	return s.client.Do(ctx,
		s.client.B().Hset().Key(s.timingKey(id)).FieldValue().FieldValue("l", ms(at)).Build()).Error()
}

// TrailKeys are the keys of the audit trail, without those of its receivers.
func (s *Store) TrailKeys() []string { return []string{s.auditKey(), s.counterKey()} }
