package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Sites: an application, and what stands in front of it. The application and each proxy are
// processes of their own, and Curfew is the real program.

// process is a program that runs until stop.
type process struct {
	cmd    *exec.Cmd
	folder string
}

// startProcess starts a program in a folder of its own, which prepare may fill.
func startProcess(prepare func(folder string) *exec.Cmd) *process {
	folder, err := os.MkdirTemp("", "curfew-bench-")
	check(err)
	p := &process{cmd: prepare(folder), folder: folder}
	p.cmd.Stderr = p.log()
	check(start(p.cmd))
	return p
}

// starter runs what it is sent on a thread that stays as long as the benchmark.
var starter = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for call := range calls {
			call()
		}
	}()
	return calls
})

// start starts a process that ends with the benchmark, however that ends: by a figure that cannot
// be had, by a signal, by a kill. The kernel sees to that, when the thread ends that has started
// the process. The signal lets the process end those of its own.
func start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	done := make(chan error)
	starter() <- func() { done <- cmd.Start() }
	return <-done
}

// log is where the program writes what it says.
func (p *process) log() *os.File {
	f, err := os.Create(filepath.Join(p.folder, "stderr.log"))
	check(err)
	return f
}

func (p *process) stop() {
	check(p.cmd.Process.Signal(os.Interrupt))
	p.cmd.Wait() // some say so when they are interrupted
	check(os.RemoveAll(p.folder))
}

// programFolder is where program is; empty until it is built.
var programFolder string

// program is Curfew, built once.
var program = sync.OnceValue(func() (path string) {
	var err error
	programFolder, err = os.MkdirTemp("", "curfew-bench-program-")
	check(err)
	path = filepath.Join(programFolder, "curfew")
	build := exec.Command("go", "build", "-o", path, "./cmd/server")
	build.Stderr = os.Stderr
	check(build.Run())
	return path
})

// site is Curfew with an application behind it, or with doors for a proxy.
type site struct {
	*process
	url     string // of the process itself: http://localhost:PORT
	host    string // of that
	address string // where it listens: 127.0.0.1:PORT
}

// startSite starts Curfew at an address, with the embedded store and the demo directory, with
// further flags. The bearer token of the benchmark may administer.
func startSite(listen string, flags ...string) *site {
	s := &site{}
	s.process = startProcess(func(folder string) *exec.Cmd {
		tokens := filepath.Join(folder, "tokens")
		check(os.WriteFile(tokens, fmt.Appendf(nil, "bench:admin:%x\n", tokenHash), 0o600))
		return exec.Command(program(), append([]string{"--listen", listen, "--log-level", "error",
			"--data-dir", filepath.Join(folder, "data"), "--ready-file", filepath.Join(folder, "ready"),
			"--api-tokens-file", tokens}, flags...)...)
	})
	ready := filepath.Join(s.folder, "ready")
	await("curfew", func() bool {
		data, err := os.ReadFile(ready)
		s.url = strings.TrimSpace(string(data))
		return err == nil && s.url != ""
	})
	u, err := url.Parse(s.url)
	check(err)
	s.host, s.address = u.Host, net.JoinHostPort("127.0.0.1", u.Port())
	return s
}

// await waits until a program is ready.
func await(what string, ready func() bool) {
	for limit := time.Now().Add(30 * time.Second); !ready(); pause(10 * time.Millisecond) {
		if time.Now().After(limit) {
			log.Fatalf("%s does not begin", what)
		}
	}
}

// answers reports whether anybody listens at an address.
func answers(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// freePort is an address of loopback that nobody listens on.
func freePort() string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	defer l.Close()
	return l.Addr().String()
}

// signIn signs ada in, and returns the cookies of her browser as it sends them.
func (s *site) signIn() (cookies string) {
	form := url.Values{"username": {"ada"}, "password": {"ada-demo"}}
	request, err := http.NewRequest(http.MethodPost, s.url+"/.curfew/login", strings.NewReader(form.Encode()))
	check(err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := http.DefaultTransport.RoundTrip(request)
	check(err)
	defer response.Body.Close()
	if response.StatusCode != http.StatusSeeOther {
		body, _ := io.ReadAll(response.Body)
		log.Fatalf("sign-in: %s %s", response.Status, body)
	}
	var pairs []string
	for _, c := range response.Cookies() {
		pairs = append(pairs, c.Name+"="+c.Value)
	}
	return strings.Join(pairs, "; ")
}

// forceLogout signs ada out by the API. It returns when the call was made and when it was answered.
func (s *site) forceLogout() (called, answered time.Time) {
	body := strings.NewReader(`{"user":"ada"}`)
	request, err := http.NewRequest(http.MethodPost, s.url+"/.curfew/api/v1/logouts", body)
	check(err)
	request.Header.Set("Authorization", "Bearer "+token)
	called = time.Now()
	response, err := http.DefaultTransport.RoundTrip(request)
	check(err)
	answer, err := io.ReadAll(response.Body)
	answered = time.Now()
	check(err)
	check(response.Body.Close())
	if response.StatusCode != http.StatusOK {
		log.Fatalf("forced logout: %s %s", response.Status, answer)
	}
	return called, answered
}
