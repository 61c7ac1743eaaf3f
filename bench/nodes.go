package main

import (
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// Several nodes over one Redis: how soon a forced logout on one of them reaches the tabs of the
// others, and what sessions cost Redis.

// redisServer is a server of the benchmark's own.
type redisServer struct {
	address string
	cmd     *exec.Cmd
	folder  string
}

func startRedis() *redisServer {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	r := &redisServer{address: l.Addr().String()}
	check(l.Close())
	_, port, _ := net.SplitHostPort(r.address)
	r.folder, err = os.MkdirTemp("", "curfew-bench-redis-")
	check(err)
	r.cmd = exec.Command("redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", r.folder, "--appendonly",
		"yes", "--save", "")
	check(start(r.cmd))
	for limit := time.Now().Add(5 * time.Second); ; pause(5 * time.Millisecond) {
		c, err := net.Dial("tcp", r.address)
		if err == nil {
			c.Close()
			return r
		}
		if time.Now().After(limit) {
			log.Fatal("redis-server does not answer")
		}
	}
}

func (r *redisServer) stop() {
	check(r.cmd.Process.Kill())
	r.cmd.Wait()
	check(os.RemoveAll(r.folder))
}

func (r *redisServer) node() *server {
	return startServer("-serve", "curfew", "-redis", "redis://"+r.address)
}

// info is a figure that redis-cli tells: a field of INFO, or the calls of a command.
func (r *redisServer) info(field string) float64 {
	_, port, _ := net.SplitHostPort(r.address)
	out, err := exec.Command("redis-cli", "-p", port, "INFO", "everything").Output()
	check(err)
	for line := range strings.Lines(string(out)) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), field+":")
		if !ok {
			continue
		}
		text, _, _ = strings.Cut(strings.TrimPrefix(text, "calls="), ",")
		n, err := strconv.ParseFloat(text, 64)
		check(err)
		return n
	}
	return 0
}

// cost is what Redis did from one moment to another.
type cost struct{ scripts, commands, published, cpu, memory float64 }

func (r *redisServer) cost() cost {
	return cost{r.info("cmdstat_evalsha"), r.info("total_commands_processed"), r.info("cmdstat_publish"),
		r.info("used_cpu_user") + r.info("used_cpu_sys"), r.info("used_memory")}
}

func (c cost) since(before cost) cost {
	return cost{c.scripts - before.scripts, c.commands - before.commands, c.published - before.published,
		c.cpu - before.cpu, c.memory - before.memory}
}

// across has a forced logout on the first of some nodes told to tabs that are spread over the
// others.
func across(nodes, n int) (ms []float64, spent cost) {
	r := startRedis()
	defer r.stop()
	var list []*server
	for range nodes {
		s := r.node()
		defer s.stop()
		list = append(list, s)
	}
	others := list[min(1, nodes-1):]
	var all []*tab
	cookies := list[0].cookiesOf("of-one-user", n)
	for i, s := range others {
		all = append(all, s.open(cookies[i*n/len(others):(i+1)*n/len(others)])...)
	}
	pause(3 * time.Second) // every node has the reports of the tabs
	before := r.cost()
	begin := list[0].post("/api/v1/logouts", `{"user":"many","message":"`+endedMessage+`"}`)
	ms = arrivals(all, begin)
	pause(5 * time.Second) // until the single ends are written
	spent = r.cost().since(before)
	for _, t := range all {
		t.close()
	}
	return ms, spent
}

func measureNodes() {
	giveWay()
	fmt.Printf("\nforced logout of one user, %d tabs, from the call to the message on the socket, over one Redis\n",
		*tabs)
	var one, three []float64
	for range rounds {
		ms, _ := across(1, *tabs)
		fmt.Printf("  one node                          %s\n", percentiles(ms))
		one = append(one, percentile(ms, 0.99))
		ms, spent := across(3, *tabs)
		fmt.Printf("  called on A, tabs on B and C      %s; %.0f scripts, %.0f messages between nodes\n",
			percentiles(ms), spent.scripts, spent.published)
		three = append(three, percentile(ms, 0.99))
	}
	fmt.Printf("  middle of the p99: %.1f ms on one node, %.1f ms across: %+.1f ms\n", middle(one), middle(three),
		middle(three)-middle(one))

}

// measureNodeCosts measures what sessions cost the Redis of several nodes.
func measureNodeCosts() {
	giveWay()
	r := startRedis()
	defer r.stop()
	s, other := r.node(), r.node()
	defer s.stop()
	n := *tabs
	pause(2 * time.Second)
	before := r.cost()
	pause(10 * time.Second)
	idle := r.cost().since(before)
	fmt.Printf("\nwhat sessions cost\n")
	fmt.Printf("  a node at rest: %.1f commands a second, %.2f %% of a core of Redis\n", idle.commands/20, idle.cpu*5)
	before = r.cost()
	small := other.rss()
	begin := time.Now()
	s.cookies(n)
	took := time.Since(begin)
	made := r.cost().since(before)
	fmt.Printf(
		"  a sign-in: %.1f scripts, %.1f commands, %.0f us of CPU, %.0f bytes with its audit line; %.0f a second\n",
		made.scripts/float64(n), made.commands/float64(n), made.cpu/float64(n)*1e6, made.memory/float64(n),
		float64(n)/took.Seconds())
	pause(2 * time.Second)
	fmt.Printf("  every other node knows it, too: %.0f bytes of memory\n", (other.rss()-small)/float64(n))
	other.stop()
	begin, before = time.Now(), r.cost()
	cookies := s.cookiesOf("again", n)
	took, made = time.Since(begin), r.cost().since(before)
	fmt.Printf("  ... in a browser that has a session: %.1f scripts, %.1f commands, %.0f us of CPU; %.0f a second\n",
		made.scripts/float64(n), made.commands/float64(n), made.cpu/float64(n)*1e6, float64(n)/took.Seconds())
	list := s.open(cookies)
	pause(10 * time.Second) // until the lease of the other node has run out
	const seconds = 30
	perSecond := n / 15 // everybody types: a heartbeat each 15 s
	before = r.cost()
	sent := heartbeats(list, perSecond, seconds*time.Second)
	beat := r.cost().since(before)
	rest := idle.commands / 20 * seconds
	perBeat := (beat.commands - rest) / float64(sent)
	fmt.Printf("  %d heartbeats, %d a second: %.2f commands and %.3f scripts each, %.1f us of CPU each\n", sent,
		perSecond, perBeat, beat.scripts/float64(sent), beat.cpu/float64(sent)*1e6)
	fmt.Printf("  an hour of a session whose person acts all the time: %.0f commands\n", perBeat*3600/15)
	for _, t := range list {
		t.close()
	}
}
