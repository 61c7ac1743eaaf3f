package directory

import (
	"slices"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"curfew/session"
)

func TestNamesAreFoldedAsSessionsFoldThem(t *testing.T) {
	for _, name := range []string{"", "ada", "ADA", "ａda", "a\u00adda", "a\u200bda", "ada\u00a0", "  Ada   Lovelace ",
		"Größe", "GRÖSSE", "ﬁn", "Ⅷ", "ᏣᎳᎩ", "\u0345", "İ", "a\u0301", "x\ty"} {
		if got, want := fold(name), session.FoldName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestDNsAreComparedWhateverTheirSpelling(t *testing.T) {
	for _, same := range [][2]string{
		{"uid=Ada,ou=people,dc=example,dc=org", "UID=ada, OU=People,DC=example, dc=org"},
		{"cn=a+ou=b,dc=x", "ou=B+cn=A,dc=x"},
		{`cn=odd\, name,dc=x`, `cn=odd\2c  NAME,dc=x`},
	} {
		if a, b := foldDN(same[0]), foldDN(same[1]); a != b {
			t.Errorf("%q and %q: %q and %q", same[0], same[1], a, b)
		}
	}
	if a, b := foldDN(`cn=a\,dc\=b,dc=c`), foldDN("cn=a,dc=b,dc=c"); a == b {
		t.Errorf("a comma within a name and one between names are both %q", a)
	}
}

func TestOneOfSeveralValuesIsTakenWhateverTheirOrder(t *testing.T) {
	tests := []struct {
		name, dn string
		values   []string
		want     string
	}{
		{"none", "cn=x,dc=y", nil, ""},
		{"one", "cn=x,dc=y", []string{"Ada"}, "Ada"},
		{"the one in the DN", "uid=zoe,dc=y", []string{"ada", "zoe", "bob"}, "zoe"},
		{"the one in a DN of two parts", "cn=x+uid=zoe,dc=y", []string{"ada", "zoe"}, "zoe"},
		{"the least, whatever its case", "cn=x,dc=y", []string{"Zoe", "ada", "Bob"}, "ada"},
		{"the least of two spellings", "cn=x,dc=y", []string{"ada", "ADA"}, "ADA"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for range 2 {
				e := ldap.NewEntry(tt.dn, map[string][]string{"UID": tt.values})
				if got := chooseValue(e, "uid"); got != tt.want {
					t.Errorf("of %q: %q, want %q", tt.values, got, tt.want)
				}
				slices.Reverse(tt.values)
			}
		})
	}
}

func TestGroupIsAnEntryBelowTheBaseThatIsNamedByCN(t *testing.T) {
	base, err := ldap.ParseDN("ou=groups,dc=example,dc=org")
	if err != nil {
		t.Fatal(err)
	}
	d := &Directory{groupBase: base}
	for dn, want := range map[string]string{
		"cn=admins,ou=groups,dc=example,dc=org":           "admins",
		"CN=Admins, OU=Groups, DC=example, DC=org":        "Admins",
		"cn=admins,ou=it,ou=groups,dc=example,dc=org":     "admins",
		`cn=odd\, name,ou=groups,dc=example,dc=org`:       "odd, name",
		"2.5.4.3=admins,ou=groups,dc=example,dc=org":      "admins",
		"cn=admins,ou=lists,dc=example,dc=org":            "",
		"cn=admins,dc=example,dc=org":                     "",
		"cn=admins,ou=groups,dc=example,dc=com":           "",
		"ou=admins,ou=groups,dc=example,dc=org":           "",
		"cn=admins+ou=x,ou=groups,dc=example,dc=org":      "",
		"ou=x+cn=admins,ou=groups,dc=example,dc=org":      "",
		"ou=groups,dc=example,dc=org":                     "",
		`cn=admins\,ou\=groups\,dc\=example\,dc\=org`:     "",
		`cn=ad\00mins,ou=groups,dc=example,dc=org`:        "",
		"cn=x,cn=admins,ou=groups,dc=example,dc=org,dc=y": "",
		"nonsense": "",
	} {
		if got, ok := d.groupName(dn); ok != (want != "") || ok && got != want {
			t.Errorf("%s: %q, %v, want %q", dn, got, ok, want)
		}
	}
}

func TestNamesThatAreTheSameAreOne(t *testing.T) {
	got := uniqueNames([]string{"Admins", "staff", "admins", "ＡDMINS", "odd  name", "Odd Name"})
	if want := []string{"Admins", "odd  name", "staff"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
