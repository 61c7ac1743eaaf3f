package front_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"curfew/front"
)

func TestSelectorsOfFormsAreText(t *testing.T) {
	t.Parallel()
	for selector, ok := range map[string]bool{
		"":                                     true,
		"form":                                 true,
		"form:has(> .draft), #note\n, .\u00e9": true,
		`form[name="a'b<c>&amp;\"]`:            true,
		" \t":                                  false,
		"form\x00":                             false,
		"form\x1b[2J":                          false,
		"form\x7f":                             false,
		"form\f":                               false,
		"form\uffff":                           false,
		"form\xff":                             false,
		"\u0085form":                           false,
		strings.Repeat("form.a, ", 500) + "b":  true,
	} {
		if err := front.ValidateForms(selector); (err == nil) != ok {
			t.Errorf("%.40q: told %v", selector, err)
		}
	}
}

// TestPagesNameTheFormsThatAreKept has pages with a session and without, and what is no page.
func TestPagesNameTheFormsThatAreKept(t *testing.T) {
	t.Parallel()
	const page = "<!doctype html><title>x</title>"
	for _, selector := range []string{"", `form.long[name="a"]`} {
		s := newSite(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			fmt.Fprint(w, page)
		}, func(o *setup) {
			o.KeepForms = selector
			o.PublicPaths = front.PublicPaths{"/public"}
		})
		for path, before := range map[string]string{"/": ` data-required=""`, "/public": `/session/ws"`} {
			b := s.dial()
			b.send("", "GET "+path+" HTTP/1.1", "Host: x", "Sec-Fetch-Mode: navigate")
			got := text(t, b.answer("GET"))
			want := before + ` data-keep="form.long[name=&#34;a&#34;]"></script>`
			if selector == "" {
				want = before + `></script>`
			}
			if !strings.Contains(got, want) {
				t.Errorf("%s with %q: %s", path, selector, got)
			}
			b = s.dial()
			b.send("", "GET "+path+" HTTP/1.1", "Host: x", "Sec-Fetch-Mode: cors")
			if got := text(t, b.answer("GET")); got != page {
				t.Errorf("a script gets %s", got)
			}
		}
	}
}
