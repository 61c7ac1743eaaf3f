package socket

import (
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// Conn is the connection of one tab, made by [Accept]. A tab embeds it by value. Its methods may be
// called concurrently, but for [Conn.Read] and what stands beside it, which belong to the one
// goroutine that reads.
//
// Queue, Ping, Probe and Close never wait and write nothing. They report whether the connection
// needs a writer; the caller hands it to [Writers.Start] once it holds no lock.
type Conn struct {
	ws     *websocket.Conn // reads, and writes control frames
	stream stream          // carries the data frames

	mu      sync.Mutex
	outbox  [][]byte // bounded by MaxOutbox
	writing bool     // a writer is at work, or about to be
	closing bool     // a close frame is queued: nothing follows it
}

// MaxOutbox is how many frames may wait for a page that does not read. With one more the tab is
// closed as slow.
const MaxOutbox = 64

// closePatience is how long a peer may take to answer a close frame.
const closePatience = time.Second

// Queue appends a frame. Where too many wait already, the tab is closed with [wire.StatusSlow]
// instead, unless all connections are stalled by a test.
func (c *Conn) Queue(frame []byte, stalled bool) (start bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	if len(c.outbox) >= MaxOutbox && !stalled {
		return c.closeLocked(wire.StatusSlow, "too slow", closePatience)
	}
	c.outbox = append(c.outbox, frame)
	return c.startLocked()
}

// Ping queues a ping (RFC 6455 §5.5.2), which the browser answers, not the page.
func (c *Conn) Ping() (start bool) { return c.Queue(wire.PingFrame, false) }

// Probe is [Conn.Ping]. From then on [Conn.Probed] is true, until anything is read.
func (c *Conn) Probe() (start bool) {
	c.stream.probed.Store(true) // before the ping, and so before its pong
	return c.Ping()
}

// Probed reports whether nothing has been read since the last [Conn.Probe].
func (c *Conn) Probed() bool { return c.stream.probed.Load() }

// Close queues a close frame as the last frame. The first call decides code and reason, and further
// calls do nothing. The peer has a second to answer; then reading fails.
func (c *Conn) Close(code int, reason string) (start bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	return c.closeLocked(code, reason, WriteLimit)
}

func (c *Conn) closeLocked(code int, reason string, patience time.Duration) (start bool) {
	c.closing = true
	if code == wire.StatusSlow {
		c.outbox = nil // the page asks again when it reconnects
		c.stream.SetWriteDeadline(time.Now().Add(patience))
	}
	c.outbox = append(c.outbox, wire.CloseFrame(code, reason))
	return c.startLocked()
}

// Resume reports whether frames wait for a writer, as they do after a stall.
func (c *Conn) Resume() (start bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.outbox) > 0 && c.startLocked()
}

// Cut closes the connection without a close frame. Reading and writing fail from now on.
func (c *Conn) Cut() { c.stream.Close() }

// CloseNow is Cut, and releases what the library holds. The reading goroutine calls it when it is
// done.
func (c *Conn) CloseNow() { c.ws.CloseNow() }

// startLocked reports whether a writer must be started, and notes that it is.
func (c *Conn) startLocked() bool {
	if c.writing {
		return false
	}
	c.writing = true
	return true
}

// next takes what is queued for the writer, joined into one write. last: it ends with a close
// frame. done: nothing is left, and the writer's work is over.
func (c *Conn) next() (frames []byte, last, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch len(c.outbox) {
	case 0:
		c.writing = false
		return nil, false, true
	case 1:
		frames = c.outbox[0]
	default:
		for _, f := range c.outbox {
			frames = append(frames, f...)
		}
	}
	if cap(c.outbox) == 1 { // as nearly always: kept for the next one
		c.outbox[0], c.outbox = nil, c.outbox[:0]
	} else {
		c.outbox = nil
	}
	return frames, c.closing, false
}

// pause ends the writer's work though frames may be left.
func (c *Conn) pause() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writing = false
}

// wrote handles the result of a write: it cuts the connection after an error, and after a close
// frame gives the peer the time to answer.
func (c *Conn) wrote(last bool, err error) {
	switch {
	case err != nil:
		c.Cut()
	case last:
		c.stream.seal()
		c.stream.SetReadDeadline(time.Now().Add(closePatience))
	}
}
