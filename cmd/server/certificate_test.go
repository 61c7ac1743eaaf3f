package main

import (
	"crypto/tls"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"curfew/hub/wire"
)

func TestTLSAndReloadedCertificate(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	cert, key := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	certify := func(name string) {
		out, err := exec.Command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
			"-nodes", "-days", "2",
			"-subj", "/CN="+name, "-keyout", key, "-out", cert).CombinedOutput()
		if err != nil {
			t.Fatalf("openssl: %v %s", err, out)
		}
	}
	certify("one")
	p := start(t, "--tls-cert", cert, "--tls-key", key)
	if !strings.HasPrefix(p.url, "https://localhost:") {
		t.Fatalf("ready at %q, want https", p.url)
	}
	name := func() string {
		response, _ := p.do("/healthz", nil)
		return response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name() != "one" {
		t.Errorf("certificate %q", name())
	}
	page := p.openTab(p.signIn("ada"))
	page.Send(`{"type":"sync"}`)
	page.Next(wire.KindActive)
	old := &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	if conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), old); err == nil {
		conn.Close()
		t.Error("TLS 1.1 is spoken")
	}
	certify("two")
	p.eventually("the new certificate is served", func() bool { return name() == "two" })
}
