package directory_test

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"curfew/directory"
)

// groupsOfThePage has the group that the page requires.
const groupsOfThePage = `dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

dn: cn=shop-users,ou=groups,dc=example,dc=org
objectClass: groupOfNames
cn: shop-users
member: uid=Ada,ou=people,dc=example,dc=org
member: uid=grace,ou=people,dc=example,dc=org
`

// TestOpenLDAPAsTheDocumentationSetsItUp takes a server without syncrepl and without rights for
// Curfew, changes it as docs/ldap/openldap.md says, and uses it with the settings of that page.
func TestOpenLDAPAsTheDocumentationSetsItUp(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../docs/ldap/openldap.md")
	if err != nil {
		t.Fatal(err)
	}
	people, err := os.ReadFile("testdata/people.ldif")
	if err != nil {
		t.Fatal(err)
	}
	s := configuredSlapd(t, func(config string) string {
		config, _, found := strings.Cut(config, "dn: olcOverlay={2}syncprov")
		if !found {
			t.Fatal("the server has no syncprov that could be left out")
		}
		return config
	}, func(*slapd) {})
	s.add(t, string(people))
	s.add(t, groupsOfThePage)
	blocks := regexp.MustCompile("(?ms)^```ldif\n(.*?)^```$").FindAllSubmatch(document, -1)
	if len(blocks) != 3 {
		t.Fatalf("the page has %d blocks of LDIF, want 3", len(blocks))
	}
	for _, block := range blocks {
		ldif := strings.ReplaceAll(string(block[1]), "{SSHA}HASH", servPW)
		if strings.Contains(ldif, "cn=config") {
			s.configure(t, "ldapmodify", ldif)
		} else {
			s.modify(t, s.ldap, ldif)
		}
	}
	settings := make(map[string]string)
	for _, found := range regexp.MustCompile(`(?m)^([a-z-]+): (.+)$`).FindAllSubmatch(document, -1) {
		settings[string(found[1])] = strings.Trim(string(found[2]), "[]")
	}
	w := watchAs(t, directory.Config{
		URLs:          []string{s.ldap},
		BindDN:        settings["ldap-bind-dn"],
		BindPassword:  servPW,
		BaseDN:        settings["ldap-base-dn"],
		UserFilter:    settings["ldap-user-filter"],
		GroupBaseDN:   settings["ldap-group-base-dn"],
		GroupFilter:   settings["ldap-group-filter"],
		UserAttribute: settings["ldap-user-attribute"],
		Required:      []string{settings["required-groups"]},
	}, directory.WatchMode(settings["ldap-watch"]), time.Hour, "grace", "ada")
	// The first comparison may notice the first lock; the second comes by syncrepl, or in an hour.
	for _, name := range []string{"grace", "Ada"} {
		s.modify(t, s.ldap, fmt.Sprintf(person, name)+"changetype: modify\nadd: pwdAccountLockedTime\n"+
			"pwdAccountLockedTime: 000001010000Z\n")
		w.hears(t, strings.ToLower(name)+" denied: locked", 10*time.Second)
	}
}
