package main

import (
	"bytes"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
)

// Curfew as the guard of nginx: what its check adds to the time of a request.

// checkedRequests is how many requests come a second.
const checkedRequests = 500

// guarded is the line by which the printed configuration asks for each request.
var guarded = regexp.MustCompile(`(?m)^\s*auth_request\s+/\.curfew/-check;\n`)

// startNginx starts nginx at an address with the configuration that the program prints for a site,
// or without its check.
func startNginx(at string, checks bool, flags ...string) *process {
	path, err := exec.LookPath("nginx")
	if err != nil {
		path = "/usr/sbin/nginx" // Debian has it outside of a user's path
	}
	p := startProcess(func(folder string) *exec.Cmd {
		check(os.Chmod(folder, 0o755)) // its workers are another user's
		args := append([]string{"proxy-config", "nginx", "--at", at, "--out", folder}, flags...)
		printed := exec.Command(program(), args...)
		printed.Stderr = os.Stderr
		check(printed.Run())
		file := filepath.Join(folder, "nginx.conf")
		config, err := os.ReadFile(file)
		check(err)
		if !checks {
			without := guarded.ReplaceAll(config, nil)
			if bytes.Equal(without, config) {
				log.Fatal("the printed configuration has no check to leave out")
			}
			check(os.WriteFile(file, without, 0o600))
		}
		return exec.Command(path, "-p", folder, "-c", "nginx.conf", "-g", "daemon off;")
	})
	await("nginx", func() bool { return answers(at) })
	return p
}

// measureDoors sends requests through nginx with and without a check, in turn.
func measureDoors() {
	app := startServer("-serve", "application")
	defer app.stop()
	listen, door, with, without := freePort(), freePort(), freePort(), freePort()
	_, port, _ := net.SplitHostPort(with)
	flags := []string{"--verify-listen", door, "--base-path", "/.curfew", "--public-url", "http://localhost:" + port,
		"--trusted-proxies", "127.0.0.1/32"}
	own := startSite(listen, flags...)
	defer own.stop()
	flags = append(flags, "--listen", listen, "--app", "http://"+app.address)
	defer startNginx(with, true, flags...).stop()
	defer startNginx(without, false, flags...).stop()
	cookies := own.signIn()
	connect := func(address string) (conns []*keptAlive) {
		for range frontConnections {
			conns = append(conns, keepAlive(address, "localhost:"+port, "/small", script, cookies))
		}
		return conns
	}
	checked, plain := connect(with), connect(without)
	steadily(checked, checkedRequests, *frontFor)
	steadily(plain, checkedRequests, *frontFor)
	var p50, p99, plainP50, plainP99 []float64
	for range rounds {
		ms := steadily(plain, checkedRequests, 2**frontFor)
		slices.Sort(ms)
		plainP50, plainP99 = append(plainP50, percentile(ms, 0.5)), append(plainP99, percentile(ms, 0.99))
		ms = steadily(checked, checkedRequests, 2**frontFor)
		slices.Sort(ms)
		p50, p99 = append(p50, percentile(ms, 0.5)), append(p99, percentile(ms, 0.99))
	}
	fmt.Printf("\n%d requests a second through nginx, %d alternating rounds of %s\n", checkedRequests, rounds,
		2**frontFor)
	fmt.Printf("  without a check        p50 %.2f ms, p99 %.2f ms\n", middle(plainP50), middle(plainP99))
	fmt.Printf("  with Curfew's check    p50 %.2f ms, p99 %.2f ms\n", middle(p50), middle(p99))
	fmt.Printf("  the check adds         p50 %.2f ms, p99 %.2f ms\n", middle(p50)-middle(plainP50),
		middle(p99)-middle(plainP99))
	for _, c := range slices.Concat(checked, plain) {
		c.conn.Close()
	}
}
