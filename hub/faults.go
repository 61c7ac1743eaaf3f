package hub

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Faults of all sockets, which --testing injects.

// Fault is a fault of all sockets.
type Fault string

// The faults.
const (
	FaultNone   Fault = "none"
	FaultDrop   Fault = "drop"   // connections break, and new ones at once
	FaultStall  Fault = "stall"  // nothing passes until the fault is over
	FaultRefuse Fault = "refuse" // new connections are refused
)

// Validate returns an error for any other value.
func (f Fault) Validate() error {
	switch f {
	case FaultNone, FaultDrop, FaultStall, FaultRefuse:
		return nil
	}
	return errors.New("kind must be drop, stall, refuse or none")
}

// faults is the fault of now.
type faults struct {
	stall atomic.Bool

	mu       sync.Mutex
	fault    Fault
	released chan struct{} // closed while nothing is stalled
}

func newFaults() *faults {
	f := &faults{fault: FaultNone, released: make(chan struct{})}
	close(f.released)
	return f
}

func (f *faults) set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
	if stall := fault == FaultStall; f.stall.Swap(stall) != stall {
		if stall {
			f.released = make(chan struct{})
		} else {
			close(f.released)
		}
	}
}

func (f *faults) is(fault Fault) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fault == fault
}

func (f *faults) stalled() bool { return f.stall.Load() }

// wait returns when nothing is stalled any more.
func (f *faults) wait() {
	f.mu.Lock()
	released := f.released
	f.mu.Unlock()
	<-released
}

// SetFault injects a fault into all sockets until another is set.
func (h *Hub) SetFault(f Fault) {
	h.faults.set(f)
	switch f {
	case FaultDrop:
		for _, t := range h.tabs.all() {
			t.Cut()
		}
	case FaultStall:
	default:
		h.startAll(func(t *tab) bool { return t.Resume() })
	}
}
