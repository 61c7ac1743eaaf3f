package redistest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Cluster starts n masters that share the slots.
func Cluster(t testing.TB, n int) []*Server {
	t.Helper()
	var servers []*Server
	args := []string{"--cluster", "create"}
	for range n {
		s := Start(t, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000")
		servers, args = append(servers, s), append(args, s.Address)
	}
	out, err := exec.Command("redis-cli", append(args, "--cluster-replicas", "0", "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	for _, s := range servers {
		eventually(t, "the cluster works", func() bool {
			answer, err := s.Command("CLUSTER INFO")
			return err == nil && strings.Contains(answer, "cluster_state:ok")
		})
	}
	return servers
}

// Watched is a master with two replicas, watched by three Sentinels. A master without a replica
// takes no writes.
type Watched struct {
	Servers   []*Server
	Sentinels []string // addresses
}

// URL is where clients ask for the master.
func (w *Watched) URL() string {
	url := "redis://" + w.Sentinels[0] + "?master_set=curfew"
	for _, s := range w.Sentinels[1:] {
		url += "&addr=" + s
	}
	return url
}

// Master is the server that is the master now; nil while none is.
func (w *Watched) Master() *Server {
	for _, s := range w.Servers {
		if answer, err := s.Command("ROLE"); err == nil && strings.Contains(answer, "master") {
			return s
		}
	}
	return nil
}

// InStep reports whether there is one master, with both replicas.
func (w *Watched) InStep() bool {
	m := w.Master()
	if m == nil {
		return false
	}
	answer, err := m.Command("INFO replication")
	return err == nil && strings.Count(answer, "state=online") == len(w.Servers)-1
}

// Agreed reports whether all Sentinels name the same master, another than the one before.
func (w *Watched) Agreed(before *Server) bool {
	_, port, _ := net.SplitHostPort(before.Address)
	first := ""
	for _, address := range w.Sentinels {
		answer, err := command(address, "SENTINEL get-master-addr-by-name curfew")
		if err != nil || strings.Contains(answer, "\r\n"+port+"\r\n") || first != "" && answer != first {
			return false
		}
		first = answer
	}
	return true
}

// Sentinel starts a master, two replicas and three Sentinels.
func Sentinel(t testing.TB) *Watched {
	t.Helper()
	careful := []string{"--min-replicas-to-write", "1", "--min-replicas-max-lag", "10"}
	master := Start(t, careful...)
	host, port, _ := net.SplitHostPort(master.Address)
	w := &Watched{Servers: []*Server{master}}
	for range 2 {
		w.Servers = append(w.Servers, Start(t, append([]string{"--replicaof", host + " " + port}, careful...)...))
	}
	eventually(t, "the replicas are in step", w.InStep)
	for range 3 {
		folder, err := os.MkdirTemp("", "curfew-sentinel-")
		if err != nil {
			t.Fatal(err)
		}
		address := freeAddress(t)
		_, own, _ := net.SplitHostPort(address)
		file := filepath.Join(folder, "sentinel.conf")
		conf := fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor curfew %s %s 2\n"+
			"sentinel down-after-milliseconds curfew 1000\nsentinel failover-timeout curfew 5000\n"+
			"sentinel parallel-syncs curfew 1\n", own, folder, host, port)
		if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("redis-server", file, "--sentinel")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			os.RemoveAll(folder)
		})
		w.Sentinels = append(w.Sentinels, address)
	}
	for _, address := range w.Sentinels {
		eventually(t, "the Sentinels know each other and the replicas", func() bool {
			answer, err := command(address, "SENTINEL master curfew")
			return err == nil && strings.Contains(answer, "num-other-sentinels\r\n"+
				"$1\r\n2") && strings.Contains(answer, "num-slaves\r\n$1\r\n2")
		})
	}
	return w
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	limit := time.Now().Add(20 * time.Second)
	for !ok() {
		if time.Now().After(limit) {
			t.Fatalf("waited in vain until %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
