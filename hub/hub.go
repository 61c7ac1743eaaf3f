package hub

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"

	"curfew/hub/internal/cluster"
	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// Options are what a hub is made of, for [New]. Store, Clock and Policies must be set. The zero
// value of any other field is usable.
type Options struct {
	Store session.Store
	// Shared is what Store offers to several nodes. nil means that no other process writes to the
	// store.
	Shared      session.SharedStore
	Clock       session.Clock
	TestClock   *session.TestClock   // the test clock behind Clock; nil without --testing
	SyncedClock *session.SyncedClock // a clock behind Clock that follows the store's; may be nil
	Policies    session.Policies
	Admins      []string    // groups whose members may administer
	Presence    PresenceFor // whose pages may watch the presence of others; empty: nobody's
	Node        string      // name of this process
	// Origins are those of further pages that may open the socket, beside the one of [Endpoint]:
	// scheme://host[:port], compared exactly.
	Origins  []string
	MaxTabs  int    // of this process; 0: no limit
	SignIn   string // path of the sign-in page; a page is told it when its session ends
	Log      *slog.Logger
	Meter    Meter     // may be nil
	Timeline *Timeline // records what happens, for --testing; may be nil
}

// Hub holds the live sessions and their tabs. A program makes one by [New] and stops it by
// [Hub.Shutdown]. Its methods may be called concurrently. See the package comment for the order in
// which the locks of its parts may be nested.
type Hub struct {
	fixed
	*lifecycle

	cluster *cluster.Member // this node among others; never compared with nil

	// Parts. Each has its own lock.
	registry         // live sessions by ID
	users            *userIndex
	tabs             tickWheel
	tabLimits        tabLimits
	writers          socket.Writers
	revocations      revocation.Register
	notices          notices
	orphans          orphans
	unstoredTabTimes tabTimesQueue
	former           formerQueue
	refusedOrigins   refusedOrigins
	stats            stats
	waves            *waves

	policies atomic.Pointer[session.Policies]
	seq      atomic.Int64 // number of the newest message to any tab
	opened   atomic.Int64 // how many tabs were ever opened

	testAids
}

// testAids serve --testing.
type testAids struct {
	faults   *faults
	timeline *Timeline
}

// fixed are the settings that a hub gets from its Options. They never change.
type fixed struct {
	store     session.Store
	clock     session.Clock
	testClock *session.TestClock
	admins    []string
	presence  PresenceFor
	node      string
	origins   map[string]bool
	signIn    string
	log       *slog.Logger
	meter     Meter
	cores     int
	marks     session.Marks // by a key of the store; set by load
}

func newFixed(o Options) fixed {
	f := fixed{
		store:     o.Store,
		clock:     o.Clock,
		testClock: o.TestClock,
		admins:    o.Admins,
		presence:  o.Presence,
		node:      o.Node,
		origins:   make(map[string]bool),
		signIn:    o.SignIn,
		log:       o.Log,
		meter:     o.Meter,
		cores:     runtime.GOMAXPROCS(0),
	}
	for _, origin := range o.Origins {
		f.origins[origin] = true
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.meter == nil {
		f.meter = noMeter{}
	}
	return f
}

// New loads the live sessions of the store, applies the policies to them, and starts the hub.
// Sessions that came due meanwhile end soon after. ctx bounds the loading and not the life of the
// hub, which [Hub.Shutdown] ends. An error comes from the store; nothing is left running then.
func New(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{
		fixed:     newFixed(o),
		lifecycle: newLifecycle(ctx),
		users:     newUserIndex(),
		tabLimits: tabLimits{limit: o.MaxTabs},
		testAids:  testAids{newFaults(), o.Timeline},
	}
	h.waves = newWaves(h.lifecycle, h.tabs.count)
	h.policies.Store(&o.Policies)
	h.index = newSessionIndex()
	h.ends.idle.L = &h.ends.mu
	h.writers.Cores, h.writers.Go = h.cores, h.running.Go
	h.writers.Stalled, h.writers.Counted = h.faults.stalled, h.timeline != nil
	for i := range h.shards {
		h.shards[i] = &shard{hub: h, sessions: make(map[session.ID]*liveSession)}
	}
	h.cluster = cluster.New(cluster.Options{
		Context:     h.ctx,
		Local:       local{h},
		Shared:      o.Shared,
		Name:        o.Node,
		Clock:       o.Clock,
		TestClock:   o.TestClock,
		SyncedClock: o.SyncedClock,
		Log:         h.log,
	})
	h.revocations.Shared = !h.cluster.Alone()
	if err := h.load(ctx, o.Policies); err != nil {
		h.beginClosing() // deadlines of the sessions that were read are not judged any more
		h.cancel()
		return nil, err
	}
	h.loaded.Store(true)
	h.cluster.Run()
	h.running.Go(h.flushLoop)
	h.running.Go(h.tabTimesLoop)
	h.running.Go(h.formerLoop)
	h.running.Go(h.tickLoop)
	h.running.Go(h.sampleLoop)
	h.running.Go(h.garbageLoop)
	return h, nil
}

// load joins the other nodes, and reads the revocations and the live sessions of the store.
func (h *Hub) load(ctx context.Context, policies session.Policies) error {
	// First, so that what is stored after the sessions were read is told, or found by the pulse.
	if err := h.cluster.Join(ctx); err != nil {
		return err
	}
	if err := h.loadRevocations(ctx); err != nil {
		return err
	}
	key, err := h.store.Secret(ctx, "marks")
	if err != nil {
		return err
	}
	h.marks = session.NewMarks(key)
	_, err = h.Reload(ctx, policies)
	return err
}

// Shutdown closes every tab with 1012, so that the pages reconnect, writes what the store does not
// know yet, gives up the node's lease, and waits until no goroutine of the hub runs any more. When
// ctx ends it cuts the connections of pages that have not answered. It is called once. Requests
// that are still served may call the hub meanwhile and afterwards: they start nothing any more. An
// error means that something could not be stored.
func (h *Hub) Shutdown(ctx context.Context) error {
	h.beginClosing()
	h.cluster.PrepareToLeave() // the tabs that are closed now come back elsewhere
	for _, sh := range h.shards {
		sh.stop()
	}
	h.faults.set(FaultNone)
	h.startAll(func(t *tab) bool { return t.Close(wire.StatusRestart, "server restarting") })
	flushed := errors.Join(h.flush(ctx), h.cluster.Leave(ctx))
	h.cancel()
	done := make(chan struct{})
	go func() { h.running.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		for _, t := range h.tabs.all() {
			t.Cut()
		}
		<-done
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	return errors.Join(flushed, h.flush(last))
}

// lastFlush is how long the store may take for what is left at the end of [Hub.Shutdown].
const lastFlush = 5 * time.Second
