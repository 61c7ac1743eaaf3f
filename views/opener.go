package views

import (
	"net/http"
	"regexp"
	"strconv"
)

// What Curfew's own pages say of the windows that open them, and of those that they open
// (Cross-Origin-Opener-Policy, HTML §7.1.3). A page of the application opens the sign-in window,
// where a password is typed, so that no window that opened it may have a hold of it, of whatever
// origin. noopener-allow-popups parts the two always. A browser that does not know the word takes
// the header for none at all, and must get same-origin, which parts a page from all that do not say
// same-origin themselves. Neither keeps the sign-in window from closing itself, nor its opener from
// seeing that no window could be had.
const (
	partsFromAll    = "noopener-allow-popups"
	partsFromOthers = "same-origin"
)

// engine finds what a browser calls its engine. Chromium's begin with Chrome; those of WebKit have
// a Version and no Chrome.
var engine = regexp.MustCompile(`(Chrome|Version)/(\d{1,5})(?:\.(\d{1,5}))?`)

// openerPolicy is the policy for the browser of a request. Chromium knows noopener-allow-popups
// since 131, Safari since 18.4; Firefox 153 does not. What nobody vouches for gets same-origin.
func openerPolicy(r *http.Request) string {
	m := engine.FindStringSubmatch(r.UserAgent())
	if m == nil {
		return partsFromOthers
	}
	major, _ := strconv.Atoi(m[2])
	minor, _ := strconv.Atoi(m[3]) // none is 0
	if m[1] == "Chrome" && major >= 131 || m[1] == "Version" && (major > 18 || major == 18 && minor >= 4) {
		return partsFromAll
	}
	return partsFromOthers
}
