//go:build chaos

package chaos

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"curfew/session/redis/redistest"
)

var (
	seed = flag.Uint64("seed", 0,
		"repeats the choices of a run, as does the environment variable CURFEW_SEED; 0: a new one")
	long = flag.Duration("for", 90*time.Second, "how long a random test goes on")
)

// What sleeps here holds a fault, or lets a deadline pass, in real time: several processes have no
// clock that a test could move.

// Bounds of the model. Nothing is left out while a fault lasts or because one has come: where it
// hinders those who judge or tell, time counts from its end.
const (
	closeBound = 2 * time.Second         // from an acknowledged end to the last closed tab
	calmBound  = 5 * time.Second         // from the end of a fault until all is in order again
	failBound  = 5 * time.Second         // more, while calls of a store fail now and then
	lateBound  = 3 * time.Second         // from a deadline until the end is seen
	writeBound = 2 * time.Second         // from an act until it is stored, at the latest
	skewBound  = 2500 * time.Millisecond // what a clock is wrong by at most until it is set right
	clockBound = 100 * time.Millisecond  // what it is wrong by all the time
)

// randomly runs a crowd over three nodes while faults come and go, and checks all at the end.
func randomly(t *testing.T, url string, faults func(*world, *rand.Rand)) {
	chosen := chooseSeed(t)
	t.Logf("repeat it with: CURFEW_SEED=%d make chaos CHAOS='-run %s'", chosen, t.Name())
	w := newWorld(t)
	w.receiver = startReceiver(t)
	for _, name := range []string{"a", "b", "c"} {
		w.nodes = append(w.nodes, startNode(t, name, freeAddress(t), url))
	}
	within(t, "the nodes know each other", 10*time.Second, func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *node) bool { return nodesSeenBy(n) != len(w.nodes) })
	})
	r := rand.New(rand.NewPCG(chosen, 99))
	for _, n := range w.nodes { // no two computers have the same time
		n.skew = time.Duration(r.IntN(41)-20) * time.Millisecond
		if err := n.setSkew(n.skew); err != nil {
			t.Fatal(err)
		}
	}
	stop := w.crowd(chosen)
	for end := time.Now().Add(*long); time.Now().Before(end); {
		time.Sleep(time.Duration(1000+r.IntN(9000)) * time.Millisecond)
		if r.IntN(2) == 0 {
			w.trouble(r)
		} else {
			faults(w, r)
		}
	}
	time.Sleep(calmBound)
	stop()
	time.Sleep(expireAfter + lateBound)
	w.settle()
	t.Logf("seed %d: %d steps, %d sessions, faults injected: %s, violations %d", chosen, w.steps.Load(),
		len(w.visitors), summary(w.injected), w.violations.Load())
	if t.Failed() {
		for _, n := range w.nodes {
			t.Logf("log of node %s:\n%s", n.name, last(withoutAudit(n.log.String()), 3000))
		}
	}
}

func newWorld(t *testing.T) *world {
	return &world{
		t:        t,
		fail:     t.Errorf,
		injected: make(map[string]int),
		forcing:  make(map[string]int),
		forced:   make(map[string]time.Time),
	}
}

// crowd has six people act at random and one observer watch, until it is stopped.
func (w *world) crowd(chosen uint64) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	for i := range 6 {
		running.Go(func() {
			r := rand.New(rand.NewPCG(chosen, uint64(i)))
			for {
				select {
				case <-done:
					return
				default:
					w.step(r)
					time.Sleep(time.Duration(r.IntN(40)) * time.Millisecond)
				}
			}
		})
	}
	running.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
				w.watch()
			}
		}
	})
	return func() {
		close(done)
		running.Wait()
	}
}

// chooseSeed takes the seed that is asked for, or a new one.
func chooseSeed(t *testing.T) uint64 {
	if *seed != 0 {
		return *seed
	}
	if text := os.Getenv("CURFEW_SEED"); text != "" {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatalf("CURFEW_SEED: %v", err)
		}
		return n
	}
	return rand.Uint64N(1 << 32)
}

func summary(counts map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s %d", name, counts[name]))
	}
	return strings.Join(parts, ", ")
}

func withoutAudit(log string) string {
	var b strings.Builder
	for line := range strings.Lines(log) {
		if !strings.Contains(line, `"msg":"audit"`) {
			b.WriteString(line)
		}
	}
	return b.String()
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// settle checks what must be true when all is quiet: every session has ended by now, with exactly
// one audit line, no tab is open, and the receiver of events has been told of all.
func (w *world) settle() {
	w.watch()
	for _, v := range w.visitors {
		for _, n := range w.nodes {
			if status, _, err := n.ask("GET", "/session/status", v.cookie, ""); err != nil || status != 401 {
				w.violate("%s on node %s when all is quiet: %d, %v, want 401", v.user, n.name, status, err)
			}
		}
		v.mu.Lock()
		for t, n := range v.tabs {
			if _, gone, _ := t.state(); !gone {
				w.violate("%s: a tab on node %s is open when all is quiet", v.user, n.name)
			}
		}
		v.mu.Unlock()
	}
	lines := make(map[string]int)
	var trail []map[string]any
	path := "/api/v1/audit?limit=1000"
	for cursor := ""; ; {
		status, answer, err := w.nodes[0].ask("GET", path+cursor, "", "")
		if err != nil || status != 200 {
			w.violate("audit: %d, %v", status, err)
			return
		}
		for _, item := range answer["items"].([]any) {
			line := item.(map[string]any)
			if trail = append(trail, line); line["event"] == "session-end" {
				lines[line["session"].(string)]++
			}
		}
		next, ok := answer["next_cursor"].(string)
		if !ok {
			break
		}
		cursor = "&cursor=" + next
	}
	for ref, n := range lines {
		if n != 1 {
			w.violate("session %s has %d lines of its end", ref, n)
		}
	}
	if len(lines) < len(w.visitors) {
		w.violate("%d sessions have a line of their end, want %d", len(lines), len(w.visitors))
	}
	w.settleEvents(trail)
}

// breakNode kills or restarts a node, and starts it again.
func (w *world) breakNode(n *node, signal syscall.Signal, r *rand.Rand) {
	name, what := "kill -9 of a node", kind{hinders: true, loses: true}
	if signal == syscall.SIGTERM {
		name, what = "restart of a node", kind{hinders: true}
	}
	w.inject(name, what, n.name, func() { n.stop(signal) }, func() {
		if err := n.run(); err != nil {
			w.violate("%v", err)
		}
	}, time.Duration(r.IntN(2000))*time.Millisecond)
}

// breakAnyNode breaks one of the nodes, in one of both ways.
func (w *world) breakAnyNode(r *rand.Rand) {
	signal := syscall.SIGKILL
	if r.IntN(2) == 0 {
		signal = syscall.SIGTERM
	}
	w.breakNode(w.pick(r), signal, r)
}

// breakServer stops or kills a server of Redis, or cuts subscriptions.
func (w *world) breakServer(r *rand.Rand, s *redistest.Server) {
	hold := time.Duration(500+r.IntN(3000)) * time.Millisecond
	hinders := kind{hinders: true}
	switch r.IntN(4) {
	case 0:
		w.inject("SIGSTOP of redis", hinders, "", func() { s.Signal(syscall.SIGSTOP) },
			func() { s.Signal(syscall.SIGCONT) }, hold)
	case 1:
		w.inject("kill -9 of redis", kind{hinders: true, loses: true}, "", s.Kill, s.Run, hold)
	case 2:
		w.inject("killed subscriptions", hinders, "", func() { s.Command("CLIENT KILL TYPE pubsub") }, func() {}, 0)
	case 3:
		w.inject("refused channels", hinders, "", func() {
			s.Command("ACL SETUSER default resetchannels")
		}, func() { s.Command("ACL SETUSER default allchannels") }, hold)
	}
}

// trouble makes the clock of a node wrong, or has calls of its store fail now and then.
func (w *world) trouble(r *rand.Rand) {
	n := w.pick(r)
	hold := time.Duration(1000+r.IntN(5000)) * time.Millisecond
	if r.IntN(2) == 0 {
		by := time.Duration(r.IntN(4001)-2000) * time.Millisecond
		w.inject("step of a clock", kind{skews: true}, n.name, func() {
			if err := n.setSkew(by); err != nil {
				w.violate("%v", err)
			}
		}, func() {
			if err := n.setSkew(n.skew); err != nil {
				w.violate("%v", err)
			}
			time.Sleep(2 * time.Second) // until it is set right
		}, hold)
		return
	}
	all := `{"method":%q,"before":0.12,"after":0.1,"slow":0.1,"not_due":%g,"by_ms":500}`
	var before map[string]any
	w.inject("failing calls", kind{fails: true}, n.name, func() {
		before = n.setFaults(fmt.Sprintf(all, "*", 0.0), fmt.Sprintf(all, "End", 0.2))
	}, func() {
		after := n.setFaults()
		w.mu.Lock()
		defer w.mu.Unlock()
		for what, count := range after {
			was, _ := before[what].(float64)
			w.injected["call: "+strings.Split(what, ",")[0]] += int(count.(float64) - was)
		}
	}, hold)
}

func TestRandomOverOneServer(t *testing.T) {
	server := redistest.Start(t)
	randomly(t, server.URL(), func(w *world, r *rand.Rand) {
		if r.IntN(2) == 0 {
			w.breakAnyNode(r)
		} else {
			w.breakServer(r, server)
		}
	})
}

func TestRandomOverACluster(t *testing.T) {
	servers := redistest.Cluster(t, 3)
	randomly(t, servers[0].URL(), func(w *world, r *rand.Rand) {
		if r.IntN(3) == 0 {
			w.breakAnyNode(r)
		} else {
			w.breakServer(r, servers[r.IntN(len(servers))])
		}
	})
}

func TestRandomUnderSentinel(t *testing.T) {
	watched := redistest.Sentinel(t)
	randomly(t, watched.URL(), func(w *world, r *rand.Rand) {
		switch r.IntN(3) {
		case 0:
			w.breakAnyNode(r)
		default:
			master := watched.Master()
			if master == nil || !watched.InStep() {
				return // one server must live
			}
			began := time.Now()
			w.inject("fail-over", kind{hinders: true, loses: true}, "", master.Kill, func() {
				for !watched.Agreed(master) && time.Since(began) < 20*time.Second {
					time.Sleep(20 * time.Millisecond)
				}
				w.t.Logf("all Sentinels name a new master after %s", time.Since(began).Round(time.Millisecond))
				master.Run() // as a master without replicas, until Sentinel makes it one
				for !watched.InStep() && time.Since(began) < 40*time.Second {
					time.Sleep(50 * time.Millisecond)
				}
			}, 0)
		}
	})
}
