package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"curfew/delivery"
	"curfew/directory"
	"curfew/hub"
	"curfew/internal/metrics"
	"curfew/internal/watching"
	"curfew/session"
	"curfew/session/gorilla"
	"curfew/views"
)

// stopLimit is how long a graceful stop waits for requests and pages.
const stopLimit = 5 * time.Second

// reloads says how settings are read again, and when.
type reloads struct {
	load   func() (*config, error)
	hangup <-chan os.Signal
}

// run builds a server, serves until ctx ends or a listener fails, and stops gracefully. Whoever
// starts a server reads its standard output; stderr gets the log and the audit trail. What goes
// wrong while the server stops is part of the error.
func run(ctx context.Context, cfg *config, again reloads, stdout, stderr io.Writer) error {
	s := &server{cfg: cfg, log: newLogger(cfg, stderr), node: nodeName(cfg), failed: make(chan error, 4)}
	// What net/http and others write to the package log, such as what an application sends unasked.
	slog.SetLogLoggerLevel(slog.LevelDebug)
	slog.SetDefault(s.log)
	err := s.build(ctx, auditLog(stderr))
	if err == nil {
		s.startWork(ctx, again)
		err = s.serve(ctx, stdout)
		err = s.stop(ctx, err)
	}
	return errors.Join(err, s.close())
}

// server is one node of Curfew.
type server struct {
	cfg  *config
	log  *slog.Logger
	node string

	// set by build
	listener  net.Listener
	store     session.Store
	outbox    session.Outbox
	senders   []delivery.Sender
	toWake    atomic.Pointer[[]delivery.Sender] // senders, for events that the store has before they are made
	directory *directory.Directory
	hub       *hub.Hub
	web       *views.Server
	watcher   *directory.Watcher
	readiness *views.Readiness
	clock     clocks
	metrics   *metrics.Metrics
	closers   []func() error // undo build, in the order in which it was done

	// what goes on until the program stops
	http     []*http.Server
	failed   chan error // room for what each of http may tell
	stopWork context.CancelFunc
	group    sync.WaitGroup
}

// build makes all parts of the server and wires them together, from the right of the diagram in
// docs/architecture.md to the left. [server.close] closes what was made, also where build fails.
func (s *server) build(ctx context.Context, onEvent func(session.Event)) (err error) {
	if s.listener, err = net.Listen("tcp", s.cfg.http.listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	s.closers = append(s.closers, func() error { s.listener.Close(); return nil }) // closed already after a stop

	var testing *testingRoutes // nil unless this is a server for testing
	var faults *nodeFaults
	if s.cfg.operation.testing {
		faults = newNodeFaults()
		testing = &testingRoutes{public: s.public(), faults: faults}
	}
	s.clock = newClocks(faults, s.cfg.store.redisURL != "")
	s.metrics = metrics.New()
	store, shared, err := s.openStore(ctx, onEvent)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, store.Close)
	if err := s.newSenders(ctx); err != nil {
		return err
	}
	secret, err := store.Secret(ctx, "csrf")
	if err != nil {
		return err
	}
	people, stopDemo, err := openDirectory(s.cfg)
	if err != nil {
		return err
	}
	s.closers = append(s.closers, func() error { stopDemo(); return nil })
	if testing != nil {
		store, shared = faults.over(store, shared)
		testing.timeline = hub.NewTimeline(s.clock)
	}
	store, shared = s.metrics.Store(store), s.metrics.Shared(shared)
	s.store, s.directory = store, people
	if s.hub, err = hub.New(ctx, s.hubOptions(shared, testing)); err != nil {
		return err
	}
	s.watcher = s.newWatcher()
	s.readiness = views.NewReadiness(store.Ping, people.Ping, s.log)
	s.metrics.Watch(metrics.Watched{
		Hub:       s.hub,
		Directory: people,
		Watcher:   s.watcher,
		StoreAway: s.readiness.StoreAway,
		Senders:   s.senders,
	})
	sessions := gorilla.New(s.hub, s.clock)
	s.web = views.New(s.webOptions(sessions, secret))
	s.forward()
	if testing != nil {
		testing.hub, testing.sessions, testing.entries.directory = s.hub, sessions, people
		testing.clock = s.clock.test
		testing.routes(s.web)
	}
	return nil
}

// close closes what build made, the last first.
func (s *server) close() (err error) {
	for _, undo := range slices.Backward(s.closers) {
		err = errors.Join(err, undo())
	}
	return err
}

// hubOptions are those of the hub. testing is nil unless this is a server for testing.
func (s *server) hubOptions(shared session.SharedStore, testing *testingRoutes) hub.Options {
	options := hub.Options{
		Store:       s.store,
		Shared:      shared,
		Clock:       s.clock,
		TestClock:   s.clock.test,
		SyncedClock: s.clock.synced,
		Policies:    s.cfg.sessions.policies,
		Admins:      s.cfg.operation.adminGroups,
		Presence:    s.cfg.operation.presence,
		Node:        s.node,
		Origins:     s.cfg.http.allowedOrigins,
		MaxTabs:     maxTabs(),
		SignIn:      s.cfg.http.basePath + "/login",
		Log:         s.log,
		Meter:       s.metrics,
	}
	if testing != nil {
		options.Timeline = testing.timeline
	}
	return options
}

// newWatcher makes what carries changes in the directory to the hub.
func (s *server) newWatcher() *directory.Watcher {
	c := &s.cfg.directory
	return directory.NewWatcher(s.directory, c.watch, c.pollEvery, watching.For(s.hub), s.log)
}

// webOptions are those of pages, console and API.
func (s *server) webOptions(sessions *gorilla.Store, secret []byte) views.Options {
	options := views.Options{
		Hub:           s.hub,
		Sessions:      sessions,
		Trail:         s.store,
		Authenticator: s.directory,
		People:        s.directory,
		Ready:         s.readiness,
		Tokens:        s.cfg.operation.tokens,
		Listeners: views.Listeners{
			SignedIn: watching.AfterSignIn(s.watcher),
			Refused:  s.metrics.Refused,
			Proxied:  s.metrics,
		},
		Clock:       s.clock,
		Secret:      secret,
		PublicURL:   s.public(),
		AdminURL:    s.cfg.http.adminURL,
		BasePath:    s.cfg.http.basePath,
		Home:        s.cfg.application.home,
		Application: s.webApplication(),
		Proxies:     views.NewProxies(s.cfg.http.trustedProxies),
		Passive:     s.cfg.sessions.passivePaths,
		Site:        s.site(),
		Log:         s.log,
	}
	if s.cfg.operation.metricsListen == "" {
		options.Metrics = s.metrics.Handler()
	}
	return options
}

// site is how the server presents itself.
func (s *server) site() views.Site {
	site := s.cfg.site.site(s.cfg.operation.testing)
	site.HSTS = s.cfg.http.hsts.header
	return site
}

// local is where this process is reached on this machine.
func (s *server) local() *url.URL {
	return s.cfg.http.local(strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port))
}

// public is what browsers see, as they write it: without port 80 or 443.
func (s *server) public() *url.URL {
	if s.cfg.http.publicURL != nil {
		return s.cfg.http.publicURL
	}
	public, err := views.ParseOrigin(s.local().String())
	if err != nil {
		panic(err) // a number of a port and localhost always make an origin
	}
	return public
}

// startWork starts what goes on beside requests, until [server.stop].
func (s *server) startWork(ctx context.Context, again reloads) {
	reload := &reloader{
		load:  again.load,
		hub:   s.hub,
		web:   s.web,
		trail: s.store,
		clock: s.clock,
		log:   s.log,
		told:  s.cfg.sessions.policies,
	}
	var work context.Context
	work, s.stopWork = context.WithCancel(context.WithoutCancel(ctx))
	for _, one := range s.senders {
		s.group.Go(func() { one.Run(work) })
	}
	s.group.Go(func() { s.housekeep(work) })
	s.group.Go(func() { s.watcher.Run(work) })
	s.group.Go(func() { s.readiness.Run(work) })
	s.group.Go(func() { reload.run(work, again.hangup) })
}

// serve listens, says so, and returns when ctx ends, or with the error of a listener that fails
// before.
func (s *server) serve(ctx context.Context, stdout io.Writer) error {
	defer s.withdraw()
	if err := s.listen(); err != nil {
		return err
	}
	if err := s.announce(stdout); err != nil {
		return err
	}
	s.log.Info("serving", "node", s.node, "local", s.local().String(), "public", s.public().String())
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

// listen serves the web on the listener, with TLS where there is a certificate, and what has an
// address of its own.
func (s *server) listen() error {
	plain := func(l net.Listener) net.Listener { return l }
	secure := plain
	if s.cfg.http.tlsCert != "" {
		certificate := &certificate{cert: s.cfg.http.tlsCert, key: s.cfg.http.tlsKey}
		if _, err := certificate.get(nil); err != nil {
			return err
		}
		secure = func(l net.Listener) net.Listener {
			return tls.NewListener(l, &tls.Config{
				GetCertificate: certificate.get,
				MinVersion:     tls.VersionTLS12,
				NextProtos:     []string{"h2", "http/1.1"},
			})
		}
	}
	s.handle(secure(s.listener), s.web)
	if err := s.listenApart("console", s.cfg.http.adminListen, secure, s.web.Console()); err != nil {
		return err
	}
	metrics := metricsRoutes(s.metrics.Handler())
	if err := s.listenApart("metrics", s.cfg.operation.metricsListen, plain, metrics); err != nil {
		return err
	}
	return s.listenApart("doors", s.cfg.http.verifyListen, plain, s.web.Doors())
}

// listenApart serves h on an address of its own, unless that is empty.
func (s *server) listenApart(what, address string, over func(net.Listener) net.Listener, h http.Handler) error {
	if address == "" {
		return nil
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("listen for %s: %w", what, err)
	}
	s.log.Info("listening", "for", what, "address", l.Addr().String())
	s.handle(over(l), h)
	return nil
}

// handle starts an HTTP server on l.
func (s *server) handle(l net.Listener, h http.Handler) {
	server := newHTTPServer(h, s.log)
	s.http = append(s.http, server)
	s.group.Go(func() {
		err := server.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			s.failed <- nil
			return
		}
		s.failed <- fmt.Errorf("serve: %w", err)
	})
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h,
		// An OPTIONS * is the application's to answer, for people who are signed in.
		DisableGeneralOptionsHandler: true,
		ReadHeaderTimeout:            10 * time.Second,
		ReadTimeout:                  30 * time.Second,
		WriteTimeout:                 time.Minute,
		IdleTimeout:                  2 * time.Minute,
		MaxHeaderBytes:               64 << 10,
		ErrorLog:                     stdlog.New(serverLog{log}, "", 0),
	}
}

// serverLog takes what net/http has to say. A panic of a handler is a fault of ours, and is told
// with its stack; all else is about a single connection, of which strangers make as many as they
// like.
type serverLog struct{ log *slog.Logger }

// Write implements [io.Writer]. Each call is one message.
func (l serverLog) Write(text []byte) (int, error) {
	said := strings.TrimSpace(string(text))
	if by, _, isPanic := strings.Cut(said, ": panic serving "); isPanic && (by == "http" || by == "http2") {
		l.log.Error("a handler has panicked", "error", said)
	} else {
		l.log.Debug("a connection has failed", "error", said)
	}
	return len(text), nil
}

// stop ends all that goes on, gracefully, within [stopLimit]. It returns what went wrong, with err
// before it.
func (s *server) stop(ctx context.Context, err error) error {
	s.log.Info("stopping")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	for _, one := range s.http {
		s.group.Go(func() {
			if one.Shutdown(limit) != nil {
				one.Close()
			}
		})
	}
	s.web.Shutdown()
	err = errors.Join(err, s.hub.Shutdown(limit))
	s.stopWork()
	s.group.Wait()
	return err
}

// pruneEvery is how often the store forgets what is too old.
const pruneEvery = time.Hour

// housekeep prunes the store until ctx ends.
func (s *server) housekeep(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := s.hub.Prune(ctx, s.cfg.operation.auditKeep); err != nil && ctx.Err() == nil {
			s.log.Error("store not pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
