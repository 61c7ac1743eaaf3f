package page

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// hostileForms is a selector of which each character could lead out of an attribute, or mean
// something else in another charset.
const hostileForms = "form[a='b\"c'] > \\31 \u00e9\u65e5\U0001f600, ~b\t\n.c&lt;</script>]]>--><!--"

// TestTheSelectorOfFormsArrives reads pages of both languages, in several charsets, as browsers do.
func TestTheSelectorOfFormsArrives(t *testing.T) {
	t.Parallel()
	tag := Tag{Source: "/s/curfew.js", Socket: "/ws", Folder: "https://app.example/s/", Forms: hostileForms}
	for name, encoding := range written {
		page := encode(t, encoding, "<!DOCTYPE html><html><head><title>x</title></head><body></body></html>")
		for _, isXML := range []bool{false, true} {
			in := newInjector(nil, tokenLimit)
			in.chars, in.xml, in.tag = charsetNamed(name), isXML, tag.texts("n", isXML)
			out, err := encoding.NewDecoder().String(through(t, in, strings.NewReader(page)))
			if err != nil {
				t.Fatal(err)
			}
			find := formsInHTML
			if isXML {
				find = formsInXML
			}
			if got := find(t, out); got != hostileForms {
				t.Errorf("%s, XML %t: got %q, want %q", name, isXML, got, hostileForms)
			}
		}
	}
}

func formsInHTML(t *testing.T, page string) (found string) {
	t.Helper()
	tree, err := html.Parse(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range findHead(tree).FirstChild.Attr {
		if a.Key == "data-keep" {
			found = a.Val
		}
	}
	return found
}

func formsInXML(t *testing.T, page string) (found string) {
	t.Helper()
	for d := xml.NewDecoder(strings.NewReader(page)); ; {
		token, err := d.Token()
		if err == io.EOF {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		start, _ := token.(xml.StartElement)
		for _, a := range start.Attr {
			if a.Name.Local == "data-keep" {
				found = a.Value
			}
		}
	}
}
