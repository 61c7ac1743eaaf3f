package front

import (
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// Identity is who a request is from, as an application is told. Its texts are UTF-8.
type Identity struct {
	User    string // canonical name
	Name    string // for display
	Email   string // may be empty
	Groups  []string
	Session string // the session's ref, which is public
}

// identityHeaders are the names of the headers that [Identity.Set] sets, in canonical form.
var identityHeaders = []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Session"}

// maxGroups is how many bytes of group names an application is told at most, commas included:
// servers refuse long headers.
const maxGroups = 2000

// Set sets all headers of an identity, with empty values where nothing is known: what a client has
// sent under these names is replaced even by a proxy that copies and deletes nothing. Groups stand
// in order of their names. Those with a comma in their name and those beyond 2,000 bytes are left
// out; omitted says how many.
func (i Identity) Set(h http.Header) (omitted int) {
	groups, omitted := i.groups()
	for n, value := range []string{i.User, i.Name, i.Email, groups, i.Session} {
		h[identityHeaders[n]] = []string{printable(value)}
	}
	return omitted
}

func (i Identity) groups() (list string, omitted int) {
	var b strings.Builder
	names := slices.Clone(i.Groups)
	slices.Sort(names)
	for _, name := range names {
		name = printable(name)
		if strings.Contains(name, ",") || name == "" {
			omitted++
			continue
		}
		separator := ""
		if b.Len() > 0 {
			separator = ","
		}
		if b.Len()+len(separator)+len(name) > maxGroups {
			omitted++
			continue
		}
		b.WriteString(separator)
		b.WriteString(name)
	}
	return b.String(), omitted
}

// printable is a text as a header can carry it (RFC 9110 §5.5): without control characters, outer
// spaces and what is no UTF-8.
func printable(text string) string {
	clean := func(c rune) bool { return c < ' ' || c == 0x7f || c == utf8.RuneError || c >= 0x80 && c < 0xa0 }
	if strings.ContainsFunc(text, clean) {
		text = strings.Map(func(c rune) rune {
			if clean(c) {
				return -1
			}
			return c
		}, text)
	}
	return strings.TrimSpace(text)
}
