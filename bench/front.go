package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// Curfew as a reverse proxy, beside others in the same run: how many small requests pass.

// frontConnections is over how many kept-alive connections requests come.
const frontConnections = 16

// rival is a proxy in front of the application.
type rival struct {
	name    string
	address string
	pid     int
	conns   []*keptAlive
	rates   []float64 // requests a second, of each round
	cpu     []float64 // microseconds a request
}

func (v *rival) connect(host, path, kind, cookies string) {
	for range frontConnections {
		v.conns = append(v.conns, keepAlive(v.address, host, path, kind, cookies))
	}
}

func (v *rival) round(d time.Duration) {
	used := cpuOf(v.pid)
	rate := asFastAsTheyGo(v.conns, d)
	v.rates = append(v.rates, rate)
	v.cpu = append(v.cpu, (cpuOf(v.pid)-used)/(rate*d.Seconds())*1e6)
}

func (v *rival) disconnect() {
	for _, c := range v.conns {
		c.conn.Close()
	}
	v.conns, v.rates, v.cpu = nil, nil, nil
}

const caddyfile = `{
	admin off
	auto_https off
	log {
		level ERROR
	}
}
http://:%s {
	bind 127.0.0.1
	reverse_proxy %s
}
`

// startCaddy starts Debian's Caddy as a reverse proxy and nothing else; nil if it is not installed.
func startCaddy(application string) (p *process, address string) {
	path, err := exec.LookPath("caddy")
	if err != nil {
		return nil, ""
	}
	address = freePort()
	p = startProcess(func(folder string) *exec.Cmd {
		file := filepath.Join(folder, "Caddyfile")
		_, port, _ := net.SplitHostPort(address)
		check(os.WriteFile(file, fmt.Appendf(nil, caddyfile, port, application), 0o600))
		cmd := exec.Command(path, "run", "--config", file)
		cmd.Env = append(os.Environ(), "HOME="+folder, "XDG_DATA_HOME="+folder, "XDG_CONFIG_HOME="+folder)
		return cmd
	})
	await("caddy", func() bool { return answers(address) })
	return p, address
}

func measureFront() {
	app := startServer("-serve", "application")
	defer app.stop()
	plain := startServer("-serve", "plain-proxy", "-application", app.address)
	defer plain.stop()
	own := startSite("127.0.0.1:0", "--upstream", "http://"+app.address)
	defer own.stop()
	cookies := own.signIn()
	rivals := []*rival{
		{name: "plain httputil.ReverseProxy", address: plain.address, pid: plain.cmd.Process.Pid},
		{name: "curfew --upstream", address: own.address, pid: own.cmd.Process.Pid},
	}
	if caddy, address := startCaddy(app.address); caddy != nil {
		defer caddy.stop()
		rivals = append(rivals, &rival{name: "caddy reverse_proxy", address: address, pid: caddy.cmd.Process.Pid})
	}
	for _, what := range []struct{ name, path, kind string }{
		{"small answers to scripts", "/small", script},
		{"small pages, which get the script tag from Curfew", "/page", person},
	} {
		fmt.Printf("\n%s, over %d kept-alive connections as fast as they go, %d alternating rounds of %s\n", what.name,
			frontConnections, rounds, *frontFor)
		for _, v := range rivals {
			v.connect(own.host, what.path, what.kind, cookies)
			asFastAsTheyGo(v.conns, *frontFor)
		}
		for range rounds {
			for _, v := range rivals {
				v.round(*frontFor)
			}
		}
		base := middle(rivals[0].rates)
		for _, v := range rivals {
			fmt.Printf("  %-28s %8.0f requests a second, %.2f of the plain one; %4.0f µs of CPU a request\n", v.name,
				middle(v.rates), middle(v.rates)/base, middle(v.cpu))
			v.disconnect()
		}
	}
}
