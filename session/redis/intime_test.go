package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// gate is a way to a server on which commands with a text in them are lost for their sender. The
// first one can be delivered later, as by a network that was cut.
type gate struct {
	text   []byte
	resets bool // its connection ends then, else it is silent
	taken  chan []byte
}

// open opens a store behind the gate.
func (g *gate) open(t *testing.T, server *redistest.Server, prefix string) *redis.Store {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g.taken = make(chan []byte, 100)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", server.Address)
			if err != nil {
				from.Close()
				continue
			}
			running.Go(func() { g.pass(from, to) })
			running.Go(func() { (&gate{}).pass(to, from) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		running.Wait() // the connections have ended with the store, whose cleanup comes first
	})
	return openWith(t, "redis://"+l.Addr().String(), prefix)
}

func (g *gate) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	silent := false
	for buffer := make([]byte, 64<<10); ; {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if len(g.text) > 0 && bytes.Contains(buffer[:n], g.text) {
			g.taken <- bytes.Clone(buffer[:n])
			if g.resets {
				return
			}
			silent = true
		}
		if !silent {
			to.Write(buffer[:n])
		}
	}
}

// deliver sends the server what the gate has taken, and returns what it answers.
func (g *gate) deliver(t *testing.T, server *redistest.Server) (answer string) {
	t.Helper()
	c, err := net.Dial("tcp", server.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(c, "%sPING\r\n", <-g.taken)
	for buffer := make([]byte, 4<<10); !strings.HasSuffix(answer, "+PONG\r\n"); {
		n, err := c.Read(buffer)
		if err != nil {
			t.Fatalf("after %q: %v", answer, err)
		}
		answer += string(buffer[:n])
	}
	return answer
}

// inAnHour is a forced logout with a grace.
func inAnHour(id string) session.Revocation {
	now := session.Millis(time.Now())
	return session.Revocation{ID: id, At: now, EffectiveAt: now.Add(time.Hour)}
}

func addLate(s *redis.Store) error {
	_, err := s.AddRevocation(context.Background(), inAnHour("late"))
	return err
}

func TestWhatWasToldToHaveFailedIsNotDoneLater(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	for what, c := range map[string]struct {
		text   string // in what comes late
		resets bool
		do     func(*redis.Store) error
	}{
		"a forced logout": {
			text: `"id":"late"`,
			do:   addLate,
		},
		"a forced logout whose connection is lost": {
			text:   `"id":"late"`,
			resets: true,
			do:     addLate,
		},
		"a cancellation": {
			text: `"actor":"late"`,
			do: func(s *redis.Store) error {
				_, err := s.CancelRevocation(context.Background(), "before", time.Now(), "late")
				return err
			},
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			prefix := fmt.Sprintf("test%d:", prefixes.Add(1))
			s := openWith(t, server.URL(), prefix) // Redis knows the scripts from here on
			for _, id := range []string{"before", "off"} {
				forceLogout(t, s, inAnHour(id))
			}
			if _, err := s.CancelRevocation(t.Context(), "off", time.Now(), "root"); err != nil {
				t.Fatal(err)
			}
			last, _ := s.LastRevocation(t.Context())
			g := &gate{text: []byte(c.text), resets: c.resets}
			if err := c.do(g.open(t, server, prefix)); err == nil {
				t.Fatal("it has not failed")
			}
			if answer := g.deliver(t, server); !strings.Contains(answer, "too late") {
				t.Errorf("delivered later: %q, want that it is too late", answer)
			}
			if now, err := s.LastRevocation(t.Context()); err != nil || now != last {
				t.Errorf("the last revocation is %d, %v, want %d", now, err, last)
			}
			list, err := s.Revocations(t.Context())
			if err != nil || len(list) != 2 || !list[0].CancelledAt.IsZero() {
				t.Errorf("revocations %+v, %v, want the first two, the first not cancelled", list, err)
			}
		})
	}
}

func TestASessionIsNotStoredOnceItsReservationIsVoid(t *testing.T) {
	t.Parallel()
	s := open(t, redistest.Start(t))
	for by, want := range map[time.Duration]error{0: nil, time.Minute: session.ErrNotFound} {
		r := recordNow("ada")
		if err := s.CreateLate(t.Context(), r, by); (err == nil) != (want == nil) {
			t.Errorf("created %s late: %v", by, err)
		}
		if _, err := s.Get(t.Context(), r.ID); !errors.Is(err, want) {
			t.Errorf("created %s late: Get = %v, want %v", by, err, want)
		}
	}
}
