package redis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// What nodes tell each other: messages, leases, and reports of their tabs.

// slotNodes is where the leases lie.
const slotNodes = "{nodes}"

// LeaseFor is how long a node counts as alive after its last pulse.
const LeaseFor = 8 * time.Second

// nodeKeptFor is how long a node's report of its tabs is kept after its last pulse. It is only
// housekeeping: other nodes no longer read it once the lease is over.
const nodeKeptFor = time.Minute

// linesTogether is how many audit lines a pulse reads.
const linesTogether = 1000

func (s *Store) leasesKey() string { return s.prefix + slotNodes + ":leases" }
func (s *Store) offsetKey() string { return s.prefix + slotNodes + ":offset" }
func (s *Store) channel() string   { return s.prefix + slotNodes + ":events" }
func (s *Store) tabsKey(node string) string {
	return s.prefix + "{n:" + encode(node) + "}:tabs"
}

// Publish implements [session.SharedStore].
func (s *Store) Publish(ctx context.Context, message []byte) error {
	return s.call(ctx, s.client.B().Publish().Channel(s.channel()).Message(string(message)).Build()).Error()
}

// Subscribe implements [session.SharedStore].
func (s *Store) Subscribe(ctx context.Context, began func(), heard func(message []byte)) error {
	ctx = rueidis.WithOnSubscriptionHook(ctx, func(e rueidis.PubSubSubscription) {
		if e.Kind == "subscribe" {
			began()
		}
	})
	return s.client.Receive(ctx, s.client.B().Subscribe().Channel(s.channel()).Build(),
		func(m rueidis.PubSubMessage) { heard([]byte(m.Message)) })
}

// pulseScript renews a lease by Redis's own clock.
var pulseScript = newVitalScript(clock + `
local leases, offset = KEYS[1], KEYS[2]
local present = now(0)
local fresh = redis.call('ZADD', leases, string.format('%d', present + ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', leases, '-inf', '(' .. string.format('%d', present))
return {string.format('%d', present), redis.call('GET', offset) or '0', fresh, redis.call('ZRANGE', leases, 0, -1)}
`)

// Pulse implements [session.SharedStore].
func (s *Store) Pulse(ctx context.Context, node string, after uint64) (p session.Heartbeat, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("renew lease: %w", err)
		}
	}()
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	if err := s.readLines(limited, node, after, &p); err != nil {
		return p, err
	}
	if err := s.renewLease(ctx, node, &p); err != nil {
		return p, err
	}
	p.Epoch = s.Epoch(limited)
	return p, nil
}

// readLines reads what stands in the trail after a number, and the number of the last revocation.
// What the node has left is kept for another while.
func (s *Store) readLines(ctx context.Context, node string, after uint64, p *session.Heartbeat) (err error) {
	b := s.client.B()
	results := s.callMany(ctx,
		b.Pexpire().Key(s.tabsKey(node)).Milliseconds(nodeKeptFor.Milliseconds()).Build(),
		b.Get().Key(s.lastRevocationKey()).Build(),
		b.Xrange().Key(s.auditKey()).Start(fmt.Sprintf("(%d-0", after)).End("+").Count(linesTogether).Build(),
	)
	if _, err := results[0].AsInt64(); err != nil {
		return err
	}
	if p.LastRevocation, err = results[1].AsInt64(); err != nil && !rueidis.IsRedisNil(err) {
		return err
	}
	entries, err := results[2].AsXRange()
	if err != nil {
		return err
	}
	p.Last, p.More = after, len(entries) == linesTogether
	for _, entry := range entries {
		e, err := eventOf(entry)
		if err != nil {
			return err
		}
		p.Last = e.Number
		text := entry.FieldValues["id"]
		if text == "" {
			continue
		}
		id, err := parseName(text)
		if err != nil {
			return err
		}
		switch e.Kind {
		case session.EventSignIn:
			p.Begun = append(p.Begun, id)
		case session.EventSessionEnd:
			p.Ended = append(p.Ended, id)
		}
	}
	return nil
}

// renewLease renews the lease of a node, and asks Redis what time it is and whose leases run.
func (s *Store) renewLease(ctx context.Context, node string, p *session.Heartbeat) error {
	p.Lease, p.Asked = LeaseFor, time.Now()
	answer, err := s.run(ctx, pulseScript, []string{s.leasesKey(), s.offsetKey()}, []string{node, inMillis(LeaseFor)})
	if err != nil {
		return err
	}
	p.Took = time.Since(p.Asked)
	if len(answer) != 4 {
		return errUnexpected
	}
	present, err1 := answer[0].AsInt64()
	offset, err2 := answer[1].AsInt64()
	fresh, err3 := answer[2].AsInt64()
	nodes, err4 := answer[3].AsStrSlice()
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	p.Now, p.Offset = session.FromUnixMilli(present), time.Duration(offset)*time.Millisecond
	p.Fresh, p.Nodes = fresh == 1, nodes
	return nil
}

// Epoch implements [session.SharedStore]: it names the runs of the servers that are masters now.
func (s *Store) Epoch(ctx context.Context) string {
	var runs []string
	for _, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("server", "replication").Build()).ToString()
		if err != nil {
			continue // a server that is down is no master, or the scripts above have failed
		}
		if field(info, "role") == "master" {
			runs = append(runs, field(info, "run_id"))
		}
	}
	slices.Sort(runs)
	return strings.Join(runs, " ")
}

// LastLine implements [session.SharedStore].
func (s *Store) LastLine(ctx context.Context) (uint64, error) {
	n, err := s.call(ctx, s.client.B().Get().Key(s.counterKey()).Build()).AsUint64()
	if rueidis.IsRedisNil(err) {
		return 0, nil
	}
	return n, err
}

// RemoveNode implements [session.SharedStore].
func (s *Store) RemoveNode(ctx context.Context, node string) error {
	limited, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	results := s.callMany(limited,
		s.client.B().Zrem().Key(s.leasesKey()).Member(node).Build(),
		s.client.B().Unlink().Key(s.tabsKey(node)).Build())
	return errors.Join(results[0].Error(), results[1].Error())
}

// tabsTogether is how many sessions' tabs one command writes or reads.
const tabsTogether = 500

// SetTabs implements [session.SharedStore]. A field without a name keeps the key in place when
// there is no other, so that a pulse can prolong it.
func (s *Store) SetTabs(ctx context.Context, node string, tabs map[session.ID]string, whole bool) error {
	key, b := s.tabsKey(node), s.client.B()
	into := key
	if whole {
		into = key + ":new"
	}
	var commands []rueidis.Completed
	if whole {
		commands = append(commands, b.Unlink().Key(into).Build())
	}
	commands = append(commands, b.Hset().Key(into).FieldValue().FieldValue("", "").Build(), // so that the key exists
		b.Pexpire().Key(into).Milliseconds(nodeKeptFor.Milliseconds()).Build())
	for ids := range slices.Chunk(slices.Collect(maps.Keys(tabs)), tabsTogether) {
		set := b.Hset().Key(into).FieldValue().FieldValue("", "")
		for _, id := range ids {
			if text := tabs[id]; text != "" {
				set = set.FieldValue(name(id), text)
			} else {
				commands = append(commands, b.Hdel().Key(into).Field(name(id)).Build())
			}
		}
		commands = append(commands, set.Build())
	}
	if whole {
		commands = append(commands, b.Rename().Key(into).Newkey(key).Build())
	}
	for chunk := range slices.Chunk(commands, tabsTogether) {
		for _, result := range s.callMany(ctx, chunk...) {
			if err := result.Error(); err != nil {
				return fmt.Errorf("publish tabs of node: %w", err)
			}
		}
	}
	return nil
}

// Tabs implements [session.SharedStore].
func (s *Store) Tabs(ctx context.Context, node string) (map[session.ID]string, error) {
	tabs := make(map[session.ID]string)
	for cursor := uint64(0); ; {
		page, err := s.call(ctx,
			s.client.B().Hscan().Key(s.tabsKey(node)).Cursor(cursor).Count(tabsTogether).Build()).AsScanEntry()
		if err != nil {
			return nil, fmt.Errorf("read tabs of node: %w", err)
		}
		for i := 0; i+1 < len(page.Elements); i += 2 {
			if page.Elements[i] == "" {
				continue
			}
			id, err := parseName(page.Elements[i])
			if err != nil {
				return nil, err
			}
			tabs[id] = page.Elements[i+1]
		}
		if cursor = page.Cursor; cursor == 0 {
			return tabs, nil
		}
	}
}

// MoveClock implements [session.SharedStore].
func (s *Store) MoveClock(ctx context.Context, by time.Duration) (time.Duration, error) {
	n, err := s.call(ctx, s.client.B().Incrby().Key(s.offsetKey()).Increment(by.Milliseconds()).Build()).AsInt64()
	return time.Duration(n) * time.Millisecond, err
}
