package session

import "time"

// Pulse is what a node learns each time it tells the store that it is alive.
type Pulse struct {
	Nodes    []string      // whose lease runs, this one included
	Lease    time.Duration // how long this node counts as alive from Now on
	Now      time.Time     // by the store's own clock
	Asked    time.Time     // when it was asked for that, by this computer's
	Took     time.Duration // until it had answered
	Offset   time.Duration // how far the nodes' test clocks are ahead of it
	LastFact int64         // see Store.LastFact
	Last     uint64        // number of the newest audit line that was looked at
	More     bool          // there are later lines
	Begun    []ID          // sessions whose sign-in is among the lines
	Ended    []ID          // sessions whose end is
	Masters  string        // names the store's servers; another text after a restart or a fail-over
	Fresh    bool          // the store had not heard of this node, or has forgotten it
}
