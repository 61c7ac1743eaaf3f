package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The reconnect storm: a node of several is stopped, and its tabs come back on the others.

// How long a page waits that was closed with 1012, before it comes back: this, and up to so much
// more; see static/connection.js.
const (
	reconnectAfter  = 500 * time.Millisecond
	reconnectSpread = 4 * time.Second
)

// leavers are sessions that are signed out while their node is stopping.
const leavers = 100

// comeback is what a tab met when it came back.
type comeback struct {
	dialled, hello time.Time
	gap            time.Duration // for which it had no socket
	refused        bool          // its session was over
}

// storm stops a node with n tabs whose pages wait as long as said, and returns what they met.
// missed counts tabs of ended sessions that were let in.
func storm(n int, after, spread time.Duration) (list []comeback, missed int, cpu float64, stopped time.Duration) {
	r := startRedis()
	defer r.stop()
	a, others := r.node(), []*server{r.node(), r.node()}
	for _, s := range others {
		defer s.stop()
	}
	tabs := a.open(append(a.cookies(n-leavers), a.cookiesOf("of-one-user", leavers)...))
	pause(3 * time.Second) // every node has the reports of the tabs
	var used float64
	for _, s := range others {
		used -= s.cpu()
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	var open []*tab
	var later atomic.Int64
	for i, t := range tabs {
		wg.Go(func() {
			<-t.closed
			pause(after + rand.N(spread+1))
			c, again := comeBack(t, others[i%2])
			mu.Lock()
			defer mu.Unlock()
			list = append(list, c)
			if again != nil {
				open = append(open, again)
			}
			if i < n-leavers || c.refused {
				return
			}
			later.Add(1)
			wg.Go(func() {
				select {
				case <-again.expired:
					later.Add(-1)
				case <-time.After(5 * time.Second):
				}
			})
		})
	}
	begin := time.Now()
	go func() {
		pause(time.Second)
		others[0].post("/api/v1/logouts", `{"user":"many"}`)
	}()
	a.stop()
	stopped = time.Since(begin)
	wg.Wait()
	for _, s := range others {
		used += s.cpu()
	}
	for _, t := range open {
		t.close()
	}
	return list, int(later.Load()), used, stopped
}

// comeBack has the page of a tab that was closed connect to another node. again is nil if it was
// refused.
func comeBack(t *tab, on *server) (c comeback, again *tab) {
	c = comeback{dialled: time.Now()}
	again, status := on.tryDial(t.cookie)
	switch {
	case status == http.StatusUnauthorized:
		c.refused, c.hello = true, time.Now()
	case status != http.StatusSwitchingProtocols:
		check(fmt.Errorf("handshake: %d", status))
	default:
		select {
		case <-again.greeted:
		case <-time.After(30 * time.Second):
			check(fmt.Errorf("no hello"))
		}
		c.hello = again.hello
	}
	c.gap = c.hello.Sub(t.ended)
	return c, again
}

func measureStorm() {
	fmt.Printf("\nreconnect storm: %d tabs of a node that is stopped come back on two others\n", *tabs)
	for _, how := range []struct {
		name          string
		after, spread time.Duration
	}{{"as pages do", reconnectAfter, reconnectSpread}, {"all at once", 0, 0}} {
		list, missed, cpu, stopped := storm(*tabs, how.after, how.spread)
		var handshakes, gaps []float64
		perTenth := make(map[int64]int)
		refused := 0
		for _, c := range list {
			handshakes = append(handshakes, c.hello.Sub(c.dialled).Seconds()*1000)
			gaps = append(gaps, c.gap.Seconds()*1000)
			perTenth[c.dialled.UnixMilli()/100]++
			if c.refused {
				refused++
			}
		}
		most := 0
		for _, n := range perTenth {
			most = max(most, n)
		}
		slices.Sort(gaps)
		fmt.Printf("  %s: most within a tenth of a second %d; from dial to hello %s\n", how.name, most,
			percentiles(handshakes))
		fmt.Printf("    without a socket for %s; the node was gone after %.1f s; %.2f CPU-seconds of each of the "+
			"others\n", percentiles(gaps), stopped.Seconds(), cpu/2)
		fmt.Printf("    %d sessions were signed out meanwhile: %d refused, %d told, %d missed\n", leavers, refused,
			leavers-refused-missed, missed)
	}
}
