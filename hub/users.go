package hub

import (
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"curfew/hub/internal/socket"
	"curfew/session"
)

// userSessions are the live sessions of a user, and the tabs that watch the user's presence. There
// is an entry for each user who has a session or is watched.
type userSessions struct {
	watched atomic.Bool // there are watchers

	mu        sync.Mutex
	sessions  []*liveSession
	watchers  map[*tab][]string // with the spellings of the name that they asked for, and are answered with
	announced State             // what the watchers were told last
	timer     session.Timer     // runs until the state may change by time alone; may be nil
}

// userIndex finds users by their folded names. It is spread over parts, so that sign-ins do not
// wait for each other.
type userIndex struct {
	seed  maphash.Seed
	parts [32]struct {
		mu     sync.Mutex
		byName map[string]*userSessions
	}
}

func newUserIndex() *userIndex {
	index := &userIndex{seed: maphash.MakeSeed()}
	for i := range index.parts {
		index.parts[i].byName = make(map[string]*userSessions)
	}
	return index
}

// with calls f with the user's entry, creating it if needed, and deletes the entry afterwards if it
// has neither sessions nor watchers. name is folded. f runs with the entry's lock held.
func (index *userIndex) with(name string, f func(*userSessions)) {
	part := &index.parts[maphash.String(index.seed, name)%uint64(len(index.parts))]
	part.mu.Lock()
	defer part.mu.Unlock()
	u := part.byName[name]
	if u == nil {
		u = &userSessions{}
		part.byName[name] = u
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	f(u)
	if len(u.sessions) == 0 && len(u.watchers) == 0 {
		delete(part.byName, name)
	}
}

// addToUser adds s to its user's sessions, unless it was unregistered meanwhile. It returns the
// connections of watchers that need a writer.
func (h *Hub) addToUser(s *liveSession) (start []*socket.Conn) {
	h.users.with(s.names.Load().User, func(u *userSessions) {
		if s.shard.lookup(s.id) != s {
			return // removeFromUser came first
		}
		u.sessions = append(u.sessions, s)
		s.userSessions.Store(u)
		start = h.notifyLocked(u)
	})
	return start
}

// removeFromUser removes s from its user's sessions, and tells those who watch the user.
func (h *Hub) removeFromUser(s *liveSession) {
	var start []*socket.Conn
	h.users.with(s.names.Load().User, func(u *userSessions) {
		u.sessions = slices.DeleteFunc(u.sessions, func(other *liveSession) bool { return other == s })
		start = h.notifyLocked(u)
	})
	h.writers.Start(start)
}

// sessionsOf lists the live sessions of a user.
func (h *Hub) sessionsOf(user string) (list []*liveSession) {
	h.users.with(session.FoldName(user), func(u *userSessions) { list = slices.Clone(u.sessions) })
	return list
}
