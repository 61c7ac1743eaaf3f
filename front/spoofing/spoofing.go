// Package spoofing is the corpus of attempts to slip a header past whatever stands in front of an
// application: one table for the tests of every proxy, and for the command that tries it on a
// deployed site.
//
// Each [Attempt] is a request that forges one header. Its lines go over the wire as they are, since
// a well-behaved client cannot write most of them: send [Attempt.Request] on a connection of its
// own. [Attempt.Through] then judges what the application was given.
package spoofing

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// Identity are the headers by which an application learns who asks. A proxy sets them, nobody else.
func Identity() []string {
	return []string{"Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups", "Remote-Session"}
}

// Untrusted are further headers that applications, and doors of guards, believe, and that no client
// may therefore send: who asked, for what, by which way, and which request it was.
func Untrusted() []string {
	return []string{
		"Forwarded", "Proxy", "X-Real-IP", "X-Rewrite-URL",
		"X-Original-URI", "X-Original-URL", "X-Original-Method", "X-Original-Host",
		"X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port", "X-Forwarded-Uri",
		"X-Forwarded-Method", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme", "X-Forwarded-Ssl",
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"X-Forwarded-Access-Token", "X-Forwarded-Client-Cert", "X-Request-ID",
	}
}

// Forged is in every value that an attempt sends, and in nothing that a guard says.
const Forged = "forged-by-the-client"

// Attempt is one request that forges one header.
type Attempt struct {
	Name   string   // what it does, for people
	Header string   // which header it forges, by the name that applications look for
	Lines  []string // header lines, without their ends
}

// Attempts is the corpus. Its order is the same at each call.
func Attempts() (all []Attempt) {
	for _, header := range Identity() {
		// Some servers make _ of whatever is neither a letter nor a digit. Names may hold these and
		// more (RFC 9110, section 5.6.2).
		all = append(all, attemptsOn(header, "_", ".", "+", "~", "!", "\u2010")...)
	}
	for _, header := range Untrusted() {
		all = append(all, attemptsOn(header, "_", ".")...)
	}
	return all
}

// attemptsOn are the ways to forge one header. Separators may stand for its hyphens.
func attemptsOn(header string, separators ...string) []Attempt {
	lower, upper := strings.ToLower(header), strings.ToUpper(header)
	forged := func(name string) string { return name + ": " + Forged }
	attempt := func(how string, lines ...string) Attempt {
		return Attempt{Name: header + ", " + how, Header: header, Lines: lines}
	}
	list := []Attempt{
		attempt("the exact name", forged(header)),
		attempt("in small letters", forged(lower)),
		attempt("in capitals", forged(upper)),
		attempt("in mixed letters", forged(lower[:1]+upper[1:])),
		attempt("twice", forged(header), forged(header)),
		attempt("twice, empty first", header+":", forged(header)),
		attempt("twice, in other letters", forged(upper), forged(lower)),
		attempt("a space before the colon", forged(header+" ")),
		attempt("a tab before the colon", forged(header+"\t")),
		attempt("a continued line", header+":", " "+Forged),
		attempt("a letter that is not ASCII before it", forged("\u00a0"+header)),
		attempt("named by Connection", "Connection: "+header),
		attempt("named by Connection, and sent", "Connection: close, "+lower, forged(header)),
		attempt("named by Connection of an upgrade", "Connection: Upgrade, "+header, "Upgrade: websocket"),
		attempt("named by Keep-Alive's Connection", "Connection: keep-alive, "+header, "Keep-Alive: timeout=5"),
	}
	if !strings.Contains(header, "-") {
		return list
	}
	for _, separator := range separators {
		alias := strings.ReplaceAll(header, "-", separator)
		list = append(list,
			attempt("with "+separator, forged(alias)),
			attempt("with "+separator+", in capitals", forged(strings.ToUpper(alias))),
			attempt("with "+separator+", beside itself", forged(header), forged(alias)),
			attempt("with "+separator+", named by Connection", "Connection: "+alias, forged(alias)),
		)
	}
	if strings.Count(header, "-") > 1 {
		list = append(list, attempt("with one _ only", forged(strings.Replace(header, "-", "_", 1))))
	}
	return list
}

// Request is the attempt as it goes over the wire: a GET of target. The lines of more come first;
// the cookie of a session belongs there.
func (a Attempt) Request(host, target string, more ...string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\n", target, host)
	for _, line := range slices.Concat(more, a.Lines) {
		b.WriteString(line + "\r\n")
	}
	b.WriteString("\r\n")
	return b.Bytes()
}

// Field is a header that the application was given, by the name that it came under.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Through says what of the attempt got through, where an application was given these headers and
// the guard had said verified; it is empty where nothing did. A header got through if its value is
// forged, whatever name it bears that a CGI, WSGI or PHP application may read as the forged one's.
// It did so, too, where an attempt made the proxy lose or alter what the guard had said.
func (a Attempt) Through(got []Field, verified map[string]string) (list []string) {
	named := make(map[string][]string)
	for _, f := range got {
		folded := Fold(f.Name)
		named[folded] = append(named[folded], f.Value)
		if strings.Contains(f.Value, Forged) && folded == Fold(a.Header) {
			list = append(list, fmt.Sprintf("%s came as the client sent it, under the name %q", a.Header, f.Name))
		}
	}
	for _, header := range Identity() {
		want, ok := verified[header]
		values := named[Fold(header)]
		switch {
		case !ok || want == "" && len(values) == 0:
		case len(values) == 0:
			list = append(list, fmt.Sprintf("%s of the guard was lost", header))
		case slices.ContainsFunc(values, func(v string) bool { return v != want }):
			list = append(list, fmt.Sprintf("%s is %q; the guard said %q", header, values, want))
		}
	}
	return list
}

// Fold is the name that a header has in an application that reads headers as variables (RFC 3875,
// section 4.1.18, and what PHP makes of dots and spaces): in capitals, with _ for whatever is
// neither a letter nor a digit.
func Fold(name string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(strings.TrimSpace(name)))
}
