package delivery_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"curfew/delivery"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/redis"
	"curfew/session/redis/redistest"
	"curfew/session/storetest"
)

// rig is a store with lines for a receiver.
type rig struct {
	t     *testing.T
	store storetest.OutboxStore
	log   lines

	claims atomic.Int64 // of senders
	isAway atomic.Bool  // the store, for senders
}

// reached is the store as senders reach it.
type reached struct {
	session.Outbox
	rig *rig
}

var errAway = errors.New("the store is away")

func (r reached) Claim(ctx context.Context, q session.OutboxClaim) (session.OutboxClaimed, error) {
	r.rig.claims.Add(1)
	if r.rig.isAway.Load() {
		return session.OutboxClaimed{}, errAway
	}
	return r.Outbox.Claim(ctx, q)
}

func (r reached) Accept(ctx context.Context, receiver, epoch string, numbers []uint64) error {
	if r.rig.isAway.Load() {
		return errAway
	}
	return r.Outbox.Accept(ctx, receiver, epoch, numbers)
}

// lines is a log that tests read.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newRig(t *testing.T) *rig {
	t.Helper()
	store, err := bolt.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &rig{t: t, store: store}
}

// newRigOver is one of several rigs over one store in a Redis.
func newRigOver(t *testing.T, server *redistest.Server) *rig {
	t.Helper()
	store, err := redis.Open(t.Context(), server.URL(), "test:", nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return &rig{t: t, store: store}
}

// node names the rig. Others have other names.
func (r *rig) node() string { return fmt.Sprintf("%p", r) }

func (r *rig) options() delivery.Options {
	return delivery.Options{
		Outbox: reached{r.store, r},
		Node:   r.node(),
		Encode: func(e session.Event) ([]byte, error) { return json.Marshal(e) },
		Log:    slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

// sender is either kind of sender.
type sender interface {
	Follow(ctx context.Context) error
	Run(ctx context.Context)
	Wake()
	Stats() delivery.Stats
}

// run runs a sender until the test ends, or until it is told to stop.
func (r *rig) run(s sender) (stop func()) {
	r.t.Helper()
	if err := s.Follow(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { s.Run(ctx) })
	stop = func() { cancel(); running.Wait() }
	r.t.Cleanup(stop)
	return stop
}

// write writes lines "SESSION TEXT", where a session - is none.
func (r *rig) write(texts ...string) {
	r.t.Helper()
	for _, text := range texts {
		ref, detail, _ := strings.Cut(text, " ")
		e := session.Event{At: time.Now(), Kind: session.EventNotice, Session: strings.Trim(ref, "-"), Detail: detail}
		if err := r.store.Append(r.t.Context(), e); err != nil {
			r.t.Fatal(err)
		}
	}
}

// eventually waits for what a sender does by itself.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	over := time.After(20 * time.Second)
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for !ok() {
		select {
		case <-ticker.C:
		case <-over:
			r.t.Fatalf("waited in vain until %s; the log:\n%s", what, r.log.String())
		}
	}
}

// waiting is how many lines a receiver has not accepted, by the store.
func (r *rig) waiting(receiver string) int {
	r.t.Helper()
	claim := session.OutboxClaim{Receiver: receiver, Node: r.node(), Keep: delivery.MaxWaiting}
	c, err := r.store.Claim(r.t.Context(), claim)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.Waiting
}

// numbered are n texts of a session.
func numbered(ref string, n int) (texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprintf("%s %d", ref, i))
	}
	return texts
}
