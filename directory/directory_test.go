package directory_test

import (
	"context"
	"crypto/x509"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"curfew/directory"
	"curfew/directory/demo"
)

func TestPersonSignsInOverEveryTransport(t *testing.T) {
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
}

func TestSignInIsRefused(t *testing.T) {
	t.Parallel()
	d := open(t, startSlapd(t).config())
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
}

func TestConfigurationOfTheDirectoryIsKept(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
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
		d := open(t, s.config())
		people, err := d.People(t.Context(), 100)
		if err != nil || len(people) != 7 || people[0].Name != "Ada Lovelace" {
			t.Errorf("People = %+v, %v", people, err)
		}
		if few, err := d.People(t.Context(), 2); err != nil || len(few) != 2 {
			t.Errorf("two People = %+v, %v", few, err)
		}
	})
}

func TestDirectoryThatHangsOrDiesIsOutOfReach(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	d := open(t, s.config())
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

func TestPlainLDAPGoesToThisMachineOnly(t *testing.T) {
	for url, ok := range map[string]bool{
		"ldap://localhost":          true,
		"ldap://LocalHost:389":      true,
		"ldap://127.0.0.1":          true,
		"ldap://[::1]:389":          true,
		"ldap://ldap.example.org":   false,
		"ldap://localhost.example":  false,
		"ldap://192.0.2.1":          false,
		"ldaps://ldap.example.org":  true,
		"ldaps://LDAP.example.org:": true,
	} {
		c := directory.Config{BaseDN: base, UserFilter: "(uid={username})", UserAttribute: "uid"}
		c.URLs = []string{url}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("%s: %v, want it accepted: %v", url, err, ok)
		}
	}
}
