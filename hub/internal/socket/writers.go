package socket

import (
	"sync/atomic"

	"curfew/hub/internal/parallel"
)

// Writers writes what connections have queued. One serves all tabs of a hub. A writer of a
// connection runs only while something is queued.
type Writers struct {
	// Cores is how many goroutines write to many connections at once. It is read here and not asked
	// of the runtime each time, which takes a lock of the scheduler.
	Cores int
	// Go starts a goroutine, for a write that has to wait for its peer. The owner waits for it.
	Go func(f func())
	// Stalled reports whether nothing may pass at the moment, which happens in tests alone. Frames
	// stay queued; [Conn.Resume] tells which connections to start afterwards.
	Stalled func() bool
	// Counted has [Writers.Busy] count. It is set in tests alone: all cores write, and the counter
	// would cost more than what else is done for a tab.
	Counted bool

	busy atomic.Int64
}

// Start starts a writer for each connection: in this goroutine, or for many connections in as many
// as there are cores. It returns when each has written what its socket takes at once. No lock may
// be held that a writer may need.
func (w *Writers) Start(conns []*Conn) {
	w.count(len(conns))
	parallel.Do(w.Cores, conns, func(chunk []*Conn) {
		for _, c := range chunk {
			w.write(c)
		}
	})
}

// Busy is how many connections are being written to, if that is Counted.
func (w *Writers) Busy() int64 { return w.busy.Load() }

func (w *Writers) count(n int) {
	if w.Counted {
		w.busy.Add(int64(n))
	}
}

// write writes what is queued. It does not wait for the peer: where the socket is full, a goroutine
// does.
func (w *Writers) write(c *Conn) {
	for {
		if w.Stalled() {
			c.pause()
			w.count(-1)
			return
		}
		frames, last, done := c.next()
		if done {
			w.count(-1)
			return
		}
		rest, result, err := c.stream.writeNow(frames)
		if result != wroteAll {
			w.Go(func() {
				err := c.stream.writeWaiting(rest, result == wrotePart)
				c.wrote(last, err)
				w.write(c)
			})
			return
		}
		c.wrote(last, err)
	}
}
