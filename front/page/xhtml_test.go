package page

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

const newHead = `<head xmlns="http://www.w3.org/1999/xhtml">|</head>`

func newXMLInjector(limit int) *injector {
	in := newInjector(nil, limit)
	in.xml = true
	return in
}

func TestTheTagInXHTML(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5<<10)
	wantsInjected(t, newXMLInjector,
		`<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="x"><head>|<title/></head><body/></html>`,
		`<html><head id="a>b" >|<title>t</title></head><body/></html>`,
		`<h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:head>|<h:title/></h:head></h:html>`,
		`<!-- <head> --!> --><?x <head> ?><html><!----><![CDATA[<head>]]>text &lt;<head>|</head></html>`,
		`<!DOCTYPE html [ <!ENTITY a "<head>]>"> <!-- ' <head> --> <?p "?> <!ENTITY % b '>'> ]>`+
			`<html><head>|</head></html>`,
		`<!DOCTYPE html PUBLIC "-//W3C//DTD > XHTML" 'x'><html><head>|</head></html>`,
		`<html><head>|<meta name="head"/><script>a &lt; b</script></head></html>`,
		"|",
		"<!--"+long+"--><?"+long+"?><html a='"+long+">'><head a='"+long+"'>|</head></html>",
		`<svg xmlns="http://www.w3.org/2000/svg">|<head/></svg>`,
		`<HTML>|<head/></HTML>`,
	)
	for _, c := range []struct{ page, want string }{
		{`<html><head/><body/></html>`, `<html><head>|</head><body/></html>`},
		{`<x:html><x:head a="/" /><x:body/></x:html>`, `<x:html><x:head a="/" >|</x:head><x:body/></x:html>`},
		{`<html> <body/></html>`, `<html> ` + newHead + `<body/></html>`},
		{`<html>text<!"></html>`, `<html>text` + newHead + `<!"></html>`},
		{`<html> </html>`, `<html> ` + newHead + `</html>`},
		{`<a:html/>`, `<a:html>` + newHead + `</a:html>`},
		{`<svg/><!-- -->`, `<svg>|</svg><!-- -->`},
		{
			`<html><head><meta http-equiv="Content-Security-Policy" content="script-src 'none'"/></head></html>`,
			`<html><head>|<meta http-equiv="Content-Security-Policy" ` +
				`content="script-src https://app.example/x/"/></head></html>`,
		},
		{
			`<html><head/><meta http-equiv="Content-Security-Policy" content="script-src 'none'"/></html>`,
			`<html><head>|</head><meta http-equiv="Content-Security-Policy" content="script-src 'none'"/></html>`,
		},
	} {
		got := strings.ReplaceAll(through(t, newXMLInjector(tokenLimit), strings.NewReader(c.page)), testTag, "|")
		if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}

func TestTheTagInXHTMLOfOtherCharsets(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"utf-16le", "shift_jis"} {
		page := encode(t, written[name], "<\u65e5:html><\u65e5:head/></\u65e5:html>")
		want := encode(t, written[name], "<\u65e5:html><\u65e5:head>"+testTag+"</\u65e5:head></\u65e5:html>")
		in := newXMLInjector(tokenLimit)
		in.chars = charsetNamed(name)
		if got := through(t, in, strings.NewReader(page)); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestAPageInXMLIsSeenAsItComes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ comes, goes string }{
		{"<?xml version='1.0", "<?xml version='1.0"},
		{"<!-- much of a comm", "<!-- much of a comm"},
		{"<html><head><title>t</title><scr", "<html><head>|<title>t</title>"},
		{"<html><head><title>Hello, wor", "<html><head>|<title>Hello, wor"},
		{"<html><head></head><body>Hello, wor", "<html><head>|</head><body>Hello, wor"},
	} {
		var dst bytes.Buffer
		in := newXMLInjector(tokenLimit)
		in.dst = &dst
		p := newPump(in.run)
		p.Write([]byte(c.comes))
		if p.done {
			dst.Write(p.chunk)
		}
		if got := strings.ReplaceAll(dst.String(), testTag, "|"); got != c.goes {
			t.Errorf("of %q %q is seen, want %q", c.comes, got, c.goes)
		}
		p.stop()
	}
}

// FuzzInjectXHTML holds the injector against a parser of XML: a page that is well formed stays so,
// and has the tag as its only new element. It is all the same how long a token may be, and in what
// pieces the page comes.
func FuzzInjectXHTML(f *testing.F) {
	for _, seed := range []string{
		`<?xml version="1.0"?><!DOCTYPE html [<!ENTITY a "b">]><html><head a='>'><!-- c --></head></html>`,
		`<a:html xmlns:a="b"><![CDATA[<]]><?p ?><a:head/></a:html>`,
		`<html/>`,
		`<svg><g/></svg>`,
		`<html>text<body></body></html>`,
		`<a:html a="0"><!DOCTYPE "></a:html>`,
	} {
		f.Add([]byte(seed), 3, 2)
	}
	f.Fuzz(func(t *testing.T, page []byte, limit, chunk int) {
		if bytes.Contains(bytes.ToLower(page), []byte("http-equiv")) || bytes.Contains(page, []byte("script")) {
			return
		}
		elements, err := xmlElements(page)
		if err != nil {
			return
		}
		in := newXMLInjector(len(page) + 16)
		in.tag.text = `<script/>`
		whole := through(t, in, bytes.NewReader(page))
		got, err := xmlElements([]byte(whole))
		if err != nil {
			t.Fatalf("%q becomes %q: %v", page, whole, err)
		}
		if n := strings.Count(whole, "<script/>"); n != 1 || len(got) < len(elements)+1 || len(got) > len(elements)+2 {
			t.Fatalf("%q becomes %q, with %d tags", page, whole, n)
		}
		pieces := newXMLInjector(max(len(page), 16) + abs(limit)%64)
		pieces.tag = in.tag
		if got := through(t, pieces, &chunks{b: page, size: 1 + abs(chunk)%8}); got != whole {
			t.Fatalf("%q in pieces becomes %q, and at once %q", page, got, whole)
		}
	})
}

// xmlElements lists the elements of a document.
func xmlElements(page []byte) (names []string, err error) {
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Entity = xml.HTMLEntity
	for depth := 0; ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) && len(names) > 0 {
			return names, nil
		}
		if err != nil {
			return nil, err
		}
		switch token := token.(type) {
		case xml.StartElement:
			if depth++; depth == 1 && len(names) > 0 {
				return nil, errors.New("a second root")
			}
			names = append(names, token.Name.Local)
		case xml.EndElement:
			depth--
		case xml.Directive: // encoding/xml takes more for one than there is
			if !bytes.HasPrefix(token, []byte("DOCTYPE ")) {
				return nil, errors.New("a declaration of nothing")
			}
		}
	}
}
