package faulty

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"curfew/session"
)

// ErrInjected is the error of calls that were made to fail.
var ErrInjected = errors.New("this call was made to fail")

// All stands for every method in [Faults.Set].
const All = "*"

// Rule says how likely what happens to a call: each from 0 to 1, all together 1 at most.
type Rule struct {
	NotDue float64 // of End with a condition: session.ErrNotDue, and nothing was asked
	Before float64 // an error, and nothing was done
	After  float64 // all was done, and then an error: the acknowledgement was lost
	Slow   float64 // it takes up to By, and is done then
	By     time.Duration
	Times  int // how many calls are touched at most; 0: any number
}

// Validate refuses what is no likelihood.
func (r Rule) Validate() error {
	for _, p := range []float64{r.NotDue, r.Before, r.After, r.Slow} {
		if p < 0 {
			return errors.New("a likelihood is 0 or more")
		}
	}
	if r.NotDue+r.Before+r.After+r.Slow > 1+1e-9 {
		return errors.New("the likelihoods are more than 1 together")
	}
	if r.By < 0 || r.By > time.Minute {
		return errors.New("a call takes a minute at most")
	}
	return nil
}

// Faults decide what happens to calls. Their zero value lets all pass. Several wrappers may share
// them.
type Faults struct {
	mu       sync.Mutex
	random   *rand.Rand
	rules    map[string]*Rule // by method
	injected map[string]int
}

// New makes faults whose choices follow from a seed.
func New(seed uint64) *Faults { return &Faults{random: rand.New(rand.NewPCG(seed, 7))} }

// Set gives a rule to calls of a method, or with [All] to calls of all methods that have no rule of
// their own.
func (f *Faults) Set(method string, r Rule) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.rules == nil {
		f.rules = make(map[string]*Rule)
	}
	f.rules[method] = &r
}

// Heal lets all calls pass from now on.
func (f *Faults) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.rules)
}

// Injected counts what has happened, by kind and method.
func (f *Faults) Injected() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.injected)
}

// kind is what happens to a call.
type kind string

const (
	passes kind = ""
	notDue kind = "not due"
	before kind = "error before"
	after  kind = "error after"
	slow   kind = "slow"
)

// choose decides on one call.
func (f *Faults) choose(method string, conditional bool) (what kind, by time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	r := f.rules[method]
	if r == nil {
		r = f.rules[All]
	}
	if r == nil || r.Times < 0 {
		return passes, 0
	}
	if f.random == nil {
		f.random = rand.New(rand.NewPCG(rand.Uint64(), 7))
	}
	by = time.Duration(f.random.Float64() * float64(r.By))
	switch p := f.random.Float64(); {
	case p < r.NotDue:
		if !conditional {
			return passes, 0
		}
		what = notDue
	case p < r.NotDue+r.Before:
		what = before
	case p < r.NotDue+r.Before+r.After:
		what = after
	case p < r.NotDue+r.Before+r.After+r.Slow:
		what = slow
	default:
		return passes, 0
	}
	if r.Times > 0 {
		if r.Times--; r.Times == 0 {
			r.Times = -1
		}
	}
	if f.injected == nil {
		f.injected = make(map[string]int)
	}
	f.injected[string(what)+", "+method]++
	return what, by
}

// Call makes a call, unless the faults decide otherwise. It serves wrappers of other interfaces
// than [session.Store].
func Call[T any](ctx context.Context, f *Faults, method string, call func() (T, error)) (T, error) {
	return perform(ctx, f, method, false, call)
}

func perform[T any](
	ctx context.Context,
	f *Faults,
	method string,
	conditional bool,
	call func() (T, error),
) (none T, err error) {
	what, by := f.choose(method, conditional)
	return inject(ctx, method, what, by, call)
}

// inject does to a call what was chosen.
func inject[T any](
	ctx context.Context,
	method string,
	what kind,
	by time.Duration,
	call func() (T, error),
) (none T, err error) {
	switch what {
	case notDue:
		return none, fmt.Errorf("%s: %w", method, session.ErrNotDue)
	case before:
		return none, fmt.Errorf("%s: %w", method, ErrInjected)
	case after:
		if _, err := call(); err != nil {
			return none, err
		}
		return none, fmt.Errorf("%s: %w, but was done", method, ErrInjected)
	case slow:
		timer := time.NewTimer(by)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return none, ctx.Err()
		}
	}
	return call()
}

// do is perform for calls without a result.
func do(ctx context.Context, f *Faults, method string, call func() error) error {
	_, err := perform(ctx, f, method, false, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Store is a store whose calls fail as Faults decide. Age, Close, Ping, Prune, Reset and Secret
// always pass.
type Store struct {
	session.Store
	Faults *Faults
}

// Create implements [session.Store].
func (s Store) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	return Call(ctx, s.Faults, "Create", func() ([]session.ID, error) { return s.Store.Create(ctx, r, limit) })
}

// Get implements [session.Store].
func (s Store) Get(ctx context.Context, id session.ID) (session.Record, error) {
	return Call(ctx, s.Faults, "Get", func() (session.Record, error) { return s.Store.Get(ctx, id) })
}

// Save implements [session.Store].
func (s Store) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	return do(ctx, s.Faults, "Save", func() error { return s.Store.Save(ctx, id, version, values) })
}

// Touch implements [session.Store].
func (s Store) Touch(ctx context.Context, acts []session.Activity) (unknown []session.ID, err error) {
	return Call(ctx, s.Faults, "Touch", func() ([]session.ID, error) { return s.Store.Touch(ctx, acts) })
}

// Leave implements [session.Store].
func (s Store) Leave(ctx context.Context, id session.ID, news session.TabTimes) (session.TabTimes, error) {
	return Call(ctx, s.Faults, "Leave", func() (session.TabTimes, error) { return s.Store.Leave(ctx, id, news) })
}

// SetRules implements [session.Store].
func (s Store) SetRules(ctx context.Context, id session.ID, revision int64, rules session.Rules) (int64, error) {
	return Call(ctx, s.Faults, "SetRules", func() (int64, error) { return s.Store.SetRules(ctx, id, revision, rules) })
}

// End implements [session.Store].
func (s Store) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	return perform(ctx, s.Faults, "End", !ifDueBy.IsZero(),
		func() (bool, error) { return s.Store.End(ctx, id, why, ifDueBy) })
}

// EndSoon implements [session.Store]. What is done of it is done in its order, and the faults of
// several calls pass at the same time: of a slow one, only the answer is late.
func (s Store) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) (wait func() (bool, error)) {
	what, by := s.Faults.choose("End", !ifDueBy.IsZero())
	if what == passes {
		return s.Store.EndSoon(ctx, id, why, ifDueBy)
	}
	over := time.Now().Add(by)
	var answer func() (bool, error)
	if what == after || what == slow {
		answer = s.Store.EndSoon(ctx, id, why, ifDueBy)
	}
	return func() (bool, error) { return inject(ctx, "End", what, time.Until(over), answer) }
}

// EndKeep implements [session.Store].
func (s Store) EndKeep(ctx context.Context, id session.ID) error {
	return do(ctx, s.Faults, "EndKeep", func() error { return s.Store.EndKeep(ctx, id) })
}

// Live implements [session.Store].
func (s Store) Live(ctx context.Context) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		if err := do(ctx, s.Faults, "Live", func() error { return nil }); err != nil {
			yield(session.Record{}, err)
			return
		}
		s.Store.Live(ctx)(yield)
	}
}

// Waiting implements [session.Store].
func (s Store) Waiting(ctx context.Context, now time.Time, scope session.Scope) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		if err := do(ctx, s.Faults, "Waiting", func() error { return nil }); err != nil {
			yield(session.Record{}, err)
			return
		}
		s.Store.Waiting(ctx, now, scope)(yield)
	}
}

// OfUser implements [session.Store].
func (s Store) OfUser(ctx context.Context, user string) ([]session.Record, error) {
	return Call(ctx, s.Faults, "OfUser", func() ([]session.Record, error) { return s.Store.OfUser(ctx, user) })
}

// AddRevocation implements [session.Store].
func (s Store) AddRevocation(ctx context.Context, revocation session.Revocation) (session.Revocation, error) {
	return Call(ctx, s.Faults, "AddRevocation", func() (session.Revocation, error) {
		return s.Store.AddRevocation(ctx, revocation)
	})
}

// CancelRevocation implements [session.Store].
func (s Store) CancelRevocation(
	ctx context.Context,
	id string,
	at time.Time,
	actor string,
) (session.Revocation, error) {
	return Call(ctx, s.Faults, "CancelRevocation", func() (session.Revocation, error) {
		return s.Store.CancelRevocation(ctx, id, at, actor)
	})
}

// Revocations implements [session.Store].
func (s Store) Revocations(ctx context.Context) ([]session.Revocation, error) {
	return Call(ctx, s.Faults, "Revocations", func() ([]session.Revocation, error) { return s.Store.Revocations(ctx) })
}

// LastRevocation implements [session.Store].
func (s Store) LastRevocation(ctx context.Context) (int64, error) {
	return Call(ctx, s.Faults, "LastRevocation", func() (int64, error) { return s.Store.LastRevocation(ctx) })
}

// Append implements [session.Store].
func (s Store) Append(ctx context.Context, e session.Event) error {
	return do(ctx, s.Faults, "Append", func() error { return s.Store.Append(ctx, e) })
}

// Events implements [session.Store].
func (s Store) Events(ctx context.Context, q session.EventQuery) ([]session.Event, error) {
	return Call(ctx, s.Faults, "Events", func() ([]session.Event, error) { return s.Store.Events(ctx, q) })
}

// Failures implements [session.Store].
func (s Store) Failures(ctx context.Context, login, address string, since time.Time) (session.Failures, error) {
	return Call(ctx, s.Faults, "Failures", func() (session.Failures, error) {
		return s.Store.Failures(ctx, login, address, since)
	})
}

// GetWithRevocation calls that method of a shared store, or has it fail where Get or LastRevocation
// does.
func GetWithRevocation(
	ctx context.Context,
	f *Faults,
	s interface {
		GetWithRevocation(context.Context, session.ID) (session.Record, int64, error)
	},
	id session.ID,
) (r session.Record, last int64, err error) {
	r, err = Call(ctx, f, "Get", func() (r session.Record, err error) {
		r, last, err = s.GetWithRevocation(ctx, id)
		return r, err
	})
	if err == nil {
		last, err = Call(ctx, f, "LastRevocation", func() (int64, error) { return last, nil })
	}
	return r, last, err
}
