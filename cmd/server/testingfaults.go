package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"time"

	"curfew/session"
	"curfew/session/faulty"
)

// nodeFaults are what tests inject into one node of several: calls of the store that fail, and a
// clock that is wrong. They serve the tests of package chaos.
type nodeFaults struct {
	calls *faulty.Faults
	clock *session.SkewedClock
}

func newNodeFaults() *nodeFaults {
	return &nodeFaults{new(faulty.Faults), &session.SkewedClock{Clock: session.RealClock{}}}
}

// over wraps a store, and what it offers to nodes (nil where it is the embedded one), so that calls
// of both can be made to fail.
func (f *nodeFaults) over(store session.Store, shared session.SharedStore) (session.Store, session.SharedStore) {
	if shared != nil {
		shared = faultyShared{shared, f.calls}
	}
	return faulty.Store{Store: store, Faults: f.calls}, shared
}

// faultyShared is a shared store whose most frequent calls fail.
type faultyShared struct {
	session.SharedStore
	faults *faulty.Faults
}

// try makes a call whose only answer is an error, or has it fail.
func (s faultyShared) try(ctx context.Context, method string, call func() error) error {
	_, err := faulty.Call(ctx, s.faults, method, func() (struct{}, error) { return struct{}{}, call() })
	return err
}

// Publish implements [session.SharedStore].
func (s faultyShared) Publish(ctx context.Context, message []byte) error {
	return s.try(ctx, "Publish", func() error { return s.SharedStore.Publish(ctx, message) })
}

// Pulse implements [session.SharedStore].
func (s faultyShared) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	return faulty.Call(ctx, s.faults, "Pulse", func() (session.Heartbeat, error) {
		return s.SharedStore.Pulse(ctx, node, after)
	})
}

// GetWithRevocation implements [session.SharedStore]. It fails where Get or LastRevocation does.
func (s faultyShared) GetWithRevocation(ctx context.Context, id session.ID) (session.Record, int64, error) {
	return faulty.GetWithRevocation(ctx, s.faults, s.SharedStore, id)
}

// GetMany implements [session.SharedStore].
func (s faultyShared) GetMany(ctx context.Context, ids []session.ID) ([]session.Record, error) {
	return faulty.Call(ctx, s.faults, "GetMany", func() ([]session.Record, error) {
		return s.SharedStore.GetMany(ctx, ids)
	})
}

// SetTabs implements [session.SharedStore].
func (s faultyShared) SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error {
	return s.try(ctx, "SetTabs", func() error { return s.SharedStore.SetTabs(ctx, node, tabs, whole) })
}

// Tabs implements [session.SharedStore].
func (s faultyShared) Tabs(ctx context.Context, node string) (map[session.ID]string, error) {
	return faulty.Call(ctx, s.faults, "Tabs", func() (map[session.ID]string, error) {
		return s.SharedStore.Tabs(ctx, node)
	})
}

// formerMethods are methods of the store by the names that /testing/store has always known. Their
// present names are taken as well.
var formerMethods = map[string]string{
	"AddFact":    "AddRevocation",
	"CancelFact": "CancelRevocation",
	"Facts":      "Revocations",
	"LastFact":   "LastRevocation",
}

// store serves /testing/store: it makes calls of a method of the store fail, or heals all where
// none is named. It answers how many faults have been injected so far.
func (f *nodeFaults) store(r *http.Request) (any, error) {
	var body struct {
		Method string  `json:"method"`
		NotDue float64 `json:"not_due"`
		Before float64 `json:"before"`
		After  float64 `json:"after"`
		Slow   float64 `json:"slow"`
		ByMS   int64   `json:"by_ms"`
		Times  int     `json:"times"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	rule := faulty.Rule{
		NotDue: body.NotDue,
		Before: body.Before,
		After:  body.After,
		Slow:   body.Slow,
		By:     time.Duration(body.ByMS) * time.Millisecond,
		Times:  max(0, body.Times),
	}
	if err := rule.Validate(); err != nil {
		return nil, badRequest{err}
	}
	if body.Method == "" {
		f.calls.Heal()
	} else {
		f.calls.Set(cmp.Or(formerMethods[body.Method], body.Method), rule)
	}
	return map[string]any{"injected": f.calls.Injected()}, nil
}

// maxSkew is how wrong a clock can be made.
const maxSkew = 24 * time.Hour

// skew serves /testing/skew: it makes this node's own clock wrong.
func (f *nodeFaults) skew(r *http.Request) (any, error) {
	var body struct {
		ByMS int64 `json:"by_ms"`
	}
	if err := read(r, &body); err != nil {
		return nil, err
	}
	by := time.Duration(body.ByMS) * time.Millisecond
	if by.Abs() > maxSkew {
		return nil, badRequest{errors.New("by_ms: must be a day at most")}
	}
	f.clock.SetSkew(by)
	return struct{}{}, nil
}

// end takes back all that was done.
func (f *nodeFaults) end() {
	f.calls.Heal()
	f.clock.SetSkew(0)
}
