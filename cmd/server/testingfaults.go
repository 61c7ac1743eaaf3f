package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"curfew/session"
	"curfew/session/faulty"
)

// nodeFaults are what tests inject into one node of several: calls of the store that fail, and a clock
// that is wrong. They serve the tests of package chaos.
type nodeFaults struct {
	calls *faulty.Faults
	clock *session.SkewedClock
}

func newNodeFaults() *nodeFaults {
	return &nodeFaults{new(faulty.Faults), &session.SkewedClock{Clock: session.RealClock{}}}
}

// over puts itself before a store and what that offers to nodes.
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

// Publish implements [session.SharedStore].
func (p faultyShared) Publish(ctx context.Context, message []byte) error {
	_, err := faulty.Call(ctx, p.faults, "Publish", func() (struct{}, error) { return struct{}{}, p.SharedStore.Publish(ctx, message) })
	return err
}

// Pulse implements [session.SharedStore].
func (p faultyShared) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	return faulty.Call(ctx, p.faults, "Pulse", func() (session.Heartbeat, error) { return p.SharedStore.Pulse(ctx, node, after) })
}

// GetMany implements [session.SharedStore].
func (p faultyShared) GetMany(ctx context.Context, ids []session.ID) ([]session.Record, error) {
	return faulty.Call(ctx, p.faults, "GetMany", func() ([]session.Record, error) { return p.SharedStore.GetMany(ctx, ids) })
}

// SetTabs implements [session.SharedStore].
func (p faultyShared) SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error {
	_, err := faulty.Call(ctx, p.faults, "SetTabs", func() (struct{}, error) { return struct{}{}, p.SharedStore.SetTabs(ctx, node, tabs, whole) })
	return err
}

// Tabs implements [session.SharedStore].
func (p faultyShared) Tabs(ctx context.Context, node string) (map[session.ID]string, error) {
	return faulty.Call(ctx, p.faults, "Tabs", func() (map[session.ID]string, error) { return p.SharedStore.Tabs(ctx, node) })
}

// store has calls of a method fail, or heals all where none is named, and tells what was injected so far.
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
		f.calls.Set(body.Method, rule)
	}
	return map[string]any{"injected": f.calls.Injected()}, nil
}

// maxSkew is how wrong a clock can be made.
const maxSkew = 24 * time.Hour

// skew makes this node's own clock wrong.
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
