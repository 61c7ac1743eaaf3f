package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"

	"curfew/views"
)

// Telling many tabs at once: forced logouts and notices, against the bare library's best way in the
// same run, and how far the console is behind.

// rounds of each server, one after the other; the middle one counts.
const rounds = 7

// post sends a request and returns the time just before it. The connection stands before: to make
// one takes milliseconds where most ports of the load's address are taken by tabs.
func (s *server) post(path, body string) time.Time {
	warm, err := http.Get("http://" + s.address + "/healthz") // whatever the answer is
	check(err)
	_, err = io.Copy(io.Discard, warm.Body)
	check(err)
	check(warm.Body.Close())
	request, err := http.NewRequest(http.MethodPost, "http://"+s.address+path, strings.NewReader(body))
	check(err)
	request.Host = "localhost"
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("X-API-Key", token) // Centrifugo's
	begin := time.Now()
	response, err := http.DefaultClient.Do(request)
	check(err)
	answer, err := io.ReadAll(response.Body)
	check(err)
	check(response.Body.Close())
	if response.StatusCode != http.StatusOK {
		log.Fatalf("%s: %s %s", path, response.Status, answer)
	}
	return begin
}

// arrivals are the milliseconds from begin until each tab was told, sorted.
func arrivals(list []*tab, begin time.Time) []float64 {
	var ms []float64
	limit := time.Now().Add(30 * time.Second)
	for _, t := range list {
		for t.told.Load() == 0 {
			if time.Now().After(limit) {
				log.Fatal("a tab was not told")
			}
			pause(time.Millisecond)
		}
		ms = append(ms, float64(t.told.Load()-begin.UnixNano())/1e6)
	}
	slices.Sort(ms)
	return ms
}

// telling is a contender that tells all its tabs by a request.
type telling struct {
	contender
	path, body string
	closes     bool // it closes the tabs that it has told
}

// tell opens n tabs, has them told so many times, and returns the sorted arrivals of the time whose
// p99 is the middle one, and the milliseconds until all were closed: if the server closes them,
// until the last was sent its close frame, which comes after its acknowledgement. If it closes
// none, tell notes the CPU of telling a tab and of reading its acknowledgement, the middle one.
func (c telling) tell(part string, n, times int) (ms []float64, closed float64) {
	s := c.start()
	defer s.stop()
	list := s.open(s.cookiesOf(c.command, n))
	pause(afterOpening) // the garbage of so many handshakes is collected, or not: as the server does
	var each [][]float64
	var used []float64
	var begin time.Time
	for range times {
		before := s.cpu()
		begin, ms = c.tellOnce(s, list)
		each = append(each, ms)
		if !c.closes {
			for len(acks) > 0 {
				pause(*roundTrip)
			}
			pause(afterTelling)
			used = append(used, (s.cpu()-before)/float64(n)*1e6)
		}
	}
	p99 := func(ms []float64) float64 { return percentile(ms, 0.99) }
	slices.SortFunc(each, func(a, b []float64) int { return cmp.Compare(p99(a), p99(b)) })
	ms = each[len(each)/2]
	if !c.closes {
		note(part, c.series+", CPU", middle(used))
		closeAll(list)
		return ms, 0
	}
	for _, t := range list {
		select {
		case <-t.closed:
		case <-time.After(30 * time.Second):
			log.Fatal("a tab was not closed")
		}
		closed = max(closed, t.ended.Sub(begin).Seconds()*1000)
	}
	return ms, closed
}

// afterTelling is in which the last acknowledgement is read, and both sides are at rest again.
const afterTelling = time.Second

// tellOnce has the tabs told, and returns when the request was sent and the arrivals. The load
// collects its garbage before: its collector would not give way to the server as its pages do.
func (c telling) tellOnce(s *server, list []*tab) (begin time.Time, ms []float64) {
	for _, t := range list {
		t.told.Store(0)
	}
	runtime.GC()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	begin = s.post(c.path, c.body)
	return begin, arrivals(list, begin)
}

const (
	endedMessage  = "The server is going down for maintenance. Your work is saved."
	expireMessage = `{"type":"expire","seq":20001,"reason":"admin","message":"` + endedMessage +
		`","text":"` + endedMessage + `","location":"/login"}`
	noticeMessage = `{"type":"notice","seq":20001,"id":"k3vq5ybz2mk3vq5ybz2m","message":"` + endedMessage + `"}`
)

func middle(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// toldCurves are the sorted arrivals of the last round, by part and series.
var toldCurves = make(map[string]map[string][]float64)

func tellInTurn(part string, n, times int, list []telling) {
	giveWay()
	if toldCurves[part] == nil {
		toldCurves[part] = make(map[string][]float64)
	}
	for _, c := range list {
		if !c.takesPart() {
			continue
		}
		ms, closed := c.tell(part, n, times)
		note(part, c.series, percentile(ms, 0.99))
		toldCurves[part][c.series] = ms
		fmt.Printf("    %s\n", percentiles(ms))
		if c.closes {
			note(part, c.series+", closed", closed)
		}
	}
}

func measureForcedLogout() {
	bare := serving("lean", "-tells")
	tellInTurn("logout", *tabs, 1, []telling{
		{contender{"lean", bare, ""}, "/tell", expireMessage, false},
		{contender{"curfew", serving("curfew"), "of-one-user"}, "/api/v1/logouts",
			`{"user":"many","message":"` + endedMessage + `"}`, true},
		{contender{"writer-each", bare, ""}, fmt.Sprint("/tell?writers=", *tabs), expireMessage, false},
		{contender{"centrifugo", startCentrifugo, "of-one-user"}, "/api/publish",
			`{"channel":"of-many","data":` + expireMessage + `}`, false},
	})
}

// noticesOfRound is how many notices the tabs of a server are told in a round. A telling takes a
// tenth of a second, and whatever else the machine does in it shows in its p99. A forced logout
// ends its sessions, and so is told once.
const noticesOfRound = 7

func measureNotice() {
	tellInTurn("notice", *many, noticesOfRound, []telling{
		{contender{"lean", serving("lean", "-tells"), ""}, "/tell", noticeMessage, false},
		{contender{"curfew", serving("curfew"), "sessions"}, "/api/v1/notices",
			`{"everyone":true,"message":"` + endedMessage + `"}`, false},
		{contender{"centrifugo", startCentrifugo, ""}, "/api/publish",
			`{"channel":"everyone","data":` + noticeMessage + `}`, false},
	})
}

// Figures of the console's measurement.
const (
	changesPerSecond = 500
	markers          = 20
)

// measureConsole has an administrator look at the newest sessions while others sign in and out, and
// times how soon a session that was just made is in their view.
func measureConsole() {
	s := startServer("-serve", "curfew")
	defer s.stop()
	s.cookies(*tabs)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, _, err := websocket.Dial(ctx, "ws://"+s.address+"/admin/ws", &websocket.DialOptions{
		Subprotocols: []string{views.ConsoleSubprotocol}, Host: "localhost",
		HTTPHeader: http.Header{"Origin": {origin}, "Cookie": {s.cookiesOf("admins", 1)[0]}},
	})
	check(err)
	c.SetReadLimit(1 << 20)
	defer c.CloseNow()
	check(c.Write(ctx, websocket.MessageText, []byte(`{"sort":"signed_in","desc":true,"q":"marker-"}`)))
	s.ask(fmt.Sprint("churn ", changesPerSecond))
	seen := make(chan []byte, 1000)
	go func() {
		defer close(seen)
		for {
			_, data, err := c.Read(ctx)
			if err != nil {
				return // the measurement is over
			}
			seen <- data
		}
	}()
	used, begin := s.cpu(), time.Now()
	var lags []float64
	for i := range markers {
		made := time.Now()
		s.ask(fmt.Sprint("marker ", i))
		for wanted := fmt.Appendf(nil, `"user":"marker-%d"`, i); ; {
			view, open := <-seen
			if !open {
				log.Fatal("the console was closed")
			}
			if bytes.Contains(view, wanted) {
				break
			}
		}
		lags = append(lags, time.Since(made).Seconds()*1000)
		pause(300 * time.Millisecond)
	}
	fmt.Printf("\nconsole with %d sessions and %d changes a second: a new session is in view after %s; the server "+
		"used %.0f %% of a core\n",
		*tabs, changesPerSecond, percentiles(lags), (s.cpu()-used)/time.Since(begin).Seconds()*100)
}
