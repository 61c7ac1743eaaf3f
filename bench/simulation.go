package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"curfew/session"
	"curfew/session/gorilla"
)

// A node among many: the real hub in real time, with real tabs, in a world of sessions and other
// nodes that is simulated, at a size that needs a hundred machines. What Redis and the network
// between cost is not in it; see measureNodes for that.

// What people do. A tenth of the tabs of an installation are looked at (session.Policy warns the
// others); see docs/nodes.md.
const (
	tabsPerSession = 2.5
	tabsPerNode    = 100_000
	signedInFor    = 2 * time.Hour    // how long a session lasts on average
	navigatesEvery = time.Minute      // how often an acting person opens another page
	actsEvery      = 15 * time.Second // how often a node tells the others of an acting person, at most
	simulatedFor   = 30 * time.Second
	simulatedTabs  = 10_000           // real ones, on the real node; half of them run into their idle timeout meanwhile
	writtenWithin  = 40 * time.Second // in which the ends of a logout of everyone are written
)

// world is the store and the other nodes, as the real node sees them. The first sessions have the
// real tabs; of the others every second person acts all the time, and the rest are quiet.
type world struct {
	session.Store // nil: what is not simulated panics

	nodes   int
	initial int           // sessions at the start
	opening time.Duration // until when the node has loaded and its tabs are open
	tokens  []session.Token
	real    map[session.ID]int
	began   time.Time

	mu          sync.Mutex
	active      []int64 // last activity, Unix ms
	ended       []bool
	heard       func([]byte)
	numbers     []int64 // of each node's last message
	revocations []session.Revocation
	begun       []session.ID // since the last pulse
	over        []session.ID
	calls       map[string]int
	late        []float64 // ms from the deadline to the real node's end, of sessions without tabs
	feedCPU     time.Duration
	messages    int
	bytes       int
	mass        bool // everybody is signed out
	stopped     bool
}

// others is how many nodes are simulated.
func (w *world) others() int { return w.nodes - 1 }

// acts reports whether the person of a session acts all the time.
func (w *world) acts(i int) bool { return i >= simulatedTabs && i/w.others()%2 == 0 }

// orphaned reports whether a quiet session has lost the node of its tabs: it is anybody's turn to
// end it.
func (w *world) orphaned(i int) bool { return i/w.others()%50 == 1 }

func newWorld(sessions int) *world {
	w := &world{
		nodes:   int(float64(sessions)*tabsPerSession/tabsPerNode) + 1,
		initial: sessions,
		real:    make(map[session.ID]int),
		calls:   make(map[string]int),
	}
	w.numbers = make([]int64, w.nodes)
	w.opening = 60*time.Second + time.Duration(sessions)*45*time.Microsecond
	w.active, w.ended = make([]int64, sessions, sessions+sessions/20), make([]bool, sessions, sessions+sessions/20)
	for i := range simulatedTabs {
		t := session.NewToken()
		w.tokens = append(w.tokens, t)
		w.real[t.ID()] = i
	}
	return w
}

// start sets when everybody acted last.
func (w *world) start(now time.Time) {
	w.began = now
	for i := range w.active {
		ago := time.Duration(0)
		switch {
		case i < simulatedTabs && i%2 == 0: // stays to the end
		case i < simulatedTabs: // ends in the second half
			ago = policy.ExpireAfter - w.opening - simulatedFor/4 - rand.N(simulatedFor/2)
		case w.acts(i):
			ago = rand.N(actsEvery)
		default:
			ago = rand.N(policy.ExpireAfter - w.opening)
		}
		w.active[i] = now.Add(-ago).UnixMilli()
	}
}

// idOf is the ID of a session, which tells its number.
func (w *world) idOf(i int) session.ID {
	if i < len(w.tokens) {
		return w.tokens[i].ID()
	}
	var id session.ID
	binary.LittleEndian.PutUint64(id[:], uint64(i)*0x9E3779B97F4A7C15)
	binary.LittleEndian.PutUint64(id[24:], uint64(i))
	return id
}

func (w *world) indexOf(id session.ID) int {
	if i, ok := w.real[id]; ok {
		return i
	}
	return int(binary.LittleEndian.Uint64(id[24:]))
}

// instance names a node; 0 is the real one.
func (w *world) instance(node int) string { return fmt.Sprintf("node-%d/simulated", node) }

// nodeOf is the node that has the tabs of a session.
func (w *world) nodeOf(i int) int {
	if i < simulatedTabs {
		return 0
	}
	return 1 + i%w.others()
}

func (w *world) count(call string, n int) {
	w.mu.Lock()
	w.calls[call] += n
	w.mu.Unlock()
}

func (w *world) record(i int) session.Record {
	name := "person-" + strconv.Itoa(i)
	return session.Record{
		ID:           w.idOf(i),
		User:         name,
		Name:         "A Person " + name,
		Email:        name + "@example.org",
		DN:           "uid=" + name + ",ou=people,dc=example,dc=org",
		Identity:     "5f4dcc3b-5aa7-65d6-1d83-" + fmt.Sprintf("%012d", i),
		Groups:       []session.Group{{Name: strings.Clone("staff")}},
		Login:        strings.Clone(name),
		Address:      fmt.Sprintf("192.0.2.%d", i%250),
		Agent:        strings.Clone("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
		Policy:       policy,
		CreatedAt:    session.Millis(w.began.Add(-time.Minute)),
		LastActiveAt: session.FromUnixMilli(w.active[i]),
	}
}

// The store.

func (w *world) Live(context.Context) iter.Seq2[session.Record, error] {
	return func(yield func(session.Record, error) bool) {
		for i := range w.initial {
			if !yield(w.record(i), nil) {
				return
			}
		}
	}
}

func (w *world) Get(_ context.Context, id session.ID) (session.Record, error) {
	w.count("Get", 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.indexOf(id)
	r := w.record(i)
	if w.ended[i] {
		r.End = &session.End{Reason: session.ReasonIdle, At: time.Now()}
	}
	return r, nil
}

func (w *world) GetMany(ctx context.Context, ids []session.ID) (list []session.Record, err error) {
	for _, id := range ids {
		r, err := w.Get(ctx, id)
		if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, nil
}

func (w *world) Touch(_ context.Context, acts []session.Activity) ([]session.ID, error) {
	w.count("Touch", len(acts))
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range acts {
		i := w.indexOf(a.ID)
		w.active[i] = max(w.active[i], a.At.UnixMilli())
	}
	return nil, nil
}

func (w *world) End(_ context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	w.count("End", 1)
	w.mu.Lock()
	defer w.mu.Unlock()
	i := w.indexOf(id)
	if w.ended[i] {
		return false, nil
	}
	due := session.FromUnixMilli(w.active[i]).Add(policy.ExpireAfter)
	if !ifDueBy.IsZero() && ifDueBy.Before(due) {
		return false, session.ErrNotDue
	}
	w.ended[i] = true
	if i >= simulatedTabs && why.Reason == session.ReasonIdle {
		w.late = append(w.late, time.Since(due).Seconds()*1000)
	}
	return true, nil
}

func (w *world) Leave(_ context.Context, _ session.ID, news session.TabTimes) (session.TabTimes, error) {
	w.count("Leave", 1)
	return news, nil
}
func (w *world) Append(context.Context, session.Event) error    { return nil }
func (w *world) Secret(context.Context, string) ([]byte, error) { return make([]byte, 32), nil }
func (w *world) Ping(context.Context) error                     { return nil }
func (w *world) Close() error                                   { return nil }
func (w *world) LastRevocation(context.Context) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return int64(len(w.revocations)), nil
}
func (w *world) Revocations(context.Context) ([]session.Revocation, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.revocations), nil
}

// The other nodes.

func (w *world) Publish(_ context.Context, message []byte) error {
	w.count("Publish", 1)
	w.mu.Lock()
	heard := w.heard
	w.mu.Unlock()
	if heard != nil {
		heard(message)
	}
	return nil
}

func (w *world) Subscribe(ctx context.Context, began func(), heard func([]byte)) error {
	w.mu.Lock()
	w.heard = heard
	w.mu.Unlock()
	began()
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Pulse(_ context.Context, node string, after uint64) (session.Heartbeat, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls["Pulse"]++
	p := session.Heartbeat{
		Lease:          time.Minute,
		Now:            time.Now(),
		Asked:          time.Now(),
		LastRevocation: int64(len(w.revocations)),
		Last:           after + uint64(len(w.begun)+len(w.over)),
		Begun:          w.begun,
		Ended:          w.over,
		Epoch:          "one",
	}
	w.begun, w.over = nil, nil
	p.Nodes = append(p.Nodes, node)
	for i := 1; i < w.nodes; i++ {
		p.Nodes = append(p.Nodes, w.instance(i))
	}
	return p, nil
}

func (w *world) Epoch(context.Context) string             { return "one" }
func (w *world) LastLine(context.Context) (uint64, error) { return 0, nil }
func (w *world) RemoveNode(context.Context, string) error { return nil }
func (w *world) SetTabs(_ context.Context, _ string, tabs map[session.ID]string, _ bool) error {
	w.count("SetTabs", len(tabs))
	return nil
}

func (w *world) Tabs(_ context.Context, instance string) (map[session.ID]string, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls["Tabs"]++
	words := make(map[session.ID]string)
	var node int
	fmt.Sscanf(instance, "node-%d/", &node)
	for i := simulatedTabs; i < w.initial; i++ {
		if w.nodeOf(i) == node && !w.ended[i] {
			words[w.idOf(i)] = w.word(i, w.began)
		}
	}
	return words, nil
}

// word is what a node leaves of the two or three tabs of a session.
func (w *world) word(i int, opened time.Time) string {
	tabs := 2 + i%2
	var b strings.Builder
	fmt.Fprintf(&b, `{"node":"node-%d","tabs":%d,"opened":%d,"list":[`, w.nodeOf(i), tabs, opened.UnixMilli())
	for k := range tabs {
		if k > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"tab":"%d-%d-%d","node":"node-%d","opened_at":%q}`, i, k, opened.Unix(), w.nodeOf(i),
			opened.UTC().Format(time.RFC3339))
	}
	b.WriteString("]}")
	return b.String()
}

func (w *world) Missing(_ context.Context, ids []session.ID) ([]session.ID, error) {
	w.count("Missing", len(ids))
	return nil, nil
}
func (w *world) EndLost(context.Context, []session.Record, session.End) ([]session.ID, error) {
	return nil, nil
}
func (w *world) RevocationsAfter(context.Context, int64) ([]session.Revocation, int64, bool, error) {
	return nil, 0, true, nil
}
func (w *world) RestoreRevocations(context.Context, []session.Revocation, int64) error { return nil }
func (w *world) PutTransient(context.Context, string, string, string, time.Duration) error {
	return nil
}
func (w *world) Transients(context.Context, string) (map[string]string, error)   { return nil, nil }
func (w *world) MoveClock(context.Context, time.Duration) (time.Duration, error) { return 0, nil }
func (w *world) SetOffset(time.Duration)                                         {}

// say sends events of a node to the real one.
func (w *world) say(node int, events []byte) {
	w.mu.Lock()
	w.numbers[node]++
	message := fmt.Appendf(nil, `{"v":1,"node":%q,"name":"node-%d","n":%d,"events":[`, w.instance(node), node,
		w.numbers[node])
	heard := w.heard
	w.messages++
	message = append(append(message, events...), `]}`...)
	w.bytes += len(message)
	w.mu.Unlock()
	heard(message)
}

// live goes on with what the other nodes do, a tenth of a second at a time, until it is stopped.
func (w *world) live() {
	runtime.LockOSThread() // so that its own CPU time can be told from the node's
	defer runtime.UnlockOSThread()
	const step = 100 * time.Millisecond
	steps := int(actsEvery / step)
	before := threadCPU()
	perStep := float64(w.initial) * step.Seconds() / signedInFor.Seconds()
	navigate := float64(w.initial) / 2 * step.Seconds() / navigatesEvery.Seconds()
	var owedSignIns, owedNavigations float64
	dues := w.dues()
	ended := 0
	for n := 0; ; n++ {
		begin := time.Now()
		w.mu.Lock()
		w.feedCPU = threadCPU() - before
		mass, stopped := w.mass, w.stopped
		w.mu.Unlock()
		switch {
		case stopped:
			return
		case mass:
			ended = w.tellEnds(ended, int(float64(w.initial)*step.Seconds()/writtenWithin.Seconds()))
			pause(step - time.Since(begin))
			continue
		}
		for node := 1 + n%steps; node < w.nodes; node += steps { // each node once in actsEvery
			w.tellActs(node, begin)
		}
		for owedSignIns += perStep; owedSignIns >= 1; owedSignIns-- {
			w.signIn(begin)
		}
		for owedNavigations += navigate; owedNavigations >= 1; {
			owedNavigations -= float64(w.tellTabs(int(min(owedNavigations, 200)), begin))
		}
		for len(dues) > 0 && dues[0].at <= begin.UnixMilli() {
			w.tellEnd(dues[0].i)
			dues = dues[1:]
		}
		pause(step - time.Since(begin))
	}
}

func threadCPU() time.Duration {
	const thread = 1 // RUSAGE_THREAD, getrusage(2)
	var used syscall.Rusage
	check(syscall.Getrusage(thread, &used))
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

type due struct {
	at int64 // Unix ms
	i  int
}

// dues lists the ends that other nodes will tell of, in their order.
func (w *world) dues() (list []due) {
	until := w.began.Add(10 * time.Minute).UnixMilli()
	for i := simulatedTabs; i < w.initial; i++ {
		if at := w.active[i] + policy.ExpireAfter.Milliseconds(); !w.acts(i) && !w.orphaned(i) && at < until {
			list = append(list, due{at, i})
		}
	}
	slices.SortFunc(list, func(a, b due) int { return int(a.at - b.at) })
	return list
}

// tellActs tells of the people of a node who act.
func (w *world) tellActs(node int, now time.Time) {
	events := []byte{}
	n := 0
	for i := node - 1; i < w.initial; i += w.others() {
		if !w.acts(i) {
			continue
		}
		if n%1000 == 0 {
			if n > 0 {
				events = append(events, `}},`...)
			}
			events = append(events, `{"kind":"acted","acts":{`...)
		} else {
			events = append(events, ',')
		}
		n++
		at := now.UnixMilli() - int64(i%1000)
		w.mu.Lock()
		w.active[i] = at
		w.mu.Unlock()
		id := w.idOf(i)
		events = fmt.Appendf(events, `"%x":%d`, id[:], at)
	}
	if n > 0 {
		w.say(node, append(events, `}}`...))
	}
}

// signIn tells of a new session.
func (w *world) signIn(now time.Time) {
	w.mu.Lock()
	i := len(w.active)
	w.active, w.ended = append(w.active, now.UnixMilli()), append(w.ended, false)
	id := w.idOf(i)
	w.begun = append(w.begun, id)
	r := w.record(i)
	w.mu.Unlock()
	data, err := r.Encode()
	check(err)
	w.say(w.nodeOf(i), fmt.Appendf(nil, `{"kind":"begun","id":"%x","record":%s}`, id[:], data))
}

// tellTabs tells of pages that people of one node have opened in place of others.
func (w *world) tellTabs(n int, now time.Time) int {
	node := 1 + rand.N(w.others())
	words := make(map[session.ID]string, n)
	for range n {
		if i := rand.N(w.initial/w.others())*w.others() + node - 1; w.acts(i) {
			words[w.idOf(i)] = w.word(i, now)
		}
	}
	data, err := json.Marshal(words)
	check(err)
	w.say(node, fmt.Appendf(nil, `{"kind":"tabs","tabs":%s}`, data))
	return n
}

// tellEnds tells of the next n ends that other nodes have written after a logout of everyone.
func (w *world) tellEnds(from, n int) int {
	end, err := json.Marshal(w.revocations[0].End())
	check(err)
	for n > 0 && from < len(w.active) {
		var events []byte
		for k := 0; k < 200 && from < len(w.active); from++ {
			id := w.idOf(from)
			w.mu.Lock()
			skip := w.ended[from] || int(id[1])%w.nodes == 0 // the real node's share: its name comes first
			if !skip {
				w.ended[from] = true
				w.over = append(w.over, id)
			}
			w.mu.Unlock()
			if skip {
				continue
			}
			if k > 0 {
				events = append(events, ',')
			}
			events = fmt.Appendf(events, `{"kind":"ended","id":"%x","end":%s}`, id[:], end)
			k++
			n--
		}
		if len(events) > 0 {
			w.say(1, events)
		}
	}
	return from
}

// tellEnd tells of an end.
func (w *world) tellEnd(i int) {
	w.mu.Lock()
	if w.ended[i] {
		w.mu.Unlock()
		return
	}
	w.ended[i] = true
	id := w.idOf(i)
	w.over = append(w.over, id)
	w.mu.Unlock()
	end, err := json.Marshal(session.End{Reason: session.ReasonIdle, At: session.Millis(time.Now())})
	check(err)
	w.say(w.nodeOf(i), fmt.Appendf(nil, `{"kind":"ended","id":"%x","end":%s}`, id[:], end))
}

// everyone has another node end all sessions.
func (w *world) everyone() {
	now := session.Millis(time.Now())
	w.mu.Lock()
	f := session.Revocation{
		ID:          "k3vq5ybz2mk3vq5ybz2m",
		Number:      int64(len(w.revocations)) + 1,
		Scope:       session.Scope{Everyone: true},
		Actor:       "root",
		Message:     endedMessage,
		At:          now,
		EffectiveAt: now,
	}
	w.revocations, w.mass = append(w.revocations, f), true
	w.mu.Unlock()
	data, err := json.Marshal(f)
	check(err)
	w.say(1, fmt.Appendf(nil, `{"kind":"fact","fact":%s}`, data))
}

// simulated is a node in a world of so many sessions. Its commands tell figures.
func simulated(sessions int) (h http.Handler, command func(name string, n int) string, stop func()) {
	w := newWorld(sessions)
	w.start(time.Now())
	debug.FreeOSMemory()
	before := residentOf(os.Getpid())
	begin := time.Now()
	tabs, pages, shut := node(w, w)
	took := time.Since(begin)
	return pages, func(name string, _ int) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			switch name {
			case "cookies":
				var cookies []string
				for _, t := range w.tokens {
					cookies = append(cookies, gorilla.CookieName+"="+t.Text())
				}
				return strings.Join(cookies, " ")
			case "live":
				go w.live()
			case "everyone":
				go w.everyone()
			case "before":
				return fmt.Sprint(before)
			case "loading":
				return fmt.Sprint(took.Seconds())
			case "left":
				return fmt.Sprint(tabs.Stats().Sessions)
			case "spent":
				return fmt.Sprint(w.feedCPU.Seconds(), " ", w.messages, " ", w.bytes)
			case "late":
				slices.Sort(w.late)
				if len(w.late) == 0 {
					return "none"
				}
				return fmt.Sprint(len(w.late), " ", percentiles(w.late))
			case "calls":
				return fmt.Sprint(w.calls)
			}
			return "done"
		}, func() {
			w.mu.Lock()
			w.stopped = true
			w.mu.Unlock()
			shut()
		}
}

// figure asks the server for a number.
func (s *server) figure(name string) float64 { return s.figures(name)[0] }

func (s *server) figures(name string) (list []float64) {
	for _, text := range strings.Fields(s.ask(name + " 0")) {
		n, err := strconv.ParseFloat(text, 64)
		check(err)
		list = append(list, n)
	}
	return list
}

func measureSimulation() {
	giveWay()
	for _, text := range strings.Split(*simulatedSizes, ",") {
		sessions, err := strconv.Atoi(text)
		check(err)
		simulate(sessions)
	}
}

func simulate(sessions int) {
	began := time.Now()
	s := startServer("-serve", "simulated", "-sessions", strconv.Itoa(sessions))
	defer s.stop()
	w := newWorld(sessions)
	fmt.Printf("\na node among %d, with %d of %.0f tabs and all %d sessions\n", w.nodes, simulatedTabs,
		float64(sessions)*tabsPerSession, sessions)
	pause(w.opening - 60*time.Second - time.Since(began)) // word of all tabs is read
	fmt.Printf("  start: %.1f s to read the sessions; %.0f bytes of memory for each, with word of its tabs\n",
		s.figure("loading"), (s.rss()-s.figure("before"))/float64(sessions))
	used := s.cpu()
	const rest = 30 * time.Second // with one look at all sessions for the console's plot
	pause(rest)
	fmt.Printf("  at rest: %.1f %% of a core\n", (s.cpu()-used)/rest.Seconds()*100)
	list := s.open(s.cookiesOf("cookies", simulatedTabs))
	if time.Since(began) > w.opening {
		log.Fatalf("the machine is too slow: %s until all tabs were open, not %s", time.Since(began), w.opening)
	}
	pause(w.opening - time.Since(began))
	s.ask("live 0")
	used, spent := s.cpu(), s.figures("spent")
	pause(simulatedFor)
	cpu, now := s.cpu()-used, s.figures("spent")
	feed, messages, bytes := now[0]-spent[0], now[1]-spent[1], now[2]-spent[2]
	var late []float64
	var open []*tab
	for i, t := range list {
		if i%2 == 0 {
			open = append(open, t)
			continue
		}
		select {
		case <-t.expired:
			late = append(late, t.late.Seconds()*1000)
		case <-time.After(10 * time.Second):
			log.Fatal("a session did not end")
		}
	}
	perSecond := 1 / simulatedFor.Seconds()
	fmt.Printf("  people of %d sessions act: %.0f messages a second from other nodes, %.1f MB; %.0f %% of a core\n",
		sessions/2, messages*perSecond, bytes*perSecond/1e6, (cpu-feed)*perSecond*100)
	fmt.Printf("  lateness of %d idle timeouts at their tabs: %s\n", len(late), percentiles(late))
	fmt.Printf("  lateness of those that lost their node, whoever's turn it was: %s\n", s.ask("late 0"))
	fmt.Printf("  calls: %s\n", s.ask("calls 0"))

	used = s.cpu()
	begin := time.Now()
	s.ask("everyone 0")
	ms := arrivals(open, begin)
	fmt.Printf("  forced logout of everyone, called on another node, at %d tabs: %s\n", len(open), percentiles(ms))
	for s.figure("left") > 0 {
		if time.Since(begin) > 3*writtenWithin {
			fmt.Printf("  %.0f sessions are still known\n", s.figure("left"))
			break
		}
		pause(100 * time.Millisecond)
	}
	spent = s.figures("spent")
	took := time.Since(begin)
	fmt.Printf("  after %.0f s all were forgotten, %.0f %% of a core meanwhile\n", took.Seconds(),
		(s.cpu()-used-(spent[0]-now[0]))/took.Seconds()*100)
	fmt.Printf("  calls: %s\n", s.ask("calls 0"))
	for _, t := range list {
		t.close()
	}
}
