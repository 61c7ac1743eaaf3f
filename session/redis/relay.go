package redis

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// outboxEntry is an audit line in an outbox. By its key the trail takes it only once.
type outboxEntry struct {
	Key     string        `json:"k"`
	Session string        `json:"id,omitempty"` // name of the session
	Event   session.Event `json:"e"`
}

func (l outboxEntry) encode() (string, error) {
	l.Event = l.Event.Named()
	data, err := json.Marshal(l)
	return string(data), err
}

// relay has relayLoop bring a slot's outbox to the trail soon. It never waits.
func (s *Store) relay(slot string) {
	s.mu.Lock()
	s.pending[slot] = struct{}{}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// sweepEvery is how often all outboxes are read, for lines that a node has left behind.
const sweepEvery = 2 * time.Second

func (s *Store) relayLoop() {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-s.work.Done():
			return
		case <-s.wake:
		case <-ticker.C:
			s.mu.Lock()
			for _, slot := range outboxes() {
				s.pending[slot] = struct{}{}
			}
			s.mu.Unlock()
		}
		if err := s.relayPending(s.work); err != nil && s.work.Err() == nil {
			s.log.Debug("audit lines wait in their outboxes", "error", err)
		}
	}
}

func outboxes() []string { return append(partitions(), slotRevocations) }

func (s *Store) relayPending(ctx context.Context) error {
	s.relaying.Lock()
	defer s.relaying.Unlock()
	s.mu.Lock()
	slots := make([]string, 0, len(s.pending))
	for slot := range s.pending {
		slots = append(slots, slot)
	}
	clear(s.pending)
	s.mu.Unlock()
	return s.relayFrom(ctx, slots) // what fails is found by the next sweep
}

// relayedTogether is how many lines of one outbox are relayed at once.
const relayedTogether = 100

// relayFrom brings the outboxes of these slots to the trail.
func (s *Store) relayFrom(ctx context.Context, slots []string) error {
	for len(slots) > 0 {
		full, err := s.relayOnce(ctx, slots)
		if err != nil {
			return err
		}
		slots = full
	}
	return nil
}

// relayOnce brings the first lines of these outboxes to the trail, and returns which outboxes have
// more. For an end it first deletes the session from the index of its user. It deletes lines from
// the outbox last, once all replicas have them in the trail. So it can be repeated after a failure,
// and an end keeps its line even if the trail's master is lost.
func (s *Store) relayOnce(ctx context.Context, slots []string) (full []string, err error) {
	b := s.client.B()
	var reads []rueidis.Completed
	for _, slot := range slots {
		reads = append(reads, b.Lrange().Key(s.outboxKey(slot)).Start(0).Stop(relayedTogether-1).Build())
	}
	var lines []outboxEntry
	var over, relayed []rueidis.Completed
	for i, result := range s.callMany(ctx, reads...) {
		texts, err := result.AsStrSlice()
		if err != nil {
			return nil, err
		}
		if len(texts) == relayedTogether {
			full = append(full, slots[i])
		}
		for _, text := range texts {
			var l outboxEntry
			if err := json.Unmarshal([]byte(text), &l); err != nil {
				return nil, fmt.Errorf("audit line in outbox: %w", err)
			}
			lines = append(lines, l)
			if l.Event.Kind == session.EventSessionEnd {
				over = append(over, b.Hdel().Key(s.userKey(l.Event.User)).Field(l.Session).Build())
				if former := s.formerUserKey(l.Event.User); former != "" {
					over = append(over, b.Hdel().Key(former).Field(l.Session).Build())
				}
			}
			relayed = append(relayed, b.Lrem().Key(s.outboxKey(slots[i])).Count(1).Element(text).Build())
		}
	}
	if err := s.all(ctx, over); err != nil {
		return nil, err
	}
	for chunk := range slices.Chunk(lines, 500) {
		if err := s.appendLines(ctx, relayScript, chunk); err != nil {
			return nil, err
		}
	}
	return full, s.all(ctx, relayed)
}

// all runs commands and fails if one of them does.
func (s *Store) all(ctx context.Context, commands []rueidis.Completed) error {
	if len(commands) == 0 {
		return nil
	}
	for _, result := range s.callMany(ctx, commands...) {
		if err := result.Error(); err != nil {
			return err
		}
	}
	return nil
}

// outboxKey lists the audit lines that were written along with a change and are not in the trail
// yet.
func (s *Store) outboxKey(slot string) string { return s.prefix + slot + ":outbox" }
