package page

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// policyCase is what becomes of the policies in a header. F stands for the folder of the script,
// and NEW for a nonce that Curfew made.
type policyCase struct {
	name      string
	was, want []string
	nonce     string // of the tag
}

const hash = "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='"

var policyCases = []policyCase{
	{
		name:  "no policy: nothing is allowed, and the tag has a nonce for a policy in the page",
		nonce: "NEW",
	},
	{
		name: "URLs: the folder is one more",
		was:  []string{"script-src 'self' https://cdn.example"},
		want: []string{"script-src 'self' https://cdn.example F"},
	},
	{
		name: "'none' is dropped",
		was:  []string{"script-src 'none'; connect-src 'NONE'"},
		want: []string{"script-src F; connect-src 'self'"},
	},
	{
		name: "no source at all is 'none'",
		was:  []string{"script-src; connect-src"},
		want: []string{"script-src F; connect-src 'self'"},
	},
	{
		name:  "a nonce of the policy's own: the tag bears it",
		was:   []string{"script-src 'nonce-r4nd+/-_==' 'self'; connect-src 'self'"},
		want:  []string{"script-src 'nonce-r4nd+/-_==' 'self'; connect-src 'self'"},
		nonce: "r4nd+/-_==",
	},
	{
		name:  "several nonces: the first",
		was:   []string{"script-src 'Nonce-a' 'nonce-b'"},
		want:  []string{"script-src 'Nonce-a' 'nonce-b'"},
		nonce: "a",
	},
	{
		name:  "hashes: a new nonce",
		was:   []string{"script-src " + hash},
		want:  []string{"script-src " + hash + " 'nonce-NEW'"},
		nonce: "NEW",
	},
	{
		name:  "'strict-dynamic': a new nonce, since URLs have no effect",
		was:   []string{"script-src https: 'unsafe-inline' 'STRICT-dynamic'"},
		want:  []string{"script-src https: 'unsafe-inline' 'STRICT-dynamic' 'nonce-NEW'"},
		nonce: "NEW",
	},
	{
		name: "'unsafe-inline' has an effect: no nonce, which would take it away",
		was:  []string{"script-src 'unsafe-inline' 'self'"},
		want: []string{"script-src 'unsafe-inline' 'self' F"},
	},
	{
		name: "what looks like a nonce and is none does not take it away",
		was:  []string{"script-src 'unsafe-inline' 'nonce-' 'nonce-a.b' nonce-a 'nonce-a===' 'sha256-'"},
		want: []string{"script-src 'unsafe-inline' 'nonce-' 'nonce-a.b' nonce-a 'nonce-a===' 'sha256-' F"},
	},
	{
		name:  "'unsafe-inline' beside a nonce has no effect",
		was:   []string{"script-src 'unsafe-inline' 'nonce-a'"},
		want:  []string{"script-src 'unsafe-inline' 'nonce-a'"},
		nonce: "a",
	},
	{
		name: "default-src is written out for scripts and connections",
		was:  []string{"default-src 'none'; img-src *"},
		want: []string{"default-src 'none'; img-src *; script-src F; connect-src 'self'"},
	},
	{
		name: "its copy has all of its sources",
		was:  []string{"default-src https: 'unsafe-inline'; "},
		want: []string{"default-src https: 'unsafe-inline'; script-src https: 'unsafe-inline' F; " +
			"connect-src https: 'unsafe-inline' 'self'"},
	},
	{
		name:  "a nonce in default-src needs no copy",
		was:   []string{"default-src 'self' 'nonce-a'"},
		want:  []string{"default-src 'self' 'nonce-a'"},
		nonce: "a",
	},
	{
		name: "'self' in default-src needs none for connections",
		was:  []string{"default-src 'Self'"},
		want: []string{"default-src 'Self'; script-src 'Self' F"},
	},
	{
		name: "script-src-elem goes before script-src",
		was:  []string{"script-src-elem 'self'; script-src 'nonce-a'; connect-src 'self'"},
		want: []string{"script-src-elem 'self' F; script-src 'nonce-a'; connect-src 'self'"},
	},
	{
		name: "names in any case, any white space, the first of two directives",
		was:  []string{" Script-SRC\tx\n;;SCRIPT-src 'nonce-b';CONNECT-src y; connect-src 'self'"},
		want: []string{" Script-SRC x F;;SCRIPT-src 'nonce-b';CONNECT-src y 'self'; connect-src 'self'"},
	},
	{
		name: "a directive that is not ASCII is none",
		was:  []string{"script-src 'nonce-a' \u00e9; script-src x"},
		want: []string{"script-src 'nonce-a' \u00e9; script-src x F"},
	},
	{
		name: "neither directive: nothing is needed",
		was:  []string{"img-src 'self'; frame-ancestors 'none'; script-src-attr 'none'"},
		want: []string{"img-src 'self'; frame-ancestors 'none'; script-src-attr 'none'"},
		// no policy of the header concerns scripts, but one in the page may
		nonce: "NEW",
	},
	{
		name: "Trusted Types stay",
		was:  []string{"require-trusted-types-for 'script'; trusted-types 'none'; script-src 'self'"},
		want: []string{"require-trusted-types-for 'script'; trusted-types 'none'; script-src 'self' F"},
	},
	{
		name: "each header and each part between commas",
		was:  []string{"script-src 'nonce-a',connect-src x", "", "script-src 'nonce-b', default-src 'self'"},
		want: []string{
			"script-src 'nonce-a',connect-src x 'self'",
			"",
			"script-src 'nonce-b' 'nonce-a', default-src 'self'; script-src 'self' F",
		},
		nonce: "a",
	},
	{
		name: "the first policy that wants a nonce decides on it, and others keep their own beside it",
		was:  []string{"script-src 'self'", "script-src " + hash, "script-src 'nonce-b'"},
		want: []string{
			"script-src 'self' F",
			"script-src " + hash + " 'nonce-NEW'",
			"script-src 'nonce-b' 'nonce-NEW'",
		},
		nonce: "NEW",
	},
	{
		name: "a sandbox with scripts and origin",
		was:  []string{"sandbox ALLOW-scripts allow-forms allow-same-origin"},
		want: []string{"sandbox ALLOW-scripts allow-forms allow-same-origin"}, nonce: "NEW",
	},
}

func TestPoliciesAllowTheScriptAndNothingElse(t *testing.T) {
	t.Parallel()
	const folder = "https://app.example/.curfew/static/"
	for _, c := range policyCases {
		t.Run(c.name, func(t *testing.T) {
			h := http.Header{"Content-Security-Policy-Report-Only": {"default-src 'none'"}}
			if c.was != nil {
				h[enforced] = slices.Clone(c.was)
			}
			access, ok := allowScript(h, folder)
			if !ok {
				t.Fatal("the page gets no tag")
			}
			nonce := c.nonce
			if nonce == "NEW" {
				nonce = access.nonce
				if !regexp.MustCompile(`^[A-Za-z0-9+/]{22}==$`).MatchString(nonce) {
					t.Errorf("the tag has the nonce %q, want a new one", nonce)
				}
			}
			if access.nonce != nonce {
				t.Errorf("the tag has the nonce %q, want %q", access.nonce, nonce)
			}
			var want []string
			for _, line := range c.want {
				line = strings.ReplaceAll(line, " F", " "+folder)
				want = append(want, strings.ReplaceAll(line, "NEW", access.nonce))
			}
			if got := h[enforced]; !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if got := h.Get("Content-Security-Policy-Report-Only"); got != "default-src 'none'" {
				t.Errorf("the policy that only reports is now %q", got)
			}
		})
	}
}

func TestASandboxWithoutScriptsOrOriginGetsNoTag(t *testing.T) {
	t.Parallel()
	for _, line := range []string{
		"sandbox",
		"sandbox allow-scripts",
		"Sandbox allow-same-origin allow-forms",
		"script-src 'self', sandbox allow-scripts",
		"sandbox; sandbox allow-scripts allow-same-origin",
	} {
		h := http.Header{enforced: {"script-src 'self'", line}}
		if _, ok := allowScript(h, "https://app.example/x/"); ok {
			t.Errorf("%q: the page gets the tag", line)
		}
		if got := h[enforced]; !slices.Equal(got, []string{"script-src 'self'", line}) {
			t.Errorf("%q: the header is now %q", line, got)
		}
	}
	if _, ok := allowScript(http.Header{"Content-Security-Policy-Report-Only": {"sandbox"}}, "x"); !ok {
		t.Error("a sandbox that is only reported keeps the tag away")
	}
}

func TestNoncesAreNew(t *testing.T) {
	t.Parallel()
	a, b := newNonce(), newNonce()
	if a == b || len(a) < 22 {
		t.Errorf("got %q and %q, want two nonces of 128 bits", a, b)
	}
}

func TestAnAddressOfIPv6IsAllowedAsTheOrigin(t *testing.T) {
	t.Parallel()
	if got := (Tag{Folder: "http://[::1]:8080/.curfew/static/"}).source(); got != "'self'" {
		t.Errorf("got %q, want 'self': policies know no such address", got)
	}
}

// FuzzPolicy widens policies. Widening twice changes no more than once, nothing that was allowed is
// forbidden, and an effective 'unsafe-inline' keeps its effect.
func FuzzPolicy(f *testing.F) {
	for _, c := range policyCases {
		f.Add(strings.Join(c.was, ","), true)
	}
	f.Fuzz(func(t *testing.T, value string, nonce bool) {
		access := scriptAccess{folder: "https://app.example/x/"}
		if nonce {
			access.nonce = "N"
		}
		was, once := parsePolicies(value), access.widen(parsePolicies(value))
		if twice := access.widen(parsePolicies(once)); twice != once {
			t.Fatalf("%q becomes %q, and that %q", value, once, twice)
		}
		now := parsePolicies(once)
		if len(now) != len(was) {
			t.Fatalf("%q becomes %q, which has other policies", value, once)
		}
		for i := range was {
			checkWidened(t, was[i], now[i], access)
		}
	})
}

func checkWidened(t *testing.T, was, now policy, access scriptAccess) {
	t.Helper()
	for _, names := range [][]string{{"script-src-elem", "script-src", "default-src"}, {"connect-src", "default-src"}} {
		before, after := was.find(names...), now.find(names...)
		if before < 0 != (after < 0) {
			t.Fatalf("%q becomes %q: %v comes or goes", was, now, names)
		}
		if before < 0 {
			continue
		}
		for _, s := range was.sources(before) {
			if !strings.EqualFold(s, "'none'") && !slices.Contains(now.sources(after), s) {
				t.Fatalf("%q becomes %q: %s is gone", was, now, s)
			}
		}
	}
	_, wanted := nonceOf(was.sources(was.scripts()))
	if at := now.scripts(); at >= 0 {
		sources := now.sources(at)
		if nonce, _ := nonceOf(sources); nonce != "" && !wanted {
			t.Fatalf("%q becomes %q: a nonce where there was no need", was, now)
		}
		if !hasSource(sources, access.folder) && !(wanted && hasSource(sources, "'nonce-N'")) {
			t.Fatalf("%q becomes %q: the script is not allowed", was, now)
		}
	}
}
