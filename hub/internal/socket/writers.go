package socket

import (
	"sync/atomic"

	"curfew/hub/internal/parallel"
)

// Writers writes what connections have queued. One Writers serves all tabs of a hub. Its fields are
// set before the first use; Cores, Go and Stalled must be. A writer of a connection runs only while
// something is queued.
type Writers struct {
	// Cores is how many goroutines write to many connections at once, 1 or more. Asking the runtime
	// each time would take a lock of the scheduler.
	Cores int
	// Go starts a goroutine for a write that has to wait for its peer. The hub waits for it.
	Go func(f func())
	// Stalled reports whether nothing may be written now, which happens in tests only. Frames stay
	// queued. Afterwards [Conn.Resume] tells which connections to start.
	Stalled func() bool
	// Counted makes [Writers.Busy] count. It is set for --testing only, because a counter that all
	// cores write would cost more than everything else that is done for a tab.
	Counted bool

	busy atomic.Int64
}

// Start starts a writer for each connection that needs one: in this goroutine, or for many
// connections in Cores goroutines. It returns once each has written what its socket takes without
// waiting. The caller holds no lock.
func (w *Writers) Start(conns []*Conn) {
	w.count(len(conns))
	parallel.Do(w.Cores, conns, func(chunk []*Conn) {
		for _, c := range chunk {
			w.write(c)
		}
	})
}

// Open writes the answer to the handshake of a connection that was just accepted, and what is
// queued behind it, in this goroutine. It waits for the peer, WriteLimit at most: nothing may be
// read before the answer is written, since what is read may have to be answered. The answer is
// written though connections are stalled. After an error the connection is cut.
func (w *Writers) Open(c *Conn, answer *Answer) {
	w.count(1)
	last := false
	if !w.Stalled() {
		var queued []byte
		queued, last, _ = c.next()
		answer.Write(queued)
	}
	rest, result, err := c.stream.writeNow(answer.Bytes())
	if result != wroteAll {
		err = c.stream.writeWaiting(rest, result == wrotePart)
	}
	answer.drop()
	c.wrote(last, err)
	w.write(c)
}

// Busy returns how many connections are being written to, if they are Counted.
func (w *Writers) Busy() int64 { return w.busy.Load() }

func (w *Writers) count(n int) {
	if w.Counted {
		w.busy.Add(int64(n))
	}
}

// write writes what is queued. It does not wait for the peer: if the socket is full, a goroutine
// does.
func (w *Writers) write(c *Conn) {
	for {
		if w.Stalled() {
			c.pause()
			if w.Stalled() || !c.Resume() { // the stall may have ended before the pause began
				w.count(-1)
				return
			}
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
