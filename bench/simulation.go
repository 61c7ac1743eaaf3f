package main

import (
	"fmt"
	"log"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"curfew/session/gorilla"
)

// A node among many: the real hub in real time, with real tabs, in a world of sessions and other
// nodes that is simulated, at a size that needs a hundred machines. What Redis and the network
// between cost is not in it; see measureNodes for that.

// What people do. A tenth of the tabs of an installation are looked at (session.Policy warns the
// others); see docs/nodes.md.
const (
	tabsPerSession = 2.5
	tabsPerNode    = 100_000
	signedInFor    = 2 * time.Hour    // how long a session lasts on average
	navigatesEvery = time.Minute      // how often an acting person opens another page
	actsEvery      = 15 * time.Second // how often a node tells the others of an acting person, at most
	simulatedFor   = 30 * time.Second
	simulatedTabs  = 10_000           // real ones, on the real node; half of them run into their idle timeout meanwhile
	writtenWithin  = 40 * time.Second // in which the ends of a logout of everyone are written
)

// simulated is a node in a world of so many sessions. Its commands tell figures.
func simulated(sessions int) (h http.Handler, command func(name string, n int) string, stop func()) {
	w := newWorld(sessions)
	w.start(time.Now())
	debug.FreeOSMemory()
	before := residentOf(os.Getpid())
	begin := time.Now()
	tabs, pages, shut := node(w, w)
	took := time.Since(begin)
	return pages, func(name string, _ int) string {
			w.mu.Lock()
			defer w.mu.Unlock()
			switch name {
			case "cookies":
				var cookies []string
				for _, t := range w.tokens {
					cookies = append(cookies, gorilla.CookieName+"="+t.Text())
				}
				return strings.Join(cookies, " ")
			case "live":
				go w.live()
			case "everyone":
				go w.everyone()
			case "before":
				return fmt.Sprint(before)
			case "loading":
				return fmt.Sprint(took.Seconds())
			case "left":
				return fmt.Sprint(tabs.Stats().Sessions)
			case "spent":
				return fmt.Sprint(w.fed.cpu.Seconds(), " ", w.fed.messages, " ", w.fed.bytes)
			case "late":
				slices.Sort(w.late)
				if len(w.late) == 0 {
					return "none"
				}
				return fmt.Sprint(len(w.late), " ", percentiles(w.late))
			case "calls":
				return fmt.Sprint(w.calls)
			}
			return "done"
		}, func() {
			w.mu.Lock()
			w.stopped = true
			w.mu.Unlock()
			shut()
		}
}

// figure asks the server for a number.
func (s *server) figure(name string) float64 { return s.figures(name)[0] }

func (s *server) figures(name string) (list []float64) {
	for _, text := range strings.Fields(s.ask(name + " 0")) {
		n, err := strconv.ParseFloat(text, 64)
		check(err)
		list = append(list, n)
	}
	return list
}

func measureSimulation() {
	giveWay()
	for _, text := range strings.Split(*simulatedSizes, ",") {
		sessions, err := strconv.Atoi(text)
		check(err)
		simulate(sessions)
	}
}

func simulate(sessions int) {
	began := time.Now()
	s := startServer("-serve", "simulated", "-sessions", strconv.Itoa(sessions))
	defer s.stop()
	w := newWorld(sessions)
	fmt.Printf("\na node among %d, with %d of %.0f tabs and all %d sessions\n", w.nodes, simulatedTabs,
		float64(sessions)*tabsPerSession, sessions)
	pause(w.opening - 60*time.Second - time.Since(began)) // the reports of all tabs are read
	fmt.Printf("  start: %.1f s to read the sessions; %.0f bytes of memory for each, with the reports of its tabs\n",
		s.figure("loading"), (s.rss()-s.figure("before"))/float64(sessions))
	used := s.cpu()
	const rest = 30 * time.Second // with one look at all sessions for the console's plot
	pause(rest)
	fmt.Printf("  at rest: %.1f %% of a core\n", (s.cpu()-used)/rest.Seconds()*100)
	list := s.open(s.cookiesOf("cookies", simulatedTabs))
	if time.Since(began) > w.opening {
		log.Fatalf("the machine is too slow: %s until all tabs were open, not %s", time.Since(began), w.opening)
	}
	pause(w.opening - time.Since(began))
	s.ask("live 0")
	used, spent := s.cpu(), s.figures("spent")
	pause(simulatedFor)
	cpu, now := s.cpu()-used, s.figures("spent")
	feed, messages, bytes := now[0]-spent[0], now[1]-spent[1], now[2]-spent[2]
	var late []float64
	var open []*tab
	for i, t := range list {
		if i%2 == 0 {
			open = append(open, t)
			continue
		}
		select {
		case <-t.expired:
			late = append(late, t.late.Seconds()*1000)
		case <-time.After(10 * time.Second):
			log.Fatal("a session did not end")
		}
	}
	perSecond := 1 / simulatedFor.Seconds()
	fmt.Printf("  people of %d sessions act: %.0f messages a second from other nodes, %.1f MB; %.0f %% of a core\n",
		sessions/2, messages*perSecond, bytes*perSecond/1e6, (cpu-feed)*perSecond*100)
	fmt.Printf("  lateness of %d idle timeouts at their tabs: %s\n", len(late), percentiles(late))
	fmt.Printf("  lateness of those that lost their node, whoever's turn it was: %s\n", s.ask("late 0"))
	fmt.Printf("  calls: %s\n", s.ask("calls 0"))

	s.signOutEveryone(open)
	for _, t := range list {
		t.close()
	}
}

// signOutEveryone has another node call a forced logout of everyone, and prints how soon the open
// tabs were told and when all ends were written.
func (s *server) signOutEveryone(open []*tab) {
	used, before := s.cpu(), s.figures("spent")
	begin := time.Now()
	s.ask("everyone 0")
	ms := arrivals(open, begin)
	fmt.Printf("  forced logout of everyone, called on another node, at %d tabs: %s\n", len(open), percentiles(ms))
	for s.figure("left") > 0 {
		if time.Since(begin) > 3*writtenWithin {
			fmt.Printf("  %.0f sessions are still known\n", s.figure("left"))
			break
		}
		pause(100 * time.Millisecond)
	}
	spent := s.figures("spent")
	took := time.Since(begin)
	fmt.Printf("  after %.0f s all were forgotten, %.0f %% of a core meanwhile\n", took.Seconds(),
		(s.cpu()-used-(spent[0]-before[0]))/took.Seconds()*100)
	fmt.Printf("  calls: %s\n", s.ask("calls 0"))
}
