package hub

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"curfew/session"
)

// Several nodes over one store. The store is the truth, and every node knows every live session
// from it; what the nodes tell each other only hurries, and may be lost, late or repeated. A node's
// pulse, once a second, finds what was lost: the store numbers sign-ins, ends and forced logouts.
//
// A node that has tabs of a session leaves word of them for the others, and so the tabs of all
// nodes are counted everywhere: for presence, and before a closed browser ends a session. When a
// node's lease has run out, its tabs are gone.

// Times between nodes. They are real time.
const (
	pulseEvery   = time.Second
	pulseLimit   = 3 * time.Second        // how long one pulse may take
	catchUpLimit = time.Minute            // how long it may take to read or write all that a node has missed
	reportEvery  = 200 * time.Millisecond // how often word of changed tabs is left
	// how often what no event tells is looked at: tabs that do not answer
	censusEvery = 5 * time.Second
	silentAfter = 3 * time.Second // a node that does not hear itself subscribes anew
	// after the store was away: nodes write what they know before any ends a session
	recoverFor = 2 * time.Second
	// ends and revocations of that age are written again after a fail-over
	restoredAfterFailover = 10 * time.Minute
	departedGrace         = 10 * time.Second // for the tabs of a node that has gone to come back elsewhere
	pulsesTogether        = 50               // how often a pulse is repeated at once when there is more to read
	// audit lines that are read again after a fail-over: lost ones leave their numbers to others
	linesBack    = 10_000
	callPatience = 5 * time.Second // for other nodes to do what a test asks
	// how often what a node of a later version has told is looked for in the store
	newerEvery = 5 * time.Second
)

// nodes is what a hub knows of the others.
type nodes struct {
	hub         *Hub
	shared      session.SharedStore
	self        string               // this run of this process
	syncedClock *session.SyncedClock // nil: the store's time is not taken

	inbox      chan []byte
	catchUpNow chan struct{} // a pulse wants catchUp
	reporting  sync.Mutex    // held while word of tabs is left
	advancing  sync.Mutex    // held while the test clock is moved
	synced     time.Time     // when the last resync began; used by catchUp alone

	looked    time.Time // when lost sessions were last looked for; used by catchUp alone, as the next one
	nextShard int

	mu           sync.Mutex
	queue        []event
	skipped      bool // events were not queued, since there were too many
	wake         chan struct{}
	sent         int64
	nodes        map[string]*node
	silentSince  time.Time // since when nothing was heard of oneself
	cutOff       context.CancelFunc
	after        uint64    // the audit line up to which all is known
	highestLine  uint64    // what after was when the masters changed
	epoch        string    // to which this node has written again what they may have lost
	seenEpoch    string    // the masters, as the last pulse found them
	resyncWanted bool      // the subscription has begun anew, or something else was missed
	reportAll    bool      // word of all tabs is to be left
	away         bool      // the last pulse has failed
	leased       time.Time // until when the store may be believed; see inReach
	recovered    time.Time
	changed      map[*liveSession]struct{} // whose tabs have changed since word was left
	reports      map[session.ID]string     // the word that was left
	refetch      map[session.ID]struct{}   // to be read from the store
	suspects     map[session.ID]suspicion  // sessions that the store may have lost
	ends         map[session.ID]recentEnd  // of the last restoredAfterFailover
	// those written again to restoredTo, while others are yet to be; see restoreEnds
	restored   map[session.ID]struct{}
	restoredTo string
	pending    map[string]map[string]bool // calls: nodes that have not answered
	answered   chan struct{}              // closed when a node answers
	leaves     bool                       // the hub is shutting down
	forget     bool                       // all was reset: audit lines are numbered from the beginning
	index      int                        // place among the nodes
	count      int                        // how many nodes there are
}

// node is another node.
type node struct {
	name       string
	lastNumber int64                   // number of its last message
	tabs       map[session.ID]struct{} // sessions with tabs there
	stale      bool                    // word of its tabs was missed
	newer      bool                    // it speaks a later version
}

func newNodes(h *Hub, peers session.SharedStore, steered *session.SyncedClock) *nodes {
	return &nodes{
		hub: h, shared: peers, self: h.node + "/" + rand.Text()[:10], syncedClock: steered, wake: make(chan struct{}, 1), inbox: make(chan []byte, 4096), catchUpNow: make(chan struct{}, 1),
		nodes: make(map[string]*node), silentSince: time.Now(), changed: make(map[*liveSession]struct{}), reports: make(map[session.ID]string),
		refetch: make(map[session.ID]struct{}), suspects: make(map[session.ID]suspicion), ends: make(map[session.ID]recentEnd), pending: make(map[string]map[string]bool), count: 1,
	}
}

// join makes this a node among the others, before the hub reads the store.
func (n *nodes) join(ctx context.Context) (err error) {
	if n.after, err = n.shared.LastLine(ctx); err != nil {
		return err
	}
	p, err := n.shared.Pulse(ctx, n.self, n.after)
	if err != nil {
		return err
	}
	n.takePulse(p)
	n.mu.Lock()
	n.epoch, n.seenEpoch, n.resyncWanted, n.reportAll = p.Epoch, p.Epoch, true, true
	n.mu.Unlock()
	n.lookForDead(p.Nodes)
	n.followClock(ctx, p.Offset)
	n.hub.emit(event{Kind: eventPing})
	return nil
}

// depart gives up the lease. The tabs that have left come back on other nodes.
func (n *nodes) depart(ctx context.Context) error {
	n.hub.emit(event{Kind: eventDeparts})
	return n.shared.RemoveNode(ctx, n.self)
}

func (n *nodes) departing() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leaves
}

// Messages between nodes.
