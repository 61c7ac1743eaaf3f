package directory_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
	"curfew/internal/freeport"
)

const (
	base     = "dc=example,dc=org"
	admin    = "cn=admin," + base
	adminPW  = "adminpw"
	service  = "cn=svc," + base
	servPW   = "servicepw"
	adaPW    = "Lovelace 1815"
	lockedPW = "locked"
)

// TestMain lets more tests run at once than there are processors, where the command line does not
// say how many: they wait for servers most of their time.
func TestMain(m *testing.M) {
	flag.Set("test.parallel", "6")
	m.Run()
}

// slapd is a real OpenLDAP server of the test's own.
type slapd struct {
	ldap, ldaps string
	ca          *x509.CertPool
	conf        string
	process     *exec.Cmd
}

func run(t *testing.T, stdin string, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func startSlapd(t *testing.T) *slapd {
	t.Helper()
	people, err := os.ReadFile("testdata/people.ldif")
	if err != nil {
		t.Fatal(err)
	}
	s := newSlapd(t, func(*slapd) {})
	// Over the protocol, not by slapadd: that would leave memberOf empty.
	s.add(t, string(people))
	return s
}

// newSlapd starts a server that holds what fill has given it.
func newSlapd(t *testing.T, fill func(*slapd)) *slapd {
	t.Helper()
	return configuredSlapd(t, func(config string) string { return config }, fill)
}

// configuredSlapd is newSlapd with another configuration.
func configuredSlapd(t *testing.T, configured func(string) string, fill func(*slapd)) *slapd {
	t.Helper()
	folder := t.TempDir()
	for _, sub := range []string{"conf", "db"} {
		if err := os.Mkdir(filepath.Join(folder, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := &slapd{ca: writeCertificates(t, folder), conf: filepath.Join(folder, "conf")}
	config, err := os.ReadFile("testdata/slapd.ldif")
	if err != nil {
		t.Fatal(err)
	}
	run(t, strings.ReplaceAll(configured(string(config)), "@DIR@", folder), "/usr/sbin/slapadd", "-n0", "-F", s.conf)
	fill(s)
	s.ldap = fmt.Sprintf("ldap://127.0.0.1:%d", freeport.Reserve(t))
	s.ldaps = fmt.Sprintf("ldaps://127.0.0.1:%d", freeport.Reserve(t))
	t.Cleanup(func() { s.stop() })
	s.start(t, s.ldap+" "+s.ldaps)
	return s
}

// start runs the server on some addresses, the first of which is waited for.
func (s *slapd) start(t *testing.T, urls string) {
	t.Helper()
	// A low limit of open files keeps slapd from sizing its tables by that of this machine.
	s.process = exec.Command("sh", "-c", `ulimit -n 1024; exec /usr/sbin/slapd -F "$0" -h "$1" -d 0`, s.conf, urls)
	var log bytes.Buffer
	s.process.Stdout, s.process.Stderr = &log, &log
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(urls, " ")
	deadline := time.Now().Add(10 * time.Second)
	for {
		c, err := ldap.DialURL(first)
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("slapd does not answer: %v\n%s", err, log.String())
		}
		<-time.After(20 * time.Millisecond)
	}
}

// stopped reports whether every thread has stopped.
func (s *slapd) stopped(t *testing.T) bool {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.process.Process.Pid))
	if err != nil || len(threads) == 0 {
		t.Fatalf("no threads: %v", err)
	}
	for _, path := range threads {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, _ := strings.Cut(string(data), ") "); !strings.HasPrefix(rest, "T") {
			return false
		}
	}
	return true
}

// stop kills the server, as a crash would.
func (s *slapd) stop() {
	s.process.Process.Kill()
	s.process.Wait()
}

// modify changes the directory as its administrator.
func (s *slapd) modify(t *testing.T, url, ldif string) {
	t.Helper()
	run(t, ldif, "ldapmodify", "-x", "-e", "relax", "-H", url, "-D", admin, "-w", adminPW)
}

// writeCertificates makes a CA and a server certificate for 127.0.0.1.
func writeCertificates(t *testing.T, folder string) *x509.CertPool {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "test"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
		DNSNames:              []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	for name, data := range map[string][]byte{
		"ca.pem": cert, "cert.pem": cert, "key.pem": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(cert)
	return pool
}

func (s *slapd) config() directory.Config {
	return directory.Config{
		URLs:          []string{s.ldap},
		BindDN:        service,
		BindPassword:  servPW,
		BaseDN:        base,
		UserFilter:    "(uid={username})",
		GroupFilter:   "(member={dn})",
		UserAttribute: "uid",
	}
}

func open(t *testing.T, c directory.Config) *directory.Directory {
	t.Helper()
	d, err := directory.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// access replaces the access rules; everybody may still try a password.
func (s *slapd) access(t *testing.T, rules ...string) {
	t.Helper()
	ldif := "dn: olcDatabase={1}mdb,cn=config\nchangetype: modify\nreplace: olcAccess\n" +
		"olcAccess: to attrs=userPassword by anonymous auth by * none\n"
	for _, r := range rules {
		ldif += "olcAccess: " + r + "\n"
	}
	s.configure(t, "ldapmodify", ldif)
}

func (s *slapd) configure(t *testing.T, command, ldif string) {
	t.Helper()
	run(t, ldif, command, "-x", "-H", s.ldap, "-D", "cn=config", "-w", "configpw")
}

func (s *slapd) add(t *testing.T, ldif string) {
	t.Helper()
	run(t, ldif, "ldapadd", "-x", "-e", "relax", "-H", s.ldap, "-D", admin, "-w", adminPW)
}

const everything = `to * by dn.exact="cn=svc,dc=example,dc=org" read by * none`
