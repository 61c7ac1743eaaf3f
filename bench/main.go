// Command bench measures what tabs, checks and telling cost, in turn with bare WebSocket servers
// and Centrifugo, how late ends come, and what stands in front of an application costs, in turn
// with other proxies:
//
//	make bench                                      # all of it
//	go run ./bench -only ratios                     # beside the bare library and Centrifugo
//	go run ./bench -only memory -rounds 1 -servers lean,curfew
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

	"golang.org/x/sys/unix"

	"curfew/session"
	"curfew/session/bolt"
)

var (
	tabs      = flag.Int("tabs", 10_000, "open tabs")
	beats     = flag.Int("beats", 20_000, "heartbeats a second")
	beatFor   = flag.Duration("beat-for", 5*time.Second, "how long heartbeats are sent")
	roundTrip = flag.Duration("round-trip", 50*time.Millisecond, "how long a page's acknowledgement is on its "+
		"way: the load runs on the cores of the server, and 0 makes it answer while others are being told")
	only = flag.String("only", "",
		"some of ratios (memory, tls, openings, heartbeats, rest, status, logout, notice), lateness, storm, "+
			"console, sign-ins, many (many-listed, many-logout, many-ends, many-leap, many-reload), front, doors, "+
			"cut, transfers, nodes, node-costs, simulation; empty: all")
	serveAs = flag.String("serve", "",
		"be a server: curfew, simulated, handler, lean, application, plain-proxy (used by the benchmark itself)")
	serveRedis     = flag.String("redis", "", "with -serve curfew: the Redis that nodes share")
	serveSessions  = flag.Int("sessions", 0, "with -serve simulated: sessions in all")
	simulatedSizes = flag.String("simulated", "400000,4000000",
		"sessions of the simulated installations: a tab and a half to each more")
	serveApplication = flag.String("application", "", "with -serve plain-proxy: address of the application")
	frontFor         = flag.Duration("front-for", 2*time.Second, "how long a round of requests to an application takes")
	serveShort       = flag.Bool("short", false, "with -serve curfew: sessions that end after 15 s")
)

type part struct {
	name    string
	measure func()
}

// ratio is a part of several rounds.
func ratio(name string, round func()) part { return part{name, func() { inRounds(name, round) }} }

var parts = []part{
	ratio("memory", measureMemory), ratio("tls", measureTLS), ratio("openings", measureOpenings),
	ratio("heartbeats", measureHeartbeats),
	ratio("rest", measureRest), ratio("status", measureStatus),
	{"lateness", measureLateness}, {"storm", measureStorm}, {"console", measureConsole},
	{"sign-ins", func() { measureSignIns(1); measureSignIns(64) }},
	ofMany("many-listed", measureManyListed), ofMany("many-logout", measureManyLogout),
	ofMany("many-ends", measureManyEnds), ofMany("many-leap", measureManyLeaps),
	ofMany("many-reload", measureManyReload),
	{"front", measureFront}, {"doors", measureDoors}, {"cut", measureCut}, {"transfers", measureTransfers},
	// these call giveWay
	ratio("logout", measureForcedLogout), ratio("notice", measureNotice), {"nodes", measureNodes},
	{"node-costs", measureNodeCosts},
	{"simulation", measureSimulation},
}

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *serveAs != "" {
		serve(*serveAs)
		return
	}
	chosen := strings.Split(*only, ",")
	if i := slices.Index(chosen, "ratios"); i >= 0 {
		chosen = slices.Replace(chosen, i, i+1, ratioParts...)
	}
	if i := slices.Index(chosen, "many"); i >= 0 {
		chosen = slices.Replace(chosen, i, i+1, manyParts...)
	}
	if *writeTo != "" {
		splitPage()
		if *only != "" && *only != "ratios" || *onlyServers != "" {
			log.Fatal("-write is for all ratios of all servers")
		}
	}
	go watched.readTabs()
	go writeAcks()
	fmt.Printf("%d tabs, %d heartbeats a second for %s, acknowledgements after %s, %s, %d cores\n"+
		"\n", *tabs, *beats, *beatFor, *roundTrip, runtime.Version(), runtime.NumCPU())
	for _, p := range parts {
		if *only == "" || slices.Contains(chosen, p.name) {
			p.measure()
		}
	}
	tellRatios()
	check(os.RemoveAll(programFolder))
}

// server is a process that is being measured.
type server struct {
	cmd     *exec.Cmd
	stdin   io.WriteCloser
	stdout  *bufio.Scanner
	address string
	speaks  *dialect
	secure  bool         // over TLS
	greets  bool         // each tab is sent a hello
	opened  atomic.Int64 // tabs, by open
	foreign *process     // not one of the benchmark's own, which listen to commands; nil: it is
}

func startServer(args ...string) *server {
	exe, err := os.Executable()
	check(err)
	s := &server{
		cmd:    exec.Command(exe, args...),
		speaks: ours,
		secure: slices.Contains(args, "-tls"),
		greets: slices.ContainsFunc([]string{"curfew", "simulated", "-hello"},
			func(arg string) bool { return slices.Contains(args, arg) }),
	}
	s.cmd.Stderr = os.Stderr
	s.stdin, err = s.cmd.StdinPipe()
	check(err)
	out, err := s.cmd.StdoutPipe()
	check(err)
	s.stdout = bufio.NewScanner(out)
	s.stdout.Buffer(nil, 16<<20)
	check(start(s.cmd))
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
	if s.foreign != nil {
		return ""
	}
	_, err := fmt.Fprintln(s.stdin, command)
	check(err)
	return s.line()
}

func (s *server) stop() {
	if s.foreign != nil {
		s.foreign.stop()
		return
	}
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

func (s *server) pid() int { return s.cmd.Process.Pid }

// cpu is the time that the process has used, in seconds.
func (s *server) cpu() float64 { return cpuOf(s.pid()) }

// cpuOf is the time that a process has used, in seconds. It is the process's CPU clock, whose
// number clock_getcpuclockid(3) makes: /proc counts hundredths of a second.
func cpuOf(pid int) float64 {
	const scheduler = 2
	var used unix.Timespec
	check(unix.ClockGettime(int32(^pid<<3|scheduler), &used))
	return float64(used.Nano()) / 1e9
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
	if s.foreign != nil {
		return centrifugoTokens(command, n)
	}
	answer := s.ask(fmt.Sprint(command, " ", n))
	if answer == "" {
		return make([]string, n)
	}
	return strings.Fields(answer)
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
			t := list[sent%len(list)]
			check(t.send(t.speaks.heartbeat))
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
