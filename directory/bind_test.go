package directory_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
)

func TestRefusalsOfABindAreToldFromTrouble(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.configure(t, "ldapmodify", "dn: cn=module{0},cn=config\nchangetype: modify\nadd: olcModuleLoad\n"+
		"olcModuleLoad: retcode.so\n")
	s.configure(t, "ldapadd", "dn: olcOverlay=retcode,olcDatabase={1}mdb,cn=config\nobjectClass: olcOverlayConfig\n"+
		"objectClass: olcRetcodeConfig\n"+
		"olcOverlay: retcode\nolcRetcodeParent: ou=retcodes,dc=example,dc=org\nolcRetcodeInDir: TRUE\n")
	s.access(t, "to * by * read") // the overlay reads the code as whoever binds
	d := open(t, s.config())
	for code, want := range map[uint16]error{
		ldap.LDAPResultInvalidCredentials:          directory.ErrBadCredentials,
		ldap.LDAPResultConstraintViolation:         directory.ErrBadCredentials, // 389-DS: locked
		ldap.LDAPResultUnwillingToPerform:          directory.ErrBadCredentials, // 389-DS: inactivated
		ldap.LDAPResultInsufficientAccessRights:    directory.ErrBadCredentials,
		ldap.LDAPResultAdminLimitExceeded:          directory.ErrBadCredentials,
		ldap.LDAPResultInappropriateAuthentication: directory.ErrBadCredentials,
		ldap.LDAPResultNoSuchObject:                directory.ErrBadCredentials,
		ldap.LDAPResultOperationsError:             directory.ErrUnavailable,
		ldap.LDAPResultTimeLimitExceeded:           directory.ErrUnavailable,
		ldap.LDAPResultStrongAuthRequired:          directory.ErrUnavailable,
		ldap.LDAPResultConfidentialityRequired:     directory.ErrUnavailable,
		ldap.LDAPResultBusy:                        directory.ErrUnavailable,
		ldap.LDAPResultUnavailable:                 directory.ErrUnavailable,
		ldap.LDAPResultOther:                       directory.ErrUnavailable,
	} {
		s.add(t, fmt.Sprintf("dn: uid=code%[1]d,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\n"+
			"objectClass: errAuxObject\nuid: code%[1]d\ncn: x\nsn: x\n"+
			"userPassword: right\nerrCode: %[1]d\nerrOp: bind\n", code))
		_, err := d.Authenticate(t.Context(), fmt.Sprintf("code%d", code), "right", nil)
		if !errors.Is(err, want) || errors.Is(err, directory.ErrLocked) {
			t.Errorf("%d: %v, want %v", code, err, want)
		}
	}
}

// TestNamesCannotBeToldByTime measures, and runs while no other test does.
func TestNamesCannotBeToldByTime(t *testing.T) {
	s := startSlapd(t)
	// The hash takes a while; no password has it.
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nreplace: userPassword\n"+
		"userPassword: {CRYPT}$6$rounds=400000$saltsalt$"+strings.Repeat(".", 86)+"\n")
	d := open(t, s.config())
	took := func(name string) time.Duration {
		began := time.Now()
		if _, err := d.Authenticate(t.Context(), name, "wrong", nil); !errors.Is(err, directory.ErrBadCredentials) {
			t.Fatalf("%s: %v", name, err)
		}
		return time.Since(began)
	}
	known := took("grace")
	if known < 50*time.Millisecond {
		t.Fatalf("a wrong password takes %s: the hash is too fast to be told by time", known)
	}
	if unknown := took("nobody"); unknown < known/2 {
		t.Errorf("an unknown name took %s, a wrong password %s", unknown, known)
	}
}

func TestServicePasswordIsReadAgainWhenItsFileHasChanged(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	file := filepath.Join(t.TempDir(), "password")
	write := func(text string) {
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	write(servPW + "\n")
	c := s.config()
	c.BindPassword, c.BindPasswordFile = servPW, file
	d := open(t, c)
	works := func(what string) {
		t.Helper()
		if err := d.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	works("at first")
	w := newWatched()
	w.add(signIn(t, d, "grace", "grace-demo"))
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	run(t, "", "ldappasswd", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW, "-s", "rotated", service)
	w.hears(t, "unreachable: ", 5*time.Second)
	w.polls(t, 10) // four wrong binds lock an account
	for range 5 {
		_, err := d.Authenticate(t.Context(), "grace", "grace-demo", nil)
		if !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("a sign-in without the service account: %v", err)
		}
	}
	if n := s.failures(t, service); n != 1 {
		t.Errorf("the service account has %d wrong binds, want 1", n)
	}
	write("") // half written
	if err := d.Ping(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
		t.Errorf("with an empty file: %v", err)
	}
	write("rotated\n")
	works("after the rotation")
	run(t, "", "ldappasswd", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW, "-s", "again", service)
	if err := os.WriteFile(file, []byte("again"), 0o600); err != nil { // the same file
		t.Fatal(err)
	}
	works("after a rotation in place")
	w.polls(t, 2)
	for len(w.news) > 0 { // one that came between the two found neither password right
		w.hears(t, "unreachable: ", time.Second)
	}
	s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\n"+
		"member: uid=grace,ou=people,dc=example,dc=org\n")
	w.hears(t, "grace in ", 15*time.Second)
}

func TestManySignInsAtARotationAreOneGuess(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("not yet the server's"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := s.config()
	c.BindPasswordFile = file
	d := open(t, c)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := d.Ping(t.Context()); !errors.Is(err, directory.ErrUnavailable) {
				t.Errorf("with a wrong password: %v", err)
			}
		})
	}
	wg.Wait()
	if n := s.failures(t, service); n != 1 {
		t.Errorf("the service account has %d wrong binds, want 1", n)
	}
}

// failures counts the wrong binds of an entry since the last right one.
func (s *slapd) failures(t *testing.T, dn string) int {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "ldapsearch", "-x", "-LLL", "-H", s.ldap, "-D", admin, "-w", adminPW,
		"-s", "base", "-b", dn, "pwdFailureTime").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(out), "pwdFailureTime:")
}
