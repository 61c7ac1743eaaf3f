package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"curfew/directory"
	"curfew/hub"
	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/gorilla"
	"curfew/session/redis"
	"curfew/views"
)

const origin = "http://localhost"

// serve is a server until its standard input ends. It prints its address, then a line for each
// command it is sent.
func serve(name string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	var handler http.Handler
	command := func(string, int) string { return "" }
	stop := func() {}
	switch name {
	case "handler", "lean":
		handler = newBare(name == "lean")
	case "application":
		handler = application()
	case "plain-proxy":
		handler = plainProxy(*serveApplication)
	case "curfew":
		handler, command, stop = curfew(*serveShort, *serveRedis)
	case "simulated":
		handler, command, stop = simulated(*serveSessions)
	default:
		check(fmt.Errorf("no server %q", name))
	}
	listen(listener, handler)
	fmt.Println(listener.Addr())
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		if name, n, ok := strings.Cut(commands.Text(), " "); ok {
			count, err := strconv.Atoi(n)
			check(err)
			fmt.Println(command(name, count))
			continue
		}
		switch commands.Text() {
		case "shrink":
			debug.FreeOSMemory()
		case "collected": // when the last collection was over
			var last debug.GCStats
			debug.ReadGCStats(&last)
			fmt.Println(last.LastGC.UnixNano())
			continue
		}
		fmt.Println("done")
	}
	stop()
}

// nobody stands in for the directory, which sockets do not ask.
type nobody struct{}

func (nobody) Authenticate(context.Context, string, string, func(string) error) (directory.Entry, error) {
	return directory.Entry{}, directory.ErrUnavailable
}
func (nobody) Find(context.Context, string) (directory.Entry, error) {
	return directory.Entry{}, directory.ErrUnavailable
}
func (nobody) People(context.Context, int) ([]directory.Entry, error) {
	return nil, directory.ErrUnavailable
}

var policy = session.Profiles()[0].Policy

func record(t session.Token) session.Record {
	now := session.Millis(time.Now())
	return session.Record{
		ID:           t.ID(),
		User:         "user" + t.ID().Ref(),
		Name:         "A Person",
		Groups:       []session.Group{{Name: "staff"}},
		Login:        "user" + t.ID().Ref(),
		Address:      "192.0.2.1",
		Agent:        "Mozilla/5.0 (X11; Linux x86_64)",
		Policy:       policy,
		CreatedAt:    now,
		LastActiveAt: now,
	}
}

// create makes n sessions and returns their cookies.
func create(tabs *hub.Hub, n int, change func(*session.Record)) []string {
	cookies := make([]string, n)
	errs := make(chan error, n)
	for i := range cookies {
		go func() {
			t := session.NewToken()
			cookies[i] = gorilla.CookieName + "=" + t.Text()
			r := record(t)
			change(&r)
			errs <- tabs.Create(context.Background(), r)
		}()
	}
	for range n {
		check(<-errs)
	}
	return cookies
}

// tabsOfSession is the most that one session may have.
const tabsOfSession = 500

// shareSessions makes as few sessions as n tabs need, and returns a cookie for each tab.
func shareSessions(tabs *hub.Hub, n int) string {
	var list []string
	for _, cookie := range create(tabs, (n+tabsOfSession-1)/tabsOfSession, func(*session.Record) {}) {
		list = append(list, slices.Repeat([]string{cookie}, min(tabsOfSession, n-len(list)))...)
	}
	return strings.Join(list, " ")
}

// signInAgain signs the users of these cookies in again, each in their browser, and returns the
// cookies that they have then.
func signInAgain(tabs *hub.Hub, cookies []string) []string {
	sessions := gorilla.New(tabs, session.RealClock{})
	again := make([]string, len(cookies))
	errs := make(chan error, len(cookies))
	for i, cookie := range cookies {
		go func() {
			r := &http.Request{Header: http.Header{"Cookie": {cookie}}}
			old, _ := gorilla.Token(r)
			t, err := sessions.SignIn(discarded{}, r.WithContext(context.Background()), record(old))
			again[i] = gorilla.CookieName + "=" + t.Text()
			errs <- err
		}()
	}
	for range cookies {
		check(<-errs)
	}
	return again
}

// discarded is an answer that nobody reads.
type discarded struct{}

func (discarded) Header() http.Header         { return make(http.Header) }
func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) WriteHeader(int)             {}

// churn makes so many changes a second: sign-ins, and as many sign-outs.
func churn(tabs *hub.Hub, perSecond int, stop <-chan struct{}) {
	ticker := time.NewTicker(time.Second * 2 / time.Duration(perSecond))
	defer ticker.Stop()
	for {
		select {
		case <-stop:
			return
		case <-ticker.C:
		}
		t := session.NewToken()
		check(tabs.Create(context.Background(), record(t)))
		_, err := tabs.End(context.Background(), t.ID(), session.End{Reason: session.ReasonLogout, At: time.Now()})
		check(err)
	}
}

// token is the bearer token of the benchmark.
const token = "curfew_bench"

var tokenHash = sha256.Sum256([]byte(token))

func openStore(folder, redisURL string) (session.Store, session.SharedStore) {
	if redisURL == "" {
		store, err := bolt.Open(folder)
		check(err)
		return store, nil
	}
	store, err := redis.Open(context.Background(), redisURL, "curfew:", nil, slog.New(slog.DiscardHandler))
	check(err)
	return store, store
}

// curfew is the real hub behind the real routes, with the embedded store or as a node over a Redis.
func curfew(short bool, redisURL string) (h http.Handler, command func(name string, n int) string, stop func()) {
	if short {
		policy.WarnAfter, policy.ExpireAfter = 10*time.Second, 15*time.Second
	}
	folder, err := os.MkdirTemp("", "curfew-bench-")
	check(err)
	store, shared := openStore(folder, redisURL)
	tabs, pages, shut := node(store, shared)
	var made []string // the cookies of the last sessions
	var churning sync.WaitGroup
	stopChurn := make(chan struct{})
	command = func(name string, n int) string {
		change := func(*session.Record) {}
		switch name {
		case "sessions":
		case "shared":
			return shareSessions(tabs, n)
		case "of-one-user":
			change = func(r *session.Record) { r.User = "many" }
		case "admins":
			change = func(r *session.Record) { r.Groups = []session.Group{{Name: "admins"}} }
		case "marker":
			user := fmt.Sprint("marker-", n)
			change = func(r *session.Record) { r.User = user }
			n = 1
		case "again":
			made = signInAgain(tabs, made[:n])
			return strings.Join(made, " ")
		case "churn":
			churning.Go(func() { churn(tabs, n, stopChurn) })
			return "churning"
		}
		made = create(tabs, n, change)
		return strings.Join(made, " ")
	}
	return pages, command, func() {
		close(stopChurn)
		churning.Wait()
		shut()
		check(os.RemoveAll(folder))
	}
}

// node is the real hub behind the real routes.
func node(store session.Store, shared session.SharedStore) (tabs *hub.Hub, pages http.Handler, stop func()) {
	tabs, err := hub.New(context.Background(), hub.Options{
		Store:    store,
		Shared:   shared,
		Node:     strconv.Itoa(os.Getpid()),
		Clock:    session.RealClock{},
		Policies: session.Policies{Global: policy},
		SignIn:   "/login",
		Admins:   []string{"admins"},
	})
	check(err)
	public, err := url.Parse(origin)
	check(err)
	tokens, err := views.ParseAPITokens("bench:admin:" + hex.EncodeToString(tokenHash[:]))
	check(err)
	routes := views.New(views.Options{
		Tokens:        tokens,
		Hub:           tabs,
		Sessions:      gorilla.New(tabs, session.RealClock{}),
		Trail:         store,
		Authenticator: nobody{},
		People:        nobody{},
		Clock:         session.RealClock{},
		Secret:        make([]byte, 32),
		PublicURL:     public,
		Proxies:       views.NewProxies(nil),
		Log:           slog.New(slog.DiscardHandler),
	})
	return tabs, routes, func() {
		routes.Shutdown()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		check(errors.Join(tabs.Shutdown(ctx), store.Close()))
	}
}
