package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/redis/rueidis"
)

// What must not be lost is confirmed once all replicas have it. WAIT occupies a connection until
// they do, so those who wait share it: the answer to one holds for all that was written before.

// ErrNotReplicated says that a change was made, but that not every replica has acknowledged it in
// time: the change may be lost if the master is.
var ErrNotReplicated = errors.New("not every replica has acknowledged the change")

// How many rounds wait at once, each on a connection of its own, which stays open. Those of a
// cluster go to several servers, and only changes of one slot share a round there: as many at once
// as the ends that the hub has written together, so that none of these waits in turn.
const (
	roundsAtOnce    = 16
	roundsInCluster = 200
)

// rounds are the rounds of waiting for replicas.
type rounds struct {
	places chan struct{} // one for each that has begun
	bySlot bool          // the slots lie on several servers

	mu   sync.Mutex
	next map[string]*round // those that have not begun, by slot
}

// round waits for the replicas on behalf of all who join before it begins.
type round struct {
	slot     string
	replicas int64 // as many as any who joined wants; guarded by rounds.mu until it begins

	done chan struct{}
	n    int64 // replicas that have acknowledged; set, with err, before done is closed
	err  error
}

func (r *rounds) start(mode rueidis.ClientMode) {
	r.bySlot = mode == rueidis.ClientModeCluster
	r.next = make(map[string]*round)
	r.places = make(chan struct{}, roundsAtOnce)
	if r.bySlot {
		r.places = make(chan struct{}, roundsInCluster)
	}
}

// join returns a round that covers what was written to a slot until now. The caller runs it if it
// is new.
func (r *rounds) join(slot string, replicas int64) (joined *round, isNew bool) {
	key := ""
	if r.bySlot {
		key = slot
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	joined = r.next[key]
	if isNew = joined == nil; isNew {
		joined = &round{slot: slot, done: make(chan struct{})}
		r.next[key] = joined
	}
	joined.replicas = max(joined.replicas, replicas)
	return joined, isNew
}

// begin lets nobody join any more.
func (r *rounds) begin(begun *round) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, next := range r.next {
		if next == begun {
			delete(r.next, key)
		}
	}
}

// replicated returns once all replicas have what was written to a slot. Where the slot is on its
// way to another server it waits until it has arrived: that server has sent its replicas what came
// with the slot before.
func (s *Store) replicated(ctx context.Context, slot string, replicas int64) error {
	if replicas == 0 {
		return nil
	}
	// A place is free once the replicas of a round before have had their time.
	ctx, cancel := context.WithTimeout(ctx, waitLimit+callLimit)
	defer cancel()
	r, isNew := s.rounds.join(slot, replicas)
	if isNew {
		s.running.Go(func() { s.runRound(r) })
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if r.err != nil {
		return r.err
	}
	if r.n < replicas {
		return fmt.Errorf("%w: %d of %d", ErrNotReplicated, r.n, replicas)
	}
	return nil
}

// runRound waits for a place, and then for the replicas. It has its own limits: those who have
// joined may give up one by one.
func (s *Store) runRound(r *round) {
	defer close(r.done)
	s.rounds.places <- struct{}{}
	defer func() { <-s.rounds.places }()
	s.rounds.begin(r)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.work), callLimit)
	defer cancel()
	var err error
	untrusted := s.trusted(ctx, func() {
		for {
			r.n, err = s.wait(ctx, s.prefix+r.slot+":wait", r.replicas)
			if !isMoving(err) || !pause(ctx, movingEvery) {
				return
			}
		}
	})
	r.err = errors.Join(untrusted, err)
}

// waitText writes something, so that replicas can be waited for.
const waitText = "#!lua flags=allow-oom\nredis.call('SET', KEYS[1], '1', 'PX', ARGV[1]) return 1"

// wait writes a key, and counts the replicas that have acknowledged that, and so all before it:
// they take all writes in their order.
func (s *Store) wait(ctx context.Context, key string, replicas int64) (n int64, err error) {
	limit := strconv.FormatInt(waitLimit.Milliseconds(), 10)
	err = s.client.Dedicated(func(c rueidis.DedicatedClient) error {
		results := c.DoMulti(ctx,
			c.B().Eval().Script(waitText).Numkeys(1).Key(key).Arg(limit).Build(),
			c.B().Wait().Numreplicas(replicas).Timeout(waitLimit.Milliseconds()).Build())
		s.leaveDemoted(results)
		if err := results[0].Error(); err != nil {
			return err
		}
		n, err = results[1].AsInt64()
		return err
	})
	return n, err
}
