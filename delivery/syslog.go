package delivery

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// syslogWindow is how many lines are written and not known to have arrived.
	syslogWindow = 2048
	// syslogTogether is how many bytes are written at once.
	syslogTogether = 64 << 10
	// syslogLimit is how long a connection, or a write, may take. It is less than the lease.
	syslogLimit = 3 * time.Second
	// silentFor is how long a peer may acknowledge nothing.
	silentFor = 10 * time.Second
	// closeLimit is how long a good-bye may take.
	closeLimit = time.Second
	// settleFor is how long a connection must live on after the peer's kernel has acknowledged a
	// line, so that the line counts as accepted.
	settleFor = time.Second
	// confirmEvery is how often that is looked at.
	confirmEvery = 200 * time.Millisecond
)

// SyslogOptions say where a syslog server is.
type SyslogOptions struct {
	Address string      // HOST:PORT
	TLS     *tls.Config // nil: TCP
}

// Syslog sends lines to a syslog server (RFC 5424), over TLS (RFC 5425) or TCP. [NewSyslog] makes
// one; its methods other than Run may be called concurrently.
//
// Syslog knows no answer. A line counts as accepted once the peer's kernel has acknowledged it and
// the connection has lived on for a second; when a connection breaks, all lines that do not count
// are sent again.
type Syslog struct {
	*follower
	options SyslogOptions
	host    string
	settle  time.Duration // settleFor

	// of Run's goroutine
	conn     *syslogConn // nil: none
	attempts int         // to connect, that failed
	retry    time.Time
	written  []written // oldest first
	confirm  time.Time // when to look at them again; zero if there are none
}

// written is what one write has sent.
type written struct {
	numbers []uint64
	acked   time.Time // when all up to here was seen acknowledged; zero before
}

// NewSyslog makes a sender.
func NewSyslog(o Options, s SyslogOptions) *Syslog {
	host, err := os.Hostname()
	if err != nil {
		host = ""
	}
	return &Syslog{follower: newFollower(o, "syslog"), options: s, host: headerName(host), settle: settleFor}
}

// Run sends until ctx ends.
func (s *Syslog) Run(ctx context.Context) {
	for ctx.Err() == nil {
		s.step(ctx)
		var retry time.Time
		if s.conn == nil && s.holds(time.Now()) {
			retry = s.retry
		}
		s.sleep(ctx, retry, s.confirm, s.flushAt)
	}
	s.disconnect()
	s.leave()
}

// step does what there is to do.
func (s *Syslog) step(ctx context.Context) {
	now := time.Now()
	if s.conn != nil {
		if err := s.conn.lost(); err != nil {
			s.lose(err)
		}
	}
	if s.conn == nil && s.holds(now) && !now.Before(s.retry) {
		s.connect(ctx)
	}
	if !now.Before(s.next) {
		s.read(ctx)
	}
	s.look(time.Now())
	s.flush(ctx, !s.flushAt.IsZero() && !time.Now().Before(s.flushAt))
}

// read claims lines, and writes them if there is a connection. Without one it only keeps the lease.
func (s *Syslog) read(ctx context.Context) {
	room := 0
	if s.conn != nil {
		room = syslogWindow
		for _, w := range s.written {
			room -= len(w.numbers)
		}
	}
	lines, anew := s.claim(ctx, room)
	if anew {
		s.written, s.confirm = nil, time.Time{}
	}
	if !s.holds(time.Now()) { // another node sends
		s.disconnect()
		return
	}
	var frames []byte
	var numbers []uint64
	for i, line := range lines {
		item, err := s.Encode(line)
		if err != nil {
			s.Log.Error("audit line cannot be written as JSON", "id", line.ID, "error", err)
			item = []byte("{}")
		}
		frames = appendSyslog(frames, s.host, os.Getpid(), line, item)
		numbers = append(numbers, line.Number)
		if len(frames) < syslogTogether && i < len(lines)-1 {
			continue
		}
		s.written = append(s.written, written{numbers: numbers})
		if s.confirm.IsZero() {
			s.confirm = time.Now().Add(confirmEvery)
		}
		if err := s.conn.write(frames); err != nil {
			s.lose(err)
			return
		}
		frames, numbers = nil, nil
		if time.Until(s.until) < syslogLimit || ctx.Err() != nil { // a slow receiver must not outlast the lease
			s.after, s.next = line.Number, time.Now()
			return
		}
	}
}

// look finds out which lines have arrived.
func (s *Syslog) look(now time.Time) {
	if s.conn == nil || s.confirm.IsZero() || now.Before(s.confirm) {
		return
	}
	s.confirm = now.Add(confirmEvery)
	if s.conn.isAcknowledged() {
		for i := range s.written {
			if s.written[i].acked.IsZero() {
				s.written[i].acked = now
			}
		}
	}
	for len(s.written) > 0 && !s.written[0].acked.IsZero() && now.Sub(s.written[0].acked) >= s.settle {
		s.accepted(s.written[0].numbers...)
		s.written = s.written[1:]
	}
	if len(s.written) == 0 {
		s.written, s.confirm, s.attempts = nil, time.Time{}, 0
	}
}

func (s *Syslog) connect(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, syslogLimit)
	defer cancel()
	conn, err := dialSyslog(limited, s.options, s.news)
	if err != nil {
		if ctx.Err() == nil {
			s.lose(withoutTimeout(err))
		}
		return
	}
	s.conn, s.retry = conn, time.Time{}
	s.next = time.Now()
}

// lose gives up the connection, and has all that is not known to have arrived read again. Servers
// close connections that are idle: that is no failure.
func (s *Syslog) lose(err error) {
	if s.conn != nil && time.Since(s.conn.began) > silentFor {
		s.attempts = 0
	}
	if s.conn == nil || len(s.written) > 0 {
		s.refused(err)
	}
	s.disconnect()
	s.attempts++
	s.retry = time.Now().Add(backoff(s.attempts))
}

func (s *Syslog) disconnect() {
	if s.conn != nil {
		s.conn.close()
	}
	s.conn, s.written, s.confirm, s.after = nil, nil, time.Time{}, 0
}

// syslogConn is one connection.
type syslogConn struct {
	net.Conn
	tcp    *net.TCPConn
	began  time.Time
	failed chan error // what has ended the connection
	done   chan struct{}
}

// dialSyslog connects. It leaves a signal at ended when the connection ends.
func dialSyslog(ctx context.Context, o SyslogOptions, ended chan struct{}) (*syslogConn, error) {
	conn, err := (&net.Dialer{Control: loseSilent}).DialContext(ctx, "tcp", o.Address)
	if err != nil {
		return nil, err
	}
	c := &syslogConn{
		Conn:   conn,
		tcp:    conn.(*net.TCPConn),
		began:  time.Now(),
		failed: make(chan error, 1),
		done:   make(chan struct{}),
	}
	if o.TLS != nil {
		secure := tls.Client(conn, o.TLS)
		if err := secure.HandshakeContext(ctx); err != nil {
			conn.Close()
			return nil, fmt.Errorf("TLS: %w", err)
		}
		c.Conn = secure
	}
	go func() {
		defer close(c.done)
		c.failed <- c.drain()
		signal(ended)
	}()
	return c, nil
}

// drain reads what a server says, which means nothing, until the connection ends.
func (c *syslogConn) drain() error {
	buffer := make([]byte, 256)
	for {
		if _, err := c.Read(buffer); err != nil {
			return fmt.Errorf("the connection has ended: %w", err)
		}
	}
}

// lost is what has ended the connection; nil while it lives.
func (c *syslogConn) lost() error {
	select {
	case err := <-c.failed:
		return err
	default:
		return nil
	}
}

func (c *syslogConn) write(frames []byte) error {
	c.SetWriteDeadline(time.Now().Add(syslogLimit))
	_, err := c.Write(frames)
	return err
}

// isAcknowledged reports whether the peer's kernel has all that was written.
func (c *syslogConn) isAcknowledged() bool {
	raw, err := c.tcp.SyscallConn()
	if err != nil {
		return false
	}
	waiting := 1
	if err := raw.Control(func(fd uintptr) { waiting, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) }); err != nil {
		return false
	}
	return err == nil && waiting == 0
}

// close says good-bye if the peer listens.
func (c *syslogConn) close() {
	defer time.AfterFunc(closeLimit, func() { c.tcp.Close() }).Stop()
	c.Close()
	<-c.done
}

// loseSilent has the kernel give up a connection whose peer acknowledges nothing.
func loseSilent(_, _ string, c syscall.RawConn) error {
	var err error
	controlErr := c.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(silentFor.Milliseconds()))
	})
	return errors.Join(controlErr, err)
}
