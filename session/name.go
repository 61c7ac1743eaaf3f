package session

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// SameName reports whether a directory takes a and b for one name: see [FoldName].
func SameName(a, b string) bool { return a == b || FoldName(a) == FoldName(b) }

// HasName reports whether one of names is that name: see [SameName].
func HasName(names []string, name string) bool {
	name = FoldName(name)
	return slices.ContainsFunc(names, func(n string) bool { return FoldName(n) == name })
}

// FoldName is the form in which names of users and groups are compared and indexed, never the one
// that is shown. Two names have the same form where LDAP's caseIgnoreMatch calls them equal (RFC
// 4517, section 4.2.11; preparation by RFC 4518): case, compatibility forms, characters that do not
// show, outer spaces and runs of inner ones do not matter. Folding a folded name changes nothing.
func FoldName(name string) string {
	if isFolded(name) {
		return name
	}
	if isPlain(name) {
		return strings.Join(strings.Fields(strings.ToLower(name)), " ")
	}
	name = strings.Map(prepare, name)
	for range 2 { // the second round folds what NFKC has put together
		name = strings.ToLower(cases.Fold().String(norm.NFKC.String(name))) // Cherokee folds to capitals
	}
	return strings.Join(strings.Fields(norm.NFKC.String(name)), " ")
}

// isFolded reports whether name is plain: small letters, digits and marks of ASCII, with no space
// that would go.
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

// isPlain reports whether name is ASCII that shows.
func isPlain(name string) bool {
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}

// prepare maps as RFC 4518, section 2.2, does: what does not show goes, every kind of space is one
// space.
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
