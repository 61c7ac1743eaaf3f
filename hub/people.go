package hub

import (
	"errors"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
)

// Presence: who is here. It is derived from sessions and tabs whenever somebody asks, and pushed to the pages that watch a
// user. A change costs work for those pages only. Locks are taken in the order forced, people, person, session, tab; that
// of a shard is the last.

// StateGone is the presence of one who is not signed in.
const StateGone State = "gone"

// awayAfter is how long a session without tabs is not yet away, unless its last tab was closed: a page that follows a
// link, or lost its connection, is back within that time.
const awayAfter = 5 * time.Second

// liveliness orders the states of one user's sessions.
var liveliness = []State{StateActive, StateIdle, StateWarned, StateAway, StateGone}

// person is a user who is signed in, or watched, or both.
type person struct {
	watched atomic.Bool // somebody watches

	mu       sync.Mutex
	sessions []*live
	watchers map[*tab][]string // with the names by which they have asked: what is told is found by those
	told     State             // what the watchers know
	timer    session.Timer
}

// people finds persons by name, in the form in which names are compared. They are spread over parts, so that sign-ins do not wait for each other.
type people struct {
	seed  maphash.Seed
	parts [32]struct {
		mu     sync.Mutex
		byName map[string]*person
	}
}

func newPeople() *people {
	p := &people{seed: maphash.MakeSeed()}
	for i := range p.parts {
		p.parts[i].byName = make(map[string]*person)
	}
	return p
}

// with runs f on the person of a folded name, who is made if need be, and forgets a person who is neither signed in nor watched.
func (ps *people) with(name string, f func(*person)) {
	part := &ps.parts[maphash.String(ps.seed, name)%uint64(len(ps.parts))]
	part.mu.Lock()
	defer part.mu.Unlock()
	p := part.byName[name]
	if p == nil {
		p = &person{}
		part.byName[name] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
	if len(p.sessions) == 0 && len(p.watchers) == 0 {
		delete(part.byName, name)
	}
}

// enter makes s one of its user's sessions, unless it is over already, and returns the tabs that need a writer.
func (h *Hub) enter(s *live) (start []*tab) {
	h.people.with(s.names.Load().User, func(p *person) {
		if s.shard.lookup(s.id) != s {
			return // leave came first
		}
		p.sessions = append(p.sessions, s)
		s.person.Store(p)
		start = h.reviewLocked(p)
	})
	return start
}

// leave takes s away from its user.
func (h *Hub) leave(s *live) {
	var start []*tab
	h.people.with(s.names.Load().User, func(p *person) {
		p.sessions = slices.DeleteFunc(p.sessions, func(other *live) bool { return other == s })
		start = h.reviewLocked(p)
	})
	h.start(start)
}

// sessionsOf lists the live sessions of a user.
func (h *Hub) sessionsOf(user string) (list []*live) {
	h.people.with(session.FoldName(user), func(p *person) { list = slices.Clone(p.sessions) })
	return list
}

// changed notes that the state of s may be another now. No lock may be held.
func (h *Hub) changed(s *live) {
	if p := s.person.Load(); p != nil && p.watched.Load() {
		h.review(p)
	}
}

// review tells the watchers of p what they do not know.
func (h *Hub) review(p *person) {
	p.mu.Lock()
	start := h.reviewLocked(p)
	p.mu.Unlock()
	h.start(start)
}

// reviewLocked queues for the watchers of p what they do not know.
func (h *Hub) reviewLocked(p *person) (start []*tab) {
	if len(p.watchers) == 0 {
		return nil
	}
	state := h.lookLocked(p)
	if state == p.told {
		return nil
	}
	p.told = state
	return h.presenceFrames(p.watchers, state)
}

// lookLocked is the state of p now. It has p looked at again when time alone may change that.
func (h *Hub) lookLocked(p *person) State {
	state, again := h.stateOfLocked(p)
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	if again > 0 {
		p.timer = h.clock.AfterFunc(again, func() { h.review(p) })
	}
	return state
}

// stateOfLocked is the liveliest state of the sessions of p, and after how long time alone may change it; 0 for never.
func (h *Hub) stateOfLocked(p *person) (state State, again time.Duration) {
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

// stateLocked is the state of s, and after how long time alone may change it; 0 where the hub looks at s by then anyway.
func (s *live) stateLocked(now time.Time) (state State, again time.Duration) {
	if _, _, ok := s.policy.Load().Standing(s.recordLocked(), now); ok {
		return StateWarned, 0
	}
	tabs := s.tabsLocked()
	if tabs == 0 && !now.Before(s.awayAt) {
		return StateAway, 0
	}
	state = StateIdle
	if quiet := now.Sub(session.FromUnixMilli(s.active.Load())); quiet <= activeFor {
		state, again = StateActive, activeFor-quiet+time.Millisecond
	}
	if tabs == 0 {
		if until := s.awayAt.Sub(now); again == 0 || until < again {
			again = until
		}
	}
	return state, again
}

// presenceFrames queues the state of a user for several tabs, under the names by which they have asked. It is encoded once for all
// who have asked alike, which is nearly everybody, and whose numbers allow it.
func (h *Hub) presenceFrames(tabs map[*tab][]string, state State) (start []*tab) {
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
			users := make(map[string]State, len(names))
			for _, name := range names {
				users[name] = state
			}
			e.message = func(seq int64) any { return presence{KindPresence, seq, users} }
			e.frame = h.share(e.message)
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

// maxWatched is how many users one page may watch.
const maxWatched = 100

// watch has a tab told of the presence of users instead of those it watched before.
func (h *Hub) watch(t *tab, names []string) {
	h.unwatch(t)
	states := make(map[string]State)
	s := t.session
	if h.mayWatch(s) {
		var watching []string
		for _, name := range names {
			if _, twice := states[name]; twice {
				continue
			}
			var start []*tab
			h.people.with(session.FoldName(name), func(p *person) {
				start = h.reviewLocked(p)
				p.watched.Store(true) // before the state is read: what changes from now on is told
				if p.watchers == nil {
					p.watchers = make(map[*tab][]string)
					p.told = h.lookLocked(p)
				}
				p.watchers[t] = append(p.watchers[t], name)
				states[name] = p.told
			})
			h.start(start)
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
		var start []*tab
		h.people.with(session.FoldName(name), func(p *person) {
			if _, watches := p.watchers[t]; watches && p.told != state {
				start = h.presenceFrames(map[*tab][]string{t: {name}}, p.told)
			}
		})
		h.start(start)
	}
}

func (h *Hub) sendPresence(t *tab, states map[string]State) {
	s := t.session
	s.mu.Lock()
	var start []*tab
	if s.end == nil {
		start = s.sendLocked(nil, t, h.faults.stalled(), func(seq int64) any { return presence{KindPresence, seq, states} })
	}
	s.mu.Unlock()
	h.start(start)
}

// unwatch ends what watch began.
func (h *Hub) unwatch(t *tab) (watched bool) {
	t.session.mu.Lock()
	names := t.watching
	t.watching = nil
	t.session.mu.Unlock()
	for _, name := range names {
		h.people.with(session.FoldName(name), func(p *person) {
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
func (h *Hub) rightsChanged(s *live) {
	if h.mayWatch(s) {
		return
	}
	s.mu.Lock()
	tabs := slices.Clone(s.tabs)
	s.mu.Unlock()
	for _, t := range tabs {
		if h.unwatch(t) {
			h.sendPresence(t, map[string]State{})
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

func (h *Hub) mayWatch(s *live) bool { return h.MayWatch(s.record.Load().GroupNames()) }

// IsAdmin reports whether a member of these groups may administer.
func (h *Hub) IsAdmin(groups []string) bool {
	return slices.ContainsFunc(groups, func(g string) bool { return session.HasName(h.admins, g) })
}
