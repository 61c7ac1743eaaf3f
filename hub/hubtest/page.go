package hubtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"curfew/hub/wire"
	"curfew/session"
)

// Options say where a page is and who opens it. URL is required.
type Options struct {
	URL    string        // of the socket: ws or wss
	Host   string        // what the request names, where that is not the host of URL
	Header http.Header   // of the handshake: Origin, and the cookie or whatever names the session
	Client *http.Client  // that makes the handshake; nil: http.DefaultClient
	AckAll bool          // the page acknowledges all that it is told; otherwise ticks alone
	Limit  time.Duration // of each wait in real time; 0: 10 s
}

// realLimit is how long a wait takes at most in real time where [Options.Limit] does not say.
// bubbleLimit is that of a bubble, where time is free and a deadline may be far away.
const (
	realLimit   = 10 * time.Second
	bubbleLimit = 24 * time.Hour
)

// Message is a message of the hub as a page gets it: a JSON object.
type Message map[string]any

// Kind is the type of the message.
func (m Message) Kind() wire.Kind {
	kind, _ := m["type"].(string)
	return wire.Kind(kind)
}

// Received is a message and when it came.
type Received struct {
	Message
	At time.Time
}

// Closed is how and when a socket closed. Code is -1 where no close frame came, and Reason is then
// the error.
type Closed struct {
	Code   websocket.StatusCode
	Reason string
	At     time.Time
}

// Page is an open page with its socket. Its methods may be called concurrently, though two that
// wait for the next message share the messages between them. A method that wants something fails
// the page's test where it does not come; that of a page of [Dial], which has no test, panics.
type Page struct {
	Conn   *websocket.Conn // for what no page does, and to break the connection; never read from it
	Opened time.Time       // when the handshake was done

	test  tester
	limit time.Duration
	all   bool         // acknowledge all
	acks  chan Message // to be acknowledged
	done  chan struct{}

	mu       sync.Mutex
	received []Received // all but ticks
	read     int        // how many of those were taken by Next and its like
	closed   *Closed
	news     chan struct{} // closed, and made anew, when one of the above changes
}

// tester is what a page needs of a testing.TB.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// noTest is the tester of pages without a test.
type noTest struct{}

func (noTest) Helper()                     {}
func (noTest) Errorf(f string, a ...any)   { panic(fmt.Sprintf(f, a...)) }
func (n noTest) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

// Open opens a page and takes its hello in. The test fails where the handshake does or another
// message comes first. The page is closed when the test ends.
func Open(t testing.TB, o Options) *Page {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), o.limit())
	defer cancel()
	p, response, err := open(ctx, t, o)
	if err != nil {
		t.Fatalf("handshake at %s: %v, %v", o.URL, err, response)
	}
	t.Cleanup(p.Break)
	p.Next(wire.KindHello)
	return p
}

// Dial opens a page for whoever expects that the server may refuse it, or has no test. The response
// is there where the server has answered. The caller closes the page.
func Dial(ctx context.Context, o Options) (*Page, *http.Response, error) {
	return open(ctx, noTest{}, o)
}

func open(ctx context.Context, t tester, o Options) (*Page, *http.Response, error) {
	conn, response, err := websocket.Dial(ctx, o.URL, &websocket.DialOptions{
		HTTPClient:   o.Client,
		HTTPHeader:   o.Header,
		Host:         o.Host,
		Subprotocols: []string{wire.Subprotocol},
	})
	if err != nil {
		return nil, response, err
	}
	p := &Page{
		Conn:   conn,
		Opened: time.Now(),
		test:   t,
		limit:  o.limit(),
		all:    o.AckAll,
		acks:   make(chan Message, 1000),
		done:   make(chan struct{}),
		news:   make(chan struct{}),
	}
	var running sync.WaitGroup
	running.Go(p.readAll)
	running.Go(func() {
		for m := range p.acks {
			p.Ack(m)
		}
	})
	go func() {
		running.Wait()
		close(p.done)
	}()
	return p, response, nil
}

func (o Options) limit() time.Duration {
	switch {
	case inBubble():
		return bubbleLimit
	case o.Limit != 0:
		return o.Limit
	default:
		return realLimit
	}
}

// inBubble reports whether time is that of a bubble: it begins with the year 2000
// (testing/synctest).
func inBubble() bool { return time.Now().Year() < 2020 }

// readAll reads until the socket is closed.
func (p *Page) readAll() {
	defer close(p.acks)
	for {
		_, data, err := p.Conn.Read(context.Background())
		now := time.Now()
		if err != nil {
			p.note(func() { p.closed = closedBy(err, now) })
			p.Conn.CloseNow() // the library keeps a connection open that it could not read
			return
		}
		var m Message
		if err := json.Unmarshal(data, &m); err != nil {
			p.note(func() { p.closed = closedBy(fmt.Errorf("not a message: %q: %w", data, err), now) })
			p.Conn.CloseNow()
			return
		}
		tick := m.Kind() == wire.KindTick
		if !tick {
			p.note(func() { p.received = append(p.received, Received{m, now}) })
		}
		if tick || p.all {
			p.acks <- m
		}
	}
}

func closedBy(err error, at time.Time) *Closed {
	var frame websocket.CloseError
	if errors.As(err, &frame) {
		return &Closed{frame.Code, frame.Reason, at}
	}
	return &Closed{-1, err.Error(), at}
}

// note changes what has happened, and wakes all who wait for it.
func (p *Page) note(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.news)
	p.news = make(chan struct{})
}

// await waits until ok, which is called with the lock held. It reports whether that was in time.
func (p *Page) await(limit time.Duration, ok func() bool) bool {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		p.mu.Lock()
		now, news := ok(), p.news
		p.mu.Unlock()
		if now {
			return true
		}
		select {
		case <-news:
		case <-timer.C:
			return false
		}
	}
}

// take waits for the next message. There is none where the socket closed before; neither message
// nor closed is there where nothing came in time.
func (p *Page) take(limit time.Duration) (m *Received, closed *Closed) {
	p.await(limit, func() bool {
		if p.read < len(p.received) {
			m = &p.received[p.read]
			p.read++
			return true
		}
		closed = p.closed
		return closed != nil
	})
	return m, closed
}

func (p *Page) since(at time.Time) time.Duration { return at.Sub(p.Opened) }

// next is Next within a limit, and says when the message came.
func (p *Page) next(limit time.Duration, kind wire.Kind) Received {
	p.test.Helper()
	m, closed := p.take(limit)
	switch {
	case closed != nil:
		p.test.Fatalf("the socket was closed with %d %q after %s, want %s", closed.Code, closed.Reason,
			p.since(closed.At), kind)
	case m == nil:
		p.test.Fatalf("nothing came within %s, until %s after the page was opened, want %s", limit, p.since(time.Now()),
			kind)
	case m.Kind() != kind:
		p.test.Fatalf("got %v after %s, want %s", m.Message, p.since(m.At), kind)
	}
	return *m
}

// Read returns the next message, whatever its kind. ok is false once the socket is closed and all
// messages are read. The test fails where neither comes in time.
func (p *Page) Read() (m Message, ok bool) {
	p.test.Helper()
	next, closed := p.take(p.limit)
	switch {
	case closed != nil:
		return nil, false
	case next == nil:
		p.test.Fatalf("nothing came within %s, want a message or the close", p.limit)
	}
	return next.Message, true
}

// Next returns the next message, which must be of this kind. Ticks are not among the messages.
func (p *Page) Next(kind wire.Kind) Message {
	p.test.Helper()
	return p.next(p.limit, kind).Message
}

// NextWithin is Next with a limit of its own.
func (p *Page) NextWithin(limit time.Duration, kind wire.Kind) Message {
	p.test.Helper()
	return p.next(limit, kind).Message
}

// Wants returns the next message, which must be of this kind and come at that time after the page
// was opened: 1 ms before it at the earliest and 20 ms after it at the latest.
func (p *Page) Wants(kind wire.Kind, after time.Duration) Message {
	p.test.Helper()
	m := p.next(max(p.limit, after+time.Second), kind)
	if got := p.since(m.At); got < after-time.Millisecond || got > after+20*time.Millisecond {
		p.test.Errorf("%s came after %s, want %s", kind, got, after)
	}
	return m.Message
}

// WantsClose wants no further message, and the socket closed with this code and reason.
func (p *Page) WantsClose(code websocket.StatusCode, reason string) {
	p.test.Helper()
	for {
		m, ok := p.Read()
		if !ok {
			break
		}
		p.test.Errorf("got %v before the close", m)
	}
	if c, _ := p.Closed(); c.Code != code || c.Reason != reason {
		p.test.Errorf("closed with %d %q, want %d %q", c.Code, c.Reason, code, reason)
	}
}

// WantsEnd wants the page told at that time after it was opened that its session has ended, for
// this reason and in words, and the socket closed once the page has acknowledged that.
func (p *Page) WantsEnd(reason session.Reason, after time.Duration) Message {
	p.test.Helper()
	m := p.Wants(wire.KindExpire, after)
	p.ackEnd(m, reason)
	return m
}

// EndsWithin is WantsEnd where only a bound of the time is known.
func (p *Page) EndsWithin(limit time.Duration, reason session.Reason) Message {
	p.test.Helper()
	m := p.NextWithin(limit, wire.KindExpire)
	p.ackEnd(m, reason)
	return m
}

func (p *Page) ackEnd(m Message, reason session.Reason) {
	p.test.Helper()
	if m["reason"] != string(reason) || m["message"] == "" || m["location"] == "" {
		p.test.Errorf("got %v, want the reason %s, a message and a location", m, reason)
	}
	p.Ack(m)
	p.WantsClose(wire.StatusExpired, string(reason))
}

// Silent wants nothing told to the page that was not read, and the socket open. It waits until
// nothing happens any more, so it works in a bubble only.
func (p *Page) Silent() {
	p.test.Helper()
	if !inBubble() {
		p.test.Fatalf("Silent was called outside of a bubble: want it inside")
	}
	synctest.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.read < len(p.received) {
		m := p.received[p.read]
		p.read++
		p.test.Errorf("got %v after %s, want silence", m.Message, p.since(m.At))
	} else if c := p.closed; c != nil {
		p.test.Errorf("the socket was closed with %d %q after %s, want silence", c.Code, c.Reason, p.since(c.At))
	}
}

// Received lists all messages from the first on but ticks, whether they were read or not.
func (p *Page) Received() []Received {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.received[:len(p.received):len(p.received)]
}

// Closed says how the socket closed; ok is false while it is open. It does not wait.
func (p *Page) Closed() (c Closed, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed == nil {
		return Closed{}, false
	}
	return *p.closed, true
}

// Send sends a message as it stands. It returns once the hub's end has taken it, not once the hub
// has acted on it.
func (p *Page) Send(text string) {
	p.test.Helper()
	if err := p.write(text); err != nil {
		p.test.Fatalf("send %s: %v, want it taken", text, err)
	}
}

// Ack acknowledges a message. The socket may be closed: nobody hears then that it was too late.
func (p *Page) Ack(m Message) {
	text, err := json.Marshal(map[string]any{"type": wire.KindAck, "seq": m["seq"]})
	if err != nil {
		panic(err) // seq came from JSON
	}
	p.write(string(text))
}

func (p *Page) write(text string) error {
	ctx, cancel := context.WithTimeout(context.Background(), p.limit)
	defer cancel()
	return p.Conn.Write(ctx, websocket.MessageText, []byte(text))
}

// Leave closes the page as a browser does that is closed or led elsewhere: how is
// [wire.LeftNavigate], or anything else.
func (p *Page) Leave(how string) { p.Conn.Close(wire.StatusLeft, how) }

// Break breaks the connection, as a network does, and waits for the page's goroutines.
func (p *Page) Break() {
	p.Conn.CloseNow()
	<-p.done
}
