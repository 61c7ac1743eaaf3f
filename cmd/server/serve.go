package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"curfew/directory"
	"curfew/directory/demo"
	"curfew/hub"
	"curfew/session"
	"curfew/session/gorilla"
	"curfew/views"
)

// stopLimit is how long a graceful stop waits for requests and pages.
const stopLimit = 5 * time.Second

// run wires the server together, serves until ctx ends, and stops gracefully.
// load reads the settings again, for each value from hangup.
func run(ctx context.Context, cfg *config, load func() (*config, error), hangup <-chan os.Signal, stdout, stderr io.Writer) (err error) {
	log := newLogger(cfg, stderr)
	node := nodeName(cfg)
	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer listener.Close()
	local, public := urls(cfg, listener)

	var trouble *trouble
	if cfg.testing {
		trouble = newTrouble()
	}
	clock := newClocks(trouble, cfg.redisURL != "")
	store, peers, err := openStore(ctx, cfg, clock, auditLog(stderr), log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	secret, err := store.Secret(ctx, "csrf")
	if err != nil {
		return err
	}

	people, stopDemo, err := openDirectory(cfg)
	if err != nil {
		return err
	}
	defer stopDemo()

	var timeline *hub.Timeline
	if cfg.testing {
		store, peers = trouble.over(store, peers)
		timeline = hub.NewTimeline(clock)
	}
	tabs, err := hub.New(ctx, hub.Options{
		Store: store, Shared: peers, Clock: clock, TestClock: clock.movable, SyncedClock: clock.steered, Policies: cfg.policies, Origins: append([]string{views.Origin(public)}, cfg.allowedOrigins...),
		SignIn: cfg.basePath + "/login", Log: log, Timeline: timeline, Admins: cfg.adminGroups, Presence: cfg.presence, Node: node, MaxTabs: maxTabs(),
	})
	if err != nil {
		return err
	}
	sessions := gorilla.New(tabs, clock)
	metrics := newMetrics(tabs)
	watcher := directory.NewWatcher(people, cfg.ldapWatch, cfg.ldapPollEvery, signedIn{tabs, store, clock, log}, log)
	options := views.Options{
		Hub: tabs, Sessions: sessions, Trail: store, Authenticator: people, People: people, Tokens: cfg.tokens, Clock: clock,
		Secret: secret, PublicURL: public, BasePath: cfg.basePath, Proxies: views.NewProxies(cfg.trustedProxies), Passive: cfg.passivePaths,
		Testing: cfg.testing, Log: log, SignedIn: justSignedIn(watcher),
		Ready: views.NewReadiness(store.Ping, people.Ping, log),
	}
	if cfg.metricsListen == "" {
		options.Metrics = metrics
	}
	pages := views.New(options)
	if cfg.testing {
		(&testingRoutes{tabs, sessions, timeline, public, trouble}).routes(pages)
	}

	reload := &reloader{load: load, tabs: tabs, pages: pages, trail: store, clock: clock, log: log, told: cfg.policies}
	p := &running{pages: pages, tabs: tabs, log: log, failed: make(chan error, 2)}
	var work context.Context
	work, p.stopWork = context.WithCancel(context.WithoutCancel(ctx))
	p.group.Go(func() { housekeep(work, tabs, cfg.auditKeep, log) })
	p.group.Go(func() { watcher.Run(work) })
	p.group.Go(func() { options.Ready.Run(work) })
	p.group.Go(func() { reload.run(work, hangup) })
	if err = p.listen(cfg, listener, metrics); err == nil {
		err = announce(cfg, local, public, stdout)
	}
	if err == nil {
		log.Info("serving", "node", node, "local", local, "public", public.String())
		err = p.wait(ctx)
	}
	if cfg.readyFile != "" {
		os.Remove(cfg.readyFile)
	}
	return p.stop(ctx, err)
}

// openDirectory is the directory of the settings, or the one for demonstrations where they name none. stop ends the latter.
func openDirectory(cfg *config) (people *directory.Directory, stop func(), err error) {
	stop = func() {}
	if len(cfg.directory.URLs) == 0 {
		server, err := demo.Start()
		if err != nil {
			return nil, nil, err
		}
		stop = server.Stop
		required := cfg.directory.Required
		cfg.directory = server.Config()
		cfg.directory.Required = required
	}
	if people, err = directory.New(cfg.directory); err != nil {
		stop()
		return nil, nil, err
	}
	return people, stop, nil
}

// running is what goes on until the program stops.
type running struct {
	pages    *views.Server
	tabs     *hub.Hub
	log      *slog.Logger
	stopWork context.CancelFunc
	failed   chan error // room for what each server may tell
	servers  []*http.Server
	group    sync.WaitGroup
}

// listen serves the pages on l, with TLS where there is a certificate, and the metrics where they have an address of their own.
func (p *running) listen(cfg *config, l net.Listener, metrics http.Handler) error {
	if cfg.tlsCert != "" {
		certificate := &certificate{cert: cfg.tlsCert, key: cfg.tlsKey}
		if _, err := certificate.get(nil); err != nil {
			return err
		}
		l = tls.NewListener(l, &tls.Config{GetCertificate: certificate.get, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	p.serve(l, p.pages)
	if cfg.metricsListen == "" {
		return nil
	}
	separate, err := net.Listen("tcp", cfg.metricsListen)
	if err != nil {
		return fmt.Errorf("listen for metrics: %w", err)
	}
	p.serve(separate, metricsRoutes(metrics))
	return nil
}

func (p *running) serve(l net.Listener, h http.Handler) {
	server := newHTTPServer(h, p.log)
	p.servers = append(p.servers, server)
	p.group.Go(func() { p.failed <- serve(server, l) })
}

// wait returns when ctx ends, or with the error of a server that fails before.
func (p *running) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// stop ends it all gracefully, within [stopLimit]. It returns what went wrong, with err before it.
func (p *running) stop(ctx context.Context, err error) error {
	p.log.Info("stopping")
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopLimit)
	defer cancel()
	for _, s := range p.servers {
		p.group.Go(func() {
			if s.Shutdown(limit) != nil {
				s.Close()
			}
		})
	}
	p.pages.Shutdown()
	err = errors.Join(err, p.tabs.Shutdown(limit))
	p.stopWork()
	p.group.Wait()
	return err
}

func newLogger(cfg *config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: cfg.logLevel}
	if cfg.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// auditLog writes every event of the audit trail to the log as JSON, whatever the log's own format: one line each.
func auditLog(w io.Writer) func(session.Event) {
	log := slog.New(slog.NewJSONHandler(w, nil))
	return func(e session.Event) { log.Info("audit", "event", e) }
}

func newHTTPServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 64 << 10, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

func serve(s *http.Server, l net.Listener) error {
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}

// urls are where this process is reached on this machine, and what browsers see.
func urls(cfg *config, l net.Listener) (local string, public *url.URL) {
	scheme := "http"
	if cfg.tlsCert != "" {
		scheme = "https"
	}
	own := &url.URL{Scheme: scheme, Host: fmt.Sprintf("localhost:%d", l.Addr().(*net.TCPAddr).Port)}
	if cfg.publicURL != nil {
		return own.String(), cfg.publicURL
	}
	public, err := views.ParseOrigin(own.String()) // as browsers write it: without port 80 or 443
	if err != nil {
		panic(err) // a number of a port and localhost always make an origin
	}
	return own.String(), public
}

func nodeName(cfg *config) string {
	if cfg.nodeName != "" {
		return cfg.nodeName
	}
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return host + "-" + strings.ToLower(rand.Text()[:6])
}

// announce tells people and programs that requests are accepted.
func announce(cfg *config, local string, public *url.URL, stdout io.Writer) error {
	fmt.Fprintf(stdout, "Curfew is ready: %s%s/\n", public, cfg.basePath)
	if cfg.testing {
		fmt.Fprintln(stdout, "Testing mode: anybody on this machine can move the clock and sign in.")
	}
	if cfg.directory.BindDN == demo.ServiceDN {
		fmt.Fprintln(stdout, "\nNo ldap-url is set, so these demo users can sign in:")
		for _, u := range demo.Users() {
			fmt.Fprintf(stdout, "  %-6s password %-11s groups %s\n", u.Name, u.Password, strings.Join(u.Groups, ", "))
		}
	}
	if cfg.readyFile == "" {
		return nil
	}
	half := filepath.Join(filepath.Dir(cfg.readyFile), "."+filepath.Base(cfg.readyFile)+".half")
	if err := os.WriteFile(half, []byte(local), 0o644); err != nil {
		return fmt.Errorf("write ready-file: %w", err)
	}
	if err := os.Rename(half, cfg.readyFile); err != nil {
		return fmt.Errorf("write ready-file: %w", err)
	}
	return nil
}

// pruneEvery is how often the store forgets what is too old.
const pruneEvery = time.Hour

func housekeep(ctx context.Context, tabs *hub.Hub, auditKeep time.Duration, log *slog.Logger) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := tabs.Prune(ctx, auditKeep); err != nil && ctx.Err() == nil {
			log.Error("store not pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// certificate is a TLS certificate that is read again when its file has changed.
type certificate struct {
	cert, key string

	mu       sync.Mutex
	current  *tls.Certificate
	modified time.Time
	checked  time.Time
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.current != nil && time.Since(c.checked) < time.Second {
		return c.current, nil
	}
	c.checked = time.Now()
	info, err := os.Stat(c.cert)
	if err == nil && c.current != nil && info.ModTime().Equal(c.modified) {
		return c.current, nil
	}
	loaded, loadErr := tls.LoadX509KeyPair(c.cert, c.key)
	if err := errors.Join(err, loadErr); err != nil {
		if c.current != nil {
			return c.current, nil // half a change: the old one serves until the new one is whole
		}
		return nil, fmt.Errorf("read TLS certificate: %w", err)
	}
	c.current, c.modified = &loaded, info.ModTime()
	return c.current, nil
}
