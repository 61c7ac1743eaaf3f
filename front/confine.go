package front

import (
	"net/http"
	"slices"
	"strings"
)

// confine keeps the header of an answer, and its trailers, within what is the application's.
func (f *Front) confine(h http.Header) {
	keepForeignSetCookies(h, "Set-Cookie")
	keepForeignSetCookies(h, http.TrailerPrefix+"Set-Cookie")
	keepSession(h, "Clear-Site-Data")
	keepSession(h, http.TrailerPrefix+"Clear-Site-Data")
	f.leadToPublic(h)
}

// keepForeignSetCookies drops the cookies of an answer that would replace Curfew's.
func keepForeignSetCookies(h http.Header, name string) {
	filter(h, name, func(line string) (string, bool) {
		// Without a name, what stands behind = becomes it once a browser sends the cookie.
		cookie, _, _ := strings.Cut(strings.TrimLeft(line, " \t="), "=")
		return line, !isOwnCookie(cookie)
	})
}

// ofTheSession are the kinds of data that a browser keeps of Curfew's as well: its cookies, and the
// drafts of forms.
var ofTheSession = []string{`"cookies"`, `"storage"`, `"*"`}

// keepSession takes out of Clear-Site-Data what would clear Curfew's data, too.
func keepSession(h http.Header, name string) {
	filter(h, name, func(line string) (string, bool) {
		all := strings.Split(line, ",")
		kept := slices.DeleteFunc(slices.Clone(all), func(kind string) bool {
			return slices.Contains(ofTheSession, strings.ToLower(strings.TrimSpace(kind)))
		})
		if len(kept) == len(all) {
			return line, true
		}
		return strings.TrimSpace(strings.Join(kept, ",")), len(kept) > 0
	})
}

// filter replaces the lines of a header by what change makes of them, and drops those that it does
// not keep.
func filter(h http.Header, name string, change func(line string) (changed string, keep bool)) {
	lines, ok := h[name]
	if !ok {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if changed, keep := change(line); keep {
			kept = append(kept, changed)
		}
	}
	if len(kept) == 0 {
		delete(h, name)
		return
	}
	h[name] = kept
}
