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

// Options of a hub. Store, Clock and Policies must be set.
type Options struct {
	Store session.Store
	// what the store offers to nodes that share it; nil: no other process writes to the store
	Shared      session.SharedStore
	Clock       session.Clock
	TestClock   *session.TestClock   // the test clock behind Clock; nil: there is none
	SyncedClock *session.SyncedClock // set right by the store's; nil: none
	Policies    session.Policies
	Admins      []string    // groups whose members may administer
	Presence    PresenceFor // whose pages may watch the presence of others; empty: nobody's
	Node        string      // how this process is called
	Origins     []string    // of pages that may open the socket: scheme://host[:port], compared exactly
	MaxTabs     int         // of this process; 0: no limit
	SignIn      string      // path of the sign-in page, told with an end
	Log         *slog.Logger
	Timeline    *Timeline // records what happens, for --testing; may be nil
}

// Hub holds the live sessions and their tabs. Its methods may be called concurrently. See the
// package comment for the order in which the locks of its parts may be nested.
type Hub struct {
	fixed
	*lifecycle

	cluster *cluster.Member // what this node and others tell each other

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

	policies atomic.Pointer[session.Policies]
	seq      atomic.Int64 // of the newest message to anybody
	opened   atomic.Int64 // tabs, ever

	// For --testing.
	faults   *faults
	timeline *Timeline
}

// fixed is what a hub is told once, by its Options.
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
	cores     int
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
		cores:     runtime.GOMAXPROCS(0),
	}
	for _, origin := range o.Origins {
		f.origins[origin] = true
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	return f
}

// New loads the live sessions of the store, ends what came due meanwhile, and starts.
// [Hub.Shutdown] stops it.
func New(ctx context.Context, o Options) (*Hub, error) {
	h := &Hub{
		fixed:     newFixed(o),
		lifecycle: newLifecycle(ctx),
		users:     newUserIndex(),
		tabLimits: tabLimits{limit: o.MaxTabs},
		faults:    newFaults(),
		timeline:  o.Timeline,
	}
	h.policies.Store(&o.Policies)
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
	return h, nil
}

// load learns what the store knows.
func (h *Hub) load(ctx context.Context, policies session.Policies) error {
	if err := h.cluster.Join(ctx); err != nil { // before the sessions are read: what comes after that is told, or found
		return err
	}
	if err := h.loadRevocations(ctx); err != nil {
		return err
	}
	_, err := h.Reload(ctx, policies)
	return err
}

// Shutdown closes every tab with 1012, so that the pages reconnect, writes what the store does not
// know, and waits until nothing of the hub runs any more. When ctx ends it stops waiting for the
// pages.
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

// lastFlush is how long a store may take for what is left at the end of [Hub.Shutdown].
const lastFlush = 5 * time.Second
