// Package curfew guards the net/http application of a program in its own process: with the embedded
// store, a directory, and Curfew's own pages below a base path. [Open] makes a [Guard]:
//
//	guard, err := curfew.Open(ctx, curfew.Options{DataDir: "data", PublicURL: "http://localhost:8080"})
//	if err != nil { … }
//	defer guard.Close(ctx)
//	http.ListenAndServe("localhost:8080", guard.Protect(app))
//
// The handlers of app ask [views.UserFrom] whose request they answer. A program with other needs,
// such as several nodes over Redis, wires up the packages itself, as cmd/server does.
package curfew

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"sync"
	"time"

	"curfew/directory"
	"curfew/directory/demo"
	"curfew/front"
	"curfew/hub"
	"curfew/internal/watching"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/gorilla"
	"curfew/views"
)

// Options of a guard. DataDir and PublicURL must be set. The zero value of any other field stands
// for what the setting of that name means by default; README.md has the list.
type Options struct {
	DataDir   string // folder of the embedded store; no other process may use it
	PublicURL string // origin that browsers see: https, unless its host is loopback
	BasePath  string // prefix of Curfew's own routes; empty: /.curfew
	Home      string // page of the application where a sign-in without a return path leads; empty: /

	// Directory is the one that people sign in by. Without URLs it is the demo directory, for
	// loopback only; see [demo.Users].
	Directory directory.Config
	// Policies say when sessions end. Without a global policy the default profile holds.
	Policies session.Policies

	PublicPaths    []string       // of the application, that need no session
	KeepForms      string         // CSS selector of forms of the application whose text is kept
	PassivePaths   []string       // whose navigations are no activity
	AllowedOrigins []string       // further origins whose pages may send requests
	Cookies        []front.Cookie // of the application, that end with the user and that a sign-in does not see
	TrustedProxies []netip.Prefix // peers whose X-Forwarded-For is believed
	AdminGroups    []string       // whose members may administer; nil: admins
	Tokens         []views.APIToken
	Log            *slog.Logger // nil: slog.Default
}

// Defaults of what the server has settings for.
const (
	defaultBase = "/.curfew"
	auditKeep   = 90 * 24 * time.Hour
	pollEvery   = 15 * time.Second
	pruneEvery  = time.Hour
)

// Guard is Curfew within a program. [Open] makes one, and [Guard.Close] ends it. Its methods may be
// called concurrently.
type Guard struct {
	web    *views.Server
	hub    *hub.Hub
	log    *slog.Logger
	cancel context.CancelFunc
	work   sync.WaitGroup // what goes on beside requests
	undo   []func() error // in the order in which it was done
}

// Open makes a guard, with the sessions that the store has. ctx bounds the opening, and not the
// life of the guard. It fails where the options are wrong, or the store is in use; nothing is left
// running then.
func Open(ctx context.Context, o Options) (*Guard, error) {
	public, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("open curfew: %w", err)
	}
	g := &Guard{log: o.Log}
	if err := g.open(ctx, &o, public); err != nil {
		return nil, errors.Join(fmt.Errorf("open curfew: %w", err), g.close())
	}
	return g, nil
}

// complete fills in what is left out, and refuses what cannot be.
func (o *Options) complete() (public *url.URL, err error) {
	if o.DataDir == "" {
		return nil, errors.New("no DataDir: a folder must be named")
	}
	if public, err = views.ParseOrigin(o.PublicURL); err != nil {
		return nil, fmt.Errorf("PublicURL %q: %w", o.PublicURL, err)
	}
	local := views.Loopback(public.Hostname())
	if public.Scheme != "https" && !local {
		return nil, fmt.Errorf("PublicURL %q: must be https, or browsers keep no cookie of it", o.PublicURL)
	}
	if len(o.Directory.URLs) == 0 && !local {
		return nil, errors.New("no Directory.URLs: the demo directory is for loopback only")
	}
	if o.BasePath == "" {
		o.BasePath = defaultBase
	}
	if u, err := url.Parse(o.BasePath); err != nil || u.EscapedPath() != o.BasePath || o.BasePath[0] != '/' ||
		o.BasePath[len(o.BasePath)-1] == '/' {
		return nil, fmt.Errorf("BasePath %q: must be a path as %s", o.BasePath, defaultBase)
	}
	if err := front.PublicPaths(o.PublicPaths).Validate(); err != nil {
		return nil, fmt.Errorf("PublicPaths: %w", err)
	}
	if err := front.ValidateForms(o.KeepForms); err != nil {
		return nil, fmt.Errorf("KeepForms %q: %w", o.KeepForms, err)
	}
	var origins []string
	for _, text := range o.AllowedOrigins {
		u, err := views.ParseOrigin(text)
		if err != nil {
			return nil, fmt.Errorf("AllowedOrigins: %q %w", text, err)
		}
		origins = append(origins, u.String())
	}
	o.AllowedOrigins = origins
	if o.Policies.Global == (session.Policy{}) {
		o.Policies.Global = session.Profiles()[0].Policy
	}
	if err := o.Policies.Validate(false); err != nil {
		return nil, fmt.Errorf("the field Policies: %w", err)
	}
	if o.Home == "" {
		o.Home = "/"
	}
	if o.AdminGroups == nil {
		o.AdminGroups = []string{"admins"}
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	return public, nil
}

// open makes all parts, and notes how each is undone.
func (g *Guard) open(ctx context.Context, o *Options, public *url.URL) error {
	store, err := bolt.Open(o.DataDir)
	if err != nil {
		return err
	}
	g.undo = append(g.undo, store.Close)
	secret, err := store.Secret(ctx, "csrf")
	if err != nil {
		return err
	}
	people, err := g.openDirectory(o.Directory)
	if err != nil {
		return err
	}
	clock := session.RealClock{}
	g.hub, err = hub.New(ctx, hub.Options{
		Store:    store,
		Clock:    clock,
		Policies: o.Policies,
		Admins:   o.AdminGroups,
		Presence: hub.PresenceAdmins,
		Node:     "embedded",
		Origins:  o.AllowedOrigins,
		SignIn:   o.BasePath + "/login",
		Log:      g.log,
	})
	if err != nil {
		return err
	}
	watcher := directory.NewWatcher(people, directory.WatchAuto, pollEvery, watching.For(g.hub), g.log)
	ready := views.NewReadiness(store.Ping, people.Ping, g.log)
	g.web = views.New(views.Options{
		Hub:           g.hub,
		Sessions:      gorilla.New(g.hub, clock),
		Trail:         store,
		Authenticator: people,
		People:        people,
		Ready:         ready,
		Tokens:        o.Tokens,
		Clock:         clock,
		Secret:        secret,
		PublicURL:     public,
		BasePath:      o.BasePath,
		Home:          o.Home,
		Proxies:       views.NewProxies(o.TrustedProxies),
		Passive:       o.PassivePaths,
		Application:   o.application(),
		Log:           g.log,
		Listeners:     views.Listeners{SignedIn: watching.AfterSignIn(watcher)},
	})
	var work context.Context
	work, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	g.work.Go(func() { watcher.Run(work) })
	g.work.Go(func() { ready.Run(work) })
	g.work.Go(func() { g.prune(work) })
	return nil
}

// application is what pages know of the application.
func (o *Options) application() views.Application {
	return views.Application{
		Exists:      true,
		PublicPaths: o.PublicPaths,
		Origins:     o.AllowedOrigins,
		Cookies:     o.Cookies,
		KeepForms:   o.KeepForms,
	}
}

// openDirectory opens a directory, or the one for demonstrations where c names none.
func (g *Guard) openDirectory(c directory.Config) (*directory.Directory, error) {
	if len(c.URLs) == 0 {
		server, err := demo.Start()
		if err != nil {
			return nil, err
		}
		g.undo = append(g.undo, func() error { server.Stop(); return nil })
		g.log.Warn("the demo directory is used: anybody can sign in who knows its users", "first", demo.Users()[0].Name)
		required := c.Required
		c = server.Config()
		c.Required = required
	}
	return directory.New(c)
}

// prune has the store forget what is too old, until ctx ends.
func (g *Guard) prune(ctx context.Context) {
	ticker := time.NewTicker(pruneEvery)
	defer ticker.Stop()
	for {
		if err := g.hub.Prune(ctx, auditKeep); err != nil && ctx.Err() == nil {
			g.log.Error("store not pruned", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// Protect returns what serves a whole site: Curfew's own routes below the base path, and for all
// other paths app, as [views.Server.Require] guards it. It is called once, before the site is
// served.
func (g *Guard) Protect(app http.Handler) http.Handler {
	g.web.SetApplication(app)
	return g.web
}

// Routes returns Curfew's own routes, for a program with a router of its own: it leads the base
// path and all below it here, and guards handlers by [Guard.Require].
func (g *Guard) Routes() http.Handler { return g.web }

// Require guards a single handler; see [views.Server.Require].
func (g *Guard) Require(app http.Handler) http.Handler { return g.web.Require(app) }

// Close tells the open pages that the server restarts, closes what the application holds open for
// sessions, writes what the store does not know yet, and closes the store. Sessions go on when the
// program starts again. ctx bounds how long pages are waited for. [http.Server.Shutdown] is called
// before it, or at the same time: it does not wait for sockets.
func (g *Guard) Close(ctx context.Context) error {
	g.web.Shutdown()
	err := g.hub.Shutdown(ctx)
	g.cancel()
	g.work.Wait()
	return errors.Join(err, g.close())
}

// close undoes what was done, the last first.
func (g *Guard) close() (err error) {
	for _, undo := range slices.Backward(g.undo) {
		err = errors.Join(err, undo())
	}
	return err
}
