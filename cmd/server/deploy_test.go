package main

import (
	"bytes"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// deployFolder has what is made for those who run Curfew.
const deployFolder = "../../deploy"

// composed is the compose file as far as it is Curfew's.
type composed struct {
	Services map[string]struct {
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		Networks    yaml.Node         `yaml:"networks"`
	} `yaml:"services"`
	Networks map[string]struct {
		IPAM struct {
			Config []struct {
				Subnet string `yaml:"subnet"`
			} `yaml:"config"`
		} `yaml:"ipam"`
	} `yaml:"networks"`
}

// networks are the names of those that a service is in.
func (c composed) networks(t *testing.T, service string) (names []string) {
	t.Helper()
	node := c.Services[service].Networks
	if node.Kind == yaml.SequenceNode {
		if err := node.Decode(&names); err != nil {
			t.Fatal(err)
		}
		return names
	}
	byName := make(map[string]any)
	if err := node.Decode(&byName); err != nil {
		t.Fatal(err)
	}
	return slices.Sorted(maps.Keys(byName))
}

func readCompose(t *testing.T) (c composed) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployFolder, "compose", "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNodesOfTheComposeFileHaveRightSettings(t *testing.T) {
	settings := filepath.Join(deployFolder, "compose", "curfew.yaml")
	data, err := os.ReadFile(settings)
	if err != nil {
		t.Fatal(err)
	}
	if err := validates(t, compiledSchema(t), string(data)); err != nil {
		t.Error(err)
	}
	image := dockerfile(t)
	compose := readCompose(t)
	for _, name := range []string{"node1", "node2"} {
		node, ok := compose.Services[name]
		if !ok || !slices.Equal(node.Command, []string{"--config", "/etc/curfew/curfew.yaml"}) {
			t.Fatalf("%s: %+v", name, node)
		}
		environ := image
		for variable, v := range node.Environment {
			environ = append(environ, variable+"="+v)
		}
		cfg, err := load([]string{"--config", settings}, environ)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if cfg.store.nodeName != name || cfg.http.listen != ":8080" || cfg.http.verifyListen != ":8081" ||
			cfg.store.redisURL != "redis://redis:6379" {
			t.Errorf("%s: %+v", name, cfg)
		}
		for variable := range node.Environment {
			known := func(s setting) bool { return s.variable() == variable }
			if !slices.ContainsFunc((&config{}).settings(), known) {
				t.Errorf("%s: there is no setting %s", name, variable)
			}
		}
	}
	if _, ok := compose.Services["redis"]; !ok {
		t.Error("there is no redis, to which the settings lead")
	}
}

// TestTheApplicationOfTheComposeFileReachesNothingOfCurfews holds the networks to what
// docs/threats.md asks: whoever reaches the store, a door, or Curfew from the network of a trusted
// proxy, can be anybody.
func TestTheApplicationOfTheComposeFileReachesNothingOfCurfews(t *testing.T) {
	c := readCompose(t)
	for a, others := range map[string][]string{
		"app":   {"node1", "node2", "redis"},
		"nginx": {"redis"},
	} {
		for _, b := range others {
			for _, network := range c.networks(t, a) {
				if slices.Contains(c.networks(t, b), network) {
					t.Errorf("%s reaches %s in the network %s", a, b, network)
				}
			}
		}
	}
	cfg, err := load([]string{"--config", filepath.Join(deployFolder, "compose", "curfew.yaml")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, network := range c.Networks {
		isTrusted := len(network.IPAM.Config) == 1 &&
			network.IPAM.Config[0].Subnet == fmt.Sprint(cfg.http.trustedProxies[0])
		isNginxs := slices.Contains(c.networks(t, "nginx"), name) && slices.Contains(c.networks(t, "node1"), name)
		if isTrusted != isNginxs {
			t.Errorf("network %s: trusted %v, of nginx and Curfew %v", name, isTrusted, isNginxs)
		}
	}
}

// TestNginxOfTheComposeFileIsPrinted holds deploy/compose/nginx.conf to what proxy-config prints,
// and has nginx read it.
func TestNginxOfTheComposeFileIsPrinted(t *testing.T) {
	folder, compose := t.TempDir(), filepath.Join(deployFolder, "compose")
	file := filepath.Join(compose, "nginx.conf")
	status, _, errs := curfew(t, "proxy-config", "nginx", "--config", filepath.Join(compose, "curfew.yaml"),
		"--app", "http://app:8000", "--at", ":443", "--out", folder)
	if status != 0 || errs != "" {
		t.Fatalf("status %d, %s", status, errs)
	}
	printed, err := os.ReadFile(filepath.Join(folder, "nginx.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, printed, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, printed) {
		t.Errorf("%s is not what is printed: run go test ./cmd/server -run Compose -update (%v)", file, err)
	}
	here := strings.NewReplacer("curfew:80", "127.0.0.1:80", "app:8000", "127.0.0.1:8000").Replace(string(printed))
	if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(here), 0o600); err != nil {
		t.Fatal(err)
	}
	certificate, key := makeCertificate(t)
	for name, pem := range map[string][]byte{"cert.pem": certificate, "key.pem": key} {
		if err := os.WriteFile(filepath.Join(folder, name), pem, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("nginx", "-t", "-p", folder, "-c", "nginx.conf").CombinedOutput(); err != nil {
		t.Errorf("nginx: %v\n%s", err, out)
	}
}

// dockerfile are the variables that the image sets. Nothing here can build it: its words are
// compared with what they mean.
func dockerfile(t *testing.T) (environ []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(deployFolder, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		if words, ok := strings.CutPrefix(line, "ENV "); ok {
			environ = append(environ, strings.Fields(words)...)
		}
	}
	if len(environ) == 0 || !strings.Contains(string(data), "\nFROM scratch\n") {
		t.Errorf("the image sets nothing, or is not from scratch:\n%s", data)
	}
	return environ
}

// TestUnitIsTakenBySystemd has systemd read the unit, where it is there, and judge how much the
// service may.
func TestUnitIsTakenBySystemd(t *testing.T) {
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	data, err := os.ReadFile(filepath.Join(deployFolder, "package", "curfew.service"))
	if err != nil {
		t.Fatal(err)
	}
	unit := filepath.Join(t.TempDir(), "curfew.service")
	text := strings.Replace(string(data), "/usr/bin/curfew ", os.Args[0]+" ", 1) // it is not installed here
	text = strings.Replace(text, "Documentation=man:curfew(1)\n", "", 1)
	if err := os.WriteFile(unit, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", unit).CombinedOutput()
	if err != nil || bytes.Contains(out, []byte("curfew.service")) {
		t.Errorf("verify: %v\n%s", err, out)
	}
	out, err = exec.Command("systemd-analyze", "security", "--offline=true", "--threshold=15", unit).CombinedOutput()
	if err != nil {
		t.Errorf("the exposure is over 1.5: %v\n%s", err, out)
	}
}

func TestServiceManagerIsToldWhenTheServerIsReadyAndWhenItStops(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	told := func() string {
		l.SetReadDeadline(time.Now().Add(time.Minute))
		b := make([]byte, 100)
		n, err := l.Read(b)
		if err != nil {
			t.Error(err)
		}
		return string(b[:n])
	}
	p := start(t)
	if got := told(); got != "READY=1" {
		t.Errorf("told %q", got)
	}
	p.cmd.Process.Signal(syscall.SIGTERM)
	if got := told(); got != "STOPPING=1" {
		t.Errorf("told %q", got)
	}
}
