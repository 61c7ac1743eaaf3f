package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"curfew/session"
)

// Store is a [session.Store] and a [session.SharedStore] in Redis. [Open] makes one for each node.
// Its methods may be called concurrently. A call takes a few seconds at most, if Redis does not
// answer.
type Store struct {
	client    rueidis.Client
	prefix    string
	masterSet string // of Sentinel
	master    sentinelCheck
	conns     connections
	rounds    rounds
	log       *slog.Logger
	onEvent   func(session.Event) // may be nil
	offset    atomic.Int64        // ms that a test clock is ahead of Redis's

	work    context.Context // ends with Close
	stop    context.CancelFunc
	running sync.WaitGroup

	relaying sync.Mutex // held while lines are relayed to the trail, so that those of a node keep their order

	mu      sync.Mutex
	pending map[string]struct{} // slots of outboxes with lines to relay
	wake    chan struct{}
}

var (
	_ session.Store       = (*Store)(nil)
	_ session.SharedStore = (*Store)(nil)
)

// Limits of one call. A Redis that does not answer within callLimit is out of reach; replicas have
// waitLimit to acknowledge.
const (
	callLimit = 2 * time.Second
	waitLimit = time.Second
	dialLimit = time.Second
)

// ParseURL checks a URL: redis:// or rediss://, with ?addr=HOST:PORT for further nodes of a cluster
// or further Sentinels, and ?master_set=NAME for Sentinel.
func ParseURL(url string) error {
	_, err := options(url)
	return err
}

func options(url string) (rueidis.ClientOption, error) {
	o, err := rueidis.ParseURL(url)
	if err != nil {
		return o, errors.New("must be redis://[USER:PASSWORD@]HOST:PORT, rediss://…, with ?master_set=NAME for " +
			"Sentinel and &addr=HOST:PORT for more nodes")
	}
	if o.Sentinel.MasterSet != "" { // the same account at the Sentinels
		o.Sentinel.Username, o.Sentinel.Password, o.Sentinel.TLSConfig = o.Username, o.Password, o.TLSConfig
		o.Sentinel.TopologyRefreshInterval = 5 * time.Second
	}
	o.Dialer.Timeout = dialLimit
	o.ConnWriteTimeout = callLimit
	o.DisableRetry = true // a call has an outcome or an error, within its limit
	o.DisableCache = true
	o.ReadBufferEachConn, o.WriteBufferEachConn = 64<<10, 64<<10
	o.PipelineMultiplex = 1
	o.ClientName = "curfew"
	return o, nil
}

// Open connects. Keys begin with prefix. onEvent, which may be nil, is called with every audit line
// that this node brings into the trail, and so each line on one node. What is written waits for it,
// so what takes its time belongs behind a [session.EventDispatcher]. It may be called concurrently.
// [Store.Close] ends what Open starts.
func Open(ctx context.Context, url, prefix string, onEvent func(session.Event), log *slog.Logger) (*Store, error) {
	o, err := options(url)
	if err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s := &Store{
		masterSet: o.Sentinel.MasterSet,
		prefix:    prefix,
		log:       log,
		onEvent:   onEvent,
		pending:   make(map[string]struct{}),
		wake:      make(chan struct{}, 1),
	}
	s.master.watch(&o)
	s.conns.watch(&o)
	if s.client, err = rueidis.NewClient(o); err != nil {
		return nil, fmt.Errorf("open redis: %w", err)
	}
	s.rounds.start(s.client.Mode())
	s.work, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := s.checkFormat(ctx); err != nil {
		s.client.Close()
		return nil, fmt.Errorf("open redis: %w", err)
	}
	for _, w := range s.weaknesses(ctx) {
		log.Warn("redis is not set up for what must not be lost", "problem", w)
	}
	s.running.Go(s.relayLoop)
	return s, nil
}

// Close relays what this node has left in outboxes, and disconnects. If Redis does not answer,
// another node relays it later.
func (s *Store) Close() error {
	s.stop()
	s.running.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), callLimit)
	defer cancel()
	s.relayPending(ctx) // what is left, another node relays
	s.client.Close()
	return nil
}

// keyFormat is the version of what lies under the keys. A reader refuses higher ones.
const keyFormat = 1

func (s *Store) checkFormat(ctx context.Context) error {
	text, err := s.once(ctx, s.prefix+"format", strconv.Itoa(keyFormat))
	if err != nil {
		return err
	}
	format, err := strconv.ParseInt(text, 10, 64)
	if err == nil && format > keyFormat {
		return fmt.Errorf("keys of format %d: %w", format, session.ErrNewerFormat)
	}
	return err
}

// weaknesses says, in words for operators, how the masters are set up so that they may lose what
// they have acknowledged.
func (s *Store) weaknesses(ctx context.Context) (list []string) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	for address, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Build()).ToString()
		if err != nil || field(info, "role") != "master" {
			continue
		}
		if field(info, "aof_enabled") == "0" {
			list = append(list, address+" keeps no append-only file: set appendonly yes")
		}
		if p := field(info, "maxmemory_policy"); p != "noeviction" && p != "" {
			list = append(list, address+" forgets keys when its memory is full: set maxmemory-policy noeviction")
		}
	}
	return list
}

// field reads a field of the answer to INFO.
func field(info, name string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// SetOffset implements [session.SharedStore].
func (s *Store) SetOffset(d time.Duration) { s.offset.Store(d.Milliseconds()) }

// Keys. All that one script touches is in one slot, named in braces.

func (s *Store) userKey(user string) string {
	return s.prefix + "{u:" + encode(session.FoldName(user)) + "}"
}

// formerUserKey is where an earlier version kept the index of a user, by the name as the directory
// writes it; empty where that is the same place.
func (s *Store) formerUserKey(user string) string {
	if session.FoldName(user) == user {
		return ""
	}
	return s.prefix + "{u:" + encode(user) + "}"
}

// call runs one command within the limit.
func (s *Store) call(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult {
	return s.callMany(ctx, cmd)[0]
}

// callMany runs several commands, in one round trip to each server. It returns a result for each.
func (s *Store) callMany(ctx context.Context, commands ...rueidis.Completed) (results []rueidis.RedisResult) {
	ctx, cancel := context.WithTimeout(ctx, callLimit)
	defer cancel()
	again := true // a read may be repeated: each connection that Redis has cut is noticed by an error
	for i, c := range commands {
		commands[i] = c.Pin()
		again = again && c.IsReadOnly()
	}
	err := s.trusted(ctx, func() {
		results = s.client.DoMulti(ctx, commands...)
		if again && slices.ContainsFunc(results, func(r rueidis.RedisResult) bool { return r.NonRedisError() != nil }) {
			results = s.client.DoMulti(ctx, commands...)
		}
		s.repeatMoving(ctx, commands, results)
	})
	s.leaveDemoted(results)
	if err != nil {
		s.log.Warn("redis is not believed", "error", err)
		return slices.Repeat([]rueidis.RedisResult{rueidis.NewErrorResult(err)}, len(commands))
	}
	return results
}

// repeatMoving runs commands again that Redis has refused because their slot is moving to another
// server.
func (s *Store) repeatMoving(ctx context.Context, commands []rueidis.Completed, results []rueidis.RedisResult) {
	for {
		var again []rueidis.Completed
		var indexes []int
		for i, r := range results {
			if isMoving(r.Error()) {
				again, indexes = append(again, commands[i]), append(indexes, i)
			}
		}
		if len(again) == 0 || !pause(ctx, movingEvery) {
			return
		}
		for k, r := range s.client.DoMulti(ctx, again...) {
			results[indexes[k]] = r
		}
	}
}

// leaveDemoted drops the connections to a server that is no longer a master.
func (s *Store) leaveDemoted(results []rueidis.RedisResult) {
	if s.client.Mode() == rueidis.ClientModeCluster {
		return
	}
	for _, r := range results {
		if err := r.Error(); isDemoted(err) && s.conns.drop() {
			s.log.Warn("redis is no master any more: all connections are made anew", "error", err)
		}
	}
}

// Secret implements [session.Store].
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	secret, err := s.once(ctx, s.prefix+"secret:"+name, string(fresh))
	if err != nil {
		return nil, fmt.Errorf("read server secret: %w", err)
	}
	return []byte(secret), nil
}

// once reads a value that is written when it is first asked for. It reads first: a Redis whose
// memory is full takes no writes.
func (s *Store) once(ctx context.Context, key, fresh string) (string, error) {
	value, err := s.call(ctx, s.client.B().Get().Key(key).Build()).ToString()
	if !rueidis.IsRedisNil(err) {
		return value, err
	}
	err = s.call(ctx, s.client.B().Set().Key(key).Value(fresh).Nx().Build()).Error()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", err
	}
	return s.call(ctx, s.client.B().Get().Key(key).Build()).ToString()
}

// Ping writes, because a server that answers but takes no writes is of no use.
func (s *Store) Ping(ctx context.Context) error {
	return s.call(ctx, s.client.B().Set().Key(s.prefix+"ping").Value("1").PxMilliseconds(10_000).Build()).Error()
}

// Reset implements [session.Store]. What nodes know of each other stays.
func (s *Store) Reset(ctx context.Context) error {
	for _, node := range s.client.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("replication").Build()).ToString()
		if err != nil {
			return fmt.Errorf("reset store: %w", err)
		}
		if field(info, "role") != "master" {
			continue
		}
		cursor := uint64(0)
		for {
			entry, err := node.Do(ctx,
				node.B().Scan().Cursor(cursor).Match(globEscape(s.prefix)+"*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				return fmt.Errorf("reset store: %w", err)
			}
			for _, key := range entry.Elements {
				if rest := key[len(s.prefix):]; strings.HasPrefix(rest, "secret:") ||
					strings.HasPrefix(rest, "format") || strings.HasPrefix(rest, slotNodes) {
					continue
				}
				if err := node.Do(ctx, node.B().Unlink().Key(key).Build()).Error(); err != nil {
					return fmt.Errorf("reset store: %w", err)
				}
			}
			if cursor = entry.Cursor; cursor == 0 {
				break
			}
		}
	}
	return nil
}

func globEscape(s string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(s)
}
