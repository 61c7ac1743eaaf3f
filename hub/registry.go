package hub

import (
	"bytes"
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"curfew/hub/internal/parallel"
	"curfew/hub/internal/revocation"
	"curfew/session"
)

// registry finds live sessions by their ID and by their ref.
type registry struct {
	shards     [shards]*shard
	refs       refs
	registered atomic.Int64 // how many sessions were ever registered; counted inside a View
	loaded     atomic.Bool  // New has read the sessions of the store
	waking     atomic.Int64 // how many shards are waking sessions
	index      *sessionIndex
	ends       endQueue // those that tabs were told and that are being stored
}

// shards is how many parts the live sessions are spread over. Each has one heap and one timer, so
// that a deadline costs neither a timer nor much contention.
const shards = 64

// shard holds some of the live sessions and wakes each when something may be due; see deadlines.go.
// It wakes lazily: activity moves deadlines back without touching the heap, and a session that is
// woken too early is queued again.
type shard struct {
	hub *Hub

	mu       sync.Mutex
	sessions map[session.ID]*liveSession
	queue    wakeQueue
	timer    session.Timer
	timerAt  time.Time
	dirty    []*liveSession // those with activity that the store does not know
	saves    saves          // of its sessions; see values.go
	stopped  bool
}

// lookup returns the live session, or nil.
func (sh *shard) lookup(id session.ID) *liveSession {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.sessions[id]
}

// add returns the live session of r, creating it if needed. first is the forced logout that ends it
// first, or nil; it is noted in a new session only.
func (sh *shard) add(r session.Record, first *revocation.Entry) (s *liveSession, isNew bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if s := sh.sessions[r.ID]; s != nil {
		return s, false
	}
	s = newLiveSession(r, sh)
	s.revocation = first
	s.warned.Store(first != nil) // see act; the warning is told when a tab opens
	sh.sessions[r.ID] = s
	sh.hub.refs.add(s)
	return s, true
}

func (sh *shard) remove(s *liveSession) (removed bool) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.sessions[s.id] != s {
		return false
	}
	delete(sh.sessions, s.id)
	sh.hub.refs.remove(s)
	return true
}

// all lists the sessions of the shard.
func (sh *shard) all() []*liveSession {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	list := make([]*liveSession, 0, len(sh.sessions))
	for _, s := range sh.sessions {
		list = append(list, s)
	}
	return list
}

// sortByID sorts sessions as the embedded store keeps them, so that a transaction of several writes
// few pages.
func sortByID(list []*liveSession) {
	slices.SortFunc(list, func(a, b *liveSession) int { return bytes.Compare(a.id[:], b.id[:]) })
}

func (h *Hub) shardOf(id session.ID) *shard { return h.shards[id[0]%shards] }

func (h *Hub) lookup(id session.ID) *liveSession { return h.shardOf(id).lookup(id) }

// allSessions lists the live sessions of all shards.
func (h *Hub) allSessions() (list []*liveSession) {
	for _, sh := range h.shards {
		list = append(list, sh.all()...)
	}
	return list
}

// sessionsIn lists the live sessions that may be in a scope. The caller filters them.
func (h *Hub) sessionsIn(scope session.Scope) []*liveSession {
	switch {
	case scope.User != "": // every sign-in is told to one user, which must not cost a pass over all sessions
		return h.sessionsOf(scope.User)
	case scope.OfSessions():
		return h.refs.findAll(scope)
	}
	return h.allSessions()
}

// refs finds live sessions by their refs. It is spread over parts, as userIndex is.
type refs struct {
	scans storeScans
	parts [32]struct {
		mu    sync.Mutex
		byRef map[string]*liveSession
	}
}

// part is the part of a ref, chosen by its first character: base32 has 32.
func (rs *refs) part(ref string) (mu *sync.Mutex, byRef *map[string]*liveSession) {
	p := &rs.parts[0]
	if ref != "" {
		p = &rs.parts[ref[0]%32]
	}
	return &p.mu, &p.byRef
}

func (rs *refs) add(s *liveSession) {
	ref := s.names.Load().Ref
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	if *byRef == nil {
		*byRef = make(map[string]*liveSession)
	}
	(*byRef)[ref] = s
}

func (rs *refs) remove(s *liveSession) {
	ref := s.names.Load().Ref
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	delete(*byRef, ref)
}

// find lists the session with that ref: one, or none if no such session is live.
func (rs *refs) find(ref string) []*liveSession {
	mu, byRef := rs.part(ref)
	mu.Lock()
	defer mu.Unlock()
	if s := (*byRef)[ref]; s != nil {
		return []*liveSession{s}
	}
	return nil
}

// findAll lists the live sessions that a scope names one by one.
func (rs *refs) findAll(scope session.Scope) (list []*liveSession) {
	for one := range scope.Each() {
		list = append(list, rs.find(one.Session)...)
	}
	return list
}

// findInStore registers sessions here that another node may have signed in a moment ago. It reads
// all sessions of the store. Callers that come meanwhile wait, and share one scan that begins after
// they have called.
func (h *Hub) findInStore(ctx context.Context) error {
	if h.cluster.Alone() {
		return nil // nobody else signs anybody in
	}
	scans := &h.refs.scans
	asked := scans.begun.Load()
	scans.mu.Lock()
	defer scans.mu.Unlock()
	if scans.done <= asked {
		scans.done = scans.begun.Add(1)
		for r, err := range h.store.Live(ctx) {
			if err != nil {
				scans.done = 0
				return err
			}
			h.ensureLive(ctx, r)
		}
	}
	return nil
}

// storeScans lets many callers of findInStore share a scan.
type storeScans struct {
	begun atomic.Int64 // how many scans have begun

	mu   sync.Mutex // held during a scan
	done int64      // number of the last complete scan; 0 after one that has failed
}

// withTabs lists those of sessionsIn that have a tab on this node, and may list others. The order
// is roughly that in which their tabs were opened. Telling many tabs in that order takes less time
// than in the order of a map, because the memory of tabs opened one after the other, in the kernel
// too, lies side by side.
func (h *Hub) withTabs(scope session.Scope) (list []*liveSession) {
	if scope.User != "" || scope.OfSessions() {
		list = h.sessionsIn(scope)
		slices.SortFunc(list, func(a, b *liveSession) int { return cmp.Compare(a.opened.Load(), b.opened.Load()) })
		return list
	}
	return h.tabs.sessions()
}

// everyone is the scope of all sessions.
var everyone = session.Scope{Everyone: true}

// parallel calls f with chunks of a list, on all cores, and returns when all calls have.
func (h *Hub) parallel(list []*liveSession, f func(chunk []*liveSession)) {
	parallel.Do(h.cores, list, f)
}
