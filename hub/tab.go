package hub

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
)

// maxOutbox is how many messages may wait for a page that does not read. One more ends the tab as
// slow.
const maxOutbox = 64

// queueFrame queues f, whose number is higher than that of all before, and appends t to start if it
// needs a writer. session.mu is held.
func (t *tab) queueFrame(start []*tab, stalled bool, f sharedFrame) []*tab {
	t.lastSeq.Store(f.seq)
	if t.queue(f.bytes, stalled) {
		return append(start, t)
	}
	return start
}

// queuePing queues a ping, which the browser answers, not the page.
func (t *tab) queuePing(start []*tab) []*tab {
	if t.queue(wire.PingFrame, false) {
		return append(start, t)
	}
	return start
}

// queue appends a frame and reports whether a writer must be started. It never waits.
func (t *tab) queue(frame []byte, stalled bool) (start bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	if len(t.outbox) >= maxOutbox && !stalled {
		return t.closeLocked(wire.StatusSlow, "too slow", time.Second)
	}
	t.outbox = append(t.outbox, frame)
	return t.startLocked()
}

func (t *tab) startLocked() bool {
	if t.writing {
		return false
	}
	t.writing = true
	return true
}

// close queues a close frame as the last one and reports whether a writer must be started. The peer
// has a second to answer.
func (t *tab) close(code int, reason string) (start bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	return t.closeLocked(code, reason, writeLimit)
}

func (t *tab) closeLocked(code int, reason string, patience time.Duration) (start bool) {
	t.closing = true
	if code == wire.StatusSlow {
		t.outbox = nil // the page asks anew when it reconnects
		t.conn.SetWriteDeadline(time.Now().Add(patience))
	}
	t.outbox = append(t.outbox, wire.CloseFrame(code, reason))
	return t.startLocked()
}

// next takes what is queued for the writer, joined into one write. done: nothing is left and the
// writer's work is over.
func (t *tab) next() (frames []byte, last, done bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch len(t.outbox) {
	case 0:
		t.writing = false
		return nil, false, true
	case 1:
		frames = t.outbox[0]
	default:
		for _, f := range t.outbox {
			frames = append(frames, f...)
		}
	}
	if cap(t.outbox) == 1 { // as nearly always: kept for the next one
		t.outbox[0], t.outbox = nil, t.outbox[:0]
	} else {
		t.outbox = nil
	}
	return frames, t.closing, false
}

// write writes what is queued. It does not wait for the peer: where the socket is full, a goroutine
// does.
func (h *Hub) write(t *tab) {
	for {
		if h.faults.stalled() {
			t.mu.Lock()
			t.writing = false
			t.mu.Unlock()
			h.countWriters(-1)
			return
		}
		frames, last, done := t.next()
		if done {
			h.countWriters(-1)
			return
		}
		rest, done, err := t.conn.writeNow(frames)
		if !done {
			locked := err == nil
			h.running.Go(func() {
				err := t.conn.writeWaiting(rest, locked)
				t.wrote(last, err)
				h.write(t)
			})
			return
		}
		t.wrote(last, err)
	}
}

// wrote ends the connection after an error, and gives the peer a second to answer a close frame.
func (t *tab) wrote(last bool, err error) {
	switch {
	case err != nil:
		t.conn.Close()
	case last:
		t.conn.seal()
		t.conn.SetReadDeadline(time.Now().Add(time.Second))
	}
}

// countWriters counts the tabs that are being written to, for settle. Only tests wait for that, and
// all cores write: the counter would cost more than what else is done for a tab.
func (h *Hub) countWriters(n int) {
	if h.timeline != nil {
		h.writers.Add(int64(n))
	}
}

// start starts a writer for each tab: here, or for many tabs by as many goroutines as there are
// cores.
func (h *Hub) start(tabs []*tab) {
	h.countWriters(len(tabs))
	inParallel(h.cores, tabs, func(share []*tab) {
		for _, t := range share {
			h.write(t)
		}
	})
}

var messageBuffers = sync.Pool{New: func() any { return new([wire.MaxMessage]byte) }}

var (
	errBreach = errors.New("protocol breach")
	errTooBig = errors.New("message too big")
)

// read returns the next message. The error is errBreach or errTooBig where the page broke the
// protocol, else the socket is done.
func (t *tab) read() (wire.Incoming, error) {
	kind, r, err := t.ws.Reader(context.Background()) // closing the connection ends it
	if err != nil {
		return wire.Incoming{}, err
	}
	buffer := messageBuffers.Get().(*[wire.MaxMessage]byte)
	defer messageBuffers.Put(buffer)
	n := 0
	for {
		m, err := r.Read(buffer[n:])
		n += m
		if err == io.EOF {
			break
		}
		if err != nil {
			return wire.Incoming{}, err
		}
		if n == len(buffer) {
			break
		}
	}
	if n == len(buffer) {
		if _, err := r.Read(make([]byte, 1)); err != io.EOF {
			return wire.Incoming{}, errTooBig
		}
	}
	if kind != websocket.MessageText {
		return wire.Incoming{}, errBreach
	}
	in, err := wire.Decode(buffer[:n])
	if err != nil {
		return wire.Incoming{}, errors.Join(errBreach, err)
	}
	return in, nil
}

// maxDrain is how much is read of a peer that has gone too far, before the connection is cut.
const maxDrain = 1 << 20

// drain reads past what cannot be understood any more, so that the peer can take in the close
// frame, for a second at most.
func (t *tab) drain() {
	t.closeCause = causeLost
	t.conn.SetReadDeadline(time.Now().Add(time.Second))
	io.CopyN(io.Discard, t.conn.Conn, maxDrain)
}
