package directory_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/directory"
)

// pollEvery is short, so that a test sees many comparisons.
const pollEvery = 50 * time.Millisecond

// polls waits until the watcher has asked so many more times who is signed in.
func (w *watched) polls(t *testing.T, times int) {
	t.Helper()
	count := func() int { w.mu.Lock(); defer w.mu.Unlock(); return w.asked }
	until := count() + times
	waitFor(t, "asked again", func() bool { return count() >= until })
}

// wantsQuiet checks that nothing was heard and everybody is signed in, in their groups.
func (w *watched) wantsQuiet(t *testing.T, before []directory.Account) {
	t.Helper()
	for len(w.news) > 0 {
		t.Errorf("heard %q", <-w.news)
	}
	now := w.Accounts()
	if !slices.EqualFunc(now, before, func(a, b directory.Account) bool {
		return a.Key == b.Key && slices.Equal(a.Groups, b.Groups)
	}) {
		t.Errorf("signed in are %+v, want %+v", now, before)
	}
}

func TestWhatCanBeReadLaterIsLearned(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.access(t, `to attrs=entryUUID,pwdChangedTime,memberOf by * none`, everything)
	w := watchAs(t, s.config(), directory.WatchPoll, pollEvery, "grace", "linus")
	before := w.Accounts()
	for _, a := range before {
		if a.Identity != "" || a.PasswordChanged != "" {
			t.Fatalf("identity %q and password %q could be read", a.Identity, a.PasswordChanged)
		}
	}
	s.access(t, everything)
	w.polls(t, 3)
	w.wantsQuiet(t, before)
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: modify\nreplace: pwdChangedTime\n"+
		"pwdChangedTime: 20260101000001Z\n")
	w.hears(t, "linus denied: password-changed: the password was changed", 5*time.Second)
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: delete\n")
	s.add(t, "dn: uid=grace,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: grace\ncn: Another Grace\n"+
		"sn: Another\n")
	select {
	case got := <-w.news: // which of them depends on what the comparison came to see
		if !strings.Contains(got, "no longer in the directory") && !strings.Contains(got, "belongs to another entry") {
			t.Errorf("heard %q", got)
		}
	case <-time.After(5 * time.Second):
		t.Error("the other grace was not noticed")
	}
}

func TestMostAtOnceNeedASecondLook(t *testing.T) {
	t.Parallel()
	const lock = "changetype: modify\nadd: pwdAccountLockedTime\npwdAccountLockedTime: 000001010000Z\n"
	for _, tt := range []struct {
		name   string
		change string
		most   bool
	}{
		{"one of three locked", lock, false},
		{"two of three locked", lock, true},
		{"three of three locked", lock, true},
		{"two of three deleted", "changetype: delete\n", true},
	} {
		for _, mode := range []directory.WatchMode{directory.WatchPoll, directory.WatchSyncrepl} {
			t.Run(tt.name+", "+string(mode), func(t *testing.T) {
				t.Parallel()
				s := startSlapd(t)
				d := open(t, s.config())
				w := newWatched()
				names := []string{"grace", "linus", "guess"}
				for _, name := range names {
					w.add(signIn(t, d, name, passwords[name]))
				}
				n := map[string]int{"one": 1, "two": 2, "three": 3}[strings.Fields(tt.name)[0]]
				for _, name := range names[:n] {
					s.modify(t, s.ldap, fmt.Sprintf(person, name)+tt.change)
				}
				follow(t, directory.NewWatcher(d, mode, 200*time.Millisecond, w, logger(t)))
				if tt.most {
					w.hears(t, "unreachable: ", 5*time.Second)
				}
				for range n {
					w.hears(t, " denied: ", 5*time.Second)
				}
				if got := len(w.Accounts()); got != 3-n {
					t.Errorf("%d are signed in, want %d", got, 3-n)
				}
			})
		}
	}
}

func TestWhatCouldNotBeCarriedOutIsToldAgain(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	w := s.watch(t, directory.WatchSyncrepl, time.Hour, "ada", "grace", "linus")
	w.looksAgain(t, 3) // the first comparison is over: all that follows is heard of once
	w.mu.Lock()
	w.fails = 2
	w.mu.Unlock()
	s.modify(t, s.ldap, "dn: cn=admins,dc=example,dc=org\nchangetype: modify\ndelete: member\n"+
		"member: uid=linus,ou=people,dc=example,dc=org\n")
	w.hears(t, "linus not stored", 2*time.Second)
	w.hears(t, "linus not stored", 5*time.Second)
	w.hears(t, "linus in ", 5*time.Second)
	w.mu.Lock()
	w.fails = 1
	w.mu.Unlock()
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: delete\n")
	w.hears(t, "grace not stored", 2*time.Second)
	w.hears(t, "grace denied: gone: no longer", 5*time.Second)
}

func TestTwoPeopleOfOneLoginNameAreTwoAccounts(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	const given = "changetype: modify\n%s: mail\nmail: office@example.org\n"
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+fmt.Sprintf(given, "add"))
	c := s.config()
	c.UserFilter = "(mail={username})"
	d := open(t, c)
	w := newWatched()
	w.add(signIn(t, d, "office@example.org", "linus-demo"))
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+fmt.Sprintf(given, "delete"))
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+fmt.Sprintf(given, "add"))
	w.add(signIn(t, d, "office@example.org", "grace-demo"))
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	w.hears(t, "office@example.org denied: other-entry: the name belongs to another entry", 5*time.Second)
	if got := w.Accounts(); len(got) != 1 || got[0].User != "grace" {
		t.Errorf("signed in are %+v, want grace", got)
	}
}

func TestCanonicalNameOfASessionStays(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.add(t, "dn: cn=Zoe,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: zoe\ncn: Zoe\nsn: Zoe\n"+
		"mail: zoe@example.org\nuserPassword: zoe\n")
	c := s.config()
	c.UserFilter = "(mail={username})" // which does not find her by her canonical name
	d := open(t, c)
	w := newWatched()
	byMail := signIn(t, d, "zoe@example.org", "zoe")
	byName := byMail
	byName.Login = byMail.User
	w.add(byMail)
	w.add(byName)
	before := w.Accounts()
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	s.modify(t, s.ldap, "dn: cn=Zoe,ou=people,dc=example,dc=org\nchangetype: modify\nadd: uid\nuid: aaa\n")
	w.looksAgain(t, 6)
	w.wantsQuiet(t, before)
	if e, err := d.Authenticate(t.Context(), "zoe@example.org", "zoe", nil); err != nil || e.User != "aaa" {
		t.Errorf("a new sign-in: %+v, %v", e, err)
	}
	s.modify(t, s.ldap, "dn: cn=Zoe,ou=people,dc=example,dc=org\nchangetype: modify\ndelete: uid\nuid: zoe\n")
	var denied []string
	waitFor(t, "both were denied", func() bool {
		for len(w.news) > 0 {
			// Said of both at once it is doubted at first; the change may fall between two looks.
			if got := <-w.news; !strings.HasPrefix(got, "unreachable: ") {
				denied = append(denied, got)
			}
		}
		return len(denied) >= 2
	})
	for _, got := range denied {
		if !strings.Contains(got, "the name belongs to another entry") {
			t.Errorf("heard %q", got)
		}
	}
}

func TestActiveDirectoryIsReadAsItWrites(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	schema, err := os.ReadFile("testdata/ad.ldif")
	if err != nil {
		t.Fatal(err)
	}
	s.configure(t, "ldapadd", string(schema))
	s.access(t, "to attrs=entryUUID,pwdChangedTime,pwdAccountLockedTime by * none", everything)
	for _, name := range []string{"ada", "grace", "linus", "eve"} {
		s.add(t, fmt.Sprintf("dn: cn=%[1]s,ou=more,dc=example,dc=org\nobjectClass: inetOrgPerson\n"+
			"objectClass: user\ncn: %[1]s\nsn: x\n"+
			"sAMAccountName: %[1]s\nuserAccountControl: 512\naccountExpires: 9223372036854775807\n"+
			"pwdLastSet: 133484736000000000\nobjectGUID:: AAECAwQFBgcICQoLDA0OD%[2]s==\nuserPassword: secret\n",
			name, map[string]string{"ada": "w", "grace": "g", "linus": "Q", "eve": "A"}[name]))
	}
	s.add(t, "dn: cn=VPN,ou=more,dc=example,dc=org\nobjectClass: groupOfNames\ncn: VPN\n"+
		"member: cn=eve,ou=more,dc=example,dc=org\nmember: cn=ada,ou=more,dc=example,dc=org\n")
	c := s.config()
	c.UserFilter, c.UserAttribute, c.GroupBaseDN = "(&(objectClass=user)(sAMAccountName={username}))", "sAMAccountName",
		"ou=more,"+base
	d := open(t, c)
	w := newWatched()
	for _, name := range []string{"ada", "grace", "linus", "eve"} {
		a := signIn(t, d, name, "secret")
		if len(a.Identity) != 32 || a.PasswordChanged != "133484736000000000" {
			t.Errorf("%s: %+v", name, a)
		}
		w.add(a)
	}
	before := w.Accounts()
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	set := func(name, attribute, value string) {
		s.modify(t, s.ldap, fmt.Sprintf("dn: cn=%s,ou=more,dc=example,dc=org\nchangetype: modify\nreplace: %s\n"+
			"%[2]s: %s\n", name, attribute, value))
	}
	set("ada", "accountExpires", "0")
	set("ada", "userAccountControl", "66048") // the password never expires
	set("grace", "pwdLastSet", "133484735000000000")
	w.looksAgain(t, 12)
	w.wantsQuiet(t, before)
	set("grace", "userAccountControl", "514")
	w.hears(t, "grace denied: locked: disabled", 5*time.Second)
	set("linus", "pwdLastSet", "0")
	w.hears(t, "linus denied: password-expired: the password must be changed", 5*time.Second)
	set("eve", "accountExpires", "132223104000000000")
	w.hears(t, "eve denied: locked: expired", 5*time.Second)
	set("ada", "pwdLastSet", "133484736000000001")
	w.hears(t, "ada denied: password-changed: the password was changed", 5*time.Second)
	for _, name := range []string{"grace", "eve"} {
		if _, err := d.Authenticate(t.Context(), name, "secret", nil); !errors.Is(err, directory.ErrLocked) {
			t.Errorf("%s signs in: %v, want ErrLocked", name, err)
		}
	}
}

func TestShadowAccountExpires(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.configure(t, "ldapadd", "include: file:///etc/ldap/schema/nis.ldif\n")
	const shadow = "changetype: modify\nadd: objectClass\nobjectClass: shadowAccount\n-\nadd: shadowExpire\n" +
		"shadowExpire: %s\n"
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+fmt.Sprintf(shadow, "-1"))
	w := s.watch(t, directory.WatchSyncrepl, time.Hour, "grace", "ada")
	w.looksAgain(t, 2)
	s.modify(t, s.ldap, fmt.Sprintf(person, "grace")+"changetype: modify\nreplace: shadowExpire\nshadowExpire: 1\n")
	w.hears(t, "grace denied: locked: expired", 2*time.Second)
	_, err := open(t, s.config()).Authenticate(t.Context(), "grace", "grace-demo", nil)
	if !errors.Is(err, directory.ErrLocked) {
		t.Errorf("grace signs in: %v, want ErrLocked", err)
	}
}

func TestPersonIsFoundAgainByTheNameAsItWasTyped(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.add(t, "dn: uid=gross,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: gross\ncn: Jürgen Groß\n"+
		"sn: Gross\nuserPassword: pw\n")
	c := s.config()
	c.UserFilter = "(|(uid={username})(cn={username}))"
	w := newWatched()
	d := open(t, c)
	w.add(signIn(t, d, "Jürgen Groß", "pw"))
	w.add(signIn(t, d, "GROSS", "pw"))
	before := w.Accounts()
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	w.polls(t, 5)
	w.wantsQuiet(t, before)
}
