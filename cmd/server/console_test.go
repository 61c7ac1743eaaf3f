package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"curfew/hub/hubtest"
	"curfew/hub/wire"
)

// console is the process at the address of its console.
func (p *process) console() *process {
	p.t.Helper()
	address := regexp.MustCompile(`listening for=console address=\S*:(\d+)`)
	p.eventually("the console is served", func() bool { return address.MatchString(p.log.String()) })
	there := *p
	scheme, _, _ := strings.Cut(p.url, ":")
	there.url = scheme + "://localhost:" + address.FindStringSubmatch(p.log.String())[1]
	return &there
}

// certified are the flags of a server that has a certificate of its own.
func certified(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
		"-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
		"-keyout", key, "-out", cert).CombinedOutput()
	if err != nil {
		t.Fatalf("openssl: %v %s", err, out)
	}
	return []string{"--tls-cert", cert, "--tls-key", key}
}

// signInBelow is signIn of a server with a base path.
func (p *process) signInBelow(base, user string) (cookie string) {
	p.t.Helper()
	below := *p
	below.url += base
	return below.signIn(user)
}

func TestSettingsOfTheConsole(t *testing.T) {
	checkRefusals(t, []refusal{
		{"a console of its own", []string{"--admin-listen", "127.0.0.1:9", "--admin-url", "http://localhost:9"}, ""},
		{"a console behind a proxy", append([]string{"--admin-listen", ":9", "--admin-url", "https://app.example:9",
			"--public-url", "https://app.example"}, ldapFlags...), ""},
		{"a console by another spelling of the host", append([]string{"--admin-listen", ":9",
			"--admin-url", "https://BÜCHER.example:9", "--public-url", "https://xn--bcher-kva.example"},
			ldapFlags...), ""},
		{"no console of its own", []string{"--admin-listen", "", "--admin-url", ""}, ""},
		{"a console without its origin", []string{"--admin-listen", "127.0.0.1:9"},
			"admin-listen and admin-url: must be set together"},
		{"an origin of the console without an address", []string{"--admin-url", "http://localhost:9"},
			"admin-listen and admin-url: must be set together"},
		{"a console at the main address",
			[]string{"--admin-listen", "localhost:8080", "--admin-url", "http://localhost:9"},
			`admin-listen "localhost:8080": must be another address than listen "127.0.0.1:8080"`},
		{"metrics at the console's address",
			[]string{"--admin-listen", "127.0.0.1:9", "--admin-url", "http://localhost:9", "--metrics-listen", ":9"},
			`metrics-listen ":9": must be another address than admin-listen "127.0.0.1:9"`},
		{"a console without a port", []string{"--admin-listen", "localhost", "--admin-url", "http://localhost:9"},
			`admin-listen "localhost": must be HOST:PORT`},
		{"a console's origin with a path", []string{"--admin-listen", "[::1]:9", "--admin-url", "http://localhost:9/a"},
			`admin-url "http://localhost:9/a": must be an origin`},
		{"a console without TLS", []string{"--admin-listen", "[::1]:9", "--admin-url", "http://app.example:9"},
			`admin-url "http://app.example:9": must be https unless its host is loopback`},
		{"a console at another host", []string{"--admin-listen", "[::1]:9", "--admin-url", "http://127.0.0.1:9"},
			`admin-url "http://127.0.0.1:9": must have the host of the public URL, localhost`},
		{"a console at the public URL", []string{"--admin-listen", "[::1]:9", "--admin-url", "http://LOCALHOST:8080"},
			`admin-url "http://localhost:8080": must have another port than the public URL, http://localhost:8080`},
		{"a console for strangers to the demo directory", []string{"--admin-listen", ":9",
			"--admin-url", "http://localhost:9"}, `admin-listen ":9": must be a loopback address while the demo`},
		{"a console for strangers in testing", append([]string{"--testing", "--admin-listen", ":9",
			"--admin-url", "http://localhost:9"}, ldapFlags...), `testing with admin-listen ":9"`},
	})
}

func TestTheConsoleHasAnAddressOfItsOwn(t *testing.T) {
	t.Parallel()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "application at "+r.URL.Path)
	}))
	defer app.Close()
	const admin = "https://localhost:8443" // a proxy leads from there to the address
	args := append(certified(t), "--upstream", app.URL, "--base-path", "/guard", "--testing",
		"--admin-listen", "127.0.0.1:0", "--admin-url", admin)
	p := start(t, args...)
	there, cookie := p.console(), p.signInBelow("/guard", "ada")
	navigation := []string{"Cookie", cookie, "Sec-Fetch-Mode", "navigate"}
	for _, tt := range []struct {
		at       *process
		path     string
		status   int
		location string
		text     string
	}{
		{p, "/page", 200, "", "application at /page"},
		{p, "/admin", 200, "", "application at /admin"},
		{p, "/guard/admin?q=x", 303, admin + "/guard/admin?q=x", ""},
		{p, "/guard/api/v1/presence", 403, "", "admin-url"},
		{p, "/guard/testing/timeline", 200, "", ""},
		{there, "/guard/admin", 200, "", "Console"},
		{there, "/guard/api/v1/presence", 200, "", `"user":"ada"`},
		{there, "/guard/", 303, "/guard/admin", ""},
		{there, "/", 303, "/guard/admin", ""},
		{there, "/page", 404, "", ""},
		{there, "/guard/healthz", 200, "", "ok"},
		{there, "/guard/testing/timeline", 404, "", ""},
	} {
		header := append([]string{"Host", "localhost:8443"}, navigation...)
		if tt.at == p {
			header = navigation
		}
		response, body := tt.at.do(tt.path, nil, header...)
		if response.StatusCode != tt.status || response.Header.Get("Location") != tt.location ||
			!strings.Contains(body, tt.text) {
			t.Errorf("%s%s: %s to %q, want %d to %q: %.300s", tt.at.url, tt.path, response.Status,
				response.Header.Get("Location"), tt.status, tt.location, body)
		}
	}
	if text := fmt.Sprintf("The console is at %s/guard/admin\n", admin); !strings.Contains(p.log.String(), text) {
		t.Errorf("the start does not say %q: %s", text, p.log.String())
	}
}

func TestTheConsolesSocketsAreForItsPages(t *testing.T) {
	t.Parallel()
	const admin = "https://localhost:8443"
	args := append(certified(t), "--base-path", "/guard", "--admin-listen", "127.0.0.1:0", "--admin-url", admin)
	p := start(t, args...)
	there, cookie := p.console(), p.signInBelow("/guard", "ada")
	for origin, want := range map[string]int{admin: 101, p.url: 403} {
		page, response, err := hubtest.Dial(t.Context(), hubtest.Options{
			URL:    there.url + "/guard/session/ws",
			Header: http.Header{"Origin": {origin}, "Cookie": {cookie}},
			Client: sockets,
		})
		if response == nil || response.StatusCode != want {
			t.Fatalf("the socket for a page of %s: %+v, %v, want %d", origin, response, err, want)
		}
		if page != nil {
			page.Next(wire.KindHello)
			page.Break()
		}
	}
}
