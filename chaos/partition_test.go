//go:build chaos

package chaos

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"curfew/session/redis/redistest"
)

// detour is a second address of Redis, of which packets can be dropped. Ports are held at
// 127.0.0.2; see freeport.
const detour = "127.0.0.3"

// TestPartition cuts one node off from Redis, by iptables in a network namespace of its own, in
// three ways.
func TestPartition(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	server := redistest.Start(t, "--bind", "127.0.0.1", detour)
	other := strings.Replace(server.URL(), "127.0.0.1", detour, 1)
	a := startNode(t, "a", freeAddress(t), other)
	b := startNode(t, "b", freeAddress(t), server.URL())
	for _, way := range []partition{
		{"packets vanish", []string{"-j", "DROP"}, true},
		{"connections are reset", []string{"-j", "REJECT", "--reject-with", "tcp-reset"}, true},
		{"three packets of ten vanish",
			[]string{"-m", "statistic", "--mode", "random", "--probability", "0.3", "-j", "DROP"}, false},
	} {
		way.cutOff(t, a, b)
	}
}

// inNamespace reports whether the test runs in a network namespace of its own. Where it does not,
// it has been run in one, to its end.
func inNamespace(t *testing.T, args ...string) bool {
	if os.Getenv("CURFEW_IN_NAMESPACE") != "" {
		return true
	}
	cmd := exec.Command("unshare", append([]string{"-n", "sh", "-c", `ip link set lo up && exec "$@"`, "sh", os.Args[0],
		"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=0"}, args...)...)
	cmd.Env = append(os.Environ(), "CURFEW_IN_NAMESPACE=1")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	return false
}

// rule adds or deletes a rule for what goes to or comes from the Redis of the node that is cut off.
func rule(t *testing.T, do string, target ...string) {
	t.Helper()
	for _, side := range []string{"-d", "-s"} {
		args := append([]string{do, "INPUT", "-i", "lo", "-p", "tcp", side, detour}, target...)
		if out, err := exec.Command("iptables", args...).CombinedOutput(); err != nil {
			t.Fatalf("iptables: %v %s", err, out)
		}
	}
}

// partition is a way to cut a node off from Redis.
type partition struct {
	name   string
	target []string // of the rule
	whole  bool     // nothing passes
}

// cutOff cuts a off for a while, and checks what a and b do meanwhile and afterwards.
func (way partition) cutOff(t *testing.T, a, b *node) {
	var goes, stays string
	within(t, "sign-ins are let in", calmBound, func() (ok bool) {
		if goes, ok = a.signIn("goes"); ok {
			stays, ok = b.signIn("stays")
		}
		return ok
	})
	here, err1 := a.open(goes)
	there, err2 := b.open(goes)
	kept, err3 := b.open(stays)
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	rule(t, "-A", way.target...)
	began := time.Now()
	if status, _, err := b.ask("POST", "/api/v1/logouts", "", `{"user":"goes"}`); err != nil || status != 200 {
		t.Errorf("%s: forced logout on the other node: %d, %v", way.name, status, err)
	}
	within(t, way.name+": the tab on the other node is closed", closeBound,
		func() bool { _, gone, _ := there.state(); return gone })
	status, _, err := a.ask("GET", "/session/status", goes, "")
	switch {
	case err != nil, status == 200, way.whole && status != 503:
		t.Errorf("%s: status on the node that is cut off: %d, %v, want 503", way.name, status, err)
	}
	if _, gone, _ := here.state(); way.whole && gone {
		t.Errorf("%s: the tab on the node that is cut off was closed: nobody there can know", way.name)
	}
	if way.whole {
		within(t, way.name+": the tabs of the node that is cut off are not counted any more",
			15*time.Second-time.Since(began), func() bool {
				return nodesSeenBy(b) == 1
			})
	} else {
		time.Sleep(3 * time.Second) // that is how long this partition lasts
	}
	rule(t, "-D", way.target...)
	healed := time.Now()
	within(t, way.name+": the tab of the ended session is closed after the partition", calmBound, func() bool {
		reason, gone, _ := here.state()
		return gone || reason == "admin"
	})
	within(t, way.name+": the node answers again", calmBound, func() bool {
		status, _, err := a.ask("GET", "/session/status", goes, "")
		return err == nil && status == 401
	})
	t.Logf("%s: converged %s after its end", way.name, time.Since(healed).Round(time.Millisecond))
	kept.page.Break()
	within(t, "the nodes know each other", 10*time.Second, func() bool {
		return nodesSeenBy(a) == 2 && nodesSeenBy(b) == 2
	})
}

func within(t *testing.T, what string, limit time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// nodesSeenBy is how many nodes n counts.
func nodesSeenBy(n *node) (count int) {
	values := n.metrics()
	if values == nil {
		return -1
	}
	return int(values["curfew_nodes"])
}
