package views

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"
)

// Readiness knows whether the server can do its work. Anybody may ask /readyz, so no question makes
// a store or a directory work: each is looked at every few seconds, by one probe at a time, and the
// answer is kept.
type Readiness struct {
	store, directory *probe
}

// How often the parts are looked at, and how long one look may take.
const (
	readyEvery     = 3 * time.Second
	storeLimit     = 2 * time.Second
	directoryLimit = 8 * time.Second
)

// NewReadiness looks at the store and at the directory by these functions. [Readiness.Run] must be
// called.
func NewReadiness(store, directory func(context.Context) error, log *slog.Logger) *Readiness {
	part := func(name string, look func(context.Context) error, limit time.Duration) *probe {
		return &probe{name: name, look: look, limit: limit, log: log, first: make(chan struct{})}
	}
	return &Readiness{part("store", store, storeLimit), part("directory", directory, directoryLimit)}
}

// Run looks until ctx ends.
func (r *Readiness) Run(ctx context.Context) {
	var running sync.WaitGroup
	running.Go(func() { r.store.run(ctx) })
	running.Go(func() { r.directory.run(ctx) })
	running.Wait()
}

// StoreAway reports whether the last look at the store has failed. Before the first it has not.
func (r *Readiness) StoreAway() bool {
	r.store.mu.Lock()
	defer r.store.mu.Unlock()
	return r.store.err != nil
}

// probe looks at one part.
type probe struct {
	name  string
	look  func(context.Context) error
	limit time.Duration
	log   *slog.Logger
	first chan struct{} // closed after the first look

	mu  sync.Mutex
	at  time.Time // when the last look was done
	err error     // what it found
}

func (p *probe) run(ctx context.Context) {
	ticker := time.NewTicker(readyEvery)
	defer ticker.Stop()
	for {
		limit, cancel := context.WithTimeout(ctx, p.limit)
		err := p.look(limit)
		cancel()
		if ctx.Err() != nil {
			return
		}
		p.note(err)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *probe) note(err error) {
	p.mu.Lock()
	before, isFirst := p.err, p.at.IsZero()
	p.at, p.err = time.Now(), err
	p.mu.Unlock()
	if isFirst {
		close(p.first)
	}
	switch {
	case err != nil && before == nil:
		p.log.Warn("out of reach", "part", p.name, "error", err)
	case err == nil && before != nil:
		p.log.Info("in reach again", "part", p.name)
	}
}

var errNoAnswer = errors.New("does not answer")

// found is what the last look found. The first is waited for; one that has hung for too long counts
// as no answer.
func (p *probe) found(ctx context.Context) error {
	select {
	case <-p.first:
	case <-ctx.Done():
		return errNoAnswer
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.at) > readyEvery+p.limit+time.Second {
		return errNoAnswer
	}
	return p.err
}

// health is what /readyz and /metrics show. Where a part is nil, its route is not served.
type health struct {
	ready   *Readiness
	metrics http.Handler
}

func (s *Server) healthRoutes() {
	s.mux.Handle("GET /healthz", http.HandlerFunc(healthz))
	if s.health.ready != nil {
		s.mux.Handle("GET /readyz", http.HandlerFunc(s.readyz))
	}
	if s.health.metrics != nil {
		s.mux.Handle("GET /metrics", s.page(s.serveMetrics))
	}
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write([]byte("ok\n"))
}

// readyAnswer tells whether the server can do its work. Ready goes by the store alone: without the
// directory those who are signed in go on.
type readyAnswer struct {
	Ready            bool              `json:"ready"`
	Checks           map[string]string `json:"checks"`
	IgnoredForwarded int64             `json:"ignored_forwarded_headers"`
	UntoldChecks     int64             `json:"checks_without_original_request"`
	Hint             string            `json:"hint,omitempty"`
}

func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), storeLimit)
	defer cancel()
	word := func(err error) string {
		if err != nil {
			return "out of reach"
		}
		return "ok"
	}
	store, directory := s.health.ready.store.found(ctx), s.health.ready.directory.found(ctx)
	a := readyAnswer{
		Ready:            store == nil,
		Checks:           map[string]string{"store": word(store), "directory": word(directory)},
		IgnoredForwarded: s.proxies.Ignored(),
		UntoldChecks:     s.proxies.Untold(),
	}
	switch {
	case a.IgnoredForwarded > 0:
		a.Hint = "X-Forwarded-* headers of peers outside trusted-proxies are ignored"
	case a.UntoldChecks > 0:
		a.Hint = "a proxy that asks a door is outside trusted-proxies, or does not send its headers once each: " +
			"what it asks for is no activity, and nobody is led back after a sign-in"
	}
	if !a.Ready {
		w.Header().Set("Retry-After", retryAfter(readyEvery))
		writeJSON(w, http.StatusServiceUnavailable, a)
		return
	}
	writeJSON(w, http.StatusOK, a)
}

func (s *Server) serveMetrics(w http.ResponseWriter, r *http.Request) error {
	serve := func(w http.ResponseWriter, r *http.Request) error {
		s.health.metrics.ServeHTTP(w, r)
		return nil
	}
	_, given, _ := s.bearer(r)
	switch {
	case !given && s.refusesAdmin(r):
		return errElsewhere
	case !given:
		return s.requireAdmin(serve)(w, r)
	}
	if _, err := s.caller(w, r); err != nil {
		return err
	}
	return serve(w, r)
}
