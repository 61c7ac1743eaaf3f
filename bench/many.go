package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"curfew/session"
	"curfew/session/bolt"
	"curfew/session/gorilla"
)

// Many sessions in the embedded store: what a program of a hundred thousand must hold, each figure
// beside its limit. The server is the real program, and its store is filled before it starts.

// manySessions is how many sessions there are, and manyWithTabs how many of them have a tab while
// the listing is measured.
const (
	manySessions = 100_000
	manyWithTabs = 5_000
)

// manyParts are what -only many stands for.
var manyParts = []string{"many-listed", "many-logout", "many-ends", "many-leap", "many-reload"}

// ofMany is a part that measures many sessions.
func ofMany(name string, measure func()) part {
	return part{name, func() {
		fmt.Printf("\n%s: %d sessions in the embedded store, the limit of each figure in brackets\n",
			name, manySessions)
		measure()
	}}
}

// limited prints a figure beside its limit.
func limited(what string, got, limit time.Duration) {
	fmt.Printf("%-64s %9.1f ms  (%d)\n", what, got.Seconds()*1000, limit.Milliseconds())
}

// manySite is Curfew over a store that was filled before.
type manySite struct {
	*site
	flags []string
}

// fill makes a store of many sessions. change prepares the record of each.
func fill(folder string, change func(i int, r *session.Record)) (tokens []session.Token) {
	store, err := bolt.Open(folder)
	check(err)
	tokens = make([]session.Token, manySessions)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 512 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < manySessions; i = int(next.Add(1)) - 1 {
				tokens[i] = session.NewToken()
				r := record(tokens[i])
				r.User = fmt.Sprintf("user-%06d", i)
				r.Address = fmt.Sprintf("10.%d.%d.%d", i*7%200, i/250%250, i%250)
				r.Login, r.Groups = r.User, []session.Group{{Name: "staff"}, {Name: fmt.Sprintf("team-%02d", i%100)}}
				change(i, &r)
				_, err := store.Create(context.Background(), r, 0)
				check(err)
			}
		})
	}
	wg.Wait()
	check(store.Close())
	return tokens
}

// startMany fills a store and starts Curfew over it.
func startMany(change func(i int, r *session.Record), flags ...string) (s *manySite, tokens []session.Token) {
	s = &manySite{site: &site{}, flags: flags}
	s.process = startProcess(func(folder string) *exec.Cmd {
		tokens = fill(filepath.Join(folder, "data"), change)
		check(os.WriteFile(filepath.Join(folder, "tokens"), fmt.Appendf(nil, "bench:admin:%x\n", tokenHash), 0o600))
		return s.command(folder)
	})
	s.awaitReady()
	return s, tokens
}

func (s *manySite) command(folder string) *exec.Cmd {
	flags := []string{"--listen", "127.0.0.1:0", "--public-url", origin, "--log-level", "error",
		"--data-dir", filepath.Join(folder, "data"), "--ready-file", filepath.Join(folder, "ready"),
		"--api-tokens-file", filepath.Join(folder, "tokens")}
	return exec.Command(program(), append(flags, s.flags...)...)
}

// awaitReady waits until the server answers that it is ready.
func (s *manySite) awaitReady() {
	await("curfew", func() bool {
		data, err := os.ReadFile(filepath.Join(s.folder, "ready"))
		if err != nil || len(data) == 0 {
			return false
		}
		u, err := url.Parse(strings.TrimSpace(string(data)))
		check(err)
		s.address = net.JoinHostPort("127.0.0.1", u.Port())
		response, err := http.Get("http://" + s.address + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// open opens a tab for each session.
func (s *manySite) open(tokens []session.Token) []*tab {
	cookies := make([]string, len(tokens))
	for i, t := range tokens {
		cookies[i] = gorilla.CookieName + "=" + t.Text()
	}
	return (&server{address: s.address, speaks: ours, greets: true}).open(cookies)
}

// killAndRestart kills the server and starts it again over the same store. It returns how long it
// took from the start until the server was ready.
func (s *manySite) killAndRestart() time.Duration {
	check(s.cmd.Process.Kill())
	s.cmd.Wait()
	check(os.Remove(filepath.Join(s.folder, "ready")))
	s.cmd = s.command(s.folder)
	s.cmd.Stderr = s.log()
	began := time.Now()
	check(start(s.cmd))
	s.awaitReady()
	return time.Since(began)
}

// call asks the server, with the token or with the cookies of a browser, and returns how long the
// answer took.
func (s *manySite) call(method, path, body, cookie string) (answer []byte, took time.Duration) {
	request, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(body))
	check(err)
	request.Host = "localhost"
	if cookie != "" {
		request.Header.Set("Cookie", cookie)
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	began := time.Now()
	response, err := http.DefaultClient.Do(request)
	check(err)
	answer, err = io.ReadAll(response.Body)
	took = time.Since(began)
	check(err)
	check(response.Body.Close())
	if response.StatusCode != http.StatusOK {
		log.Fatalf("%s %s: %s %.300s", method, path, response.Status, answer)
	}
	return answer, took
}

// pageLimit is how long a page of the listing may take.
const pageLimit = 30 * time.Millisecond

// pages are the pages of the listing that are measured: each filter, and several.
var pages = []string{
	"/api/v1/sessions", "/api/v1/sessions?limit=1000", "/api/v1/sessions?user=user-050000",
	"/api/v1/sessions?group=team-42", "/api/v1/sessions?group=staff", "/api/v1/sessions?state=active",
	"/api/v1/sessions?state=idle", "/api/v1/sessions?state=warned", "/api/v1/sessions?state=away",
	"/api/v1/sessions?group=team-42&state=warned", "/api/v1/sessions?group=staff&state=active",
	"/api/v1/sessions?q=user-0999", "/api/v1/sessions?group=nobodys",
	"/api/v1/presence", "/api/v1/presence?user=user-050000", "/api/v1/presence?group=team-42",
	"/api/v1/presence?group=staff", "/api/v1/presence?state=active", "/api/v1/presence?state=warned",
	"/api/v1/presence?group=staff&state=away",
}

// consolePages are those of the console, which an administrator's browser asks for.
var consolePages = []string{
	"/admin", "/admin?page=900", "/admin?group=team-42", "/admin?group=staff&state=away", "/admin?state=warned",
	"/admin?sort=user", "/admin?sort=active&desc=true", "/admin?sort=active&desc=true&page=900", "/admin?sort=address",
	"/admin?sort=state", "/admin?sort=tabs", "/admin?sort=address&group=staff&state=away", "/admin?state=unconfirmed",
	"/admin?address=10.0.1", "/admin?by=user", "/admin?by=user&sort=active&desc=true", "/admin?by=user&sort=address",
	"/admin?by=user&group=staff&state=away",
}

// measureManyListed measures pages of the listing, and a restart after a kill.
func measureManyListed() {
	now := session.Millis(time.Now())
	long := session.Profiles()[1] // its warnings outlast the measurement
	s, tokens := startMany(func(i int, r *session.Record) {
		r.Policy = long.Policy
		r.CreatedAt = now.Add(-time.Hour + time.Duration(i)*30*time.Millisecond)
		r.LastActiveAt = now
		if i%200 == 0 {
			r.Groups = append(r.Groups, session.Group{Name: "admins"})
		}
		if i%100 == 1 { // warned
			r.LastActiveAt = now.Add(-r.Policy.WarnAfter)
		}
	}, "--profile", long.Name)
	open := s.open(tokens[:manyWithTabs])
	pause(2 * time.Second)
	admin := gorilla.CookieName + "=" + tokens[0].Text()
	for _, path := range pages {
		s.measurePage(path, "")
	}
	s.measureDeepPage()
	for _, path := range consolePages {
		s.measurePage(path, admin)
	}
	for _, t := range open {
		t.close()
	}
	limited("restart after a kill, until it is ready", s.killAndRestart(), 5*time.Second)
	s.stop()
}

// measurePage asks for a page many times, and prints the median and the 95th percentile.
func (s *manySite) measurePage(path, cookie string) {
	const rounds = 21
	var took []float64
	for range rounds {
		_, t := s.call(http.MethodGet, path, "", cookie)
		took = append(took, t.Seconds()*1000)
	}
	slices.Sort(took)
	fmt.Printf("%-48s median %6.1f ms, p95 %6.1f ms  (%d)\n", path, percentile(took, 0.5), percentile(took, 0.95),
		pageLimit.Milliseconds())
}

// measureDeepPage goes through the first half of all sessions, and then measures the next page.
func (s *manySite) measureDeepPage() {
	path := "/api/v1/sessions?limit=1000"
	for range manySessions / 2 / 1000 {
		var page struct {
			Next string `json:"next_cursor"`
		}
		answer, _ := s.call(http.MethodGet, path, "", "")
		check(json.Unmarshal(answer, &page))
		path = "/api/v1/sessions?limit=1000&cursor=" + page.Next
	}
	s.measurePage(strings.Replace(path, "limit=1000", "limit=100", 1), "")
}

// manyTabs is how many of the sessions have a tab while all are signed out.
const manyTabs = 10_000

// measureManyLogout measures a forced logout of all, without tabs and with.
func measureManyLogout() {
	for _, open := range []int{0, manyTabs} {
		s, tokens := startMany(func(int, *session.Record) {})
		list := s.open(tokens[:open])
		pause(2 * time.Second)
		s.measureLogoutOfAll(list)
		s.stop()
	}
}

func (s *manySite) measureLogoutOfAll(open []*tab) {
	trail, err := os.Open(filepath.Join(s.folder, "stderr.log"))
	check(err)
	defer trail.Close()
	what := fmt.Sprintf("forced logout of all, %d tabs open, until ", len(open))
	began := time.Now()
	_, took := s.call(http.MethodPost, "/api/v1/logouts", `{"everyone":true}`, "")
	limited(what+"it is answered", took, 500*time.Millisecond)
	var rest []byte // of a line that is not whole yet
	for ended := 0; ended < manySessions; pause(50 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			log.Fatalf("%d of %d sessions have ended", ended, manySessions)
		}
		lines, err := io.ReadAll(trail) // what is new; the load must not cost more than the server
		check(err)
		lines = append(rest, lines...)
		whole := bytes.LastIndexByte(lines, '\n') + 1
		ended += bytes.Count(lines[:whole], []byte(`"session-end"`))
		rest = bytes.Clone(lines[whole:])
	}
	limited(what+"every audit line is written", time.Since(began), 5*time.Second)
	var told time.Time
	for _, t := range open {
		select {
		case <-t.expired:
		case <-time.After(time.Minute):
			log.Fatal("a tab was not told")
		}
		if at := time.Unix(0, t.told.Load()); at.After(told) {
			told = at
		}
	}
	if len(open) > 0 {
		limited(what+"the last tab is told", told.Sub(began), time.Second)
	}
}

// measureManyEnds lets sessions with tabs end by time, 5,000 a second.
func measureManyEnds() {
	const ending, perSecond = 15_000, 5_000
	first := session.Millis(time.Now()).Add(60 * time.Second)
	s, tokens := startMany(func(i int, r *session.Record) {
		if i < ending {
			r.LastActiveAt = first.Add(-policy.ExpireAfter + time.Duration(i)*time.Second/perSecond)
			r.CreatedAt = r.LastActiveAt
		}
	})
	open := s.open(tokens[:ending])
	if time.Now().After(first) {
		log.Fatal("the tabs were not open in time")
	}
	var late []float64
	for _, t := range open {
		select {
		case <-t.expired:
			late = append(late, t.late.Seconds()*1000)
		case <-time.After(90 * time.Second):
			log.Fatal("a session did not end")
		}
	}
	slices.Sort(late)
	limited(fmt.Sprintf("%d ends a second in real time, p99 of how late they are told", perSecond),
		time.Duration(percentile(late, 0.99)*float64(time.Millisecond)), 250*time.Millisecond)
	limited("the latest of them", time.Duration(late[len(late)-1]*float64(time.Millisecond)), 250*time.Millisecond)
	s.stop()
}

// measureManyLeaps moves the test clock past the ends of all sessions, each of which is due at an
// instant of its own.
func measureManyLeaps() {
	now := session.Millis(time.Now())
	s, _ := startMany(func(i int, r *session.Record) {
		r.LastActiveAt = now.Add(-time.Duration(i) * 4 * time.Millisecond)
		r.CreatedAt = r.LastActiveAt
	}, "--testing")
	leaping := make(chan struct{})
	var asking sync.WaitGroup
	var slowest time.Duration
	asking.Go(func() {
		for {
			select {
			case <-leaping:
				return
			case <-time.After(10 * time.Millisecond):
				_, took := s.call(http.MethodGet, "/login", "", "")
				slowest = max(slowest, took)
			}
		}
	})
	_, took := s.call(http.MethodPost, "/testing/clock", `{"advance_ms":7200000}`, "")
	close(leaping)
	asking.Wait()
	limited("leap of the test clock past all ends", took, 15*time.Second)
	limited("the sign-in page meanwhile, the slowest", slowest, 100*time.Millisecond)
	s.checkOrder()
	s.stop()
}

// measureManyReload gives all sessions another policy, and then resets the server. The limits are
// our own.
func measureManyReload() {
	settings, err := os.CreateTemp("", "curfew-bench-*.yaml")
	check(err)
	defer os.Remove(settings.Name())
	_, err = settings.WriteString("log-level: error\n")
	check(err)
	check(settings.Close())
	s, _ := startMany(func(int, *session.Record) {}, "--testing", "--config", settings.Name())
	check(os.WriteFile(settings.Name(), []byte("expire-after: 3h\n"), 0o600))
	began := time.Now()
	check(s.cmd.Process.Signal(syscall.SIGHUP))
	await("the new policy", func() bool {
		trail, err := os.ReadFile(filepath.Join(s.folder, "stderr.log"))
		check(err)
		return bytes.Contains(trail, []byte(`"event":"policy"`))
	})
	limited("another policy for all, until its audit line is written", time.Since(began), 10*time.Second)
	_, took := s.call(http.MethodPost, "/testing/reset", "{}", "")
	limited("reset of all by /testing/reset", took, 10*time.Second)
	s.stop()
}

// checkOrder goes through the audit trail: all have ended, in the order of their due times.
func (s *manySite) checkOrder() {
	newest, ends, path := time.Unix(math.MaxInt32, 0), 0, "/api/v1/audit?event=session-end&limit=1000"
	for next := path; next != ""; {
		var page struct {
			Items []struct {
				At time.Time `json:"at"`
			} `json:"items"`
			Next string `json:"next_cursor"`
		}
		answer, _ := s.call(http.MethodGet, next, "", "")
		check(json.Unmarshal(answer, &page))
		for _, line := range page.Items {
			if line.At.After(newest) {
				log.Fatalf("an end of %s is before one of %s in the trail", line.At, newest)
			}
			newest, ends = line.At, ends+1
		}
		if next = ""; page.Next != "" {
			next = path + "&cursor=" + page.Next
		}
	}
	if ends != manySessions {
		log.Fatalf("%d of %d sessions have ended", ends, manySessions)
	}
}
