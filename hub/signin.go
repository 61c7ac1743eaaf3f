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

// Sign-ins, and how a session becomes live.

// Create stores a new session and makes it live. The sign-in page calls it once the directory has
// let somebody in. Sessions that the new one displaces have ended by then, and their tabs are told.
// session.ErrExists means that there is a session with that ID. After any other error the store may
// have the session all the same: Create ends it as an orphan.
func (h *Hub) Create(ctx context.Context, r session.Record) error {
	displaced, err := h.store.Create(ctx, r, r.Policy.MaxSessions)
	if err != nil {
		if !errors.Is(err, session.ErrExists) {
			h.EndOrphan(ctx, r.ID)
			h.doubtDisplaced(r)
		}
		return err
	}
	s := h.ensureLive(ctx, r)
	h.cluster.TellSignedIn(r)             // before TellRules, which nodes that do not know the session ignore
	if h.policyOf(r.Groups) != r.Policy { // a reload that began before the session was stored has not seen it
		if err := h.changeRules(ctx, s, keepGroups); err != nil {
			h.log.Error("policy not stored", "session", r.ID, "error", err)
		}
	}
	for _, id := range displaced {
		end := session.ReplacedBy(ctx, r, id)
		h.cluster.TellEnded(id, end)
		if s := h.lookup(id); s != nil {
			h.finishAsStored(ctx, s, end)
		}
	}
	return nil
}

// doubtDisplaced has the sessions read again that r may have displaced, though the store has not
// acknowledged r.
func (h *Hub) doubtDisplaced(r session.Record) {
	if r.Policy.MaxSessions == 0 {
		return
	}
	for _, s := range h.sessionsOf(r.User) {
		s.doubt()
		h.readAgain(s)
	}
}

// ensureLive returns the live session of r, and registers it if needed. r was read from the store,
// or stored, just now.
func (h *Hub) ensureLive(ctx context.Context, r session.Record) *liveSession {
	if s := h.lookup(r.ID); s != nil {
		return s
	}
	s, isNew := h.register(r)
	if !isNew {
		return s
	}
	h.schedule(s)
	doubts := s.doubts.Load()
	if !h.loaded.Load() { // nobody can call the hub yet, so nothing ends that is not registered
		s.settle(doubts)
		return s
	}
	switch again, err := h.store.Get(context.WithoutCancel(ctx), r.ID); {
	case err == nil && again.End != nil:
		h.finish(s, *again.End) // it ended after r was read
	case err == nil:
		s.settle(doubts)
	case !isUnknown(err):
		h.readAgain(s)
	}
	return s
}

// register makes r a live session, unless it is one. No revocation is added until the session can
// be found by its user, too: either a forced logout finds the session, or register finds the forced
// logout.
func (h *Hub) register(r session.Record) (s *liveSession, isNew bool) {
	var start []*socket.Conn
	h.revocations.View(func(v revocation.View) {
		if s, isNew = h.shardOf(r.ID).add(r, v.First(&r)); isNew {
			start = h.addToUser(s)
			h.registered.Add(1) // after this, s can be found
		}
	})
	h.writers.Start(start)
	if isNew {
		h.index.touch(s)
		h.notAhead(s)
	}
	return s, isNew
}

// orphans are sessions whose sign-in failed, though the store may have kept them or may yet do so:
// it did not acknowledge them, or the browser hung up. Nobody has the cookie. They are ended, so
// that they are not shown as somebody who is here, and do not count against the user's limit of
// sessions.
type orphans struct {
	mu       sync.Mutex
	sessions map[session.ID]orphan
	working  bool // endOrphans runs
}

// orphan is what is known of an orphan.
type orphan struct {
	request string    // the HTTP request of its sign-in, if that was one
	unknown time.Time // since when the store says that it has no such session; zero: it does not yet
}

const (
	// orphanedFor is how long a store that answers may still take to store a session that it was
	// sent before.
	orphanedFor = 10 * time.Second
	// maxOrphans bounds what is remembered while the store is out of reach. Other orphans end by
	// their idle timeout.
	maxOrphans = 10_000
)

// EndOrphan schedules the end of a session whose sign-in has failed, in case the store has it. The
// cookie store calls it when it cannot tell whether the browser got the cookie. It does not wait:
// ctx, the sign-in's, only says which request that was, and may have ended.
func (h *Hub) EndOrphan(ctx context.Context, id session.ID) {
	o := &h.orphans
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sessions) >= maxOrphans {
		return
	}
	if o.sessions == nil {
		o.sessions = make(map[session.ID]orphan)
	}
	o.sessions[id] = orphan{request: session.RequestOf(ctx)}
	if !o.working {
		o.working = h.goUnlessClosing(h.endOrphans)
	}
}

// endOrphans ends orphans, once a second until none is left.
func (h *Hub) endOrphans() {
	o := &h.orphans
	for h.wait(time.Second) {
		o.mu.Lock()
		o.working = len(o.sessions) > 0
		list := maps.Clone(o.sessions)
		o.mu.Unlock()
		if len(list) == 0 {
			return
		}
		for id, one := range list {
			ctx, cancel := context.WithTimeout(h.ctx, orphanedFor)
			_, err := h.endAlone(ctx, id, session.End{
				Reason:  session.ReasonLogout, // though nobody has signed out: pages that wait go on waiting
				At:      session.Millis(h.clock.Now()),
				Cause:   session.CauseSignInFailed,
				Detail:  "its sign-in failed",
				Request: one.request,
			})
			cancel()
			if err != nil && !isUnknown(err) {
				break // the store is out of reach
			}
			o.mu.Lock()
			switch {
			case err != nil && one.unknown.IsZero():
				one.unknown = time.Now()
				o.sessions[id] = one
			case err == nil, time.Since(one.unknown) > orphanedFor:
				delete(o.sessions, id)
			}
			o.mu.Unlock()
		}
	}
}
