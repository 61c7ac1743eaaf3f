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
	"sync/atomic"
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

// visitor is a session of the model.
type visitor struct {
	user   string
	cookie string
	since  time.Time // when the sign-in was sent: a forced logout that is answered after that covers it

	mu      sync.Mutex
	tabs    map[*tab]*node
	acted   time.Time // the last act that was answered: when it was sent
	on      string    // the node that has answered it
	began   time.Time // when the last act may have come in at the latest, answered or not
	left    time.Time // when its tabs were closed; zero while one is open
	ended   time.Time // when its end was answered or seen; zero before
	how     string    // its end came to be known
	closing time.Time // when a command that ends it was sent, whatever came of it
}

// world is the crowd, the nodes and what is broken just now.
type world struct {
	t     *testing.T
	fail  func(format string, args ...any) // reports a violation
	nodes []*node

	mu       sync.Mutex
	visitors []*visitor
	faults   []fault // all of them, in order
	injected map[string]int
	forced   map[string]time.Time // user to the time at which their last forced logout was answered

	steps      atomic.Int64
	violations atomic.Int64
}

// fault is something that is broken for a while.
type fault struct {
	kind
	on       string    // the node that it happens to; empty: none, or all
	from, to time.Time // to is zero while it lasts
}

// kind says what a fault may excuse.
type kind struct {
	hinders bool // nodes cannot judge or tell
	fails   bool // calls fail now and then: what depends on them takes longer
	loses   bool // what was written last, or was about to be, may be lost
	skews   bool // a clock is wrong
}

func (w *world) violate(format string, args ...any) {
	w.violations.Add(1)
	w.fail("%s: "+format, append([]any{time.Now().Format("15:04:05.000")}, args...)...)
}

// any reports whether a fault that is picked touched the time from one instant to another, or ended
// up to after before it.
func (w *world) any(from, to time.Time, after time.Duration, picks func(fault) bool) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.faults, func(f fault) bool {
		return picks(f) && f.from.Before(to) && (f.to.IsZero() || f.to.Add(after).After(from))
	})
}

// calm reports whether no fault touched the time from one instant to another.
func (w *world) calm(from, to time.Time) bool {
	return !w.any(from, to, calmBound, func(fault) bool { return true })
}

// overdue reports whether what was to happen within a bound from an instant on should have happened
// by now. While a fault hinders it, nothing is overdue; after that it has as long as all has to be
// in order again.
func (w *world) overdue(from, now time.Time, bound time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	limit, more := from.Add(bound), time.Duration(0)
	for _, f := range w.faults {
		if f.from.After(limit) || !f.to.IsZero() && f.to.Add(calmBound).Before(from) {
			continue
		}
		if f.fails {
			more = failBound
		}
		if f.hinders {
			if f.to.IsZero() {
				return false
			}
			if until := f.to.Add(calmBound); until.After(limit) {
				limit = until
			}
		}
	}
	return now.After(limit.Add(more))
}

func (w *world) inject(name string, what kind, on string, begin, heal func(), hold time.Duration) {
	w.mu.Lock()
	i := len(w.faults)
	w.faults = append(w.faults, fault{kind: what, on: on, from: time.Now()})
	w.injected[name]++
	w.mu.Unlock()
	w.t.Logf("%s: fault: %s %s for %s", time.Now().Format("15:04:05.000"), name, on, hold)
	begin()
	time.Sleep(hold)
	heal()
	w.mu.Lock()
	w.faults[i].to = time.Now()
	w.mu.Unlock()
}

func (w *world) pick(r *rand.Rand) *node { return w.nodes[r.IntN(len(w.nodes))] }

func (w *world) someone(r *rand.Rand) *visitor {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.visitors) == 0 {
		return nil
	}
	return w.visitors[max(0, len(w.visitors)-1-r.IntN(min(60, len(w.visitors))))]
}

// step does one thing that people, pages or administrators do.
func (w *world) step(r *rand.Rand) {
	w.steps.Add(1)
	n := w.pick(r)
	v := w.someone(r)
	switch what := r.IntN(100); {
	case what < 12 || v == nil:
		user := fmt.Sprint("user", r.IntN(20))
		sent := time.Now()
		if cookie, ok := n.signIn(user); ok {
			w.mu.Lock()
			w.visitors = append(w.visitors, &visitor{
				user:   user,
				cookie: cookie,
				since:  sent,
				tabs:   make(map[*tab]*node),
				began:  time.Now(),
				acted:  sent,
				on:     n.name,
			})
			w.mu.Unlock()
		}
	case what < 35:
		w.open(v, n)
	case what < 60:
		w.look(v, n)
	case what < 85:
		w.act(v, n)
	case what < 90:
		w.leave(v, r.IntN(2) == 0)
	case what < 95:
		w.signOut(v, n)
	default:
		w.forceLogout(v, n)
	}
}

func (w *world) open(v *visitor, n *node) {
	sent := time.Now()
	t, err := n.open(v.cookie)
	if err != nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended.IsZero() && v.ended.Before(sent) {
		w.violate("%s on node %s: a socket was opened %s after the end (%s)", v.user, n.name, sent.Sub(v.ended), v.how)
	}
	v.tabs[t], v.left = n, time.Time{}
}

// look asks how the session stands, and judges the answer.
func (w *world) look(v *visitor, n *node) (csrf string) {
	sent := time.Now()
	status, answer, err := n.ask("GET", "/session/status", v.cookie, "")
	if err != nil {
		return ""
	}
	switch status {
	case 200:
		v.mu.Lock()
		defer v.mu.Unlock()
		w.judgeAlive(v, n.name, sent)
		return answer["csrf"].(string)
	case 401:
		w.sawEnd(v, fmt.Sprint(answer["reason"]), "answered by node "+n.name)
	case 503: // nobody can say
		if w.calm(sent.Add(-time.Second), time.Now()) {
			w.violate("node %s: 503 though nothing is broken", n.name)
		}
	default:
		w.violate("node %s: status %d", n.name, status)
	}
	return ""
}

// judgeAlive wants who was answered as signed in to be so, whatever is broken: who cannot judge
// answers 503.
func (w *world) judgeAlive(v *visitor, on string, sent time.Time) {
	if !v.ended.IsZero() && v.ended.Before(sent) {
		w.violate("%s on node %s: an ended session answers again, %s after its end (%s)", v.user, on, sent.Sub(v.ended),
			v.how)
	}
	if sent.After(v.began.Add(expireAfter + lateBound + skewBound)) {
		w.violate("%s on node %s: alive %s after its last act", v.user, on, sent.Sub(v.began))
	}
}

// sawEnd judges an end that was seen.
func (w *world) sawEnd(v *visitor, reason, where string) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.ended.IsZero() {
		return
	}
	v.ended, v.how = now, reason+", "+where
	switch reason {
	case "idle":
		w.judgeIdle(v, now)
	case "browser-closed":
		w.judgeClosed(v, now)
	case "logout":
		if v.closing.IsZero() {
			w.violate("%s: ended (%s) though nobody asked for it", v.user, reason)
		}
	case "admin":
		w.mu.Lock()
		answered := w.forced[v.user]
		w.mu.Unlock()
		if v.since.After(answered) && v.closing.IsZero() {
			w.violate("%s: ended (%s) though nobody asked for it", v.user, reason)
		}
	default:
		w.violate("%s: ended for the reason %q", v.user, reason)
	}
}

// judgeIdle wants an idle end when the time is up. What was acknowledged counts, whatever fault has
// come, but for those that lose what was written last: only a node that has died takes along the
// acts of its last moments.
func (w *world) judgeIdle(v *visitor, now time.Time) {
	wrong := clockBound
	if w.any(v.acted, now, calmBound, func(f fault) bool { return f.skews }) {
		wrong = skewBound
	}
	lost := w.any(v.acted, v.acted.Add(writeBound), 0, func(f fault) bool {
		return f.loses && (f.on == "" || f.on == v.on)
	})
	if due := v.acted.Add(expireAfter - wrong); now.Before(due) && !lost {
		w.violate("%s: ended (idle) %s early", v.user, due.Sub(now))
	}
}

// judgeClosed wants no tab open; one that was told of the end was. For a moment nodes may not know
// of a tab that has come on another.
func (w *world) judgeClosed(v *visitor, now time.Time) {
	for t, n := range v.tabs {
		told, gone, goneAt := t.state()
		open := now.Sub(t.opened)
		if gone {
			open = goneAt.Sub(t.opened)
		}
		if (!gone || told != "") && open > closeGrace+closeBound && v.left.Before(t.opened) &&
			w.calmSince(now.Add(-closeGrace-closeBound), now) {
			w.violate("%s: ended (browser-closed) though a tab is open on node %s for %s", v.user, n.name, open)
		}
	}
}

// calmSince reports whether no fault touched the time between two instants.
func (w *world) calmSince(from, to time.Time) bool {
	return !w.any(from, to, 0, func(fault) bool { return true })
}

func (w *world) act(v *visitor, n *node) {
	csrf := w.look(v, n)
	if csrf == "" {
		return
	}
	sent := time.Now()
	v.mu.Lock()
	v.began = sent
	v.mu.Unlock()
	status, _, err := n.ask("POST", "/session/extend", v.cookie, "csrf="+csrf)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.began = time.Now() // the act counts from its arrival, also where its answer was lost
	if err != nil {
		v.began = v.began.Add(lateBound) // it may still be on its way
	}
	if err == nil && status/100 == 2 && v.ended.IsZero() {
		v.acted, v.on = sent, n.name
	}
}

// leave closes all tabs of a session, as a browser that is closed, or one of several.
func (w *world) leave(v *visitor, one bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for t := range v.tabs {
		go t.ws.Close(4000, "close")
		delete(v.tabs, t)
		if one && len(v.tabs) > 0 {
			return
		}
	}
	v.left = time.Now()
}

func (w *world) signOut(v *visitor, n *node) {
	csrf := w.look(v, n)
	if csrf == "" {
		return
	}
	v.mu.Lock()
	v.closing = time.Now()
	v.mu.Unlock()
	if status, _, err := n.ask("POST", "/logout", v.cookie, "csrf="+csrf); err == nil && status == 303 {
		w.endAnswered(v, "sign-out on node "+n.name)
	}
}

// endAnswered notes an end that was acknowledged, and watches its tabs close.
func (w *world) endAnswered(v *visitor, how string) {
	now := time.Now()
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended.IsZero() {
		v.ended, v.how = now, how
	}
}

// forceLogout ends all sessions of the visitor's user.
func (w *world) forceLogout(v *visitor, n *node) {
	sent := time.Now()
	w.mu.Lock()
	var sameUser []*visitor
	for _, other := range w.visitors {
		if other.user == v.user {
			sameUser = append(sameUser, other)
		}
	}
	w.mu.Unlock()
	w.eachVisitor(func(other *visitor) {
		if other.user == v.user {
			other.closing = sent
		}
	})
	status, _, err := n.ask("POST", "/api/v1/logouts", "", fmt.Sprintf(`{"user":%q}`, v.user))
	w.mu.Lock()
	w.forced[v.user] = time.Now()
	w.mu.Unlock()
	if err == nil && status == 200 {
		for _, other := range sameUser {
			w.endAnswered(other, "forced logout on node "+n.name)
		}
	}
}

func (w *world) eachVisitor(f func(*visitor)) {
	w.mu.Lock()
	list := slices.Clone(w.visitors)
	w.mu.Unlock()
	for _, v := range list {
		v.mu.Lock()
		f(v)
		v.mu.Unlock()
	}
}

// watch looks for tabs of ended sessions that stay open, and for tabs that were told of an end.
func (w *world) watch() {
	now := time.Now()
	var told []func()
	went := make(map[*visitor][]*tab) // forgotten after what was told is judged
	w.eachVisitor(func(v *visitor) {
		for t := range v.tabs {
			reason, gone, _ := t.state()
			on := v.tabs[t].name
			if reason != "" {
				told = append(told, func() { w.sawEnd(v, reason, "told to a tab on node "+on) })
			}
			if gone {
				went[v] = append(went[v], t)
				continue
			}
			if !v.ended.IsZero() && w.overdue(v.ended, now, closeBound) {
				w.violate("%s: a tab on node %s is open %s after the end", v.user, v.tabs[t].name, now.Sub(v.ended))
				delete(v.tabs, t)
			}
		}
	})
	for _, f := range told {
		f()
	}
	for v, tabs := range went {
		v.mu.Lock()
		for _, t := range tabs {
			delete(v.tabs, t)
		}
		v.mu.Unlock()
	}
}

// randomly runs a crowd over three nodes while faults come and go, and checks all at the end.
func randomly(t *testing.T, url string, faults func(*world, *rand.Rand)) {
	chosen := chooseSeed(t)
	t.Logf("repeat it with: CURFEW_SEED=%d make chaos CHAOS='-run %s'", chosen, t.Name())
	w := &world{t: t, fail: t.Errorf, injected: make(map[string]int), forced: make(map[string]time.Time)}
	for _, name := range []string{"a", "b", "c"} {
		w.nodes = append(w.nodes, startNode(t, name, "127.0.0.1:"+freePort(t), url))
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
	for end := time.Now().Add(*long); time.Now().Before(end); {
		time.Sleep(time.Duration(1000+r.IntN(9000)) * time.Millisecond)
		if r.IntN(2) == 0 {
			w.trouble(r)
		} else {
			faults(w, r)
		}
	}
	time.Sleep(calmBound)
	close(done)
	running.Wait()
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
// one audit line, and no tab is open.
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
	path := "/api/v1/audit?event=session-end&limit=1000"
	for cursor := ""; ; {
		status, answer, err := w.nodes[0].ask("GET", path+cursor, "", "")
		if err != nil || status != 200 {
			w.violate("audit: %d, %v", status, err)
			return
		}
		for _, item := range answer["items"].([]any) {
			lines[item.(map[string]any)["session"].(string)]++
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
}

// breakNode kills or restarts a node.
func (w *world) breakNode(r *rand.Rand) {
	n := w.pick(r)
	signal, name, what := syscall.SIGKILL, "kill -9 of a node", kind{hinders: true, loses: true}
	if r.IntN(2) == 0 {
		signal, name, what = syscall.SIGTERM, "restart of a node", kind{hinders: true}
	}
	w.inject(name, what, n.name, func() { n.stop(signal) }, func() {
		if err := n.run(); err != nil {
			w.violate("%v", err)
		}
	}, time.Duration(r.IntN(2000))*time.Millisecond)
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
			w.breakNode(r)
		} else {
			w.breakServer(r, server)
		}
	})
}

func TestRandomOverACluster(t *testing.T) {
	servers := redistest.Cluster(t, 3)
	randomly(t, servers[0].URL(), func(w *world, r *rand.Rand) {
		if r.IntN(3) == 0 {
			w.breakNode(r)
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
			w.breakNode(r)
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
