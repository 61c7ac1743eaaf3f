//go:build chaos

package chaos

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
	"curfew/internal/freeport"
)

const token = "curfew_only-for-tests"

var binary string // of the server

func TestMain(m *testing.M) {
	folder, err := os.MkdirTemp("", "curfew-chaos-")
	if err == nil {
		binary = filepath.Join(folder, "curfew")
		var out []byte
		if out, err = exec.Command("go", "build", "-o", binary, "curfew/cmd/server").CombinedOutput(); err != nil {
			err = errors.New(string(out))
		}
	}
	status := 1
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	} else {
		status = m.Run()
	}
	os.RemoveAll(folder)
	os.Exit(status)
}

// node is a process of Curfew, on an address that it keeps.
type node struct {
	t              testing.TB
	name           string
	address        string
	metricsAddress string
	folder         string
	command        []string // that runs the server, as in another network namespace
	args           []string
	skew           time.Duration // how far its clock is ahead

	mu  sync.Mutex
	cmd *exec.Cmd
	log bytes.Buffer
}

// policyFlags are of a policy that a test can wait for.
var policyFlags = []string{"--warn-after", "6s", "--expire-after", expireAfter.String(), "--close-grace",
	closeGrace.String(), "--max-lifetime", "0"}

const (
	expireAfter = 9 * time.Second
	closeGrace  = 3 * time.Second
)

func startNode(t testing.TB, name, address, redisURL string, command ...string) *node {
	t.Helper()
	n := &node{
		t:              t,
		name:           name,
		address:        address,
		metricsAddress: freeAddress(t),
		folder:         t.TempDir(),
		command:        command,
	}
	tokens := filepath.Join(n.folder, "tokens")
	hash := sha256.Sum256([]byte(token))
	err := os.WriteFile(tokens, fmt.Appendf(nil, "chaos:admin:%s\n", hex.EncodeToString(hash[:])), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	n.args = append([]string{"--listen", address, "--node-name", name, "--redis-url", redisURL, "--api-tokens-file",
		tokens, "--metrics-listen", n.metricsAddress, "--testing", "--public-url", "http://localhost:1", "--log-level",
		"warn"}, policyFlags...)
	t.Cleanup(n.kill)
	if err := n.run(); err != nil {
		t.Fatal(err)
	}
	return n
}

// freeAddress is one that no other server of the tests gets.
func freeAddress(t testing.TB) string {
	return fmt.Sprintf("127.0.0.1:%d", freeport.Reserve(t))
}

// run starts the process and waits until it answers. A node cannot start while Redis is away.
func (n *node) run() error {
	args := append(append([]string{}, n.command...), append([]string{binary}, n.args...)...)
	cmd := exec.Command(args[0], args[1:]...)
	n.mu.Lock()
	cmd.Stderr = &n.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err := cmd.Start()
	n.cmd = cmd
	n.mu.Unlock()
	if err != nil {
		return err
	}
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(20 * time.Millisecond) {
		if status, _, err := n.ask("GET", "/healthz", "", ""); err == nil && status == 200 {
			return n.setSkew(n.skew)
		}
	}
	n.kill()
	return fmt.Errorf("node %s does not answer", n.name)
}

// setSkew makes the node's own clock wrong.
func (n *node) setSkew(by time.Duration) error {
	status, _, err := n.ask("POST", "/testing/skew", "", fmt.Sprintf(`{"by_ms":%d}`, by.Milliseconds()))
	if err != nil || status != 200 {
		return fmt.Errorf("skew of node %s: %d, %w", n.name, status, err)
	}
	return nil
}

// setFaults has calls of the node's store fail, each method by a JSON object; without any they pass
// again.
func (n *node) setFaults(rules ...string) (injected map[string]any) {
	if len(rules) == 0 {
		rules = []string{"{}"}
	}
	for _, rule := range rules {
		if _, answer, err := n.ask("POST", "/testing/store", "", rule); err == nil {
			injected, _ = answer["injected"].(map[string]any)
		}
	}
	return injected
}

func (n *node) kill() { n.stop(syscall.SIGKILL) }

func (n *node) stop(signal syscall.Signal) {
	n.mu.Lock()
	cmd := n.cmd
	n.cmd = nil
	n.mu.Unlock()
	if cmd != nil {
		cmd.Process.Signal(signal)
		cmd.Wait()
	}
}

var client = &http.Client{
	Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// ask sends a request, as the browser of a cookie or with the token of an administrator.
func (n *node) ask(method, path, cookie, body string) (status int, answer map[string]any, err error) {
	status, text, err := n.request(method, path, cookie, body)
	json.Unmarshal(text, &answer)
	return status, answer, err
}

func (n *node) request(method, path, cookie, body string) (status int, text []byte, err error) {
	r, err := http.NewRequest(method, "http://"+n.address+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.Host = "localhost:1"
	if cookie != "" {
		r.Header.Set("Cookie", cookie)
	} else {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if strings.Contains(body, "csrf=") {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	text, err = io.ReadAll(response.Body)
	return response.StatusCode, text, err
}

// signIn begins a session; ok is false where that cannot be had now.
func (n *node) signIn(user string) (cookie string, ok bool) {
	status, answer, err := n.ask("POST", "/testing/session", "", fmt.Sprintf(`{"user":%q,"groups":["crowd"]}`, user))
	if err != nil || status != 200 {
		return "", false
	}
	return answer["cookie"].(string), true
}

// tab is a page's socket. It acknowledges what it is told. Tests of the model have tabs without a
// page: those are in the state that their fields say.
type tab struct {
	page   *hubtest.Page
	opened time.Time

	told   string    // the reason of the end; empty: none
	gone   bool      // the socket is closed
	goneAt time.Time // when
}

func (n *node) open(cookie string) (*tab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	p, _, err := hubtest.Dial(ctx, hubtest.Options{
		URL:    "ws://" + n.address + "/session/ws",
		Host:   "localhost:1",
		Header: http.Header{"Origin": {"http://localhost:1"}, "Cookie": {cookie}},
		AckAll: true,
	})
	if err != nil {
		return nil, err
	}
	return &tab{page: p, opened: p.Opened}, nil
}

func (t *tab) state() (told string, gone bool, at time.Time) {
	if t.page == nil {
		return t.told, t.gone, t.goneAt
	}
	closed, gone := t.page.Closed() // first: nothing is told after it
	for _, m := range t.page.Received() {
		if m.Kind() == wire.KindExpire {
			told, _ = m.Message["reason"].(string)
		}
	}
	return told, gone, closed.At
}
