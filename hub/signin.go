package hub

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"curfew/hub/internal/revocation"
	"curfew/hub/internal/socket"
	"curfew/session"
)

// Sign-ins. Some fail: the store did not acknowledge them, or the browser hung up, but the store
// may have kept the session or may yet keep it. Nobody has the cookie of such an orphan. It is
// ended, so that it is not shown as somebody who is here, and takes nobody's place.

// Create stores a new session and watches over it. Those it displaces are told.
func (h *Hub) Create(ctx context.Context, r session.Record) error {
	displaced, err := h.store.Create(ctx, r, r.Policy.MaxSessions)
	if err != nil {
		if !errors.Is(err, session.ErrExists) {
			h.EndOrphan(r.ID)
		}
		return err
	}
	s := h.ensureLive(ctx, r)
	h.cluster.TellSignedIn(r)             // before word of other rules, which nobody else would know whose they are
	if h.policyOf(r.Groups) != r.Policy { // a reload that began before the session was stored has not seen it
		if err := h.changeRules(ctx, s, keepGroups); err != nil {
			h.log.Error("policy not stored", "session", r.ID, "error", err)
		}
	}
	for _, id := range displaced {
		end := session.ReplacedBy(r)
		h.cluster.TellEnded(id, end)
		if s := h.lookup(id); s != nil {
			h.finishAsStored(ctx, s, end)
		}
	}
	return nil
}

// ensureLive makes sure that r is watched over.
func (h *Hub) ensureLive(ctx context.Context, r session.Record) *liveSession {
	if s := h.lookup(r.ID); s != nil {
		return s
	}
	s, isNew := h.register(r)
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

// register makes r one of the live sessions. No revocation is added until it can be found by its
// user's name, too: a forced logout sees the session, or is seen here.
func (h *Hub) register(r session.Record) (s *liveSession, isNew bool) {
	var start []*socket.Conn
	h.revocations.View(func(v revocation.View) {
		if s, isNew = h.shardOf(r.ID).add(r, v.First(&r)); isNew {
			start = h.addToUser(s)
			h.registered.Add(1) // whoever reads it finds s
		}
	})
	h.writers.Start(start)
	if isNew {
		h.notAhead(s)
	}
	return s, isNew
}

// orphans are those sign-ins, and since when the store is known not to have them; zero: it has not
// answered yet.
type orphans struct {
	mu       sync.Mutex
	sessions map[session.ID]time.Time
	working  bool // endOrphans runs
}

const (
	// orphanedFor is how long a store that answers may yet come to a sign-in that it was sent
	// before.
	orphanedFor = 10 * time.Second
	// maxOrphans bounds what is remembered while the store is away. Others end when they have been
	// idle for long enough.
	maxOrphans = 10_000
)

// EndOrphan has a session ended that its sign-in may have left in the store.
func (h *Hub) EndOrphan(id session.ID) {
	a := &h.orphans
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.sessions) >= maxOrphans {
		return
	}
	if a.sessions == nil {
		a.sessions = make(map[session.ID]time.Time)
	}
	a.sessions[id] = time.Time{}
	if !a.working {
		a.working = h.goUnlessClosing(h.endOrphans)
	}
}

// endOrphans asks the store once a second until none is left.
func (h *Hub) endOrphans() {
	a := &h.orphans
	for h.wait(time.Second) {
		a.mu.Lock()
		a.working = len(a.sessions) > 0
		list := maps.Clone(a.sessions)
		a.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for id, since := range list {
			ctx, cancel := context.WithTimeout(h.ctx, orphanedFor)
			_, err := h.End(ctx, id, session.End{
				Reason: session.ReasonLogout,
				At:     session.Millis(h.clock.Now()),
				Detail: "its sign-in failed",
			})
			cancel()
			if err != nil && !isUnknown(err) {
				break // the store is away
			}
			a.mu.Lock()
			switch {
			case err != nil && since.IsZero():
				a.sessions[id] = time.Now()
			case err == nil, time.Since(since) > orphanedFor:
				delete(a.sessions, id)
			}
			a.mu.Unlock()
		}
	}
}
