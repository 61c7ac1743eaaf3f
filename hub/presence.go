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

// Presence: who is here. It is derived from sessions and tabs whenever somebody asks, and sent to
// the pages that watch a user. A change costs nothing while nobody watches.

// StateGone is the presence of a user who is not signed in.
const StateGone State = "gone"

// awayAfter is how long a session without tabs does not count as away yet, unless its last tab was
// closed. A page that follows a link or has lost its connection is back within that time.
const awayAfter = 5 * time.Second

// liveliness orders states: a user's state is that of their most active session.
var liveliness = []State{StateActive, StateIdle, StateWarned, StateAway, StateGone}

// stateChanged has the index look at s again, and tells those who watch the user of s if the user's
// state has changed. It is called whenever that may be so, without a lock held.
func (h *Hub) stateChanged(s *liveSession) {
	h.index.touch(s)
	if s.isWatched() {
		h.notifyWatchers(s.userSessions.Load())
	}
}

// isWatched reports whether a page watches the user of s.
func (s *liveSession) isWatched() bool {
	u := s.userSessions.Load()
	return u != nil && u.watched.Load()
}

// notifyWatchers tells the watchers of u its state, if that is another than they were told.
func (h *Hub) notifyWatchers(u *userSessions) {
	u.mu.Lock()
	start := h.notifyLocked(u)
	u.mu.Unlock()
	h.writers.Start(start)
}

// notifyLocked queues for the watchers of u what they do not know.
func (h *Hub) notifyLocked(u *userSessions) (start []*socket.Conn) {
	if len(u.watchers) == 0 {
		return nil
	}
	state := h.currentLocked(u)
	if state == u.announced {
		return nil
	}
	u.announced = state
	return h.presenceFrames(u.watchers, state)
}

// currentLocked returns the state of u, and sets a timer for when time alone may change it.
func (h *Hub) currentLocked(u *userSessions) State {
	state, again := h.stateOfLocked(u)
	if u.timer != nil {
		u.timer.Stop()
		u.timer = nil
	}
	if again > 0 {
		u.timer = h.clock.AfterFunc(again, func() {
			h.runUnlessClosing(func() { h.notifyWatchers(u) })
		})
	}
	return state
}

// stateOfLocked returns the state of the most active session of u, and after how long time alone
// may change it; 0 for never.
func (h *Hub) stateOfLocked(u *userSessions) (state State, again time.Duration) {
	state = StateGone
	now := h.clock.Now()
	for _, s := range u.sessions {
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

// presenceFrames queues the state of a user for several tabs, under the names that they asked for,
// and returns the connections that need a writer. The message is encoded once for all tabs that
// asked for the same names, except for a tab that was sent a newer message meanwhile.
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

// watch makes t watch these users instead of those that it watched before, and tells it their
// states. A tab whose user may not watch is told an empty list.
func (h *Hub) watch(t *tab, names []string) {
	h.unwatch(t)
	states := make(map[string]string)
	s := t.session
	if h.mayWatch(t) {
		var watching []string
		for _, name := range names {
			if _, twice := states[name]; twice {
				continue
			}
			var start []*socket.Conn
			h.users.with(session.FoldName(name), func(u *userSessions) {
				start = h.notifyLocked(u)
				u.watched.Store(true) // before the state is read, so that no later change is missed
				if u.watchers == nil {
					u.watchers = make(map[*tab][]string)
					u.announced = h.currentLocked(u)
				}
				u.watchers[t] = append(u.watchers[t], name)
				states[name] = string(u.announced)
			})
			h.writers.Start(start)
			watching = append(watching, name)
		}
		s.mu.Lock()
		t.watching = watching
		s.mu.Unlock()
		if !h.mayWatch(t) { // the right was taken meanwhile
			h.unwatch(t)
			clear(states)
		}
	}
	h.sendPresence(t, states)
	for name, state := range states { // a change may have been sent before the answer, which is older: it is sent again
		var start []*socket.Conn
		h.users.with(session.FoldName(name), func(u *userSessions) {
			if _, watches := u.watchers[t]; watches && string(u.announced) != state {
				start = h.presenceFrames(map[*tab][]string{t: {name}}, u.announced)
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

// unwatch ends what watch began. watched is false if t watched nobody.
func (h *Hub) unwatch(t *tab) (watched bool) {
	t.session.mu.Lock()
	names := t.watching
	t.watching = nil
	t.session.mu.Unlock()
	for _, name := range names {
		h.users.with(session.FoldName(name), func(u *userSessions) {
			delete(u.watchers, t)
			if len(u.watchers) > 0 {
				return
			}
			u.watched.Store(false)
			u.watchers = nil
			if u.timer != nil {
				u.timer.Stop()
				u.timer = nil
			}
		})
	}
	return len(names) > 0
}

// rightsChanged ends the watching of the tabs of s, if they may not watch any more.
func (h *Hub) rightsChanged(s *liveSession) {
	s.mu.Lock()
	tabs := slices.Clone(s.tabs)
	s.mu.Unlock()
	for _, t := range tabs {
		if !h.mayWatch(t) && h.unwatch(t) {
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

// Validate returns an error for any other value.
func (p PresenceFor) Validate() error {
	switch p {
	case PresenceOff, PresenceAdmins, PresenceUsers:
		return nil
	}
	return errors.New("must be off, admins or users")
}

// MayWatch reports whether a page of a member of these groups may watch the presence of others. A
// page at an [Endpoint] without administrators is withoutAdmins.
func (h *Hub) MayWatch(groups []string, withoutAdmins bool) bool {
	return h.presence == PresenceUsers || h.presence == PresenceAdmins && !withoutAdmins && h.IsAdmin(groups)
}

func (h *Hub) mayWatch(t *tab) bool {
	return h.MayWatch(t.session.record.Load().GroupNames(), t.withoutAdmins)
}

// IsAdmin reports whether a member of these groups may administer.
func (h *Hub) IsAdmin(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return session.HasName(h.admins, g) })
}
