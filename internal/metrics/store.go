package metrics

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"curfew/session"
)

// operation is what is measured of one method of a store.
type operation struct {
	seconds  prometheus.Observer
	failures prometheus.Counter
}

func (m *Metrics) operation(name string) *operation {
	return &operation{m.storeSeconds.WithLabelValues(name), m.storeFailures.WithLabelValues(name)}
}

// answers are errors that are no failure of the store: it has answered, or nobody waits any more.
var answers = []error{session.ErrNotFound, session.ErrEnded, session.ErrConflict, session.ErrExists, session.ErrNotDue,
	session.ErrTooLate, context.Canceled}

func (o *operation) done(began time.Time, err error) {
	o.seconds.Observe(time.Since(began).Seconds())
	if err == nil {
		return
	}
	for _, answer := range answers {
		if errors.Is(err, answer) {
			return
		}
	}
	o.failures.Inc()
}

// measured makes a call and measures it.
func measured[T any](o *operation, call func() (T, error)) (T, error) {
	began := time.Now()
	v, err := call()
	o.done(began, err)
	return v, err
}

// Store measures the operations of a store by which people wait. The others go through.
func (m *Metrics) Store(s session.Store) session.Store {
	return &store{
		Store:            s,
		create:           m.operation("create"),
		get:              m.operation("get"),
		save:             m.operation("save"),
		touch:            m.operation("touch"),
		leave:            m.operation("leave"),
		setRules:         m.operation("set_rules"),
		end:              m.operation("end"),
		ofUser:           m.operation("of_user"),
		addRevocation:    m.operation("add_revocation"),
		cancelRevocation: m.operation("cancel_revocation"),
		revocations:      m.operation("revocations"),
		lastRevocation:   m.operation("last_revocation"),
		append:           m.operation("append"),
		events:           m.operation("events"),
		failures:         m.operation("failures"),
		ping:             m.operation("ping"),
	}
}

type store struct {
	session.Store
	create, get, save, touch, leave, setRules, end, ofUser       *operation
	addRevocation, cancelRevocation, revocations, lastRevocation *operation
	append, events, failures, ping                               *operation
}

// Create implements [session.Store].
func (s *store) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	return measured(s.create, func() ([]session.ID, error) { return s.Store.Create(ctx, r, limit) })
}

// Get implements [session.Store].
func (s *store) Get(ctx context.Context, id session.ID) (session.Record, error) {
	return measured(s.get, func() (session.Record, error) { return s.Store.Get(ctx, id) })
}

// Save implements [session.Store].
func (s *store) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	began := time.Now()
	err := s.Store.Save(ctx, id, version, values)
	s.save.done(began, err)
	return err
}

// Touch implements [session.Store].
func (s *store) Touch(ctx context.Context, acts []session.Activity) ([]session.ID, error) {
	return measured(s.touch, func() ([]session.ID, error) { return s.Store.Touch(ctx, acts) })
}

// Leave implements [session.Store].
func (s *store) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	return measured(s.leave, func() (session.TabTimes, error) { return s.Store.Leave(ctx, id, news) })
}

// SetRules implements [session.Store].
func (s *store) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	return measured(s.setRules, func() (int64, error) { return s.Store.SetRules(ctx, id, revision, rules) })
}

// End implements [session.Store].
func (s *store) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	return measured(s.end, func() (bool, error) { return s.Store.End(ctx, id, why, ifDueBy) })
}

// EndSoon implements [session.Store]. It takes as long as it takes until the end is durable.
func (s *store) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	began := time.Now()
	wait := s.Store.EndSoon(ctx, id, why, ifDueBy)
	return func() (bool, error) {
		first, err := wait()
		s.end.done(began, err)
		return first, err
	}
}

// OfUser implements [session.Store].
func (s *store) OfUser(ctx context.Context, user string) ([]session.Record, error) {
	return measured(s.ofUser, func() ([]session.Record, error) { return s.Store.OfUser(ctx, user) })
}

// AddRevocation implements [session.Store].
func (s *store) AddRevocation(ctx context.Context, r session.Revocation) (session.Revocation, error) {
	return measured(s.addRevocation, func() (session.Revocation, error) { return s.Store.AddRevocation(ctx, r) })
}

// CancelRevocation implements [session.Store].
func (s *store) CancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor string,
) (session.Revocation, error) {
	return measured(s.cancelRevocation, func() (session.Revocation, error) {
		return s.Store.CancelRevocation(ctx, id, at, actor)
	})
}

// Revocations implements [session.Store].
func (s *store) Revocations(ctx context.Context) ([]session.Revocation, error) {
	return measured(s.revocations, func() ([]session.Revocation, error) { return s.Store.Revocations(ctx) })
}

// LastRevocation implements [session.Store].
func (s *store) LastRevocation(ctx context.Context) (int64, error) {
	return measured(s.lastRevocation, func() (int64, error) { return s.Store.LastRevocation(ctx) })
}

// Append implements [session.Store].
func (s *store) Append(ctx context.Context, e session.Event) error {
	began := time.Now()
	err := s.Store.Append(ctx, e)
	s.append.done(began, err)
	return err
}

// Events implements [session.Store].
func (s *store) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	return measured(s.events, func() ([]session.Event, error) { return s.Store.Events(ctx, q) })
}

// Failures implements [session.Store].
func (s *store) Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error) {
	return measured(s.failures, func() (session.Failures, error) {
		return s.Store.Failures(ctx, login, address, since)
	})
}

// Ping implements [session.Store].
func (s *store) Ping(ctx context.Context) error {
	began := time.Now()
	err := s.Store.Ping(ctx)
	s.ping.done(began, err)
	return err
}

// Shared measures what nodes ask of the store that they share all the time. nil stays nil.
func (m *Metrics) Shared(s session.SharedStore) session.SharedStore {
	if s == nil {
		return nil
	}
	return &shared{
		SharedStore: s,
		pulse:       m.operation("pulse"),
		publish:     m.operation("publish"),
		setTabs:     m.operation("set_tabs"),
		getMany:     m.operation("get_many"),
		get:         m.operation("get"),
	}
}

type shared struct {
	session.SharedStore
	pulse, publish, setTabs, getMany, get *operation
}

// Pulse implements [session.SharedStore].
func (s *shared) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	return measured(s.pulse, func() (session.Heartbeat, error) { return s.SharedStore.Pulse(ctx, node, after) })
}

// Publish implements [session.SharedStore].
func (s *shared) Publish(ctx context.Context, message []byte) error {
	began := time.Now()
	err := s.SharedStore.Publish(ctx, message)
	s.publish.done(began, err)
	return err
}

// SetTabs implements [session.SharedStore].
func (s *shared) SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error {
	began := time.Now()
	err := s.SharedStore.SetTabs(ctx, node, tabs, whole)
	s.setTabs.done(began, err)
	return err
}

// GetMany implements [session.SharedStore].
func (s *shared) GetMany(ctx context.Context, ids []session.ID) ([]session.Record, error) {
	return measured(s.getMany, func() ([]session.Record, error) { return s.SharedStore.GetMany(ctx, ids) })
}

// GetWithRevocation implements [session.SharedStore].
func (s *shared) GetWithRevocation(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	r, err = measured(s.get, func() (r session.Record, err error) {
		r, last, err = s.SharedStore.GetWithRevocation(ctx, id)
		return r, err
	})
	return r, last, err
}
