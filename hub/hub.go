package hub

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Options of a hub. Store, Clock and Policies must be set.
type Options struct {
	Store    session.Store
	Peers    Peers // what the store offers to nodes that share it; nil: no other process writes to the store
	Clock    session.Clock
	Movable  *session.MovableClock // the test clock behind Clock; nil: there is none
	Steered  *session.SteeredClock // set right by the store's; nil: none
	Policies session.Policies
	Admins   []string    // groups whose members may administer
	Presence PresenceFor // whose pages may watch the presence of others; empty: nobody's
	Node     string      // how this process is called
	Origins  []string    // of pages that may open the socket: scheme://host[:port], compared exactly
	MaxTabs  int         // of this process; 0: no limit
	SignIn   string      // path of the sign-in page, told with an end
	Log      *slog.Logger
	Timeline *Timeline // records what happens, for --testing; may be nil
}

// Hub holds the live sessions and their tabs. Its methods may be called concurrently.
type Hub struct {
	store     session.Store
	nodes     *nodes // nil: this one is alone
	clock     session.Clock
	movable   *session.MovableClock
	admins    []string
	presence  PresenceFor
	node      string
	origins   map[string]bool
	signIn    string
	log       *slog.Logger
	timeline  *Timeline
	cores     int
	shards    [shards]*shard
	faults    *faults
	counts    counts
	people    *people
	refs      refs
	forced    forced
	notices   notices
	abandoned abandoned
	leaving   leavingQueue
	former    formerQueue
	places    places
	history   history
	seq       atomic.Int64 // of the newest message to anybody
	opened    atomic.Int64 // tabs, ever
	admitted  atomic.Int64 // sessions, ever; counted under forced.mu
	loaded    atomic.Bool  // the sessions of the store are known

	ctx     context.Context // ends with Shutdown
	cancel  context.CancelFunc
	running sync.WaitGroup // every goroutine of the hub
	writers atomic.Int64   // tabs that are being written to
	waking  atomic.Int64   // shards that are waking sessions

	mu         sync.Mutex
	policies   session.Policies
	flushEvery time.Duration
	closing    bool
	slots      [tickSlots][]*tab // by the time of their tick; those of a slot opened together
	nextSlot   int
	listing    int64     // counts calls of withTabs
	refusedAt  time.Time // when an origin was last refused into the audit trail
}

// New loads the live sessions of the store, ends what came due meanwhile, and starts. [Hub.Shutdown] stops it.
func New(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{
		store: o.Store, clock: o.Clock, movable: o.Movable, origins: make(map[string]bool), signIn: o.SignIn, log: o.Log, timeline: o.Timeline,
		admins: o.Admins, presence: o.Presence, node: o.Node, people: newPeople(), cores: runtime.GOMAXPROCS(0), faults: newFaults(),
	}
	h.ctx, h.cancel = context.WithCancel(context.WithoutCancel(ctx))
	for _, origin := range o.Origins {
		h.origins[origin] = true
	}
	for i := range h.shards {
		h.shards[i] = &shard{hub: h, sessions: make(map[session.ID]*live)}
	}
	h.places.limit = o.MaxTabs
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if o.Peers != nil {
		h.nodes = newNodes(h, o.Peers, o.Steered)
	}
	err := h.load(ctx, o.Policies)
	if err != nil {
		h.cancel()
		return nil, err
	}
	h.loaded.Store(true)
	if n := h.nodes; n != nil {
		h.running.Go(n.sendLoop)
		h.running.Go(n.hearLoop)
		h.running.Go(n.takeLoop)
		h.running.Go(n.hereLoop)
		h.running.Go(n.pulseLoop)
		h.running.Go(n.catchUpLoop)
		h.running.Go(n.wordLoop)
	}
	h.running.Go(h.flushLoop)
	h.running.Go(h.leavingLoop)
	h.running.Go(h.formerLoop)
	h.running.Go(h.tickLoop)
	h.running.Go(h.history.loop(h))
	return h, nil
}

// load learns what the store knows.
func (h *Hub) load(ctx context.Context, policies session.Policies) error {
	if h.nodes != nil { // before the sessions are read: what comes after that line is found by the pulse
		if err := h.nodes.join(ctx); err != nil {
			return err
		}
	}
	if err := h.loadFacts(ctx); err != nil {
		return err
	}
	_, err := h.Reload(ctx, policies)
	return err
}

// Shutdown closes every tab with 1012, so that the pages reconnect, writes what the store does not know, and waits until
// nothing of the hub runs any more. When ctx ends it stops waiting for the pages.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	h.mu.Unlock()
	if h.nodes != nil { // what leaves now comes back elsewhere: no word of it
		h.nodes.mu.Lock()
		h.nodes.leaves = true
		h.nodes.mu.Unlock()
	}
	for _, sh := range h.shards {
		sh.stop()
	}
	h.faults.set(FaultNone)
	h.startAll(func(t *tab) bool { return t.close(StatusRestart, "server restarting") })
	flushed := h.flush(ctx)
	if h.nodes != nil {
		flushed = errors.Join(flushed, h.nodes.depart(ctx))
	}
	h.cancel()
	done := make(chan struct{})
	go func() { h.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		for _, t := range h.allTabs() {
			t.conn.Close()
		}
		<-done
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	return errors.Join(flushed, h.flush(last))
}

// lastFlush is how long a store may take for what is left at the end of [Hub.Shutdown].
const lastFlush = 5 * time.Second

func (h *Hub) shardOf(id session.ID) *shard { return h.shards[id[0]%shards] }

func (h *Hub) live(id session.ID) *live { return h.shardOf(id).lookup(id) }

// adopt makes sure that r is watched over.
func (h *Hub) adopt(ctx context.Context, r session.Record) *live {
	if s := h.live(r.ID); s != nil {
		return s
	}
	s, isNew := h.admit(r)
	if !isNew {
		return s
	}
	h.schedule(s)
	if h.loaded.Load() {
		switch again, err := h.store.Get(context.WithoutCancel(ctx), r.ID); {
		case err == nil && again.End != nil:
			h.finish(s, *again.End) // it ended after it was read
		case err != nil && !isUnknown(err):
			h.readAgain(s)
		}
	}
	return s
}

// admit makes r one of the live sessions. forced.mu is held until it can be found by its user's name, too: a forced logout sees it, or is
// seen here.
func (h *Hub) admit(r session.Record) (s *live, isNew bool) {
	var start []*tab
	h.forced.mu.RLock()
	if s, isNew = h.shardOf(r.ID).adopt(r, h.forced.coveringLocked(&r)); isNew {
		start = h.enter(s)
		h.admitted.Add(1) // whoever reads it finds s
	}
	h.forced.mu.RUnlock()
	h.start(start)
	if isNew {
		h.notAhead(s)
	}
	return s, isNew
}

// Create stores a new session and watches over it. Those it displaces are told.
func (h *Hub) Create(ctx context.Context, r session.Record) error {
	displaced, err := h.store.Create(ctx, r, r.Policy.MaxSessions)
	if err != nil {
		if !errors.Is(err, session.ErrExists) {
			h.Abandon(r.ID)
		}
		return err
	}
	s := h.adopt(ctx, r)
	h.tellBegun(r)                        // before word of other rules, which nobody else would know whose they are
	if h.policyOf(r.Groups) != r.Policy { // a reload that began before the session was stored has not seen it
		if err := h.changeRules(ctx, s, keepGroups); err != nil {
			h.log.Error("policy not stored", "session", r.ID, "error", err)
		}
	}
	for _, id := range displaced {
		end := session.ReplacedBy(r)
		h.tellEnded(id, end)
		if s := h.live(id); s != nil {
			h.finishAsStored(ctx, s, end)
		}
	}
	return nil
}

// End ends a session, durably, and then tells its tabs. first is true to exactly one caller.
func (h *Hub) End(ctx context.Context, id session.ID, end session.End) (first bool, err error) {
	ctx = context.WithoutCancel(ctx) // whoever asked and hung up has asked all the same
	first, err = h.store.End(ctx, id, end, time.Time{})
	if err != nil {
		if s := h.live(id); s != nil && !isUnknown(err) {
			h.readAgain(s) // it may have been done
		}
		return false, err
	}
	if first {
		h.tellEnded(id, end)
	}
	if s := h.live(id); s != nil {
		if first {
			h.note(s, "decision", "end "+string(end.Reason))
			h.finish(s, end)
		} else {
			h.finishAsStored(ctx, s, end)
		}
	}
	return first, nil
}

// Status is how a session stands now.
type Status struct {
	Record   session.Record
	State    State
	WarnIn   time.Duration // 0 while a warning stands
	ExpireIn time.Duration
	Warning  session.Reason // the one that stands; empty: none
	Message  string         // of the warning
}

// State is what the outside sees of a session.
type State string

// The states of a session.
const (
	StateActive State = "active" // acted within the last minute
	StateIdle   State = "idle"
	StateWarned State = "warned"
	StateAway   State = "away" // signed in with no tab
)

// activeFor is how long after an act a session counts as active.
const activeFor = time.Minute

// Check judges a session now. session.ErrNotFound; session.ErrEnded, where Status.Record tells the end; any other error
// means that the store is out of reach, and nothing may be concluded.
func (h *Hub) Check(ctx context.Context, id session.ID) (Status, error) {
	if err := h.inReach(); err != nil {
		return Status{}, err
	}
	r, err := h.store.Get(ctx, id)
	if isUnknown(err) {
		h.suspect(id)
	}
	if err != nil {
		return Status{}, err
	}
	if h.nodes != nil && r.End == nil { // a fail-over may have lost what this node knows
		r.End = h.nodes.endOf(id)
	}
	if r.End != nil {
		return Status{Record: r}, session.ErrEnded
	}
	if h.nodes != nil { // a forced logout on another node holds from its answer on
		last, err := h.store.LastFact(ctx)
		if err == nil {
			err = h.syncFacts(ctx, last)
		}
		if err != nil {
			return Status{}, err
		}
	}
	s := h.adopt(ctx, r)
	if h.nodes != nil {
		h.actedElsewhere(s, r.LastActiveAt)
		h.takeRules(s, r.Rules(), r.Revision)
		if h.takeStored(s, r) {
			h.leaving.add(s)
		}
	}
	status, due := h.judge(s, r)
	if due {
		came := h.expire(context.WithoutCancel(ctx), s)
		if status, due = h.judge(s, r); due && came != verdictAlive {
			return Status{}, errUndecided
		}
	}
	if status.Record.End != nil {
		return status, session.ErrEnded
	}
	return status, nil
}

// errUndecided is returned of a session that is over by what this node knows, while nobody can say whether another node knows better.
var errUndecided = errors.New("the end of the session is not decided yet")

// judge tells how s stands by what is known here; r is its record as it was read. due: its time is up, and it has not been ended.
func (h *Hub) judge(s *live, r session.Record) (status Status, due bool) {
	now := h.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	known := s.recordLocked()
	r.LastActiveAt, r.LeftAt, r.Forced = known.LastActiveAt, known.LeftAt, known.Forced
	rules := s.record.Load()
	r.Groups, r.Former, r.Policy, r.Revision = rules.Groups, rules.Former, *s.policy.Load(), rules.Revision
	if s.end != nil {
		end := *s.end
		r.End = &end
		return Status{Record: r}, false
	}
	phase, _ := r.Policy.At(r, now)
	st := s.standingLocked(&r.Policy, now)
	state, _ := s.stateLocked(now)
	return Status{Record: r, WarnIn: st.warn, ExpireIn: st.expire, State: state, Warning: st.reason, Message: st.text}, phase == session.Expired
}

// Lookup is [Hub.Check] for those who want the record only.
func (h *Hub) Lookup(ctx context.Context, id session.ID) (session.Record, error) {
	status, err := h.Check(ctx, id)
	return status.Record, err
}

// Save replaces the application's values of a session; see [session.Store].
func (h *Hub) Save(ctx context.Context, id session.ID, version int64, values []byte) error {
	return h.store.Save(ctx, id, version, values)
}

// Act records that the person of a session acted idle ago, or pressed 'Stay signed in' (confirm). session.ErrEnded,
// session.ErrNotFound.
func (h *Hub) Act(ctx context.Context, id session.ID, idle time.Duration, confirm bool) error {
	s := h.live(id)
	if s == nil {
		status, err := h.Check(ctx, id)
		if err != nil {
			return err
		}
		s = h.adopt(ctx, status.Record)
	}
	h.note(s, "input", cond(confirm, "extend by request", "activity by request"))
	return h.act(context.WithoutCancel(ctx), s, idle, confirm) // they have acted, though the request breaks off
}

// startAll starts writers for the tabs for which queue reports that one is needed.
func (h *Hub) startAll(queue func(*tab) bool) {
	var start []*tab
	for _, t := range h.allTabs() {
		if queue(t) {
			start = append(start, t)
		}
	}
	h.start(start)
}
