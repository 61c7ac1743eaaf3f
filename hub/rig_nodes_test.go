package hub

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/faulty"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
)

// The rig of tests of several nodes: over a Redis of their own, in real time, or over one store in
// memory, in a bubble.

// A store that several hubs of a bubble share, in memory but for its file: what session/redis is,
// without a network and with the bubble's time. Its clock is the real one, to which the hubs set
// theirs.

// leaseInMemory is how long a node counts as alive.
const leaseInMemory = 8 * time.Second

type sharedStore struct {
	*bolt.Store

	mu     sync.Mutex
	lines  []sharedLine
	leases map[string]time.Time
	tabs   map[string]map[session.ID]string
	kept   map[string]map[string]string
	heard  map[*func([]byte)]struct{}
}

type sharedLine struct {
	id    session.ID
	ended bool
}

func newSharedStore(s *bolt.Store) *sharedStore {
	return &sharedStore{
		Store:  s,
		leases: make(map[string]time.Time),
		tabs:   make(map[string]map[session.ID]string),
		kept:   make(map[string]map[string]string),
		heard:  make(map[*func([]byte)]struct{}),
	}
}

func (s *sharedStore) line(id session.ID, ended bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, sharedLine{id, ended})
}

func (s *sharedStore) Create(ctx context.Context, r session.Record, limit int) ([]session.ID, error) {
	displaced, err := s.Store.Create(ctx, r, limit)
	if err == nil {
		s.line(r.ID, false)
	}
	for _, id := range displaced {
		s.line(id, true)
	}
	return displaced, err
}

// End judges by its own clock, as Redis does.
func (s *sharedStore) End(ctx context.Context, id session.ID, why session.End, ifDueBy time.Time) (bool, error) {
	if now := session.Millis(time.Now()); ifDueBy.After(now) {
		ifDueBy = now
	}
	first, err := s.Store.End(ctx, id, why, ifDueBy)
	if first {
		s.line(id, true)
	}
	return first, err
}

func (s *sharedStore) EndSoon(
	ctx context.Context,
	id session.ID,
	why session.End,
	ifDueBy time.Time,
) func() (bool, error) {
	return func() (bool, error) { return s.End(ctx, id, why, ifDueBy) }
}

func (s *sharedStore) Touch(ctx context.Context, acts []session.Activity) ([]session.ID, error) {
	now := session.Millis(time.Now())
	acts = slices.Clone(acts)
	for i := range acts {
		if acts[i].At.After(now) {
			acts[i].At = now
		}
	}
	return s.Store.Touch(ctx, acts)
}

// member is what one node has of a shared store.
type member struct {
	faulty.Store
	shared *sharedStore
}

func (m *member) Publish(ctx context.Context, data []byte) error {
	_, err := faulty.Call(ctx, m.Faults, "Publish", func() (struct{}, error) {
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		for heard := range m.shared.heard {
			(*heard)(data) // it never waits
		}
		return struct{}{}, nil
	})
	return err
}

func (m *member) Subscribe(ctx context.Context, began func(), heard func([]byte)) error {
	m.shared.mu.Lock()
	m.shared.heard[&heard] = struct{}{}
	m.shared.mu.Unlock()
	began()
	<-ctx.Done()
	m.shared.mu.Lock()
	delete(m.shared.heard, &heard)
	m.shared.mu.Unlock()
	return ctx.Err()
}

func (m *member) Pulse(ctx context.Context, node string, after uint64) (session.Heartbeat, error) {
	return faulty.Call(ctx, m.Faults, "Pulse", func() (p session.Heartbeat, err error) {
		if p.LastRevocation, err = m.shared.LastRevocation(ctx); err != nil {
			return p, err
		}
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		now := time.Now()
		_, known := m.shared.leases[node]
		m.shared.leases[node] = now.Add(leaseInMemory)
		maps.DeleteFunc(m.shared.leases, func(_ string, until time.Time) bool { return until.Before(now) })
		for _, l := range m.shared.lines[after:] {
			if l.ended {
				p.Ended = append(p.Ended, l.id)
			} else {
				p.Begun = append(p.Begun, l.id)
			}
		}
		p.Nodes, p.Last, p.Epoch, p.Fresh = slices.Collect(maps.Keys(m.shared.leases)), uint64(len(m.shared.lines)),
			"one", !known
		p.Lease, p.Now, p.Asked = leaseInMemory, session.Millis(now), now
		return p, nil
	})
}

func (m *member) Epoch(context.Context) string { return "one" }

func (m *member) LastLine(context.Context) (uint64, error) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	return uint64(len(m.shared.lines)), nil
}

func (m *member) RemoveNode(_ context.Context, node string) error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	delete(m.shared.leases, node)
	delete(m.shared.tabs, node)
	return nil
}

func (m *member) SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error {
	_, err := faulty.Call(ctx, m.Faults, "SetTabs", func() (struct{}, error) {
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		if whole || m.shared.tabs[node] == nil {
			m.shared.tabs[node] = make(map[session.ID]string)
		}
		for id, text := range tabs {
			if text == "" {
				delete(m.shared.tabs[node], id)
			} else {
				m.shared.tabs[node][id] = text
			}
		}
		return struct{}{}, nil
	})
	return err
}

func (m *member) Tabs(ctx context.Context, node string) (map[session.ID]string, error) {
	return faulty.Call(ctx, m.Faults, "Tabs", func() (map[session.ID]string, error) {
		m.shared.mu.Lock()
		defer m.shared.mu.Unlock()
		return maps.Clone(m.shared.tabs[node]), nil
	})
}

func (m *member) GetMany(ctx context.Context, ids []session.ID) (list []session.Record, err error) {
	return faulty.Call(ctx, m.Faults, "GetMany", func() ([]session.Record, error) {
		for _, id := range ids {
			r, err := m.shared.Get(ctx, id)
			if err != nil && !errors.Is(err, session.ErrNotFound) {
				return nil, err
			}
			if err == nil {
				list = append(list, r)
			}
		}
		return list, nil
	})
}

func (m *member) GetWithRevocation(ctx context.Context, id session.ID) (r session.Record, last int64, err error) {
	if r, err = m.Get(ctx, id); err == nil {
		last, err = m.LastRevocation(ctx)
	}
	return r, last, err
}

func (m *member) RevocationsAfter(
	ctx context.Context,
	_ int64,
) (revocations []session.Revocation, last int64, all bool, err error) {
	if last, err = m.LastRevocation(ctx); err == nil {
		revocations, err = m.Revocations(ctx)
	}
	return revocations, last, true, err
}

func (m *member) RestoreRevocations(context.Context, []session.Revocation, int64) error { return nil }

func (m *member) PutTransient(_ context.Context, kind, name, text string, _ time.Duration) error {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	if m.shared.kept[kind] == nil {
		m.shared.kept[kind] = make(map[string]string)
	}
	m.shared.kept[kind][name] = text
	return nil
}

func (m *member) Transients(_ context.Context, kind string) (map[string]string, error) {
	m.shared.mu.Lock()
	defer m.shared.mu.Unlock()
	return maps.Clone(m.shared.kept[kind]), nil
}

func (m *member) MoveClock(context.Context, time.Duration) (time.Duration, error) { return 0, nil }
func (m *member) SetOffset(time.Duration)                                         {}

// Missing and EndLost have nothing to do: this store loses none.
func (m *member) Missing(context.Context, []session.ID) ([]session.ID, error) { return nil, nil }
func (m *member) EndLost(context.Context, []session.Record, session.End) ([]session.ID, error) {
	return nil, nil
}

// startNode starts a node over a Redis. wrap may be nil; it stands between the node and what the
// nodes share.
func startNode(
	t *testing.T,
	server *redistest.Server,
	name string,
	p session.Policy,
	wrap func(session.SharedStore) session.SharedStore,
) *rig {
	t.Helper()
	store, err := redis.Open(t.Context(), server.URL(), "curfew:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Store:    store,
		Shared:   store,
		Policies: session.Policies{Global: p},
		Node:     name,
	}
	if wrap != nil {
		o.Shared = wrap(store)
	}
	return startHubWith(t, store, o)
}

// on is the same browser at another node.
func (u *user) on(node *rig) *user { return &user{rig: node, token: u.token} }

// within waits for what must come true.
func within(t *testing.T, d time.Duration, what string, ok func() bool) {
	t.Helper()
	limit := time.After(d)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-limit:
			t.Fatalf("not within %s: %s", d, what)
		case <-ticker.C:
		}
	}
}

// tabsOf is how many open tabs a node knows of a user, on all nodes.
func (r *rig) tabsOf(name string) (tabs int) {
	for _, s := range r.sessionsOf(name) {
		s.mu.Lock()
		tabs += s.tabsLocked()
		s.mu.Unlock()
	}
	return tabs
}

func openRedis(t *testing.T, server *redistest.Server) *redis.Store {
	t.Helper()
	store, err := redis.Open(t.Context(), server.URL(), "curfew:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return store
}

// startMember starts a node over a store that others share in memory. wrap may be nil.
func startMember(t *testing.T, shared *sharedStore, name string, wrap func(session.Store) session.Store) *rig {
	t.Helper()
	m := &member{faulty.Store{Store: unclosed{shared}, Faults: faulty.New(1)}, shared}
	o := Options{
		Store:    m,
		Shared:   m,
		Policies: session.Policies{Global: standard},
		Node:     name,
	}
	if wrap != nil {
		o.Store = wrap(m)
	}
	return startHubWith(t, o.Store, o)
}

func openShared(t *testing.T) *sharedStore {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return newSharedStore(store)
}

// signInAs signs in with an ID of a kind.
func (r *rig) signInAs(name string, id func(session.ID) bool) *user {
	r.t.Helper()
	u := &user{rig: r, token: session.NewToken()}
	for !id(u.token.ID()) {
		u.token = session.NewToken()
	}
	now := session.Millis(time.Now())
	if err := r.Create(r.t.Context(), session.Record{
		ID:           u.token.ID(),
		User:         name,
		Login:        name,
		Policy:       standard,
		CreatedAt:    now,
		LastActiveAt: now,
	}); err != nil {
		r.t.Fatal(err)
	}
	return u
}
