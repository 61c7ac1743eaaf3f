package directory

import (
	"cmp"
	"slices"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// Names are compared as the directory compares them, and reported as it writes them. The order of
// an attribute's values means nothing (RFC 4511 §4.1.7), so the choice among them does not depend
// on it.

// fold is the form in which names are compared: that of caseIgnoreMatch (RFC 4517 §4.2.11, prepared
// by RFC 4518). It equals the session package's FoldName, which this package may not import; a test
// compares the two.
func fold(name string) string {
	if isFolded(name) {
		return name
	}
	name = strings.Map(prepare, name)
	for range 2 { // the second round folds what NFKC has put together
		name = strings.ToLower(cases.Fold().String(norm.NFKC.String(name))) // Cherokee folds to capitals
	}
	return strings.Join(strings.Fields(norm.NFKC.String(name)), " ")
}

// isFolded reports whether fold would leave name as it is because it consists of lower-case
// letters, digits and punctuation of ASCII, without outer or double spaces.
func isFolded(name string) bool {
	last := byte(' ')
	for i := range len(name) {
		c := name[i]
		if c < ' ' || c > '~' || c >= 'A' && c <= 'Z' || c == ' ' && last == ' ' {
			return false
		}
		last = c
	}
	return last != ' ' || name == ""
}

// prepare maps a character as RFC 4518 §2.2 does: invisible characters are removed, and every kind
// of space becomes a space.
func prepare(r rune) rune {
	switch {
	case r >= '\t' && r <= '\r', r == '\u0085', unicode.In(r, unicode.Zs, unicode.Zl, unicode.Zp):
		return ' '
	case unicode.In(r, unicode.Cc, unicode.Cf), r == '\u034F', r >= '\u180B' && r <= '\u180D',
		unicode.Is(unicode.Variation_Selector, r), r == '\uFFFC':
		return -1
	}
	return r
}

func sameName(a, b string) bool { return a == b || fold(a) == fold(b) }

func containsName(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return sameName(n, name) })
}

// foldDN is the form in which DNs are compared.
func foldDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return fold(dn)
	}
	var b strings.Builder
	for _, rdn := range parsed.RDNs {
		parts := make([]string, 0, len(rdn.Attributes))
		for _, a := range rdn.Attributes {
			parts = append(parts, strings.ToLower(a.Type)+"="+ldap.EscapeDN(fold(a.Value)))
		}
		slices.Sort(parts)
		b.WriteString(strings.Join(parts, "+") + ",")
	}
	return b.String()
}

// chooseValue picks one of several values of an attribute, the same whatever their order: the one
// in the entry's DN, else the one whose folded form is least. It is empty if there is none.
func chooseValue(e *ldap.Entry, attribute string) string {
	values := e.GetEqualFoldAttributeValues(attribute)
	if len(values) < 2 {
		return strings.Join(values, "")
	}
	if dn, err := ldap.ParseDN(e.DN); err == nil && len(dn.RDNs) > 0 {
		for _, a := range dn.RDNs[0].Attributes {
			if strings.EqualFold(a.Type, attribute) {
				return a.Value
			}
		}
	}
	return slices.MinFunc(values, func(a, b string) int {
		return cmp.Or(strings.Compare(fold(a), fold(b)), strings.Compare(a, b))
	})
}

// groupName is the name of the group at dn. ok is false if dn is not below the group base, or its
// RDN is anything but a single cn: whoever may create entries elsewhere, or of another kind, could
// give them the name of any group.
func (d *Directory) groupName(dn string) (name string, ok bool) {
	parsed, err := ldap.ParseDN(dn)
	if err != nil || len(parsed.RDNs) == 0 || len(parsed.RDNs[0].Attributes) != 1 ||
		!d.groupBase.AncestorOfFold(parsed) {
		return "", false
	}
	rdn := parsed.RDNs[0].Attributes[0]
	switch strings.ToLower(rdn.Type) {
	case "cn", "commonname", "2.5.4.3": // RFC 4519 §2.3
		return rdn.Value, rdn.Value != "" && !strings.ContainsFunc(rdn.Value, unicode.IsControl)
	}
	return "", false
}

// uniqueNames sorts names and keeps the first spelling of those that are the same.
func uniqueNames(names []string) []string {
	seen := make(map[string]bool)
	var unique []string
	for _, n := range names {
		if f := fold(n); !seen[f] {
			seen[f] = true
			unique = append(unique, n)
		}
	}
	slices.Sort(unique)
	return unique
}
