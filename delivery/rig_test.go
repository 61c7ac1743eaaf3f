package delivery_test

import (
	"context"
	"encoding/json"
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
)

// rig is a store with lines for a receiver.
type rig struct {
	t     *testing.T
	store *bolt.Store
	log   lines

	claims atomic.Int64 // of senders
}

// counted counts claims.
type counted struct {
	session.Outbox
	claims *atomic.Int64
}

func (c counted) Claim(ctx context.Context, q session.OutboxClaim) (session.OutboxClaimed, error) {
	c.claims.Add(1)
	return c.Outbox.Claim(ctx, q)
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

func (r *rig) options() delivery.Options {
	return delivery.Options{
		Outbox: counted{r.store, &r.claims},
		Node:   "a",
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
	c, err := r.store.Claim(r.t.Context(), session.OutboxClaim{Receiver: receiver, Keep: delivery.MaxWaiting})
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
