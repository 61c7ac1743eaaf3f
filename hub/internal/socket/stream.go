package socket

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// stream is a hijacked connection. The library reads through it and writes its control frames; data
// frames and close frames are written by [Writers]. Each of them is one write under mu, so that no
// frame lands inside another.
type stream struct {
	net.Conn
	raw syscall.RawConn // of a TCP connection, else nil

	probed atomic.Bool // set by Probe, cleared when anything is read

	// used by the reading goroutine alone
	readAt time.Time // when something was read last
	frames frameCounter
	flood  flood

	mu     sync.Mutex // held for a whole frame
	closed bool       // a close frame is out: nothing may follow it
}

// Read implements [net.Conn] for the library. It counts frames of every kind, including those that
// the library does not pass on: pings, pongs, empty continuations. When it is called again,
// everything that it has returned is handled, and Forgive was called for acks; see frameCounter.
func (s *stream) Read(p []byte) (int, error) {
	if n := s.frames.complete; n > 0 {
		s.frames.complete = 0
		if s.flood.over(s.readAt, n) {
			return 0, ErrFlood
		}
	}
	n, err := s.Conn.Read(p)
	if n > 0 {
		s.received(p[:n])
	}
	return n, err
}

// received notes what was read.
func (s *stream) received(p []byte) {
	s.readAt = time.Now()
	if s.probed.Load() {
		s.probed.Store(false)
	}
	s.frames.take(p)
}

// Write implements [net.Conn] for the library: pongs, and the answer to a close frame.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// written is the result of a write that does not wait.
type written int

const (
	wroteNothing written = iota // another frame is being written, or the stream cannot write without waiting
	wrotePart                   // the rest is not written, and the lock stays held for it
	wroteAll                    // nothing is left to write; also after an error or a close frame
)

// writeNow writes as much of p as the socket takes without waiting. After wroteNothing and
// wrotePart the caller must call writeWaiting with the rest.
func (s *stream) writeNow(p []byte) (rest []byte, how written, err error) {
	if s.raw == nil || !s.mu.TryLock() {
		return p, wroteNothing, nil
	}
	if s.closed {
		s.mu.Unlock()
		return nil, wroteAll, nil
	}
	attempt := attempts.Get().(*attempt)
	attempt.p = p
	err = s.raw.Write(attempt.write)
	n := attempt.n
	if err == nil {
		err = attempt.err
	}
	attempt.p, attempt.err = nil, nil
	attempts.Put(attempt)
	if err == syscall.EAGAIN || err == syscall.EINTR {
		n, err = 0, nil
	}
	if err != nil || n == len(p) {
		s.mu.Unlock()
		return nil, wroteAll, err
	}
	return p[max(n, 0):], wrotePart, nil
}

// attempt is a write that does not wait for the socket. Attempts are pooled: allocating a closure
// for each write would cost more than everything else that is done for a tab when many are told.
type attempt struct {
	p     []byte
	n     int
	err   error
	write func(fd uintptr) bool
}

var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.write = func(fd uintptr) bool {
		a.n, a.err = syscall.Write(int(fd), a.p)
		return true // never wait
	}
	return a
}}

// WriteLimit is how long a peer may keep a write waiting. It is real time, like all limits of the
// network.
const WriteLimit = 10 * time.Second

// writeWaiting writes p and waits for the peer as long as WriteLimit. locked: mu is held since
// writeNow.
func (s *stream) writeWaiting(p []byte, locked bool) error {
	if !locked {
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.SetWriteDeadline(time.Now().Add(WriteLimit))
	_, err := s.Conn.Write(p)
	s.SetWriteDeadline(time.Time{})
	return err
}

// seal drops all writes from now on, because a close frame was written.
func (s *stream) seal() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
}
