package directory_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
)

// pollEvery is short, so that a test sees many comparisons.
const pollEvery = 50 * time.Millisecond

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

func TestServiceAccountThatSeesLessSignsNobodyOut(t *testing.T) {
	svc := ` by dn.exact="cn=svc,dc=example,dc=org" none by * none`
	tests := []struct {
		name  string
		lost  bool
		rules []string
	}{
		{"nothing", true, []string{"to * by * none"}},
		{"the base only", true, []string{`to dn.base="dc=example,dc=org" by * read`, "to * by * none"}},
		{"the people's place, and nobody in it", true,
			[]string{`to dn.onelevel="ou=people,dc=example,dc=org"` + svc, everything}},
		{"the people's place no more, but others", true,
			[]string{`to dn.subtree="ou=people,dc=example,dc=org"` + svc, everything}},
		{"no login names", true, []string{"to attrs=uid" + svc, everything}},
		{"no groups", true,
			[]string{"to filter=(objectClass=groupOfNames)" + svc, "to attrs=memberOf" + svc, everything}},
		{"no members", true, []string{"to attrs=member,memberOf" + svc, everything}},
		{"no identities", false, []string{"to attrs=entryUUID" + svc, everything}},
		{"no times of passwords", false, []string{"to attrs=pwdChangedTime" + svc, everything}},
		{"no memberOf", false, []string{"to attrs=memberOf" + svc, everything}},
		{"no canonical names", false, []string{"to attrs=employeeNumber" + svc, everything}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := startSlapd(t)
			c := s.config()
			if tt.name == "no canonical names" {
				c.UserAttribute = "employeeNumber"
				for _, name := range []string{"Ada", "linus", "grace"} {
					s.modify(t, s.ldap, fmt.Sprintf(person, name)+"changetype: modify\nadd: employeeNumber\n"+
						"employeeNumber: number-"+name+"\n")
				}
			}
			w := watchAs(t, c, directory.WatchPoll, pollEvery, "ada", "grace", "linus")
			before := w.Accounts()
			w.polls(t, 2)
			s.access(t, tt.rules...)
			if tt.lost {
				w.hears(t, "lost", 5*time.Second)
			}
			w.polls(t, 5)
			w.wantsQuiet(t, before)
			s.access(t, everything)
			w.polls(t, 2)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: modify\nreplace: pwdChangedTime\n"+
				"pwdChangedTime: 20260101000001Z\n")
			w.hears(t, "linus barred: the password was changed", 5*time.Second)
		})
	}
}

func TestWhatCanBeReadLaterIsLearned(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.access(t, `to attrs=entryUUID,pwdChangedTime,memberOf by * none`, everything)
	w := watchAs(t, s.config(), directory.WatchPoll, pollEvery, "grace", "linus")
	before := w.Accounts()
	for _, a := range before {
		if a.Identity != "" || a.Password != "" {
			t.Fatalf("identity %q and password %q could be read", a.Identity, a.Password)
		}
	}
	s.access(t, everything)
	w.polls(t, 3)
	w.wantsQuiet(t, before)
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: modify\nreplace: pwdChangedTime\n"+
		"pwdChangedTime: 20260101000001Z\n")
	w.hears(t, "linus barred: the password was changed", 5*time.Second)
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

func TestGroupBaseThatGoesAwayIsNoDeparture(t *testing.T) {
	for _, filter := range []string{"(member={dn})", ""} {
		t.Run("filter "+filter, func(t *testing.T) {
			t.Parallel()
			s := startSlapd(t)
			s.add(t, lists)
			c := s.config()
			c.GroupBaseDN, c.GroupFilter, c.Required = "ou=groups,"+base, filter, []string{"team"}
			w := watchAs(t, c, directory.WatchPoll, pollEvery, "grace")
			before := w.Accounts()
			w.polls(t, 2)
			s.modify(t, s.ldap, "dn: ou=groups,dc=example,dc=org\nchangetype: modrdn\nnewrdn: ou=teams\n"+
				"deleteoldrdn: 1\n")
			if filter != "" { // memberOf names the old place for as long as nobody changes the group
				w.hears(t, "lost", 5*time.Second)
			}
			w.polls(t, 5)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, "dn: ou=teams,dc=example,dc=org\nchangetype: modrdn\nnewrdn: ou=groups\n"+
				"deleteoldrdn: 1\n")
			w.polls(t, 2)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, "dn: cn=Team,ou=groups,dc=example,dc=org\nchangetype: modify\nreplace: member\n"+
				"member: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "grace barred: user is in none", 5*time.Second)
		})
	}
}

// copyOf is a second server with what the first holds at that time, operational attributes
// included.
func (s *slapd) copyOf(t *testing.T) *slapd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/sbin/slapcat", "-n1", "-F", s.conf)
	content, err := cmd.Output()
	if err != nil {
		t.Fatalf("slapcat: %v", err)
	}
	return newSlapd(t, func(other *slapd) {
		run(t, string(content), "/usr/sbin/slapadd", "-q", "-n1", "-F", other.conf)
	})
}

func TestFailOverToAServerThatLagsOrShowsLessEndsNobody(t *testing.T) {
	none := ` by dn.exact="cn=svc,dc=example,dc=org" none by * none`
	hide := func(rule string) func(*testing.T, *slapd) {
		return func(t *testing.T, s *slapd) { s.access(t, rule+none, everything) }
	}
	change := func(ldif string) func(*testing.T, *slapd) {
		return func(t *testing.T, s *slapd) { s.modify(t, s.ldap, ldif) }
	}
	linus, staff, admins := fmt.Sprintf(person, "linus"), "dn: cn=staff,dc=example,dc=org\n",
		"dn: cn=admins,dc=example,dc=org\n"
	tests := []struct {
		name   string
		differ func(*testing.T, *slapd) // what is other at the second server
	}{
		{"it holds the service account only", func(t *testing.T, s *slapd) {
			for _, dn := range []string{"cn=staff", "cn=admins", `cn=odd\, name`, "ou=people", "ou=more"} {
				run(t, "", "ldapdelete", "-r", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW, dn+","+base)
			}
		}},
		{"somebody is not there yet", change(linus + "changetype: delete\n")},
		{"most are not there yet", func(t *testing.T, s *slapd) {
			for _, name := range []string{"linus", "grace"} {
				s.modify(t, s.ldap, fmt.Sprintf(person, name)+"changetype: delete\n")
			}
		}},
		{"it has the password of before", change(linus + "changetype: modify\nreplace: pwdChangedTime\n" +
			"pwdChangedTime: 20251231000000Z\n")},
		{"it has a later password", change(linus + "changetype: modify\nreplace: pwdChangedTime\n" +
			"pwdChangedTime: 20260301000000Z\n")},
		{"it still has a lock", change(linus + "changetype: modify\nadd: pwdAccountLockedTime\n" +
			"pwdAccountLockedTime: 000001010000Z\n")},
		{"it has the entry of before", func(t *testing.T, s *slapd) {
			s.modify(t, s.ldap, linus+"changetype: delete\n")
			s.add(t, "dn: uid=linus,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: linus\ncn: Linus\n"+
				"sn: Torvalds\n")
		}},
		{"somebody is not in the group yet", change(admins + "changetype: modify\ndelete: member\n" +
			"member: uid=linus,ou=people,dc=example,dc=org\n")},
		{"somebody is still in a group", change(staff + "changetype: modify\nadd: member\n" +
			"member: uid=linus,ou=people,dc=example,dc=org\n")},
		{"it shows no times", hide("to attrs=pwdChangedTime")},
		{"it shows no identities", hide("to attrs=entryUUID")},
		{"it shows no groups", hide("to attrs=member,memberOf")},
		{"it has names in another order", change(linus + "changetype: modify\nreplace: uid\nuid: aaa\nuid: linus\n" +
			"uid: zzz\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			first := startSlapd(t)
			second := first.copyOf(t)
			tt.differ(t, second)
			c := first.config()
			c.URLs = []string{first.ldap, second.ldap}
			w := watchAs(t, c, directory.WatchPoll, pollEvery, "ada", "grace", "linus")
			before := w.Accounts()
			w.polls(t, 2)
			first.stop()
			w.polls(t, 8) // more than enough for second looks
			for len(w.news) > 0 {
				if got := <-w.news; !strings.HasPrefix(got, "lost: ") {
					t.Errorf("heard %q", got)
				}
			}
			w.wantsQuiet(t, before)
			first.start(t, first.ldap)
			w.polls(t, 3)
			// Whoever is gone from both is gone.
			for _, s := range []*slapd{first, second} {
				// may not be there
				exec.CommandContext(t.Context(), "ldapdelete", "-x", "-H", s.ldap, "-D", admin, "-w", adminPW,
					"uid=linus,ou=people,"+base).Run()
			}
			waitFor(t, "linus barred", func() bool { return len(w.Accounts()) == 2 })
			if got := w.Accounts(); got[0].User != "Ada" || got[1].User != "grace" {
				t.Errorf("signed in are %+v, want ada and grace", got)
			}
		})
	}
}

func TestFailOverOfSyncreplEndsNobody(t *testing.T) {
	t.Parallel()
	first := startSlapd(t)
	second := first.copyOf(t)
	second.modify(t, second.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n") // not there yet
	c := first.config()
	c.URLs = []string{first.ldap, second.ldap}
	w := watchAs(t, c, directory.WatchSyncrepl, time.Hour, "ada", "grace", "linus")
	before := w.Accounts()
	w.looksAgain(t, 3)
	first.stop()
	w.hears(t, "lost: ", 5*time.Second)
	w.looksAgain(t, 2) // ada and grace, at the second server
	w.polls(t, 2)      // linus, after a wait
	w.wantsQuiet(t, before)
	second.modify(t, second.ldap, fmt.Sprintf(person, "grace")+"changetype: delete\n")
	w.hears(t, "grace barred: no longer", 2*time.Second) // at once, though of linus nothing is known
	first.start(t, first.ldap)
	first.modify(t, first.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus barred: no longer", 15*time.Second)
}

func TestServerThatHasAgreedIsBelieved(t *testing.T) {
	t.Parallel()
	first := startSlapd(t)
	second := first.copyOf(t)
	c := first.config()
	c.URLs = []string{first.ldap, second.ldap}
	w := watchAs(t, c, directory.WatchPoll, pollEvery, "ada", "grace", "linus")
	w.polls(t, 2)
	first.stop()
	w.looksAgain(t, 6)
	for len(w.news) > 0 { // a comparison may have been cut off
		if got := <-w.news; !strings.HasPrefix(got, "lost: ") {
			t.Errorf("heard %q", got)
		}
	}
	second.modify(t, second.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus barred: no longer", 5*time.Second)
	second.modify(t, second.ldap, "dn: cn=staff,dc=example,dc=org\nchangetype: modrdn\nnewrdn: cn=others\n"+
		"deleteoldrdn: 1\n")
	w.hears(t, "ada in odd, name; others", 5*time.Second)
}

func TestServerOfAnUnknownSignInIsFound(t *testing.T) {
	t.Parallel()
	first := startSlapd(t)
	second := first.copyOf(t)
	second.modify(t, second.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n") // it lags
	c := first.config()
	accounts := []directory.Account{signIn(t, open(t, c), "grace", "grace-demo"),
		signIn(t, open(t, c), "linus", "linus-demo")}
	c.URLs = []string{second.ldap, first.ldap}
	w := newWatched()
	w.accounts = slices.Clone(accounts) // as after a restart, or at another node
	follow(t, directory.NewWatcher(open(t, c), directory.WatchPoll, pollEvery, w, logger(t)))
	w.hears(t, "lost: ", 5*time.Second)
	w.polls(t, 5)
	w.wantsQuiet(t, accounts)
	first.modify(t, first.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus barred: no longer", 15*time.Second)
}

func TestMostAtOnceNeedASecondLook(t *testing.T) {
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
					w.hears(t, "lost: ", 5*time.Second)
				}
				for range n {
					w.hears(t, " barred: ", 5*time.Second)
				}
				if got := len(w.Accounts()); got != 3-n {
					t.Errorf("%d are signed in, want %d", got, 3-n)
				}
			})
		}
	}
}

func TestLastOfAPlaceIsSeenToBeGone(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.add(t, "dn: ou=lonely,dc=example,dc=org\nobjectClass: organizationalUnit\nou: lonely\n\n"+
		"dn: uid=solo,ou=lonely,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: solo\ncn: Solo\nsn: Solo\n"+
		"userPassword: solo\n")
	w := newWatched()
	d := open(t, s.config())
	w.add(signIn(t, d, "solo", "solo"))
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	s.modify(t, s.ldap, "dn: uid=solo,ou=lonely,dc=example,dc=org\nchangetype: delete\n")
	w.hears(t, "solo barred: no longer", 5*time.Second)
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
	w.hears(t, "grace barred: no longer", 5*time.Second)
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
	w.hears(t, "office@example.org barred: the name belongs to another entry", 5*time.Second)
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
	w.hears(t, "lost: ", 5*time.Second) // it is said of both
	w.hears(t, "the name belongs to another entry", 5*time.Second)
	w.hears(t, "the name belongs to another entry", 5*time.Second)
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
		if len(a.Identity) != 32 || a.Password != "133484736000000000" {
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
	w.hears(t, "grace barred: disabled", 5*time.Second)
	set("linus", "pwdLastSet", "0")
	w.hears(t, "linus barred: the password must be changed", 5*time.Second)
	set("eve", "accountExpires", "132223104000000000")
	w.hears(t, "eve barred: expired", 5*time.Second)
	set("ada", "pwdLastSet", "133484736000000001")
	w.hears(t, "ada barred: the password was changed", 5*time.Second)
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
	w.hears(t, "grace barred: expired", 2*time.Second)
	_, err := open(t, s.config()).Authenticate(t.Context(), "grace", "grace-demo", nil)
	if !errors.Is(err, directory.ErrLocked) {
		t.Errorf("grace signs in: %v, want ErrLocked", err)
	}
}

func TestServiceAccountThatSeesItselfAloneSignsNobodyOut(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	s.add(t, "dn: uid=svc,ou=people,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: svc\ncn: svc\nsn: svc\n"+
		"userPassword: svcpw\n")
	c := s.config()
	c.BindDN, c.BindPassword = "UID=svc, ou=People,dc=example,dc=org", "svcpw"
	all := `to * by dn.exact="uid=svc,ou=people,dc=example,dc=org" read by * none`
	s.access(t, all)
	w := watchAs(t, c, directory.WatchPoll, pollEvery, "ada", "grace", "linus")
	before := w.Accounts()
	w.polls(t, 2)
	s.access(t, `to dn.onelevel="ou=people,dc=example,dc=org" by self read by * none`, all)
	w.hears(t, "lost: ", 5*time.Second)
	w.polls(t, 8) // more than enough for second looks
	w.wantsQuiet(t, before)
	s.access(t, all)
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus barred: no longer", 5*time.Second)
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

const lonely = "dn: ou=lonely,dc=example,dc=org\nobjectClass: organizationalUnit\nou: lonely\n\n" +
	"dn: uid=solo,ou=lonely,dc=example,dc=org\nobjectClass: inetOrgPerson\nuid: solo\ncn: Solo\nsn: Solo\n" +
	"userPassword: solo\n"

const lonelyGoes = "dn: uid=solo,ou=lonely,dc=example,dc=org\nchangetype: delete\n\n" +
	"dn: ou=lonely,dc=example,dc=org\nchangetype: delete\n"

// lonelySite watches grace, and solo who is alone in their place.
func lonelySite(t *testing.T) (*slapd, *watched) {
	t.Helper()
	s := startSlapd(t)
	s.add(t, lonely)
	w := newWatched()
	d := open(t, s.config())
	w.add(signIn(t, d, "solo", "solo"))
	w.add(signIn(t, d, "grace", passwords["grace"]))
	follow(t, directory.NewWatcher(d, directory.WatchPoll, pollEvery, w, logger(t)))
	w.looksAgain(t, 4) // both were seen
	return s, w
}

func TestWhoWasDeletedWithTheirPlaceIsSeenToBeGone(t *testing.T) {
	t.Parallel()
	s, w := lonelySite(t)
	s.modify(t, s.ldap, lonelyGoes)
	w.hears(t, "lost: ", 5*time.Second)
	w.hears(t, "solo barred: no longer in the directory, with their place", 10*time.Second)
	if n := len(w.Accounts()); n != 1 {
		t.Errorf("%d are signed in, want grace", n)
	}
}

func TestPlaceThatIsHiddenIsNoDeparture(t *testing.T) {
	for name, rule := range map[string]string{
		"with who is in it": `to dn.subtree="ou=lonely,dc=example,dc=org" by * none`,
		"who is in it only": `to dn.onelevel="ou=lonely,dc=example,dc=org" by * none`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := lonelySite(t)
			before := w.Accounts()
			s.access(t, rule, everything)
			w.hears(t, "lost: ", 5*time.Second)
			w.looksAgain(t, 80) // of grace: longer than a server's word has to stand
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, lonelyGoes) // nobody may tell the difference, but for the server
			w.hears(t, "solo barred: no longer", 10*time.Second)
		})
	}
}

func TestWhoWasRenamedAndThenHiddenIsNotGone(t *testing.T) {
	t.Parallel()
	s, w := lonelySite(t)
	before := w.Accounts()
	s.modify(t, s.ldap, "dn: ou=lonely,dc=example,dc=org\nchangetype: modrdn\nnewrdn: ou=alone\ndeleteoldrdn: 1\n")
	w.looksAgain(t, 4)
	s.access(t, `to dn.subtree="ou=alone,dc=example,dc=org" by * none`, everything)
	w.hears(t, "lost: ", 5*time.Second)
	w.looksAgain(t, 80) // of grace
	w.wantsQuiet(t, before)
}

func TestWhatIsHiddenAndShownAgainDuringALookIsNoDeparture(t *testing.T) {
	t.Parallel()
	s := startSlapd(t)
	w := watchAs(t, s.config(), directory.WatchPoll, time.Millisecond, "ada", "grace", "linus")
	before := w.Accounts()
	w.polls(t, 2)
	conn, err := ldap.DialURL(s.ldap)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Bind("cn=config", "configpw"); err != nil {
		t.Fatal(err)
	}
	access := func(rules ...string) {
		t.Helper()
		change := ldap.NewModifyRequest("olcDatabase={1}mdb,cn=config", nil)
		change.Replace("olcAccess", append([]string{"to attrs=userPassword by anonymous auth by * none"}, rules...))
		if err := conn.Modify(change); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 150 {
		hidden := []string{"to filter=(objectClass=groupOfNames) by * none", "to attrs=memberOf by * none", everything}
		if i%2 == 0 {
			hidden = []string{`to dn.onelevel="ou=people,dc=example,dc=org" by * none`, everything}
		}
		access(hidden...)
		w.polls(t, 1)
		access(everything)
		w.polls(t, 2) // a look sees one change at most
		for len(w.news) > 0 {
			if got := <-w.news; !strings.HasPrefix(got, "lost: ") {
				t.Errorf("heard %q", got)
			}
		}
	}
	w.wantsQuiet(t, before)
}
