package directory_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
	"curfew/directory/demo"
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

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
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
	run(t, strings.ReplaceAll(string(config), "@DIR@", folder), "/usr/sbin/slapadd", "-n0", "-F", s.conf)
	fill(s)
	s.ldap, s.ldaps = fmt.Sprintf("ldap://127.0.0.1:%d", freePort(t)), fmt.Sprintf("ldaps://127.0.0.1:%d", freePort(t))
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

func TestOpenLDAP(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	secure := map[string]func(*directory.Config){
		"plain on loopback": func(*directory.Config) {},
		"StartTLS":          func(c *directory.Config) { c.StartTLS, c.CA = true, s.ca },
		"ldaps":             func(c *directory.Config) { c.URLs, c.CA = []string{s.ldaps}, s.ca },
		"fail-over":         func(c *directory.Config) { c.URLs = []string{"ldap://127.0.0.1:1", s.ldap} },
	}
	for name, change := range secure {
		t.Run("a person signs in, "+name, func(t *testing.T) {
			c := s.config()
			change(&c)
			d := open(t, c)
			for range 2 {
				e, err := d.Authenticate(t.Context(), "ADA", adaPW, nil)
				if err != nil {
					t.Fatal(err)
				}
				if e.User != "Ada" || e.Name != "Ada Lovelace" || e.Email != "ada@example.org" ||
					len(e.Identity) != 36 || !slices.Equal(e.Groups, []string{"odd, name", "staff"}) {
					t.Errorf("entry = %+v", e)
				}
			}
		})
	}
	d := open(t, s.config())
	refused := []struct {
		name, user, password string
		want                 error
	}{
		{"wrong password", "ada", "wrong", directory.ErrBadCredentials},
		{"empty password", "ada", "", directory.ErrBadCredentials},
		{"a password of NULs", "ada", "\x00\x00", directory.ErrBadCredentials},
		{"a NUL before the password", "ada", "\x00" + adaPW, directory.ErrBadCredentials},
		{"a NUL behind the password", "ada", adaPW + "\x00", directory.ErrBadCredentials},
		{"empty name", "", adaPW, directory.ErrBadCredentials},
		{"unknown name", "nobody", "x", directory.ErrBadCredentials},
		{"a name that matches two", "twin", "twin", directory.ErrBadCredentials},
		{"a wildcard", "*", adaPW, directory.ErrBadCredentials},
		{"a filter", "ada)(uid=*", adaPW, directory.ErrBadCredentials},
		{"a filter of both", "*)(|(uid=*", adaPW, directory.ErrBadCredentials},
		{"a backslash", `ada\`, adaPW, directory.ErrBadCredentials},
		{"a NUL", "ada\x00", adaPW, directory.ErrBadCredentials},
		// slapd does not look at the password then, so nobody may learn from the refusal that there
		// is such an account.
		{"a locked account", "locked", lockedPW, directory.ErrBadCredentials},
	}
	for _, tt := range refused {
		t.Run(tt.name+" is refused", func(t *testing.T) {
			if e, err := d.Authenticate(t.Context(), tt.user, tt.password, nil); !errors.Is(err, tt.want) {
				t.Errorf("got %+v, %v, want %v", e, err, tt.want)
			}
		})
	}
	t.Run("a lock after failures is not told to whoever guesses, but to the log", func(t *testing.T) {
		for range 4 {
			_, err := d.Authenticate(t.Context(), "guess", "wrong", nil)
			if !errors.Is(err, directory.ErrBadCredentials) || errors.Is(err, directory.ErrLocked) {
				t.Fatal(err)
			}
		}
		_, err := d.Authenticate(t.Context(), "guess", "right", nil)
		if !errors.Is(err, directory.ErrBadCredentials) || errors.Is(err, directory.ErrLocked) ||
			!strings.Contains(err.Error(), "account locked") {
			t.Errorf("got %v, want ErrBadCredentials that says why", err)
		}
	})
	t.Run("required groups", func(t *testing.T) {
		c := s.config()
		c.Required = []string{"admins", "staff"}
		if _, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil); err != nil {
			t.Errorf("a member is refused: %v", err)
		}
		c.Required = []string{"admins", " STAFF"}
		if _, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil); err != nil {
			t.Errorf("a member is refused where the group is written in another way: %v", err)
		}
		c.Required = []string{"admins"}
		if _, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil); !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("got %v, want ErrNotAllowed", err)
		}
	})
	t.Run("a certificate of a stranger is refused", func(t *testing.T) {
		for _, start := range []bool{true, false} {
			c := s.config()
			c.CA = x509.NewCertPool()
			if c.StartTLS = start; !start {
				c.URLs = []string{s.ldaps}
			}
			_, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil)
			if !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
		}
	})
	t.Run("a wrong service password is not the person's fault", func(t *testing.T) {
		c := s.config()
		c.BindPassword = "wrong"
		_, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil)
		if !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	})
	t.Run("people are listed by name", func(t *testing.T) {
		people, err := d.People(t.Context(), 100)
		if err != nil || len(people) != 7 || people[0].Name != "Ada Lovelace" {
			t.Errorf("People = %+v, %v", people, err)
		}
		if few, err := d.People(t.Context(), 2); err != nil || len(few) != 2 {
			t.Errorf("two People = %+v, %v", few, err)
		}
	})
	t.Run("a hanging directory is given up", func(t *testing.T) {
		s.process.Process.Signal(syscall.SIGSTOP)
		for !s.stopped(t) { // its threads stop one after the other
			<-time.After(time.Millisecond)
		}
		defer s.process.Process.Signal(syscall.SIGCONT)
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begin := time.Now()
		if _, err := d.Authenticate(ctx, "ada", adaPW, nil); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if took := time.Since(begin); took > 2*time.Second {
			t.Errorf("gave up after %s", took)
		}
	})
	t.Run("a dead directory is out of reach", func(t *testing.T) {
		s.process.Process.Kill()
		s.process.Wait()
		if _, err := d.Authenticate(t.Context(), "ada", adaPW, nil); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
		if err := d.Ping(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("Ping = %v, want ErrUnavailable", err)
		}
	})
}

// lists are entries that have the name of a group and are none: somebody who may write elsewhere
// than below the groups' base has made them.
const lists = `dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: ou=lists,dc=example,dc=org
objectClass: organizationalUnit
ou: lists

dn: cn=Team,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: Team
cn: admins
member: uid=grace,ou=people,dc=example,dc=org

dn: ou=admins,ou=groups,dc=example,dc=org
objectClass: groupOfNames
objectClass: extensibleObject
cn: admins
ou: admins
member: uid=grace,ou=people,dc=example,dc=org

dn: cn=admins+ou=x,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: admins
ou: x
member: uid=grace,ou=people,dc=example,dc=org

dn: cn=admins,ou=lists,dc=example,dc=org
objectClass: groupOfNames
cn: admins
member: uid=grace,ou=people,dc=example,dc=org
`

func TestOnlyGroupsBelowTheGroupBaseCount(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	run(t, lists, "ldapadd", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW)
	c := s.config()
	c.GroupBaseDN = "OU=Groups, DC=example, DC=org"
	for _, filter := range []string{"(member={dn})", ""} { // by search and memberOf, and by memberOf alone
		c.GroupFilter, c.Required = filter, nil
		e, err := open(t, c).Authenticate(t.Context(), "grace", "grace-demo", nil)
		if err != nil || !slices.Equal(e.Groups, []string{"Team"}) {
			t.Errorf("filter %q: groups %q, %v, want Team alone", filter, e.Groups, err)
		}
		c.Required = []string{"admins"}
		d := open(t, c)
		if _, err := d.Authenticate(t.Context(), "grace", "grace-demo", nil); !errors.Is(err, directory.ErrNotAllowed) {
			t.Errorf("filter %q: %v, want ErrNotAllowed: none of these is the group", filter, err)
		}
	}
	c.GroupBaseDN, c.Required = "ou=people,"+base, nil // holds no group
	if e, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil); err != nil || len(e.Groups) > 0 {
		t.Errorf("groups %q, %v, want none: there are none below the group base", e.Groups, err)
	}
}

func TestGroupBaseThatIsNotThereSaysNothing(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	c := s.config()
	c.GroupBaseDN = "ou=elsewhere," + base
	if e, err := open(t, c).Authenticate(t.Context(), "ada", adaPW, nil); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("groups %q, %v, want ErrUnavailable", e.Groups, err)
	}
}

func TestEntryIsTheSameHoweverItsNameIsTyped(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.modify(t, s.ldap, "dn: uid=Ada,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: uid\nuid: aaa\n"+
		"uid: Ada\nuid: zoe\n"+
		"-\nadd: mail\nmail: zoe@example.org\nmail: Aaa@example.org\n")
	s.modify(t, s.ldap, "dn: uid=locked,ou=people,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=Locked\n"+
		"deleteoldrdn: 0\n")
	s.modify(t, s.ldap, "dn: cn=Locked,ou=people,dc=example,dc=org\nchangetype: modify\nreplace: uid\nuid: zz\n"+
		"uid: Locked\n")
	c := s.config()
	c.UserFilter = "(|(uid={username})(mail={username}))"
	d := open(t, c)
	refusal := errors.New("too many")
	for typed, want := range map[string]string{
		"ada":             "Ada",
		"zoe":             "Ada",
		"AAA":             "Ada",
		"ada@example.org": "Ada",
		"\uff41da":        "Ada",
		"zz":              "Locked",
		"locked":          "Locked",
		"nobody":          "",
	} {
		var told []string
		found := func(canonical string) error { told = append(told, canonical); return nil }
		_, err := d.Authenticate(t.Context(), typed, "wrong", found)
		if !errors.Is(err, directory.ErrBadCredentials) && want != "Locked" {
			t.Errorf("%q with a wrong password: %v", typed, err)
		}
		if strings.Join(told, "; ") != want {
			t.Errorf("%q: told of %q, want %q", typed, told, want)
		}
		_, err = d.Authenticate(t.Context(), typed, adaPW, func(string) error { return refusal })
		if got := errors.Is(err, refusal); got != (want != "") {
			t.Errorf("%q refused as soon as it was found: %v", typed, err)
		}
		if want == "Ada" {
			e, err := d.Authenticate(t.Context(), typed, adaPW, nil)
			if err != nil || e.User != "Ada" || e.Email != "Aaa@example.org" {
				t.Errorf("%q: %+v, %v", typed, e, err)
			}
		}
	}
}

func TestDemoDirectory(t *testing.T) {
	server, err := demo.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
	d := open(t, server.Config())
	for _, u := range demo.Users() {
		e, err := d.Authenticate(t.Context(), strings.ToUpper(u.Name), u.Password, nil)
		groups := slices.Sorted(slices.Values(u.Groups))
		if err != nil || e.User != u.Name || !slices.Equal(e.Groups, groups) || len(e.Identity) != 36 {
			t.Errorf("%s: %+v, %v", u.Name, e, err)
		}
		if _, err := d.Authenticate(t.Context(), u.Name, "wrong", nil); !errors.Is(err, directory.ErrBadCredentials) {
			t.Errorf("%s with a wrong password: %v", u.Name, err)
		}
	}
	for _, name := range []string{"*", "nobody", "ada)(uid=*", ""} {
		if _, err := d.Authenticate(t.Context(), name, "ada-demo", nil); !errors.Is(err, directory.ErrBadCredentials) {
			t.Errorf("%q: %v, want ErrBadCredentials", name, err)
		}
	}
	if people, err := d.People(t.Context(), 10); err != nil || len(people) != 3 {
		t.Errorf("People = %v, %v, want 3", people, err)
	}
	anonymous := server.Config()
	anonymous.BindDN, anonymous.BindPassword = "", ""
	nobody := open(t, anonymous)
	if _, err := nobody.Authenticate(t.Context(), "ada", "ada-demo", nil); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("a search without the service account: %v, want it refused", err)
	}
}

func TestConfigMistakesAreToldTogether(t *testing.T) {
	err := directory.Config{
		URLs:        []string{"ldap://ldap.example.org", "http://x"},
		BaseDN:      "nonsense",
		UserFilter:  "(uid=x)",
		GroupFilter: "((",
		BindDN:      "cn=x",
	}.Validate()
	for _, word := range []string{"encrypted only", `"http://x"`, "ldap-base-dn", "ldap-user-filter",
		"ldap-group-filter", "ldap-bind-password-file", "ldap-user-attribute"} {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("Validate = %v, want it to name %s", err, word)
		}
	}
}
