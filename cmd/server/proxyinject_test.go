package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"html"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// hostileForms is a selector of which each character means something to nginx, or in HTML.
const hostileForms = `form[a='b"c'], $uri ${uri} \n\31 {x} <&gt;> é; #d` + "\n.e"

// injectedTag is the tag that nginx puts in for it.
func injectedTag(nonce string) string {
	return `<script type="module"` + nonce + ` src="/.curfew/static/curfew.js" data-socket="/.curfew/session/ws" ` +
		`data-required data-keep="form[a=&#39;b&#34;c&#39;], &#36;uri &#36;&#123;uri&#125; &#92;n&#92;31 ` +
		`&#123;x&#125; &#60;&#38;gt&#59;&#62; &#233;&#59; #d&#10;.e"></script>`
}

func TestASelectorIsReadAsItWasSet(t *testing.T) {
	_, attribute, _ := strings.Cut(injectedTag(""), `data-keep="`)
	attribute, _, _ = strings.Cut(attribute, `"`)
	if got := html.UnescapeString(attribute); got != hostileForms {
		t.Errorf("got %q, want %q", got, hostileForms)
	}
}

// TestNginxPutsTheTagIntoPages has nginx inject.
func TestNginxPutsTheTagIntoPages(t *testing.T) {
	t.Parallel()
	s := startSite(t, runProxy{
		name:    "nginx",
		kind:    "nginx",
		flags:   []string{"--inject", "--keep-forms", hostileForms},
		command: nginx,
	})
	cookie, _ := s.session("ada")
	const page = "<!doctype html><html><HEAD><title>x</title></head><body>&lt;head><head></body></html>"
	before, rest, _ := strings.Cut(page, "<HEAD>")
	tagged := func(nonce string) string { return before + "<head>" + injectedTag(nonce) + rest }
	for _, tt := range []struct {
		name, contentType, csp, body string
		header                       []string
		want                         string
	}{
		{"a page", "text/html; charset=utf-8", "", page, nil, tagged("")},
		{"a page with a nonce", "text/html", "script-src 'nonce-a+/_-=' 'strict-dynamic'", page, nil,
			tagged(` nonce="a+/_-="`)},
		{"a nonce that is none", "text/html", `script-src 'nonce-"><b>'`, page, nil, tagged("")},
		{"a head with attributes", "text/html", "", `<html><head prefix="og:"><header>`, nil,
			`<html>` + injectedTag("") + `<head prefix="og:"><header>`},
		{"what is no page", "application/json", "", page, nil, page},
		{"a script's request", "text/html", "", page, []string{"Sec-Fetch-Mode", "cors"}, page},
		{"a page of an old browser", "text/html", "", page, []string{"Sec-Fetch-Mode", "", "Accept", "text/html"},
			tagged("")},
	} {
		query := url.Values{"type": {tt.contentType}, "csp": {tt.csp}, "body": {tt.body}}
		header := slices.Concat([]string{"Cookie", cookie, "Sec-Fetch-Mode", "navigate", "Accept-Encoding", "gzip",
			"If-None-Match", `"1"`}, tt.header)
		if tt.want == page {
			header = append(header, "If-None-Match", "")
		}
		response, body := s.do("/page?"+query.Encode(), nil, header...)
		if body != tt.want {
			t.Errorf("%s: %s\n%s, want\n%s", tt.name, response.Status, body, tt.want)
		}
		cache, encoding := "no-store", ""
		switch tt.name {
		case "a script's request":
			cache, encoding = "max-age=60", "gzip"
		case "what is no page":
			cache = "max-age=60"
		}
		if got := response.Header.Values("Cache-Control"); len(got) != 1 || got[0] != cache {
			t.Errorf("%s: Cache-Control %q, want %q", tt.name, got, cache)
		}
		if got := response.Header.Get("X-Encoding"); got != encoding {
			t.Errorf("%s: the application was asked for %q, want %q", tt.name, got, encoding)
		}
	}
}

// TestNothingPassesWithoutCurfew stops the server behind a proxy.
func TestNothingPassesWithoutCurfew(t *testing.T) {
	t.Parallel()
	for _, proxy := range runProxies() {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, proxy)
			cookie, _ := s.session("ada")
			s.echo("/", nil, "Cookie", cookie)
			asked := s.app.asked.Load()
			s.curfew.kill()
			for _, mode := range []string{"navigate", "cors"} {
				response, body := s.do("/", nil, "Cookie", cookie, "Sec-Fetch-Mode", mode)
				s.wantsAway(mode, response, body)
			}
			if now := s.app.asked.Load(); now != asked {
				t.Errorf("the application was asked %d times", now-asked)
			}
		})
	}
}

// TestApplicationsAtUnixSockets guards one without a port.
func TestApplicationsAtUnixSockets(t *testing.T) {
	t.Parallel()
	for _, proxy := range runProxies() {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			s := startSite(t, proxy)
			folder, err := os.MkdirTemp("", "app") // a socket's path must be short, and nginx's user reach it
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(folder) })
			os.Chmod(folder, 0o755)
			socket := filepath.Join(folder, "app.sock")
			l, err := net.Listen("unix", socket)
			if err != nil {
				t.Fatal(err)
			}
			os.Chmod(socket, 0o777)
			app := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(s.app.echo)}}
			app.Start()
			t.Cleanup(app.Close)
			other := *s
			other.process = s.before(freeAddress(t), "unix:"+socket)
			cookie, verified := s.session("ada")
			e := other.echo("/a", nil, "Cookie", cookie)
			if e.URI != "/a" || e.get("Remote-User") != verified["Remote-User"] || e.Host != s.at {
				t.Errorf("the application sees %+v", e)
			}
		})
	}
}

// TestProxiesServeTLS starts proxies at a public URL that is https.
func TestProxiesServeTLS(t *testing.T) {
	t.Parallel()
	certificate, key := makeCertificate(t)
	for _, proxy := range runProxies()[:3] { // Caddy gets certificates for public names by itself
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			files := map[string][]byte{"cert.pem": certificate, "key.pem": key}
			if proxy.kind == "haproxy" {
				files = map[string][]byte{"cert.pem": slices.Concat(certificate, key)}
			}
			plain := proxy.command
			proxy.command = func(t *testing.T, folder string) *exec.Cmd {
				for name, data := range files {
					if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
						t.Fatal(err)
					}
				}
				return plain(t, folder)
			}
			s := startBehind(t, proxy, "https")
			s.process = s.before(s.at, s.app.URL)
			s.url = "https://" + s.at
			cookie, _ := s.session("ada")
			e := s.echo("/", nil, "Cookie", cookie+"; a=1")
			if e.get("Cookie") != "a=1" || e.get("X-Forwarded-Proto") != "https" || e.get("Remote-User") != "ada" {
				t.Errorf("the application sees %+v", e)
			}
			response, _ := s.do("/a", nil, "Sec-Fetch-Mode", "navigate")
			want := "https://" + s.at + siteBase + "/login?next=%2Fa"
			if response.ProtoMajor != 2 {
				t.Errorf("asked by %s", response.Proto)
			}
			if got := response.Header.Get("Location"); response.StatusCode != 303 || got != want {
				t.Errorf("%s to %q, want %q", response.Status, got, want)
			}
		})
	}
}

// TestProxiesReachCurfewByTLS has Curfew serve TLS itself, behind a proxy that does not.
func TestProxiesReachCurfewByTLS(t *testing.T) {
	t.Parallel()
	certificate, key := makeCertificate(t)
	folder := t.TempDir()
	certificateFile, keyFile := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for name, data := range map[string][]byte{certificateFile: certificate, keyFile: key} {
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, proxy := range runProxies() {
		t.Run(proxy.name, func(t *testing.T) {
			t.Parallel()
			s := startBehind(t, proxy, "https", "--tls-cert", certificateFile, "--tls-key", keyFile)
			s.process = s.before(freeAddress(t), s.app.URL)
			cookie, _ := s.session("ada")
			if code, answer := s.below(siteBase).status(cookie); code != 200 || answer["user"] != "ada" {
				t.Errorf("Curfew's own pages: %d %v", code, answer)
			}
			e := s.echo("/", nil, "Cookie", cookie)
			if e.Host != s.at || e.get("X-Forwarded-Proto") != "https" || e.get("Remote-User") != "ada" {
				t.Errorf("the application sees %+v", e)
			}
		})
	}
}

// makeCertificate makes a certificate that signs itself, and its key.
func makeCertificate(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
}
