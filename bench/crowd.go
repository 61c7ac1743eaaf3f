package main

import (
	"flag"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What open tabs cost: memory, openings, heartbeats, rest.

// contender is a server that is measured in turn with others.
type contender struct {
	series  string
	start   func() *server
	command string // that makes the sessions of its tabs
}

// onlyServers names some contenders.
var onlyServers = flag.String("servers", "", "of the ratios some servers, by the names that are printed, such as "+
	"lean,curfew; empty: all")

func (c contender) takesPart() bool {
	return *onlyServers == "" || slices.Contains(strings.Split(*onlyServers, ","), c.series)
}

// turns measures those who take part, one after the other.
func turns(list []contender, measure func(contender)) {
	for _, c := range list {
		if c.takesPart() {
			measure(c)
		}
	}
}

func serving(args ...string) func() *server {
	return func() *server { return startServer(append([]string{"-serve"}, args...)...) }
}

// closeAll closes tabs and waits until their descriptors are free.
func closeAll(list []*tab) {
	for _, t := range list {
		t.close()
	}
	for _, t := range list {
		<-t.closed
	}
}

// The memory of a tab is the slope between two numbers of tabs, each so long after the last was
// opened: what a server has anyway is no part of it.
const (
	fewTabs       = 1000
	afterOpening  = 5 * time.Second
	beatsEvery    = 15 * time.Second // of each tab
	memorySamples = 100 * time.Millisecond
)

func measureMemory() {
	curfew := serving("curfew")
	turns([]contender{
		{"lean", serving("lean"), ""},
		{"curfew", curfew, "shared"},
		{"curfew-each", curfew, "sessions"},
		{"handler", serving("handler"), ""},
		{"centrifugo", startCentrifugo, ""},
	}, func(c contender) {
		c.measureMemory("memory", *many, strings.HasPrefix(c.series, "curfew"), time.Minute)
	})
}

// measureTLS is the same over TLS, of fewer tabs, and with one heartbeat of each: the load pays for
// TLS as well.
func measureTLS() {
	turns([]contender{
		{"lean", serving("lean", "-tls"), ""},
		{"curfew", serving("curfew", "-tls"), "shared"},
	}, func(c contender) { c.measureMemory("tls", max(*many/4, 2*fewTabs), true, beatsEvery) })
}

func (c contender) measureMemory(part string, n int, beats bool, beatsFor time.Duration) {
	s := c.start()
	defer s.stop()
	list := s.open(s.cookiesOf(c.command, fewTabs))
	pause(afterOpening)
	small, smallFile := residentOf(s.pid()), memoryOf(s.pid(), "RssFile:")
	samples := s.watchMemory()
	more := s.open(s.cookiesOf(c.command, n-fewTabs))
	opened := time.Now()
	list = append(list, more...)
	pause(afterOpening)
	perTab := func() float64 { return (residentOf(s.pid()) - small) / float64(len(more)) }
	note(part, c.series, perTab())
	curve := samples.stop()
	if part == "memory" {
		memoryCurves[c.series] = curve
	}
	if c.command != "" { // it has sessions, and collects garbage
		note(part, c.series+", of the file", (memoryOf(s.pid(), "RssFile:")-smallFile)/float64(len(more)))
		note(part, c.series+", given back", givenBack(s, curve, opened))
	}
	if beats {
		heartbeats(list, len(list)/int(beatsEvery.Seconds()), beatsFor)
		note(part, c.series+", after heartbeats", perTab())
	}
	closeAll(list)
}

// memoryCurves are the courses of the last round, by series.
var memoryCurves = make(map[string][]memorySample)

type memorySample struct {
	at    time.Time
	tabs  int64 // open ones
	bytes float64
}

// memoryWatch takes samples until stop.
type memoryWatch struct {
	done chan struct{}
	wg   sync.WaitGroup
	list []memorySample
}

func (s *server) watchMemory() *memoryWatch {
	w := &memoryWatch{done: make(chan struct{})}
	ticker := time.NewTicker(memorySamples)
	w.wg.Go(func() {
		defer ticker.Stop()
		for {
			w.list = append(w.list, memorySample{time.Now(), s.opened.Load(), residentOf(s.pid())})
			select {
			case <-ticker.C:
			case <-w.done:
				return
			}
		}
	})
	return w
}

func (w *memoryWatch) stop() []memorySample {
	close(w.done)
	w.wg.Wait()
	return w.list
}

// givenBack is how long after the end of a wave the collection after it was over, and the memory
// within a fiftieth of what it is at last. Without such a collection it is for ever.
func givenBack(s *server, list []memorySample, since time.Time) float64 {
	nanos, err := strconv.ParseInt(s.ask("collected"), 10, 64)
	check(err)
	after := time.Unix(0, nanos).Sub(since)
	if after < 0 {
		return math.Inf(1)
	}
	last := list[len(list)-1].bytes
	for _, m := range list {
		if m.at.After(since) && m.bytes > last*1.02 {
			after = max(after, m.at.Add(memorySamples).Sub(since))
		}
	}
	return after.Seconds()
}

// measureOpenings counts a tab when the load has read its hello.
func measureOpenings() {
	size := contender{"curfew", serving("curfew"), "sessions"}.measureOpenings()
	turns([]contender{
		{"handler", serving("handler", "-hello", strconv.Itoa(size)), ""},
		{"lean", serving("lean", "-hello", strconv.Itoa(size)), ""},
		{"centrifugo", startCentrifugo, ""},
	}, func(c contender) { c.measureOpenings() })
}

func (c contender) measureOpenings() (helloSize int) {
	s := c.start()
	defer s.stop()
	warm := s.open(s.cookiesOf(c.command, 500))
	cookies := s.cookiesOf(c.command, *tabs)
	pause(afterOpening) // until what the warm-up has left is collected
	runtime.GC()
	used, begin := s.cpu(), time.Now()
	list := s.open(cookies)
	note("openings", c.series, float64(len(list))/time.Since(begin).Seconds())
	note("openings", c.series+", CPU", (s.cpu()-used)/float64(len(list))*1e6)
	closeAll(append(list, warm...))
	return list[0].helloSize
}

func measureHeartbeats() {
	turns([]contender{
		{"lean", serving("lean"), ""},
		{"curfew", serving("curfew"), "sessions"},
		{"handler", serving("handler"), ""},
		{"centrifugo", startCentrifugo, ""},
	}, func(c contender) {
		s := c.start()
		defer s.stop()
		list := s.open(s.cookiesOf(c.command, *tabs))
		pause(afterOpening)
		used := s.cpu()
		sent := heartbeats(list, *beats, *beatFor)
		note("heartbeats", c.series, (s.cpu()-used)/float64(sent)*1e6)
		closeAll(list)
	})
}

// tickRound is in which Curfew ticks each tab once; Centrifugo's pings come as often.
const tickRound = 25 * time.Second

// measureRest is over a whole round of ticks, which every tab acknowledges.
func measureRest() {
	turns([]contender{
		{"lean", serving("lean", "-ticks", tickRound.String()), ""},
		{"curfew", serving("curfew"), "sessions"},
		{"centrifugo", startCentrifugo, ""},
	}, func(c contender) {
		s := c.start()
		defer s.stop()
		list := s.open(s.cookiesOf(c.command, *many))
		pause(afterOpening)
		used := s.cpu()
		pause(tickRound)
		note("rest", c.series, (s.cpu()-used)/tickRound.Seconds()*100)
		closeAll(list)
	})
}

// measureStatus asks about a live session as pages without a socket do, and beside that for what
// costs a request at least.
func measureStatus() {
	s := serving("curfew")()
	s.measureStatus("")
	s.stop()
	r := startRedis()
	defer r.stop()
	s = r.node()
	defer s.stop()
	s.measureStatus(" over Redis")
	c := s.statusConns(1, "/session/status", s.cookies(1)[0])[0]
	defer c.conn.Close()
	const reads, asked = "total_reads_processed", 2000
	c.get()
	before, begin := r.info(reads), time.Now()
	for range asked {
		c.get()
	}
	took, after := time.Since(begin), r.info(reads)
	pause(took) // what a node at rest asks in that time
	idle := r.info(reads) - after
	note("status", "round trips", (after-before-idle)/asked)
}

func (s *server) statusConns(n int, path, cookie string) (list []*keptAlive) {
	for range n {
		list = append(list, keepAlive(s.address, "localhost", path, script, cookie))
	}
	return list
}

func (s *server) measureStatus(over string) {
	cookie := s.cookies(1)[0]
	for _, path := range []string{"/healthz", "/session/status"} {
		conns := s.statusConns(frontConnections, path, cookie)
		asFastAsTheyGo(conns, *frontFor/4)
		series := path[strings.LastIndex(path, "/")+1:] + over
		note("status", series, asFastAsTheyGo(conns, *frontFor))
		for _, c := range conns {
			c.conn.Close()
		}
	}
}

// machine tells where figures were measured.
func machine() string {
	model := "?"
	data, err := os.ReadFile("/proc/cpuinfo")
	check(err)
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			model = strings.TrimSpace(value)
		}
	}
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	check(err)
	return fmt.Sprintf("%d cores of %s, Linux %s, %s", runtime.NumCPU(), model, strings.TrimSpace(string(release)),
		runtime.Version())
}
