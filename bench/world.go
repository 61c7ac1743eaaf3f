package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"curfew/session"
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
	fed         load
	mass        bool // everybody is signed out
	stopped     bool
}

// load is what the simulated nodes have sent to the real one.
type load struct {
	cpu      time.Duration // that it took to send
	messages int
	bytes    int
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

func (w *world) GetWithRevocation(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	if r, err = w.Get(ctx, id); err == nil {
		last, err = w.LastRevocation(ctx)
	}
	return r, last, err
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
