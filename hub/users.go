package hub

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"curfew/hub/internal/socket"
	"curfew/session"
)

// Live sessions by their user.

// userSessions is a user who is signed in, or watched, or both.
type userSessions struct {
	watched atomic.Bool // somebody watches

	mu        sync.Mutex
	sessions  []*liveSession
	watchers  map[*tab][]string // with the names by which they have asked: what is told is found by those
	announced State             // what the watchers know
	timer     session.Timer
}

// userIndex finds persons by name, in the form in which names are compared. They are spread over
// parts, so that sign-ins do not wait for each other.
type userIndex struct {
	seed  maphash.Seed
	parts [32]struct {
		mu     sync.Mutex
		byName map[string]*userSessions
	}
}

func newUserIndex() *userIndex {
	p := &userIndex{seed: maphash.MakeSeed()}
	for i := range p.parts {
		p.parts[i].byName = make(map[string]*userSessions)
	}
	return p
}

// with runs f on the person of a folded name, who is made if need be, and forgets a person who is
// neither signed in nor watched.
func (ps *userIndex) with(name string, f func(*userSessions)) {
	part := &ps.parts[maphash.String(ps.seed, name)%uint64(len(ps.parts))]
	part.mu.Lock()
	defer part.mu.Unlock()
	p := part.byName[name]
	if p == nil {
		p = &userSessions{}
		part.byName[name] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	f(p)
	if len(p.sessions) == 0 && len(p.watchers) == 0 {
		delete(part.byName, name)
	}
}

// addToUser makes s one of its user's sessions, unless it is over already, and returns the tabs
// that need a writer.
func (h *Hub) addToUser(s *liveSession) (start []*socket.Conn) {
	h.users.with(s.names.Load().User, func(p *userSessions) {
		if s.shard.lookup(s.id) != s {
			return // leave came first
		}
		p.sessions = append(p.sessions, s)
		s.userSessions.Store(p)
		start = h.notifyLocked(p)
	})
	return start
}

// removeFromUser takes s away from its user.
func (h *Hub) removeFromUser(s *liveSession) {
	var start []*socket.Conn
	h.users.with(s.names.Load().User, func(p *userSessions) {
		p.sessions = slices.DeleteFunc(p.sessions, func(other *liveSession) bool { return other == s })
		start = h.notifyLocked(p)
	})
	h.writers.Start(start)
}

// sessionsOf lists the live sessions of a user.
func (h *Hub) sessionsOf(user string) (list []*liveSession) {
	h.users.with(session.FoldName(user), func(p *userSessions) { list = slices.Clone(p.sessions) })
	return list
}
