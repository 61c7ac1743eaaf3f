package views

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"sync/atomic"
	"time"

	"curfew/session"
)

// flaky is a store that a test can put out of reach.
type flaky struct {
	session.Store
	away        atomic.Bool   // nothing is answered
	takesReads  atomic.Bool   // while it is away
	isUncounted atomic.Bool   // sessions that have ended are not listed
	isSlow      atomic.Bool   // they are only once there is one more forced logout
	added       chan struct{} // closed then
	remembered  int           // forced logouts of a day, beside those that were written

	counts     atomic.Int64 // how often sessions that have ended were to be listed
	gets       atomic.Int64 // how often a record was read
	getsWithin atomic.Int64 // within a time limit
}

func (f *flaky) Revocations(ctx context.Context) ([]session.Revocation, error) {
	list, err := f.Store.Revocations(ctx)
	now := session.Millis(time.Now())
	for i := range f.remembered {
		list = append(list, session.Revocation{
			Number:      int64(i + 1),
			ID:          fmt.Sprint("remembered-", i),
			Scope:       session.Scope{User: "nobody"},
			At:          now,
			EffectiveAt: now,
		})
	}
	return list, err
}

var errAway = errors.New("connection refused")

func (f *flaky) read() error {
	if f.away.Load() && !f.takesReads.Load() {
		return errAway
	}
	return nil
}

func (f *flaky) write() error {
	if f.away.Load() {
		return errAway
	}
	return nil
}

// putAway puts the store out of reach in the middle of a sign-out of b, so that nobody can say
// whether that session has ended. Of others that live, memory can say it.
func (s *site) putAway(b *browser) {
	s.t.Helper()
	s.store.takesReads.Store(true)
	s.store.away.Store(true)
	a := b.post(s.base+"/logout", url.Values{})
	a.wants(s.t, "a sign-out that the store does not take", 503, "We cannot confirm")
	s.store.takesReads.Store(false)
}

func (f *flaky) Waiting(ctx context.Context, now time.Time, scope session.Scope) iter.Seq2[session.Record, error] {
	f.counts.Add(1)
	return func(yield func(session.Record, error) bool) {
		if f.isSlow.Load() {
			select {
			case <-f.added:
			case <-ctx.Done():
				yield(session.Record{}, ctx.Err())
				return
			}
		}
		if f.isUncounted.Load() {
			yield(session.Record{}, errAway)
			return
		}
		f.Store.Waiting(ctx, now, scope)(yield)
	}
}

func (f *flaky) Get(ctx context.Context, id session.ID) (session.Record, error) {
	f.gets.Add(1)
	if _, ok := ctx.Deadline(); ok {
		f.getsWithin.Add(1)
	}
	if err := f.read(); err != nil {
		return session.Record{}, err
	}
	return f.Store.Get(ctx, id)
}

func (f *flaky) LastRevocation(ctx context.Context) (int64, error) {
	if err := f.read(); err != nil {
		return 0, err
	}
	return f.Store.LastRevocation(ctx)
}

func (f *flaky) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.Store.Events(ctx, q)
}

func (f *flaky) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	if err := f.write(); err != nil {
		return err
	}
	return f.Store.Save(ctx, id, version, values)
}

func (f *flaky) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	if err := f.write(); err != nil {
		return nil, err
	}
	return f.Store.Create(ctx, r, limit)
}

func (f *flaky) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if err := f.write(); err != nil {
		return false, err
	}
	return f.Store.End(ctx, id, why, ifDueBy)
}

func (f *flaky) AddRevocation(ctx context.Context, revocation session.Revocation) (session.Revocation, error) {
	if err := f.write(); err != nil {
		return revocation, err
	}
	if f.isSlow.Load() {
		defer close(f.added)
	}
	return f.Store.AddRevocation(ctx, revocation)
}

func (f *flaky) CancelRevocation(ctx context.Context, id string, at time.Time, actor string) (session.Revocation,
	error) {
	if err := f.write(); err != nil {
		return session.Revocation{}, err
	}
	return f.Store.CancelRevocation(ctx, id, at, actor)
}

func (f *flaky) Append(ctx context.Context, e session.Event) error {
	if err := f.write(); err != nil {
		return err
	}
	return f.Store.Append(ctx, e)
}
