package front_test

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// counted is a meter that remembers what it is told.
type counted struct {
	underWay atomic.Int64
	answered chan int
}

func (c *counted) Forwarded()          { c.underWay.Add(1) }
func (c *counted) Answered(status int) { c.underWay.Add(-1); c.answered <- status }

func TestRequestsAreCountedByTheirAnswers(t *testing.T) {
	t.Parallel()
	c := &counted{answered: make(chan int, 1)}
	s := newRawSite(t, func(conn net.Conn, r *bufio.Reader) {
		line, err := head(r)
		if err != nil {
			return
		}
		if n := c.underWay.Load(); n != 1 {
			t.Errorf("%s: %d under way, want 1", line[0], n)
		}
		switch {
		case strings.Contains(line[0], "/socket"):
			io.WriteString(conn, lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Upgrade: websocket"))
		case strings.Contains(line[0], "/page"):
			io.WriteString(conn, lines("HTTP/1.1 200 OK", "Content-Type: text/html", "Content-Length: 0"))
		case strings.Contains(line[0], "/missing"):
			io.WriteString(conn, lines("HTTP/1.1 404 Not Found", "Content-Length: 0"))
		} // or else it breaks off before its answer
	}, func(o *setup) { o.Meter = c })
	for _, row := range []struct {
		status  int
		request []string
	}{
		{200, []string{"GET /page HTTP/1.1", "Host: x", "Sec-Fetch-Mode: navigate"}},
		{404, []string{"GET /missing HTTP/1.1", "Host: x"}},
		{0, []string{"POST /broken HTTP/1.1", "Host: x", "Origin: https://app.example", "Content-Length: 0"}},
		{101, []string{"GET /socket HTTP/1.1", "Host: x", "Origin: https://app.example", "Connection: Upgrade",
			"Upgrade: websocket"}},
	} {
		b := s.dial()
		b.send("", row.request...)
		b.answer("GET")
		b.Close()
		select {
		case got := <-c.answered:
			if got != row.status || c.underWay.Load() != 0 {
				t.Errorf("%s: counted as %d with %d under way, want %d and none", row.request[0], got,
					c.underWay.Load(), row.status)
			}
		case <-time.After(patience):
			t.Fatalf("%s: not counted", row.request[0])
		}
	}
}
