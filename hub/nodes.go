package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"curfew/session"
)

// Several nodes over one store. The store is the truth, and every node knows every live session from it; what the nodes tell
// each other only hurries, and may be lost, late or repeated. A node's pulse, once a second, finds what was lost: the
// store numbers sign-ins, ends and forced logouts.
//
// A node that has tabs of a session leaves word of them for the others, and so the tabs of all nodes are counted
// everywhere: for presence, and before a closed browser ends a session. When a node's lease has run out, its tabs are gone.

// Peers is what a store offers to nodes that share it. session/redis has it.
type Peers interface {
	// Publish sends a message to all nodes, this one included. It may be lost.
	Publish(ctx context.Context, message []byte) error
	// Subscribe calls heard with every message and began whenever the subscription has begun anew, until ctx ends or it fails.
	Subscribe(ctx context.Context, began func(), heard func(message []byte)) error
	// Pulse renews the node's lease and tells what comes after an audit line.
	Pulse(ctx context.Context, node string, after uint64) (session.Pulse, error)
	// Masters names the servers that decide now: another text after a restart or a fail-over.
	Masters(ctx context.Context) string
	// LastLine is the number of the newest audit line.
	LastLine(ctx context.Context) (uint64, error)
	// Depart gives up the lease.
	Depart(ctx context.Context, node string) error
	// SetTabs leaves word of a node's tabs, by session; an empty text means none.
	SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error
	// Tabs reads what a node has left by SetTabs.
	Tabs(ctx context.Context, node string) (map[session.ID]string, error)
	// GetMany reads the sessions that are known among these.
	GetMany(ctx context.Context, ids []session.ID) ([]session.Record, error)
	// Missing tells which of these sessions the store does not know.
	Missing(ctx context.Context, ids []session.ID) (missing []session.ID, err error)
	// EndLost ends those of the sessions that the store still does not know, as End would have, and tells which.
	EndLost(ctx context.Context, records []session.Record, end session.End) (lost []session.ID, err error)
	// FactsAfter lists the facts that were added or called off since LastFact was after, or all facts (all is true) where that
	// cannot be told, and tells LastFact as it was before it looked.
	FactsAfter(ctx context.Context, after int64) (facts []session.Fact, last int64, all bool, err error)
	// RestoreFacts stores facts under their own numbers, and that they were called off, where that is not known. No fact gets
	// a number up to last any more.
	RestoreFacts(ctx context.Context, facts []session.Fact, last int64) error
	// Keep leaves a text under a name for other nodes, for a while; Kept reads them.
	Keep(ctx context.Context, kind, name, text string, forHowLong time.Duration) error
	Kept(ctx context.Context, kind string) (map[string]string, error)
	// MoveClock moves the test clocks of all nodes and returns how far they are ahead of the store's.
	MoveClock(ctx context.Context, by time.Duration) (ahead time.Duration, err error)
	// SetOffset says how far this node's test clock is ahead.
	SetOffset(ahead time.Duration)
}

// Times between nodes. They are real time.
const (
	pulseEvery     = time.Second
	pulseLimit     = 3 * time.Second        // how long one pulse may take
	catchUpLimit   = time.Minute            // how long it may take to read or write all that a node has missed
	wordEvery      = 200 * time.Millisecond // how often word of changed tabs is left
	censusEvery    = 5 * time.Second        // how often what no event tells is looked at: tabs that do not answer
	deafAfter      = 3 * time.Second        // a node that does not hear itself subscribes anew
	settleFor      = 2 * time.Second        // after the store was away: nodes write what they know before any ends a session
	restoredFor    = 10 * time.Minute       // ends and facts of that age are written again after a fail-over
	departedGrace  = 10 * time.Second       // for the tabs of a node that has gone to come back elsewhere
	pulsesTogether = 50                     // how often a pulse is repeated at once when there is more to read
	linesBack      = 10_000                 // audit lines that are read again after a fail-over: lost ones leave their numbers to others
	callPatience   = 5 * time.Second        // for other nodes to do what a test asks
	newerEvery     = 5 * time.Second        // how often what a node of a later version has told is looked for in the store
)

// nodes is what a hub knows of the others.
type nodes struct {
	hub     *Hub
	peers   Peers
	self    string                // this run of this process
	steered *session.SteeredClock // nil: the store's time is not taken

	inbox   chan []byte
	behind  chan struct{} // a pulse wants catchUp
	wording sync.Mutex    // held while word of tabs is left
	looks   looks
	leaping sync.Mutex // held while the test clock is moved
	synced  time.Time  // when the last resync began; used by catchUp alone

	looked    time.Time // when lost sessions were last looked for; used by catchUp alone, as the next one
	nextShard int

	mu         sync.Mutex
	queue      []event
	skipped    bool // events were not queued, since there were too many
	wake       chan struct{}
	sent       int64
	others     map[string]*node
	deaf       time.Time // since when nothing was heard of oneself
	cutOff     context.CancelFunc
	after      uint64    // the audit line up to which all is known
	highest    uint64    // what after was when the masters changed
	masters    string    // to which this node has written again what they may have lost
	found      string    // the masters, as the last pulse found them
	began      bool      // the subscription has begun anew, or something else was missed
	unworded   bool      // word of all tabs is to be left
	away       bool      // the last pulse has failed
	leased     time.Time // until when the store may be believed; see inReach
	settled    time.Time
	changed    map[*live]struct{}       // whose tabs have changed since word was left
	words      map[session.ID]string    // the word that was left
	unsure     map[session.ID]struct{}  // to be read from the store
	suspects   map[session.ID]suspicion // sessions that the store may have lost
	ends       map[session.ID]recentEnd // of the last restoredFor
	restored   map[session.ID]struct{}  // those written again to restoredTo, while others are yet to be; see restoreEnds
	restoredTo string
	pending    map[string]map[string]bool // calls: nodes that have not answered
	answered   chan struct{}              // closed when a node answers
	leaves     bool                       // the hub is shutting down
	forget     bool                       // all was reset: audit lines are numbered from the beginning
	rank       int                        // place among the nodes
	size       int                        // how many nodes there are
}

type recentEnd struct {
	end *session.End // nil: all that is known is that it ended
	at  time.Time
}

// node is another node.
type node struct {
	name  string
	heard int64                   // number of its last message
	tabs  map[session.ID]struct{} // sessions with tabs there
	stale bool                    // word of its tabs was missed
	newer bool                    // it speaks a later version
}

func newNodes(h *Hub, peers Peers, steered *session.SteeredClock) *nodes {
	return &nodes{
		hub: h, peers: peers, self: h.node + "/" + rand.Text()[:10], steered: steered, wake: make(chan struct{}, 1), inbox: make(chan []byte, 4096), behind: make(chan struct{}, 1),
		others: make(map[string]*node), deaf: time.Now(), changed: make(map[*live]struct{}), words: make(map[session.ID]string),
		unsure: make(map[session.ID]struct{}), suspects: make(map[session.ID]suspicion), ends: make(map[session.ID]recentEnd), pending: make(map[string]map[string]bool), size: 1,
	}
}

// join makes this a node among the others, before the hub reads the store.
func (n *nodes) join(ctx context.Context) (err error) {
	if n.after, err = n.peers.LastLine(ctx); err != nil {
		return err
	}
	p, err := n.peers.Pulse(ctx, n.self, n.after)
	if err != nil {
		return err
	}
	n.takePulse(p)
	n.mu.Lock()
	n.masters, n.found, n.began, n.unworded = p.Masters, p.Masters, true, true
	n.mu.Unlock()
	n.lookForDead(p.Nodes)
	n.followClock(ctx, p.Offset)
	n.hub.emit(event{Kind: eventHere})
	return nil
}

// depart gives up the lease. The tabs that have left come back on other nodes.
func (n *nodes) depart(ctx context.Context) error {
	n.hub.emit(event{Kind: eventDeparts})
	return n.peers.Depart(ctx, n.self)
}

func (n *nodes) departing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaves
}

// tellBegun tells the other nodes of a sign-in.
func (h *Hub) tellBegun(r session.Record) {
	if h.nodes == nil {
		return
	}
	r.Values = nil
	data, err := r.Encode()
	if err != nil {
		h.log.Error("other nodes not told of a sign-in", "error", err)
		return
	}
	h.emit(event{Kind: eventBegun, ID: &r.ID, Record: data})
}

// tellEnded tells the other nodes of an end that is stored.
func (h *Hub) tellEnded(id session.ID, end session.End) {
	if h.nodes != nil {
		h.nodes.ended(id, &end)
		h.emit(event{Kind: eventEnded, ID: &id, End: &end})
	}
}

// tellActed tells the other nodes of activities that are stored.
func (h *Hub) tellActed(list []session.Activity) {
	if h.nodes == nil {
		return
	}
	for chunk := range slices.Chunk(list, 1000) {
		acts := make(map[session.ID]int64, len(chunk))
		for _, a := range chunk {
			acts[a.ID] = a.At.UnixMilli()
		}
		h.emit(event{Kind: eventActed, Acts: acts})
	}
}

// Messages between nodes.

// messageVersion is the oldest version that understands what this one sends. A node passes over newer messages, and finds
// by its pulse what they told.
const messageVersion = 1

// message is several events of one node.
type message struct {
	Version int     `json:"v"` // this and the next three are of every version, and come first
	Node    string  `json:"node"`
	Name    string  `json:"name"`
	Number  int64   `json:"n"` // one more each time
	Events  []event `json:"events"`
}

// eventKind says what an event tells. Unknown ones are passed over.
type eventKind string

const (
	eventHere    eventKind = "here"  // nothing else: that messages arrive
	eventBegun   eventKind = "begun" // a session
	eventEnded   eventKind = "ended" // a session
	eventActed   eventKind = "acted" // activities, which are stored
	eventLeft    eventKind = "left"  // how tabs came and went: the last one was closed, one is open again, a page was asked for
	eventRules   eventKind = "rules" // groups or policy of a session have changed
	eventFact    eventKind = "fact"  // a forced logout was made or called off
	eventFates   eventKind = "fates" // how far a forced logout has come on a node
	eventNotice  eventKind = "notice"
	eventTabs    eventKind = "tabs"    // word of tabs
	eventDeparts eventKind = "departs" // a node stops
	eventFlush   eventKind = "flush"   // write what is not stored: the clock will be moved
	eventLeap    eventKind = "leap"    // the clock was moved
	eventReset   eventKind = "reset"
	eventDone    eventKind = "done" // a call was answered
)

type event struct {
	Kind   eventKind             `json:"kind"`
	ID     *session.ID           `json:"id,omitempty"`
	Record json.RawMessage       `json:"record,omitempty"`
	End    *session.End          `json:"end,omitempty"`
	At     int64                 `json:"at,omitempty"`    // Unix ms
	Times  *tabTimes             `json:"times,omitempty"` // of eventLeft; an older version tells At alone
	Acts   map[session.ID]int64  `json:"acts,omitempty"`
	Fact   *session.Fact         `json:"fact,omitempty"`
	Fates  *fates                `json:"fates,omitempty"`
	Notice *noticeEvent          `json:"notice,omitempty"`
	Tabs   map[session.ID]string `json:"tabs,omitempty"`
	Call   string                `json:"call,omitempty"`
	Ahead  int64                 `json:"ahead,omitempty"` // ms
}

// queuedTogether bounds what waits to be published while the store takes its time. Further events are not told: the others find in
// the store what has changed, and read word of tabs anew, since a number is missing.
const queuedTogether = 50_000

// emit tells the other nodes. It never waits.
func (h *Hub) emit(e event) {
	n := h.nodes
	if n == nil {
		return
	}
	n.mu.Lock()
	if len(n.queue) < queuedTogether {
		n.queue = append(n.queue, e)
	} else {
		n.skipped = true
	}
	n.mu.Unlock()
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// sendLoop publishes what was emitted, in its order.
func (n *nodes) sendLoop() {
	for {
		select {
		case <-n.hub.ctx.Done():
			n.send(context.WithoutCancel(n.hub.ctx))
			return
		case <-n.wake:
		}
		n.send(n.hub.ctx)
	}
}

// messageWeight bounds a message.
const messageWeight = 200

// weight says how long an event is.
func (e *event) weight() int {
	w := 1 + len(e.Tabs) + len(e.Acts)/5
	if e.Fates != nil {
		w += len(e.Fates.Tabs)
	}
	return w
}

func (n *nodes) send(ctx context.Context) {
	n.mu.Lock()
	queue := n.queue
	n.queue = nil
	if n.skipped {
		n.skipped = false
		n.sent++
	}
	n.mu.Unlock()
	for len(queue) > 0 {
		together, weight := 0, 0
		for together < len(queue) && (together == 0 || weight+queue[together].weight() <= messageWeight) {
			weight += queue[together].weight()
			together++
		}
		events := queue[:together]
		queue = queue[together:]
		n.sent++ // the others notice a number that is missing
		data, err := json.Marshal(message{messageVersion, n.self, n.hub.node, n.sent, events})
		if err != nil {
			n.hub.log.Error("message to other nodes not written", "error", err)
			continue
		}
		if err := n.peers.Publish(ctx, data); err != nil {
			n.hub.log.Debug("other nodes not told", "error", err)
			return // nor of the rest: that would come late, when the store is back
		}
	}
}

// hearLoop listens to the other nodes.
func (n *nodes) hearLoop() {
	for n.hub.ctx.Err() == nil {
		ctx, cancel := context.WithCancel(n.hub.ctx)
		n.mu.Lock()
		n.cutOff, n.deaf = cancel, time.Now()
		n.mu.Unlock()
		err := n.peers.Subscribe(ctx, func() {
			n.mu.Lock()
			n.began = true
			n.mu.Unlock()
		}, n.receive)
		cancel()
		if n.hub.ctx.Err() == nil {
			n.hub.log.Debug("other nodes not heard", "error", err)
			n.hub.rest(pulseEvery / 4)
		}
	}
}

// receive keeps a message for takeLoop: whoever brings it also brings the answers of the store, and must not wait.
func (n *nodes) receive(data []byte) {
	select {
	case n.inbox <- data:
	default:
		n.again() // what it tells is to be found in the store
	}
}

// takeLoop takes in messages in their order.
func (n *nodes) takeLoop() {
	for {
		select {
		case <-n.hub.ctx.Done():
			return
		case data := <-n.inbox:
			n.heard(data)
		}
	}
}

// heard takes in a message.
func (n *nodes) heard(data []byte) {
	var m message
	if err := json.Unmarshal(data, &m); err != nil && m.Version <= messageVersion {
		n.hub.log.Warn("message of another node not understood", "error", err)
		return
	}
	n.mu.Lock()
	if m.Node == n.self {
		n.deaf = time.Now()
		n.mu.Unlock()
		return
	}
	other := n.otherLocked(m.Node)
	other.name = m.Name
	if m.Number != other.heard+1 {
		other.stale = true
		n.began = n.began || other.heard > 0 // what else was lost is to be found in the store
	}
	other.heard = m.Number
	if m.Version > messageVersion {
		other.newer = true // what it told is to be found in the store
		n.mu.Unlock()
		return
	}
	n.mu.Unlock()
	for i := range m.Events {
		n.take(m.Node, &m.Events[i])
	}
}

func (n *nodes) otherLocked(instance string) *node {
	other := n.others[instance]
	if other == nil {
		name := instance
		if i := slices.Index([]byte(instance), '/'); i >= 0 {
			name = instance[:i]
		}
		other = &node{name: name, tabs: make(map[session.ID]struct{}), stale: true}
		n.others[instance] = other
	}
	return other
}

// take does what follows from an event of another node.
func (n *nodes) take(from string, e *event) {
	h := n.hub
	var s *live
	if e.ID != nil {
		s = h.live(*e.ID)
	}
	switch e.Kind {
	case eventBegun:
		if e.ID == nil {
			return
		}
		if r, err := session.Decode(*e.ID, e.Record); err == nil && s == nil {
			n.begun(r)
		}
	case eventEnded:
		if e.ID != nil && e.End != nil && s == nil {
			n.ended(*e.ID, e.End) // word of its sign-in may be late
		}
		if s != nil && e.End != nil {
			h.note(s, "decision", "ended elsewhere: "+string(e.End.Reason))
			h.finish(s, *e.End)
		}
	case eventActed:
		for id, at := range e.Acts {
			if s := h.live(id); s != nil {
				h.actedElsewhere(s, session.FromUnixMilli(at))
			}
		}
	case eventLeft:
		if s != nil {
			h.leftElsewhere(s, e)
		}
	case eventRules:
		if s != nil {
			n.lookAt(s.id)
		}
	case eventFact:
		if e.Fact != nil {
			h.takeFact(*e.Fact)
		}
	case eventFates:
		if e.Fates != nil {
			h.fatesElsewhere(from, *e.Fates)
		}
	case eventNotice:
		if e.Notice != nil {
			h.noticeElsewhere(*e.Notice)
		}
	case eventTabs:
		for id, word := range e.Tabs {
			n.tabsElsewhere(from, id, word)
		}
	case eventDeparts:
		n.gone(from)
	case eventFlush, eventLeap, eventReset:
		call := *e
		h.spawn(func() { n.answer(call) })
	case eventDone:
		n.done(from, e.Call)
	}
}

// begun takes in a session that was signed in on another node.
func (n *nodes) begun(r session.Record) {
	h := n.hub
	if n.wasEnded(r.ID) {
		return // word of its end came first
	}
	s, isNew := h.admit(r)
	if !isNew {
		return
	}
	h.schedule(s)
	if n.wasEnded(r.ID) { // it came meanwhile, and found nobody
		n.lookAt(r.ID)
	}
}

// endOf is the end of a session, if this node has seen it in the last minutes; else nil.
func (n *nodes) endOf(id session.ID) *session.End {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.ends[id].end
}

// wasEnded reports whether a session has ended in the last minutes: word of its sign-in comes too late.
func (n *nodes) wasEnded(id session.ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, ended := n.ends[id]
	return ended
}

// ended notes an end, to be written again should it be lost. nil: only that there was one.
func (n *nodes) ended(id session.ID, end *session.End) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if end != nil || n.ends[id].end == nil {
		n.ends[id] = recentEnd{end, time.Now()}
	}
}

// lookAt has a session read from the store.
func (n *nodes) lookAt(id session.ID) {
	n.mu.Lock()
	n.unsure[id] = struct{}{}
	n.mu.Unlock()
	n.hub.spawn(func() { n.readUnsure(n.hub.ctx) })
}

// readUnsure reads the sessions that are to be looked at.
func (n *nodes) readUnsure(ctx context.Context) {
	n.mu.Lock()
	unsure := n.unsure
	n.unsure = make(map[session.ID]struct{})
	n.mu.Unlock()
	if err := n.read(ctx, slices.Collect(maps.Keys(unsure))); err != nil {
		n.hub.log.Debug("sessions not read", "error", err)
		n.mu.Lock()
		maps.Copy(n.unsure, unsure)
		n.mu.Unlock()
	}
}

// read takes over what the store knows of sessions.
func (n *nodes) read(ctx context.Context, ids []session.ID) error {
	if len(ids) == 0 {
		return nil
	}
	records, err := n.peers.GetMany(ctx, ids)
	if err != nil {
		return err
	}
	if len(records) < len(ids) {
		known := make(map[session.ID]bool, len(records))
		for _, r := range records {
			known[r.ID] = true
		}
		n.suspect(slices.DeleteFunc(slices.Clone(ids), func(id session.ID) bool { return known[id] })...)
	}
	for _, r := range records {
		n.compare(ctx, r)
	}
	return nil
}

// compare takes over what the store knows of a session.
func (n *nodes) compare(ctx context.Context, r session.Record) {
	h := n.hub
	s := h.live(r.ID)
	switch {
	case r.End != nil:
		if s != nil {
			h.note(s, "decision", "found ended: "+string(r.End.Reason))
			h.finish(s, *r.End)
		}
	case s == nil:
		n.begun(r)
	default:
		n.compareRules(ctx, s, r)
		h.actedElsewhere(s, r.LastActiveAt)
		if h.takeStored(s, r) {
			h.leaving.add(s)
		}
	}
}

// compareRules takes over the rules that the store has for s. Older ones than those known were read before these were stored, or a fail-over
// has lost these: the store knows which.
func (n *nodes) compareRules(ctx context.Context, s *live, r session.Record) {
	known := s.record.Load().Revision
	if r.Revision >= known {
		n.hub.takeRules(s, r.Rules(), r.Revision)
		return
	}
	again, err := n.hub.store.Get(ctx, s.id)
	if err != nil {
		n.lookAt(s.id)
		return
	}
	n.hub.replaceRules(s, again.Rules(), again.Revision, func(now int64) bool { return now == known && again.Revision != known })
}
