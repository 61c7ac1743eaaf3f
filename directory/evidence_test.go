package directory_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-ldap/ldap/v3"

	"curfew/directory"
)

func TestServiceAccountThatSeesLessSignsNobodyOut(t *testing.T) {
	t.Parallel()
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
				w.hears(t, "unreachable", 5*time.Second)
			}
			w.polls(t, 5)
			w.wantsQuiet(t, before)
			s.access(t, everything)
			w.polls(t, 2)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: modify\nreplace: pwdChangedTime\n"+
				"pwdChangedTime: 20260101000001Z\n")
			w.hears(t, "linus denied: password-changed: the password was changed", 5*time.Second)
		})
	}
}

func TestGroupBaseThatGoesAwayIsNoDeparture(t *testing.T) {
	t.Parallel()
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
				w.hears(t, "unreachable", 5*time.Second)
			}
			w.polls(t, 5)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, "dn: ou=teams,dc=example,dc=org\nchangetype: modrdn\nnewrdn: ou=groups\n"+
				"deleteoldrdn: 1\n")
			w.polls(t, 2)
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, "dn: cn=Team,ou=groups,dc=example,dc=org\nchangetype: modify\nreplace: member\n"+
				"member: uid=linus,ou=people,dc=example,dc=org\n")
			w.hears(t, "grace denied: not-allowed: user is in none", 5*time.Second)
		})
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
	w.hears(t, "solo denied: gone: no longer", 5*time.Second)
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
	w.hears(t, "unreachable: ", 5*time.Second)
	w.polls(t, 8) // more than enough for second looks
	w.wantsQuiet(t, before)
	s.access(t, all)
	s.modify(t, s.ldap, fmt.Sprintf(person, "linus")+"changetype: delete\n")
	w.hears(t, "linus denied: gone: no longer", 5*time.Second)
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
	w.betweenLooks(t, func() { s.modify(t, s.ldap, lonelyGoes) })
	w.hears(t, "unreachable: ", 5*time.Second)
	w.hears(t, "solo denied: gone: no longer in the directory, with their place", 10*time.Second)
	if n := len(w.Accounts()); n != 1 {
		t.Errorf("%d are signed in, want grace", n)
	}
}

func TestPlaceThatIsHiddenIsNoDeparture(t *testing.T) {
	t.Parallel()
	for name, rule := range map[string]string{
		"with who is in it": `to dn.subtree="ou=lonely,dc=example,dc=org" by * none`,
		"who is in it only": `to dn.onelevel="ou=lonely,dc=example,dc=org" by * none`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, w := lonelySite(t)
			before := w.Accounts()
			s.access(t, rule, everything)
			w.hears(t, "unreachable: ", 5*time.Second)
			w.looksAgain(t, 80) // of grace: longer than a server's word has to stand
			w.wantsQuiet(t, before)
			s.modify(t, s.ldap, lonelyGoes) // nobody may tell the difference, but for the server
			w.hears(t, "solo denied: gone: no longer", 10*time.Second)
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
	w.hears(t, "unreachable: ", 5*time.Second)
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
			if got := <-w.news; !strings.HasPrefix(got, "unreachable: ") {
				t.Errorf("heard %q", got)
			}
		}
	}
	w.wantsQuiet(t, before)
}
