package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// behindProxy are settings of a server behind a proxy.
func behindProxy(more ...string) []string {
	return slices.Concat([]string{
		"--app", "http://127.0.0.1:8000",
		"--verify-listen", "127.0.0.1:8081",
		"--base-path", siteBase,
		"--public-url", "https://app.example.org",
		"--trusted-proxies", "127.0.0.1/32",
	}, more)
}

// printedFor runs proxy-config for a proxy, with these settings beside those of [behindProxy].
func printedFor(t *testing.T, kind string, more ...string) (status int, out, errs string) {
	t.Helper()
	return curfew(t, slices.Concat([]string{"proxy-config", kind}, behindProxy(more...))...)
}

func TestProxyConfigNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	nginx := func(more ...string) []string { return append([]string{"nginx"}, behindProxy(more...)...) }
	for _, tt := range []struct {
		name string
		args []string
		told []string
	}{
		{"no proxy", nil, []string{"nginx, caddy, traefik, haproxy, envoy"}},
		{"an unknown proxy", []string{"apache"}, []string{"nginx, caddy, traefik, haproxy, envoy"}},
		{"a flag first", behindProxy(), []string{"nginx, caddy"}},
		{"nothing", []string{"nginx"}, []string{"--app", "--verify-listen", "--base-path"}},
		{"no application", []string{"caddy", "--verify-listen", "127.0.0.1:1", "--base-path", "/c"}, []string{"--app"}},
		{"no doors", []string{"haproxy", "--app=http://a", "--base-path", "/c"}, []string{"--verify-listen"}},
		{"the root as base path", nginx("--base-path", "/"), []string{"--base-path"}},
		{"a flag without its value", []string{"nginx", "--app"}, []string{"--app needs a value"}},
		{"a mistake in the settings", nginx("--nosuch", "1"), []string{"nosuch"}},
		{"an odd flag of its own", nginx("--inject=perhaps"), []string{"true or false"}},
		{"a port to be picked", nginx("--listen", "127.0.0.1:0"), []string{`listen "127.0.0.1:0"`}},
		{"doors at such a port", nginx("--verify-listen", "127.0.0.1:0"), []string{`verify-listen "127.0.0.1:0"`}},
		{"nowhere to listen", nginx("--at", "here"), []string{`at "here"`}},
		{"several mistakes", nginx("--at", "here", "--app", "ftp://x"), []string{`at "here"`, `app "ftp://x"`}},
	} {
		status, out, errs := curfew(t, append([]string{"proxy-config"}, tt.args...)...)
		if status != exitMistake || out != "" {
			t.Errorf("%s: status %d, %q", tt.name, status, out)
		}
		for _, told := range tt.told {
			if !strings.Contains(errs, told) {
				t.Errorf("%s: %q does not say %q", tt.name, errs, told)
			}
		}
	}
}

func TestOnlyNginxInjects(t *testing.T) {
	t.Parallel()
	const tag = `<script type="module" src="/.curfew/static/curfew.js" data-socket="/.curfew/session/ws" ` +
		`data-required></script>`
	for _, k := range proxyKinds() {
		status, out, errs := printedFor(t, k.name, "--inject")
		if k.name == "nginx" {
			if status != 0 || !strings.Contains(out, strings.Replace(tag, " src", "$curfew_nonce src", 1)) {
				t.Errorf("nginx: status %d, %s", status, errs)
			}
		} else if status != exitMistake || out != "" || !strings.Contains(errs, tag) {
			t.Errorf("%s: status %d, %q %q, want 2 and the tag to paste", k.name, status, out, errs)
		}
	}
	kept := strings.Replace(tag, "></", ` data-keep="form.long, #note"></`, 1)
	_, _, errs := printedFor(t, "caddy", "--inject", "--keep-forms", "form.long, #note")
	if !strings.Contains(errs, kept) {
		t.Errorf("with forms that are kept: %s", errs)
	}
	long := strings.Repeat("form>", 500)
	var status int
	status, _, errs = printedFor(t, "nginx", "--inject", "--keep-forms", long)
	if status != exitMistake || !strings.Contains(errs, "too long for the configuration of nginx") {
		t.Errorf("a long selector: status %d, %s", status, errs)
	}
	if status, _, errs := printedFor(t, "nginx", "--keep-forms", long); status != 0 || errs != "" {
		t.Errorf("a long selector, and the tag in templates: status %d, %s", status, errs)
	}
}

// TestNothingBreaksOutOfAConfiguration has values that mean something in a language of a proxy.
func TestNothingBreaksOutOfAConfiguration(t *testing.T) {
	t.Parallel()
	hostile := []string{"a b", `a"b`, "a'b", "a;b", "a{b", "a}b", "a$b", `a\b`, "a\nb", "a#b", "a%b", "a`b", "ä",
		"a\x00b"}
	for _, k := range proxyKinds() {
		for _, h := range hostile {
			for _, flags := range [][]string{
				{"--app", "http://" + h + ":80"},
				{"--app", "unix:/run/" + h},
				{"--app", "http://a/" + h},
				{"--at", h + ":80"},
				{"--base-path", "/" + h},
				{"--verify-listen", h + ":80"},
				{"--listen", h + ":80"},
			} {
				status, out, errs := printedFor(t, k.name, flags...)
				if status != exitMistake || out != "" || errs == "" {
					t.Errorf("%s %q: status %d, %.200s", k.name, flags, status, out)
				}
			}
		}
	}
}

// TestNginxHasOneRuleForNamesOfHeaders holds the configuration to rules for all servers, as nginx
// reads what comes before Host by those of another one. A file that has its own does not start.
func TestNginxHasOneRuleForNamesOfHeaders(t *testing.T) {
	t.Parallel()
	status, conf, errs := printedFor(t, "nginx", "--public-url", "http://localhost:8082", "--at", freeAddress(t))
	if status != 0 {
		t.Fatal(errs)
	}
	for _, rule := range []string{"underscores_in_headers on;", "ignore_invalid_headers off;", ""} {
		folder := t.TempDir()
		text := strings.Replace(conf, "http {\n", "http {\n    "+rule+"\n", 1)
		if err := os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("nginx", "-t", "-p", folder, "-c", "nginx.conf").CombinedOutput()
		if rule == "" && err != nil || rule != "" && !strings.Contains(string(out), "is duplicate") {
			t.Errorf("with %q before it: %v\n%s", rule, err, out)
		}
	}
}

func TestProxyConfigIsWrittenIntoAFolder(t *testing.T) {
	t.Parallel()
	for _, k := range proxyKinds() {
		folder := filepath.Join(t.TempDir(), "a", "b")
		_, printed, _ := printedFor(t, k.name)
		for range 2 { // the second one replaces the first one's files
			status, out, errs := printedFor(t, k.name, "--out", folder)
			if status != 0 || errs != "" {
				t.Errorf("%s: status %d, %s", k.name, status, errs)
			}
			for _, file := range k.files {
				text, err := os.ReadFile(filepath.Join(folder, file))
				if err != nil || !strings.Contains(out, filepath.Join(folder, file)) ||
					!strings.Contains(printed, string(text)) {
					t.Errorf("%s: %v; told %q; printed %.100s", file, err, out, printed)
				}
			}
		}
		if list, _ := os.ReadDir(folder); len(list) != len(k.files) {
			t.Errorf("%s: %v is left", k.name, list)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o600)
	status, _, errs := printedFor(t, "nginx", "--out", file)
	if status != exitFailed || !strings.Contains(errs, file) {
		t.Errorf("a file as folder: status %d, %s", status, errs)
	}
}

func TestWhereAProxyListens(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, public, at string
		want             map[string]string // a line by proxy
	}{
		{"at the public URL", "https://app.example.org", "", map[string]string{
			"nginx":   "listen 443 ssl http2;",
			"caddy":   "https://app.example.org {",
			"haproxy": "bind :443 ssl crt cert.pem",
			"traefik": `address: ":443"`,
			"envoy":   `{ address: "0.0.0.0", port_value: 443 }`,
		}},
		{"at the public URL on this machine", "http://localhost:7070", "", map[string]string{
			"nginx":   "listen 127.0.0.1:7070;",
			"caddy":   "bind 127.0.0.1",
			"haproxy": "bind 127.0.0.1:7070\n",
			"traefik": `address: "127.0.0.1:7070"`,
			"envoy":   `{ address: "127.0.0.1", port_value: 7070 }`,
		}},
		{"behind what serves TLS", "https://app.example.org", "10.0.0.1:7070", map[string]string{
			"nginx":   "listen 10.0.0.1:7070;",
			"caddy":   "http://:7070 {",
			"haproxy": "bind 10.0.0.1:7070\n",
			"traefik": `address: "10.0.0.1:7070"`,
			"envoy":   `{ address: "10.0.0.1", port_value: 7070 }`,
		}},
		{"at an address of IPv6", "http://localhost:7070", "[::1]:7071", map[string]string{
			"nginx":   "listen [::1]:7071;",
			"caddy":   "bind ::1",
			"haproxy": "bind [::1]:7071\n",
			"traefik": `address: "[::1]:7071"`,
			"envoy":   `{ address: "::1", port_value: 7071 }`,
		}},
		{"at all addresses", "https://app.example.org:7443", ":7443", map[string]string{
			"nginx":   "listen 7443 ssl http2;",
			"caddy":   "https://app.example.org:7443 {",
			"haproxy": "bind :7443 ssl",
			"traefik": `address: ":7443"`,
			"envoy":   `{ address: "0.0.0.0", port_value: 7443 }`,
		}},
	} {
		for kind, want := range tt.want {
			status, out, errs := printedFor(t, kind, "--public-url", tt.public, "--at", tt.at)
			if status != 0 || !strings.Contains(out, want) {
				t.Errorf("%s, %s: status %d, no %q in %s%s", tt.name, kind, status, want, errs, out)
			}
		}
	}
}

func TestProxyConfigNotesWhatIsForgotten(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		flags []string
		noted string
	}{
		{"no proxy is trusted", []string{"--trusted-proxies", "10.0.0.0/8"}, "trusted-proxies lacks the proxy"},
		{"the proxy is trusted by another address", []string{"--verify-listen", "[::1]:8081"}, "set it to ::1/128"},
		{"the proxy is trusted at IPv6", []string{"--verify-listen", "[::1]:8081", "--trusted-proxies", "::1/128"}, ""},
		{"both want one port", []string{"--public-url", "http://localhost:8080"}, "127.0.0.1:8080, as Curfew does"},
		{"nothing", nil, ""},
	} {
		status, out, errs := printedFor(t, "nginx", tt.flags...)
		if status != 0 || out == "" || !strings.Contains(errs, tt.noted) || (errs == "") != (tt.noted == "") {
			t.Errorf("%s: status %d, %q", tt.name, status, errs)
		}
	}
}

// TestPrintedYAMLIsYAML reads what no proxy here can: Traefik's and Envoy's configurations, in all
// shapes that they have.
func TestPrintedYAMLIsYAML(t *testing.T) {
	t.Parallel()
	for kind, files := range map[string][]string{"traefik": {"traefik.yml", "dynamic.yml"}, "envoy": {"envoy.yaml"}} {
		for _, flags := range [][]string{nil, {"--at", "[::1]:80"}, {"--app", "https://app.internal"},
			{"--tls-cert", "c", "--tls-key", "k"}, {"--public-url", "http://localhost:7070"}} {
			folder := t.TempDir()
			status, _, errs := printedFor(t, kind, append(flags, "--out", folder)...)
			if status != 0 {
				t.Errorf("%s %q: %s", kind, flags, errs)
			}
			for _, file := range files {
				text, _ := os.ReadFile(filepath.Join(folder, file))
				var tree map[string]any
				if err := yaml.Unmarshal(text, &tree); err != nil || len(tree) == 0 {
					t.Errorf("%s %q: %v in\n%s", file, flags, err, text)
				}
			}
		}
	}
}
