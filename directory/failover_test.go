package directory_test

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"curfew/directory"
)

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

// secondServer is a server that differs from the one that signs people in.
type secondServer struct {
	name   string
	differ func(*testing.T, *slapd) // makes the difference
}

func secondServers() []secondServer {
	none := ` by dn.exact="cn=svc,dc=example,dc=org" none by * none`
	hide := func(rule string) func(*testing.T, *slapd) {
		return func(t *testing.T, s *slapd) { s.access(t, rule+none, everything) }
	}
	change := func(ldif string) func(*testing.T, *slapd) {
		return func(t *testing.T, s *slapd) { s.modify(t, s.ldap, ldif) }
	}
	linus, staff, admins := fmt.Sprintf(person, "linus"), "dn: cn=staff,dc=example,dc=org\n",
		"dn: cn=admins,dc=example,dc=org\n"
	return []secondServer{
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
}

func TestFailOverToAServerThatLagsOrShowsLessEndsNobody(t *testing.T) {
	t.Parallel()
	for _, tt := range secondServers() {
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
				if got := <-w.news; !strings.HasPrefix(got, "unreachable: ") {
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
			waitFor(t, "linus denied", func() bool { return len(w.Accounts()) == 2 })
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
	w.hears(t, "unreachable: ", 5*time.Second)
	w.looksAgain(t, 2) // ada and grace, at the second server
	w.polls(t, 2)      // linus, after a wait
	w.wantsQuiet(t, before)
	second.modify(t, second.ldap, fmt.Sprintf(person, "grace")+"changetype: delete\n")
	w.hears(t, "grace denied: gone: no longer", 2*time.Second) // at once, though of linus nothing is known
	first.start(t, first.ldap)
	first.modify(t, first.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus denied: gone: no longer", 15*time.Second)
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
		if got := <-w.news; !strings.HasPrefix(got, "unreachable: ") {
			t.Errorf("heard %q", got)
		}
	}
	second.modify(t, second.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus denied: gone: no longer", 5*time.Second)
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
	w.hears(t, "unreachable: ", 5*time.Second)
	w.polls(t, 5)
	w.wantsQuiet(t, accounts)
	first.modify(t, first.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus denied: gone: no longer", 15*time.Second)
}
