// Command bench measures what a tab costs, and how late ends come, against two bare WebSocket
// servers in the same run, and what stands in front of an application costs, against other proxies:
//
//	make bench                                      # 10,000 tabs
//	go run ./bench -tabs 2000                       # fewer
//	go run ./bench -only front,doors,cut,transfers  # the application
//
// The servers run as processes of their own; the load comes from this one over loopback. Figures
// depend on the machine: compare those of one run with each other.
package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"math"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"curfew/session"
	"curfew/session/bolt"
)

var (
	tabs      = flag.Int("tabs", 10_000, "open tabs")
	broadcast = flag.Int("broadcast", 19_500, "open tabs that a notice goes to")
	beats     = flag.Int("beats", 20_000, "heartbeats a second")
	beatFor   = flag.Duration("beat-for", 10*time.Second, "how long heartbeats are sent")
	restFor   = flag.Duration("rest-for", 25*time.Second,
		"how long CPU at rest is measured: each tab is ticked once in 25 s")
	roundTrip = flag.Duration("round-trip", 50*time.Millisecond, "how long a page's acknowledgement is on its "+
		"way: the load runs on the cores of the server, and 0 makes it answer while others are being told")
	only = flag.String("only", "",
		"some of tabs, lateness, storm, console, sign-ins, front, doors, cut, transfers, logout, notice, nodes, "+
			"node-costs, simulation; empty: all")
	serveAs = flag.String("serve", "",
		"be a server: curfew, simulated, plain, detached, raw, application, plain-proxy (used by the benchmark itself)")
	serveRedis     = flag.String("redis", "", "with -serve curfew: the Redis that nodes share")
	serveSessions  = flag.Int("sessions", 0, "with -serve simulated: sessions in all")
	simulatedSizes = flag.String("simulated", "400000,4000000",
		"sessions of the simulated installations: a tab and a half to each more")
	serveApplication = flag.String("application", "", "with -serve plain-proxy: address of the application")
	frontFor         = flag.Duration("front-for", 2*time.Second, "how long a round of requests to an application takes")
	serveShort       = flag.Bool("short", false, "with -serve curfew: sessions that end after 15 s")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *serveAs != "" {
		serve(*serveAs)
		return
	}
	go watched.readTabs()
	go writeAcks()
	fmt.Printf("%d tabs, %d heartbeats a second for %s, acknowledgements after %s, %s, %d cores\n"+
		"\n", *tabs, *beats, *beatFor, *roundTrip, runtime.Version(), runtime.NumCPU())
	parts := []struct {
		name    string
		measure func()
	}{
		{"tabs", measureAllTabs}, {"lateness", measureLateness}, {"storm", measureStorm}, {"console", measureConsole},
		{"sign-ins", func() { measureSignIns(1); measureSignIns(64) }},
		{"front", measureFront}, {"doors", measureDoors}, {"cut", measureCut}, {"transfers", measureTransfers},
		// these call giveWay
		{"logout", measureForcedLogout}, {"notice", measureBroadcast}, {"nodes", measureNodes},
		{"node-costs", measureNodeCosts},
		{"simulation", measureSimulation},
	}
	for _, p := range parts {
		if *only == "" || slices.Contains(strings.Split(*only, ","), p.name) {
			p.measure()
		}
	}
	check(os.RemoveAll(programFolder))
}

func measureAllTabs() {
	fmt.Printf("%-26s %12s %14s %14s %22s\n", "server", "bytes a tab", "CPU at rest", "connects a s",
		"CPU-s a M heartbeats")
	for _, name := range []string{"plain", "detached", "curfew"} {
		measureTabs(name)
	}
}

// server is a process that is being measured.
type server struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	address string
}

func startServer(args ...string) *server {
	exe, err := os.Executable()
	check(err)
	s := &server{cmd: exec.Command(exe, args...)}
	s.cmd.Stderr = os.Stderr
	s.stdin, err = s.cmd.StdinPipe()
	check(err)
	out, err := s.cmd.StdoutPipe()
	check(err)
	s.stdout = bufio.NewScanner(out)
	s.stdout.Buffer(nil, 16<<20)
	check(s.cmd.Start())
	s.address = s.line()
	return s
}

func (s *server) line() string {
	if !s.stdout.Scan() {
		log.Fatalf("the server has ended: %v", s.stdout.Err())
	}
	return s.stdout.Text()
}

// ask sends a command and returns the answer.
func (s *server) ask(command string) string {
	_, err := fmt.Fprintln(s.stdin, command)
	check(err)
	return s.line()
}

func (s *server) stop() {
	s.stdin.Close()
	check(s.cmd.Wait())
}

// rss is the resident memory in bytes, after a garbage collection.
func (s *server) rss() float64 {
	s.ask("shrink")
	return residentOf(s.cmd.Process.Pid)
}

// residentOf is the resident memory of a process in bytes.
func residentOf(pid int) float64 { return memoryOf(pid, "VmRSS:") }

// memoryOf is what the kernel tells of a process's memory, in bytes; see proc_pid_status(5).
func memoryOf(pid int, what string) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(err)
	for line := range strings.Lines(string(data)) {
		if kb, ok := strings.CutPrefix(line, what); ok {
			n, err := strconv.ParseFloat(strings.Fields(kb)[0], 64)
			check(err)
			return n * 1024
		}
	}
	log.Fatal("no ", what)
	return 0
}

// cpu is the time that the process has used, in seconds.
func (s *server) cpu() float64 { return cpuOf(s.cmd.Process.Pid) }

// cpuOf is the time that a process has used, in seconds.
func cpuOf(pid int) float64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	check(err)
	_, rest, _ := strings.Cut(string(data), ") ")
	fields := strings.Fields(rest)
	user, err1 := strconv.ParseFloat(fields[11], 64)
	system, err2 := strconv.ParseFloat(fields[12], 64)
	check(err1)
	check(err2)
	const ticks = 100 // sysconf(_SC_CLK_TCK) on Linux
	return (user + system) / ticks
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// cookies are those of n new sessions; empty ones for servers that know none.
func (s *server) cookies(n int) []string { return s.cookiesOf("sessions", n) }

// cookiesOf has a command make the sessions.
func (s *server) cookiesOf(command string, n int) []string {
	answer := s.ask(fmt.Sprint(command, " ", n))
	if answer == "" {
		return make([]string, n)
	}
	return strings.Fields(answer)
}

// open opens a tab for each cookie, with eight at once.
func (s *server) open(cookies []string) []*tab {
	list := make([]*tab, len(cookies))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(cookies) {
					return
				}
				list[i] = dial(s.address, cookies[i])
			}
		})
	}
	wg.Wait()
	return list
}

func measureTabs(name string) {
	s := startServer("-serve", name)
	defer s.stop()
	warm := s.open(s.cookies(200)) // what a first tab costs once is not the cost of a tab
	cookies := s.cookies(*tabs)
	before := s.rss()
	begin := time.Now()
	list := s.open(cookies)
	rate := float64(len(list)) / time.Since(begin).Seconds()
	pause(2 * time.Second)
	perTab := (s.rss() - before) / float64(len(list))

	used := s.cpu()
	pause(*restFor)
	rest := (s.cpu() - used) / restFor.Seconds() * 100

	used = s.cpu()
	sent := heartbeats(list, *beats, *beatFor)
	perMillion := (s.cpu() - used) / float64(sent) * 1e6
	fmt.Printf("%-26s %12.0f %12.2f %% %14.0f %22.2f\n", name, perTab, rest, rate, perMillion)
	for _, t := range append(list, warm...) {
		t.close()
	}
}

// pause waits while the server is watched.
func pause(d time.Duration) { <-time.After(d) }

// heartbeats sends perSecond heartbeats a second, each tab in its turn, and returns how many.
func heartbeats(list []*tab, perSecond int, d time.Duration) (sent int) {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	begin := time.Now()
	for time.Since(begin) < d {
		<-ticker.C
		for due := int(time.Since(begin).Seconds() * float64(perSecond)); sent < due; sent++ {
			check(list[sent%len(list)].send(heartbeat))
		}
	}
	return sent
}

// measureLateness opens tabs whose sessions end 15 s after their sign-in, spread over ten seconds.
func measureLateness() {
	s := startServer("-serve", "curfew", "-short")
	defer s.stop()
	const spread = 10 * time.Second
	begin := time.Now()
	var list []*tab
	const steps = 1000
	for i := range steps {
		list = append(list, s.open(s.cookies(*tabs/steps))...)
		pause(time.Until(begin.Add(spread * time.Duration(i+1) / steps)))
	}
	var late []float64
	for _, t := range list {
		select {
		case <-t.expired:
			late = append(late, t.late.Seconds()*1000)
		case <-time.After(30 * time.Second):
			log.Fatal("a session did not end")
		}
	}
	fmt.Printf("\nlateness of %d ends, %d a second, on the socket: %s\n", len(late), len(late)/int(spread.Seconds()),
		percentiles(late))
}

// percentile is of sorted values.
func percentile(sorted []float64, p float64) float64 {
	return sorted[int(math.Ceil(p*float64(len(sorted))))-1]
}

// percentiles sorts milliseconds and tells them.
func percentiles(ms []float64) string {
	slices.Sort(ms)
	return fmt.Sprintf("p50 %.1f ms, p99 %.1f ms, most %.1f ms", percentile(ms, 0.5), percentile(ms, 0.99),
		ms[len(ms)-1])
}

// measureSignIns creates durable sessions, with so many at once.
func measureSignIns(atOnce int) {
	folder, err := os.MkdirTemp("", "curfew-bench-")
	check(err)
	defer os.RemoveAll(folder)
	store, err := bolt.Open(folder)
	check(err)
	const d = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var made atomic.Int64
	var wg sync.WaitGroup
	for range atOnce {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := store.Create(context.Background(), record(session.NewToken()), 0); err != nil {
					log.Fatal(err)
				}
				made.Add(1)
			}
		})
	}
	wg.Wait()
	fmt.Printf("durable sign-ins a second, %2d at once: %.0f\n", atOnce, float64(made.Load())/d.Seconds())
	check(store.Close())
}
