package views

import (
	"net/http"
	"strings"
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

// openerPolicy is the policy for the browser of a request. Chromium knows noopener-allow-popups
// since 131, Safari since 18.4; Firefox 153 does not. What nobody vouches for gets same-origin.
func openerPolicy(r *http.Request) string {
	name, major, minor := engine(r.UserAgent())
	if name == "Chrome" && major >= 131 || name == "Version" && (major > 18 || major == 18 && minor >= 4) {
		return partsFromAll
	}
	return partsFromOthers
}

// engine finds what a browser calls its engine, and its version. Chromium's begin with Chrome;
// those of WebKit have a Version and no Chrome. It reads every request's header, so it is no
// regular expression.
func engine(agent string) (name string, major, minor int) {
	for rest := agent; ; {
		i := strings.IndexByte(rest, '/')
		if i < 0 {
			return "", 0, 0
		}
		before := rest[:i]
		rest = rest[i+1:]
		for _, name := range []string{"Chrome", "Version"} {
			if !strings.HasSuffix(before, name) {
				continue
			}
			major, more, ok := leadingNumber(rest)
			if !ok {
				continue
			}
			if strings.HasPrefix(more, ".") {
				minor, _, _ = leadingNumber(more[1:])
			}
			return name, major, minor
		}
	}
}

// leadingNumber reads up to five digits, and returns what comes after them.
func leadingNumber(s string) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < 5 && s[i] >= '0' && s[i] <= '9' {
		n = 10*n + int(s[i]-'0')
		i++
	}
	return n, s[i:], i > 0
}
