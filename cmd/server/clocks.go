package main

import (
	"time"

	"curfew/session"
)

// clocks is the time of a server: all of its parts ask the embedded clock. The others are layers of
// it that the hub moves.
type clocks struct {
	session.Clock
	test   *session.TestClock   // of a server for testing, else nil
	synced *session.SyncedClock // set right by the store's, where several nodes share it; else nil
}

// newClocks makes the clock of a server. faults are those of one for testing, else nil.
func newClocks(faults *nodeFaults, shared bool) (c clocks) {
	c.Clock = session.RealClock{}
	var wall func() time.Time
	if faults != nil {
		c.test = &session.TestClock{}
		faults.clock.Clock = c.test
		c.Clock, wall = faults.clock, faults.clock.Wall
	}
	if shared {
		c.synced = &session.SyncedClock{Clock: c.Clock, Wall: wall}
		c.Clock = c.synced
	}
	return c
}
