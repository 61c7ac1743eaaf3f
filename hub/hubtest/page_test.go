package hubtest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
	"curfew/session"
)

const socketURL = "ws://app.example/session/ws"

// serve runs a server that does with each page what script says, and then reads until the page
// goes.
func serve(t *testing.T, script func(*websocket.Conn)) Options {
	t.Helper()
	l := Listen()
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r,
			&websocket.AcceptOptions{Subprotocols: []string{wire.Subprotocol}, InsecureSkipVerify: true})
		if err != nil {
			t.Error(err)
			return
		}
		defer c.CloseNow()
		script(c)
		c.Read(context.Background())
	})}
	go server.Serve(l)
	client := l.Client()
	t.Cleanup(func() {
		server.Close()
		client.CloseIdleConnections()
	})
	return Options{URL: socketURL, Client: client}
}

func say(t *testing.T, c *websocket.Conn, texts ...string) {
	for _, text := range texts {
		if err := c.Write(context.Background(), websocket.MessageText, []byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// recorder is a test whose failures are wanted. Fatalf ends it by a panic.
type recorder struct{ failures []string }

func (r *recorder) Helper() {}
func (r *recorder) Errorf(f string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(f, args...))
}
func (r *recorder) Fatalf(f string, args ...any) { r.Errorf(f, args...); panic(r) }
func (r *recorder) run(f func(*Page), p *Page) {
	defer func() {
		if stopped := recover(); stopped != nil && stopped != r {
			panic(stopped)
		}
	}()
	f(p)
}

// What the server of an expectation says.
const (
	warn   = `{"type":"warn","seq":2}`   // and the socket stays open
	notice = `{"type":"notice","seq":2}` // and it closes
	expire = `{"type":"expire","seq":3,"reason":"idle","message":"m","location":"/login"}`
)

// expectation is what a page wants of its server, and how it says that it got something else.
type expectation struct {
	name  string
	after time.Duration // what the server waits for before it says
	says  string        // empty: it closes with 4001
	does  func(*Page)
	fails []string
}

// messages expect a message, whenever it comes.
var messages = []expectation{
	{"the message comes", 0, warn, func(p *Page) { p.Next(wire.KindWarn) }, nil},
	{"another comes", time.Second, warn, func(p *Page) { p.Next(wire.KindExpire) },
		[]string{"got map[seq:2 type:warn] after 1s, want expire"}},
	{"the close comes", 0, "", func(p *Page) { p.Next(wire.KindWarn) },
		[]string{`the socket was closed with 4001 "idle" after 0s, want warn`}},
	{"nothing comes within a bound", 3 * time.Second, warn,
		func(p *Page) { p.NextWithin(2*time.Second, wire.KindWarn) },
		[]string{"nothing came within 2s, until 2s after the page was opened, want warn"}},
	{"nothing comes at all", 30 * time.Hour, warn, func(p *Page) { p.Next(wire.KindWarn) },
		[]string{"nothing came within 24h0m0s, until 24h0m0s after the page was opened, want warn"}},
}

// times expect one at a time.
var times = []expectation{
	{"on time", 5 * time.Second, warn, func(p *Page) { p.Wants(wire.KindWarn, 5*time.Second) }, nil},
	{"as late as may be", 5*time.Second + 20*time.Millisecond, warn,
		func(p *Page) { p.Wants(wire.KindWarn, 5*time.Second) }, nil},
	{"too late", 5*time.Second + 21*time.Millisecond, warn, func(p *Page) { p.Wants(wire.KindWarn, 5*time.Second) },
		[]string{"warn came after 5.021s, want 5s"}},
	{"too early", 5*time.Second - 2*time.Millisecond, warn, func(p *Page) { p.Wants(wire.KindWarn, 5*time.Second) },
		[]string{"warn came after 4.998s, want 5s"}},
	{"on time though it is read late", time.Second, warn, func(p *Page) {
		time.Sleep(time.Hour)
		p.Wants(wire.KindWarn, time.Second)
	}, nil},
}

// silences expect nothing.
var silences = []expectation{
	{"silence", time.Second, warn, func(p *Page) { p.Silent() }, nil},
	{"no silence", 0, warn, func(p *Page) { p.Silent() },
		[]string{"got map[seq:2 type:warn] after 0s, want silence"}},
	{"a close is no silence", 0, "", func(p *Page) { p.Silent() },
		[]string{`the socket was closed with 4001 "idle" after 0s, want silence`}},
}

// closes expect the end of the session or of the socket.
var closes = []expectation{
	{"the right close", 0, "", func(p *Page) { p.WantsClose(4001, "idle") }, nil},
	{"another close", 0, "", func(p *Page) { p.WantsClose(1013, "full") },
		[]string{`closed with 4001 "idle", want 1013 "full"`}},
	{"a message before the close", 0, notice, func(p *Page) { p.WantsClose(4001, "idle") },
		[]string{"got map[seq:2 type:notice] before the close"}},
	{"the end", time.Minute, expire, func(p *Page) { p.WantsEnd(session.ReasonIdle, time.Minute) }, nil},
	{"the end within a bound", time.Minute, expire, func(p *Page) {
		p.EndsWithin(2*time.Minute, session.ReasonIdle)
	}, nil},
	{"the end for another reason", time.Minute, expire, func(p *Page) {
		p.WantsEnd(session.ReasonLogout, time.Minute)
	}, []string{
		"got map[location:/login message:m reason:idle seq:3 type:expire], want the reason logout, a message " +
			"and a location",
		`closed with 4001 "idle", want 4001 "logout"`}},
}

func TestPageSaysWhatItGotAndWanted(t *testing.T) {
	for _, tt := range slices.Concat(messages, times, silences, closes) {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var r recorder
				p, response, err := open(t.Context(), &r, serve(t, tt.server(t)))
				if err != nil {
					t.Fatal(err, response)
				}
				r.run(tt.does, p)
				p.Break()
				if !slices.Equal(r.failures, tt.fails) {
					t.Errorf("failed with %q, want %q", r.failures, tt.fails)
				}
			})
		})
	}
}

// server is the script of the server.
func (e expectation) server(t *testing.T) func(*websocket.Conn) {
	return func(c *websocket.Conn) {
		select {
		case <-time.After(e.after):
		case <-t.Context().Done():
			return
		}
		if e.says != "" {
			say(t, c, e.says)
		}
		if e.says == expire {
			_, ack, err := c.Read(context.Background())
			if err != nil || string(ack) != `{"seq":3,"type":"ack"}` {
				t.Errorf("the end was answered by %s, %v", ack, err)
			}
		}
		if e.says != warn {
			c.Close(wire.StatusExpired, "idle")
		}
	}
}

func TestPageAcknowledgesTicksOrAll(t *testing.T) {
	for _, all := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var acks []string
			o := serve(t, func(c *websocket.Conn) {
				say(t, c, `{"type":"hello","seq":1}`, `{"type":"tick","seq":2}`, `{"type":"warn","seq":3}`,
					`{"type":"tick","seq":4}`)
				for {
					_, ack, err := c.Read(context.Background())
					if err != nil {
						return
					}
					acks = append(acks, string(ack))
				}
			})
			o.AckAll = all
			p := Open(t, o)
			p.Next(wire.KindWarn)
			p.Silent()
			var kinds []wire.Kind
			for _, m := range p.Received() {
				kinds = append(kinds, m.Kind())
			}
			if want := []wire.Kind{wire.KindHello, wire.KindWarn}; !slices.Equal(kinds, want) {
				t.Errorf("received %q, want %q", kinds, want)
			}
			want := []string{`{"seq":2,"type":"ack"}`, `{"seq":4,"type":"ack"}`}
			if all {
				want = []string{`{"seq":1,"type":"ack"}`, want[0], `{"seq":3,"type":"ack"}`, want[1]}
			}
			p.Break()
			synctest.Wait()
			if !slices.Equal(acks, want) {
				t.Errorf("all %v: acknowledged %q, want %q", all, acks, want)
			}
		})
	}
}

// TestWaitEndsInRealTime runs outside of a bubble: a page whose message does not come fails.
func TestWaitEndsInRealTime(t *testing.T) {
	o := serve(t, func(*websocket.Conn) {})
	o.Limit = 20 * time.Millisecond
	var r recorder
	p, response, err := open(t.Context(), &r, o)
	if err != nil {
		t.Fatal(err, response)
	}
	defer p.Break()
	for _, wait := range []func(*Page){
		func(p *Page) { p.Next(wire.KindHello) },
		func(p *Page) { p.Read() },
		func(p *Page) { p.WantsClose(4001, "idle") },
		func(p *Page) { p.Silent() },
	} {
		r.failures = nil
		r.run(wait, p)
		if len(r.failures) != 1 {
			t.Errorf("failed with %q, want one failure", r.failures)
		}
	}
}

func TestWhatIsNoMessageBreaksTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := Open(t, serve(t, func(c *websocket.Conn) { say(t, c, `{"type":"hello"}`, `hello`) }))
		p.WantsClose(-1, `not a message: "hello": invalid character 'h' looking for beginning of value`)
	})
}

func TestDialTellsARefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen()
		server := &http.Server{Handler: http.NotFoundHandler()}
		go server.Serve(l)
		client := l.Client()
		_, response, err := Dial(t.Context(), Options{URL: socketURL, Client: client})
		if err == nil || response == nil || response.StatusCode != http.StatusNotFound {
			t.Errorf("got %+v, %v, want 404", response, err)
		}
		client.CloseIdleConnections()
		server.Close()
		if _, err := l.Dial(t.Context(), "", ""); !errors.Is(err, net.ErrClosed) {
			t.Errorf("dialled a closed listener: %v, want net.ErrClosed", err)
		}
	})
}

func TestDialGivesUpWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Listen().Dial(ctx, "", ""); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody accepts: %v, want %v", err, context.Canceled)
	}
}
