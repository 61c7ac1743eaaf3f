package page

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"regexp"
	"slices"
	"strings"
)

// enforced is the header of policies that browsers enforce. The one with -Report-Only blocks
// nothing and stays as it is.
const enforced = "Content-Security-Policy"

// policy is a serialized Content-Security-Policy (CSP3 §2.2), directive by directive.
type policy []string

// parsePolicies splits the value of a header, in which a comma separates policies.
func parsePolicies(value string) (all []policy) {
	for part := range strings.SplitSeq(value, ",") {
		all = append(all, strings.Split(part, ";"))
	}
	return all
}

func formatPolicies(all []policy) string {
	parts := make([]string, len(all))
	for i, p := range all {
		parts[i] = strings.Join(p, ";")
	}
	return strings.Join(parts, ",")
}

// find returns where the directive of the first of these names stands that the policy has. Of
// several of one name the first counts, and one that is not ASCII is none. Without any it returns
// -1.
func (p policy) find(names ...string) int {
	for _, name := range names {
		for i, directive := range p {
			words := strings.FieldsFunc(directive, isPolicySpace)
			if len(words) > 0 && strings.EqualFold(words[0], name) && isASCII(directive) {
				return i
			}
		}
	}
	return -1
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= 0x80 })
}

func isPolicySpace(r rune) bool { return r < 0x80 && isSpace(byte(r)) }

// sources returns the values of a directive.
func (p policy) sources(at int) []string {
	if at < 0 {
		return nil
	}
	return strings.FieldsFunc(p[at], isPolicySpace)[1:]
}

// sandboxed says that the policy keeps the script from running, or from the origin of the page.
func (p policy) sandboxed() bool {
	at := p.find("sandbox")
	flags := p.sources(at)
	return at >= 0 && !(hasKeyword(flags, "allow-scripts") && hasKeyword(flags, "allow-same-origin"))
}

// scripts returns where the directive stands that decides about script elements, or -1.
func (p policy) scripts() int { return p.find("script-src-elem", "script-src", "default-src") }

// allow returns the policy with a further source in the directive that has one of these names. The
// first of them is the name that it gets where it was inherited from default-src, the last. A
// policy that has none forbids nothing, and one that has the source stays as it is.
func (p policy) allow(source string, names ...string) policy {
	at := p.find(names...)
	sources := p.sources(at)
	if at < 0 || hasSource(sources, source) {
		return p
	}
	sources = slices.DeleteFunc(sources, func(s string) bool { return strings.EqualFold(s, "'none'") })
	sources = append(sources, source)
	p = slices.Clone(p)
	name := strings.FieldsFunc(p[at], isPolicySpace)[0]
	if !strings.EqualFold(name, "default-src") {
		p[at] = leadingSpaces(p[at]) + name + " " + strings.Join(sources, " ")
		return p
	}
	for len(p) > 0 && strings.TrimFunc(p[len(p)-1], isPolicySpace) == "" {
		p = p[:len(p)-1]
	}
	return append(p, " "+names[len(names)-2]+" "+strings.Join(sources, " "))
}

func leadingSpaces(s string) string {
	return s[:len(s)-len(strings.TrimLeftFunc(s, isPolicySpace))]
}

func hasKeyword(words []string, word string) bool {
	return slices.ContainsFunc(words, func(s string) bool { return strings.EqualFold(s, word) })
}

// hasSource reports whether a list has a source: a keyword, a nonce or an URL.
func hasSource(sources []string, source string) bool {
	if nonce := nonceSource.FindStringSubmatch(source); nonce != nil {
		return slices.ContainsFunc(sources, func(s string) bool {
			m := nonceSource.FindStringSubmatch(s)
			return m != nil && m[1] == nonce[1]
		})
	}
	return slices.Contains(sources, source) || source == "'self'" && hasKeyword(sources, source)
}

var (
	nonceSource = regexp.MustCompile(`^(?i:'nonce-)([A-Za-z0-9+/_-]+={0,2})'$`)
	hashSource  = regexp.MustCompile(`^(?i:'sha(256|384|512)-)[A-Za-z0-9+/_-]+={0,2}'$`)
)

// nonceOf returns the first nonce of a list of sources. wants says that the list asks for one: it
// has a nonce, hashes or 'strict-dynamic', and with any of these 'unsafe-inline' has no effect, so
// that a further nonce takes nothing away (CSP3 §6.7.3.2).
func nonceOf(sources []string) (nonce string, wants bool) {
	for _, s := range sources {
		if m := nonceSource.FindStringSubmatch(s); m != nil {
			return m[1], true
		}
		if hashSource.MatchString(s) || strings.EqualFold(s, "'strict-dynamic'") {
			wants = true
		}
	}
	return "", wants
}

// scriptAccess is what policies must allow for the tag to work.
type scriptAccess struct {
	folder string // where the script and its modules are, as a source of policies
	nonce  string // what the tag bears; empty: none
}

// allowScript widens the policies of a header for a tag whose script and modules are in a folder,
// and returns what policies in the page itself need to allow. It says no where a policy has no
// script run at the origin of the page, and leaves the header then.
func allowScript(h http.Header, folder string) (scriptAccess, bool) {
	access := scriptAccess{folder: folder}
	governed := false
	lines := make([][]policy, len(h[enforced]))
	for i, line := range h[enforced] {
		lines[i] = parsePolicies(line)
		for _, p := range lines[i] {
			if p.sandboxed() {
				return scriptAccess{}, false
			}
			at := p.scripts()
			governed = governed || at >= 0
			if nonce, wants := nonceOf(p.sources(at)); wants && access.nonce == "" {
				access.nonce = nonce
				if nonce == "" {
					access.nonce = newNonce()
				}
			}
		}
	}
	if !governed {
		access.nonce = newNonce() // a policy in the page may ask for one, and comes too late for the tag
	}
	for i := range lines {
		h[enforced][i] = access.widen(lines[i])
	}
	return access, true
}

// widen allows the script and what it asks for in policies.
func (a scriptAccess) widen(all []policy) string {
	for i, p := range all {
		source := a.folder
		if _, wants := nonceOf(p.sources(p.scripts())); wants && a.nonce != "" {
			source = "'nonce-" + a.nonce + "'"
		}
		p = p.allow(source, "script-src-elem", "script-src", "default-src")
		all[i] = p.allow("'self'", "connect-src", "default-src")
	}
	return formatPolicies(all)
}

func newNonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // it never fails
	return base64.StdEncoding.EncodeToString(b)
}
