//go:build chaos

package chaos

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"curfew/session/redis/redistest"
)

var soak = flag.Duration("soak", 0, "how long TestSoak goes on; 0: it is left out")

// churn is how long the crowd of a soak comes and goes between two rests.
const churn = 12 * time.Second

// TestSoak has a crowd come and go over three nodes while one thing after the other breaks. At each
// rest everybody is signed out, and what the nodes hold of the machine is read: in the last quarter
// it must be no more than in the second, since the first one fills what is bounded. Only what is
// kept for a day may grow: forced logouts, each by as many bytes as it may be kept in. Node a is
// never restarted, b and c are by turns.
func TestSoak(t *testing.T) {
	if *soak == 0 {
		t.Skip("make soak runs it")
	}
	if !inNamespace(t, "-soak", soak.String()) {
		return
	}
	chosen := chooseSeed(t)
	t.Logf("repeat it with: CURFEW_SEED=%d make soak SOAK=%s", chosen, *soak)
	server := redistest.Start(t, "--bind", "127.0.0.1", detour)
	w := newWorld(t)
	w.nodes = []*node{
		startNode(t, "a", freeAddress(t), strings.Replace(server.URL(), "127.0.0.1", detour, 1)),
		startNode(t, "b", freeAddress(t), server.URL()),
		startNode(t, "c", freeAddress(t), server.URL()),
	}
	r := rand.New(rand.NewPCG(chosen, 99))
	faults := soakFaults(w, server)
	names := slices.Sorted(maps.Keys(faults))
	held := make(map[string][]holding)
	sessions := 0
	fmt.Print("\n  time  what broke                  " + heading(w.nodes))
	for n, end := 0, time.Now().Add(*soak); time.Now().Before(end); n++ {
		name := names[n%len(names)]
		stop := w.crowd(chosen + uint64(n))
		time.Sleep(churn / 3)
		faults[name](r)
		time.Sleep(churn / 3)
		stop()
		sessions += w.rest(t)
		row := ""
		for _, node := range w.nodes {
			h := node.holds(t)
			held[node.name] = append(held[node.name], h)
			row += "   " + h.String()
		}
		left := time.Until(end).Round(time.Second)
		kept := held["a"][n].logouts
		fmt.Printf("%6s  %-26s%s%17.0f\n", (*soak - left).Round(time.Second), name, row, kept)
	}
	t.Logf("%d steps, %d sessions, faults: %s, violations %d", w.steps.Load(), sessions, summary(w.injected),
		w.violations.Load())
	for _, n := range w.nodes {
		for _, complaint := range risen(held[n.name]) {
			t.Errorf("node %s: %s", n.name, complaint)
		}
		if t.Failed() {
			t.Logf("log of node %s:\n%s", n.name, last(withoutAudit(n.log.String()), 3000))
		}
	}
}

// soakFaults are what breaks, by its name.
func soakFaults(w *world, server *redistest.Server) map[string]func(*rand.Rand) {
	a, restarted := w.nodes[0], w.nodes[1:]
	hold := func(r *rand.Rand) time.Duration { return time.Duration(500+r.IntN(2000)) * time.Millisecond }
	stopping := func(signal syscall.Signal) func(*rand.Rand) {
		return func(r *rand.Rand) { w.breakNode(restarted[r.IntN(len(restarted))], signal, r) }
	}
	parted := kind{hinders: true, parts: true}
	return map[string]func(*rand.Rand){
		"nothing":           func(*rand.Rand) {},
		"SIGTERM of a node": stopping(syscall.SIGTERM),
		"SIGKILL of a node": stopping(syscall.SIGKILL),
		"a network that is cut": func(r *rand.Rand) {
			drop := []string{"-j", "DROP"}
			w.inject("cut network", parted, a.name, func() { rule(w.t, "-A", drop...) },
				func() { rule(w.t, "-D", drop...) }, 3*hold(r))
		},
		"connections that are reset": func(r *rand.Rand) {
			reset := []string{"-j", "REJECT", "--reject-with", "tcp-reset"}
			w.inject("reset connections", parted, a.name, func() { rule(w.t, "-A", reset...) },
				func() { rule(w.t, "-D", reset...) }, hold(r))
		},
		"Redis, restarted": func(r *rand.Rand) {
			w.inject("kill -9 of redis", kind{hinders: true, loses: true}, "", server.Kill, server.Run, hold(r))
		},
		"Redis, stopped for a while": func(r *rand.Rand) {
			w.inject("SIGSTOP of redis", kind{hinders: true}, "", func() { server.Signal(syscall.SIGSTOP) },
				func() { server.Signal(syscall.SIGCONT) }, hold(r))
		},
		"calls that fail": func(r *rand.Rand) {
			w.inject("failing calls", kind{fails: true}, a.name, func() {
				a.setFaults(`{"method":"*","before":0.12,"after":0.1,"slow":0.1,"by_ms":500}`)
			}, func() { a.setFaults() }, hold(r))
		},
	}
}

// rest signs everybody out, waits until no node has a session or a tab, and forgets the visitors.
// It returns how many there were.
func (w *world) rest(t *testing.T) int {
	t.Helper()
	within(t, "the nodes know each other", 30*time.Second, func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *node) bool { return nodesSeenBy(n) != len(w.nodes) })
	})
	w.eachVisitor(func(v *visitor) { v.closing = time.Now() })
	within(t, "everybody is signed out", 30*time.Second, func() bool {
		status, _, err := w.nodes[0].ask("POST", "/api/v1/logouts", "", `{"everyone":true}`)
		return err == nil && status == 200
	})
	within(t, "no node has a session or a tab", 30*time.Second, func() bool {
		return !slices.ContainsFunc(w.nodes, func(n *node) bool {
			values := n.metrics()
			return values == nil || values["curfew_sessions"] > 0 || values["curfew_tabs"] > 0
		})
	})
	w.watch()
	w.mu.Lock()
	defer w.mu.Unlock()
	gone := len(w.visitors)
	w.visitors, w.faults = nil, nil
	clear(w.forced)
	return gone
}

// holding is what a node holds of the machine.
type holding struct {
	goroutines, descriptors float64
	heap, resident          float64 // MiB
	logouts                 float64 // forced ones that are kept
}

// logoutSize is what a forced logout of one of the crowd is kept in at most, in MiB. A test of
// package revocation, which keeps them, holds it: TestAForcedLogoutIsKeptInFewBytes.
const logoutSize = 900.0 / (1 << 20)

func heading(nodes []*node) (line string) {
	for _, n := range nodes {
		line += fmt.Sprintf("   %s: gor.  files  heap   RSS MiB", n.name)
	}
	return line + "   forced logouts\n"
}

func (h holding) String() string {
	return fmt.Sprintf("%8.0f %6.0f %5.1f %9.1f", h.goroutines, h.descriptors, h.heap, h.resident)
}

// holds reads what n holds once its garbage is collected. The profile tells the heap as it was
// then. Writing the profile takes a heap, too, which metrics would tell.
func (n *node) holds(t *testing.T) holding {
	t.Helper()
	response, err := client.Get("http://" + n.metricsAddress + "/debug/pprof/heap?gc=1&debug=1")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	profile, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var heap float64
	_, text, _ := strings.Cut(string(profile), "\n# HeapAlloc = ")
	if _, err := fmt.Sscan(text, &heap); err != nil {
		t.Fatalf("the profile of node %s does not tell its heap: %s, %v", n.name, response.Status, err)
	}
	values := n.metrics()
	if values == nil {
		t.Fatalf("node %s tells no metrics", n.name)
	}
	return holding{
		goroutines:  values["go_goroutines"],
		descriptors: values["process_open_fds"],
		heap:        heap / (1 << 20),
		resident:    values["process_resident_memory_bytes"] / (1 << 20),
		logouts:     values["curfew_forced_logouts"],
	}
}

// metrics are the values of a node by their names, added up where there are several; nil where it
// does not answer.
func (n *node) metrics() map[string]float64 {
	response, err := client.Get("http://" + n.metricsAddress + "/metrics")
	if err != nil {
		return nil
	}
	defer response.Body.Close()
	values := make(map[string]float64)
	var text strings.Builder
	if err := response.Write(&text); err != nil {
		return nil
	}
	for line := range strings.Lines(text.String()) {
		var name string
		var value float64
		if n, err := fmt.Sscanf(line, "%s %g", &name, &value); n == 2 && err == nil && name[0] != '#' {
			name, _, _ = strings.Cut(name, "{")
			values[name] += value
		}
	}
	return values
}

// risen says what was more in the last quarter of the rests than in the second, each in the middle.
func risen(held []holding) (complaints []string) {
	quarter := len(held) / 4
	if quarter < 2 {
		return []string{fmt.Sprintf("%d rests are too few to be compared; it has to go on for longer", len(held))}
	}
	for _, of := range []struct {
		name  string
		value func(holding) float64
		more  float64 // than a sixth that is allowed for
	}{
		{"goroutines", func(h holding) float64 { return h.goroutines }, 8},
		{"descriptors", func(h holding) float64 { return h.descriptors }, 8},
		{"MiB of heap beside forced logouts", func(h holding) float64 { return h.heap - h.logouts*logoutSize }, 3},
		// the heap may be twice as large before it is collected
		{"MiB of resident memory beside forced logouts",
			func(h holding) float64 { return h.resident - 2*h.logouts*logoutSize }, 16},
	} {
		middle := func(list []holding) float64 {
			var values []float64
			for _, h := range list {
				values = append(values, of.value(h))
			}
			slices.Sort(values)
			return values[len(values)/2]
		}
		before, after := middle(held[quarter:2*quarter]), middle(held[len(held)-quarter:])
		if after > before*7/6+of.more {
			complaints = append(complaints,
				fmt.Sprintf("%.1f %s in the last quarter, %.1f in the second", after, of.name, before))
		}
	}
	return complaints
}

func TestARiseIsNoticed(t *testing.T) {
	level := func(n int) holding {
		return holding{goroutines: 100, descriptors: 20, heap: 10 + float64(n%3), resident: 60 + float64(n%7)}
	}
	// forced logouts are kept, 500 from one rest to the next, each in so many bytes
	keeping := func(bytes float64) func(n int) holding {
		return func(n int) holding {
			h := level(n)
			h.logouts = 500 * float64(n)
			h.heap += h.logouts * bytes / (1 << 20)
			h.resident += 2 * h.logouts * bytes / (1 << 20)
			return h
		}
	}
	for name, tt := range map[string]struct {
		held func(n int) holding
		want int
	}{
		"level": {level, 0},
		"a start that is low": {func(n int) holding {
			h := level(0)
			h.goroutines = min(100, 20*float64(n))
			return h
		}, 0},
		"a peak":     {func(n int) holding { h := level(n); h.heap += float64(n%20) / 19 * 9; return h }, 0},
		"goroutines": {func(n int) holding { h := level(n); h.goroutines += 3 * float64(n); return h }, 1},
		"forced logouts that are kept in few bytes":      {keeping(900), 0},
		"forced logouts that are kept in more than that": {keeping(2000), 1},
		"all": {func(n int) holding {
			by := float64(n)
			return holding{goroutines: 100 + 3*by, descriptors: 20 + by, heap: 10 + by, resident: 60 + 3*by}
		}, 4},
	} {
		var held []holding
		for n := range 32 {
			held = append(held, tt.held(n))
		}
		if got := risen(held); len(got) != tt.want {
			t.Errorf("%s: %q, want %d complaints", name, got, tt.want)
		}
	}
	if got := risen(make([]holding, 7)); len(got) != 1 {
		t.Errorf("of seven rests it says %q", got)
	}
}
