package hub

import (
	"errors"
	"slices"
	"strings"
	"time"

	"curfew/hub/internal/socket"
	"curfew/hub/wire"
	"curfew/session"
)

// Presence: who is here. It is derived from sessions and tabs whenever somebody asks, and pushed to
// the pages that watch a user. A change costs work for those pages only.

// StateGone is the presence of one who is not signed in.
const StateGone State = "gone"

// awayAfter is how long a session without tabs is not yet away, unless its last tab was closed: a
// page that follows a link, or lost its connection, is back within that time.
const awayAfter = 5 * time.Second

// liveliness orders the states of one user's sessions.
var liveliness = []State{StateActive, StateIdle, StateWarned, StateAway, StateGone}

// stateChanged notes that the state of s may be another now. No lock may be held.
func (h *Hub) stateChanged(s *liveSession) {
	if p := s.userSessions.Load(); p != nil && p.watched.Load() {
		h.notifyWatchers(p)
	}
}

// notifyWatchers tells the watchers of p what they do not know.
func (h *Hub) notifyWatchers(p *userSessions) {
	p.mu.Lock()
	start := h.notifyLocked(p)
	p.mu.Unlock()
	h.writers.Start(start)
}

// notifyLocked queues for the watchers of p what they do not know.
func (h *Hub) notifyLocked(p *userSessions) (start []*socket.Conn) {
	if len(p.watchers) == 0 {
		return nil
	}
	state := h.currentLocked(p)
	if state == p.announced {
		return nil
	}
	p.announced = state
	return h.presenceFrames(p.watchers, state)
}

// currentLocked is the state of p now. It has p looked at again when time alone may change that.
func (h *Hub) currentLocked(p *userSessions) State {
	state, again := h.stateOfLocked(p)
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if again > 0 {
		p.timer = h.clock.AfterFunc(again, func() {
			h.runUnlessClosing(func() { h.notifyWatchers(p) })
		})
	}
	return state
}

// stateOfLocked is the liveliest state of the sessions of p, and after how long time alone may
// change it; 0 for never.
func (h *Hub) stateOfLocked(p *userSessions) (state State, again time.Duration) {
	state = StateGone
	now := h.clock.Now()
	for _, s := range p.sessions {
		s.mu.Lock()
		over := s.end != nil
		own, until := s.stateLocked(now)
		s.mu.Unlock()
		if over {
			continue
		}
		if slices.Index(liveliness, own) < slices.Index(liveliness, state) {
			state = own
		}
		if until > 0 && (again == 0 || until < again) {
			again = until
		}
	}
	return state, again
}

// presenceFrames queues the state of a user for several tabs, under the names by which they have
// asked. It is encoded once for all who have asked alike, which is nearly everybody, and whose
// numbers allow it.
func (h *Hub) presenceFrames(tabs map[*tab][]string, state State) (start []*socket.Conn) {
	type encoded struct {
		frame   sharedFrame
		message func(seq int64) any
	}
	byNames := make(map[string]encoded)
	for t, names := range tabs {
		key := names[0]
		if len(names) > 1 {
			key = strings.Join(names, "\x00")
		}
		e, ok := byNames[key]
		if !ok {
			users := make(map[string]string, len(names))
			for _, name := range names {
				users[name] = string(state)
			}
			e.message = func(seq int64) any { return wire.Presence{Type: wire.KindPresence, Seq: seq, Users: users} }
			e.frame = h.encodeOnce(e.message)
			byNames[key] = e
		}
		s := t.session
		s.mu.Lock()
		if s.end == nil {
			start = s.sendSharedLocked(start, t, h.faults.stalled(), e.frame, e.message)
		}
		s.mu.Unlock()
	}
	return start
}

// watch has a tab told of the presence of users instead of those it watched before.
func (h *Hub) watch(t *tab, names []string) {
	h.unwatch(t)
	states := make(map[string]string)
	s := t.session
	if h.mayWatch(s) {
		var watching []string
		for _, name := range names {
			if _, twice := states[name]; twice {
				continue
			}
			var start []*socket.Conn
			h.users.with(session.FoldName(name), func(p *userSessions) {
				start = h.notifyLocked(p)
				p.watched.Store(true) // before the state is read: what changes from now on is told
				if p.watchers == nil {
					p.watchers = make(map[*tab][]string)
					p.announced = h.currentLocked(p)
				}
				p.watchers[t] = append(p.watchers[t], name)
				states[name] = string(p.announced)
			})
			h.writers.Start(start)
			watching = append(watching, name)
		}
		s.mu.Lock()
		t.watching = watching
		s.mu.Unlock()
		if !h.mayWatch(s) { // the right was taken meanwhile
			h.unwatch(t)
			clear(states)
		}
	}
	h.sendPresence(t, states)
	for name, state := range states { // what changed in between may have been told before the answer, which is older
		var start []*socket.Conn
		h.users.with(session.FoldName(name), func(p *userSessions) {
			if _, watches := p.watchers[t]; watches && string(p.announced) != state {
				start = h.presenceFrames(map[*tab][]string{t: {name}}, p.announced)
			}
		})
		h.writers.Start(start)
	}
}

func (h *Hub) sendPresence(t *tab, states map[string]string) {
	s := t.session
	s.mu.Lock()
	var start []*socket.Conn
	if s.end == nil {
		start = s.sendLocked(nil, t, h.faults.stalled(), func(seq int64) any {
			return wire.Presence{Type: wire.KindPresence, Seq: seq, Users: states}
		})
	}
	s.mu.Unlock()
	h.writers.Start(start)
}

// unwatch ends what watch began.
func (h *Hub) unwatch(t *tab) (watched bool) {
	t.session.mu.Lock()
	names := t.watching
	t.watching = nil
	t.session.mu.Unlock()
	for _, name := range names {
		h.users.with(session.FoldName(name), func(p *userSessions) {
			delete(p.watchers, t)
			if len(p.watchers) > 0 {
				return
			}
			p.watched.Store(false)
			p.watchers = nil
			if p.timer != nil {
				p.timer.Stop()
				p.timer = nil
			}
		})
	}
	return len(names) > 0
}

// rightsChanged takes the right to watch from tabs whose user has lost it.
func (h *Hub) rightsChanged(s *liveSession) {
	if h.mayWatch(s) {
		return
	}
	s.mu.Lock()
	tabs := slices.Clone(s.tabs)
	s.mu.Unlock()
	for _, t := range tabs {
		if h.unwatch(t) {
			h.sendPresence(t, map[string]string{})
		}
	}
}

// PresenceFor says whose pages may watch the presence of others.
type PresenceFor string

// The values of PresenceFor.
const (
	PresenceOff    PresenceFor = "off"
	PresenceAdmins PresenceFor = "admins"
	PresenceUsers  PresenceFor = "users"
)

// Validate refuses what is none of the values.
func (p PresenceFor) Validate() error {
	switch p {
	case PresenceOff, PresenceAdmins, PresenceUsers:
		return nil
	}
	return errors.New("must be off, admins or users")
}

// MayWatch reports whether a member of these groups may watch the presence of others.
func (h *Hub) MayWatch(groups []string) bool {
	return h.presence == PresenceUsers || h.presence == PresenceAdmins && h.IsAdmin(groups)
}

func (h *Hub) mayWatch(s *liveSession) bool { return h.MayWatch(s.record.Load().GroupNames()) }

// IsAdmin reports whether a member of these groups may administer.
func (h *Hub) IsAdmin(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return session.HasName(h.admins, g) })
}
