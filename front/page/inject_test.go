package page

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// testTag is what injectors of these tests write. In what the tests expect a | stands for it.
const testTag = `<script src=curfew.js></script>`

// basedTag is what they write behind a base element.
const basedTag = `<script src=https://app.example/x/curfew.js></script>`

// someAccess is what policies of pages must allow.
var someAccess = scriptAccess{folder: "https://app.example/x/", nonce: "N"}

func newInjector(dst io.Writer, limit int) *injector {
	return &injector{
		dst:    dst,
		chars:  bytewise{},
		tag:    tagText{text: testTag, absolute: basedTag},
		limit:  limit,
		access: someAccess,
	}
}

// through returns what a page becomes on its way through an injector.
func through(t *testing.T, in *injector, page io.Reader) string {
	t.Helper()
	var dst bytes.Buffer
	in.dst = &dst
	if err := in.run(page); err != nil {
		t.Fatalf("inject: %v", err)
	}
	if _, err := io.Copy(&dst, page); err != nil {
		t.Fatal(err)
	}
	return dst.String()
}

// wantsInjected checks pages, in which a | stands where the tag belongs, with tokens that are held
// and too long for that, and with bytes that come together and one by one.
func wantsInjected(t *testing.T, make func(limit int) *injector, pages ...string) {
	t.Helper()
	for _, want := range pages {
		page := strings.ReplaceAll(want, "|", "")
		for _, limit := range []int{16, 1024, tokenLimit} {
			for name, src := range map[string]io.Reader{
				"at once":      strings.NewReader(page),
				"byte by byte": iotest.OneByteReader(strings.NewReader(page)),
			} {
				got := strings.ReplaceAll(through(t, make(limit), src), testTag, "|")
				if got != want {
					t.Errorf("limit %d, %s: got %.200q, want %.200q", limit, name, got, want)
				}
			}
		}
	}
}

func TestTheTagIsTheFirstElementOfTheHead(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 5<<10)
	wantsInjected(t, func(limit int) *injector { return newInjector(nil, limit) },
		"<!doctype html><html><head>|<title>t</title></head><body>b</body></html>",
		"|",
		"<!doctype html>\n<!-- c -->\n|",
		"|Hello",
		"  \n |Hello",
		"|&amp; more <b>text</b>",
		"|<title>t</title>",
		"<!doctype html>|<title>t</title>",
		"<!doctype html>\n|<script>document.write('<head>')</script><head><title>t",
		"<!-- <head> --><html lang='<head>'>|<body>",
		"<html><!-- c --> <head a='>' b>|</head>",
		"<HTML><HEAD>|<TITLE>",
		"<head\n>|<p>",
		"<head/>|<p>",
		"<html>|</head><body>",
		"</p><html></b>|</html>",
		"|</br>",
		"<?xml version='1.0'?><!DOCTYPE html><html><head>|",
		"<!doctype html></><html>|<header>",
		"<!doctype html><html>|<heading><head>",
		"<html>|<frameset cols='50%,50%'><frame><frame></frameset>",
		"<!-->|a<!-- b --><head>",
		"<!--->|a-->",
		"<!-- a --!><head>|",
		"<! a ><html><html lang=en><head>|<head>",
		"|\x00<head>",
		"|<",
		"|<a",
		"|< a",
		"|<3",
		"|</",
		"|</bo",
		"<html>|<head",
		"<!--"+long+"--><head>|"+long,
		"<!--"+long+"--!><head>|"+long,
		"<!doctype"+long+"><head>|",
		"<html a='"+long+"'><head a='>"+long+"' b=\">\" c=>|<p>",
		"<html>|<p a='"+long+"'>",
		"<html a="+long+" >|<x",
		strings.Repeat(" ", 8<<10)+"|x",
		strings.Repeat(" ", 8<<10)+"<head>|x",
		"<head>|<script>"+long+"<head></script><p>",
		"</"+long+">|a",
		"</3"+long+">|a",
	)
}

func TestAnImportMapComesBeforeTheTag(t *testing.T) {
	t.Parallel()
	wantsInjected(t, func(limit int) *injector { return newInjector(nil, max(limit, 1024)) },
		`<head><title>t</title><script type="importmap">{"imports":{}}</script>|<script type=module>`,
		`<head><script>1</script><script type=IMPORTMAP nonce=x></script>|<body>`,
		`<head><script type=importmap src=a.json></script>|<script type=importmap></script>`,
		`<head>|<script type=module></script><script type="importmap">{}</script>`,
		`<head>|<title>t</title></head><body><script type="importmap">{}</script>`,
		`<head>|<template><script type="importmap">{}</script></template><p>`,
		`<head>|<title>t</title><!-- <script type="importmap"></script> -->`,
		`<head>|<script type="importmap">{`,
		`<head>|<style>`+strings.Repeat("x", tokenLimit+1)+`</style><script type="importmap">{}</script>`,
		`<script type=importmap></script>|<title>`,
	)
}

func TestTheTagBehindABaseElementIsAbsolute(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ page, want string }{
		{
			`<head><base href="https://cdn.example/"><script type=importmap></script><p>`,
			`<head><base href="https://cdn.example/"><script type=importmap></script>` + basedTag + `<p>`,
		},
		{
			`<head><script type=importmap></script><base href="https://cdn.example/"><p>`,
			`<head><script type=importmap></script>` + testTag + `<base href="https://cdn.example/"><p>`,
		},
		{
			`<head><base href="https://cdn.example/"><script type=module></script><p>`,
			`<head>` + testTag + `<base href="https://cdn.example/"><script type=module></script><p>`,
		},
	} {
		got := through(t, newInjector(nil, tokenLimit), strings.NewReader(c.page))
		if got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestPoliciesInTheHeadAreWidened(t *testing.T) {
	t.Parallel()
	const csp = `http-equiv="Content-Security-Policy" content=`
	for _, c := range []struct{ page, want string }{
		{
			`<head><meta CSP"script-src 'self'"><p>`,
			`<head>|<meta CSP"script-src &#39;self&#39; https://app.example/x/"><p>`,
		},
		{
			"<META content=default-src\thttp-equiv=content-security-policy>",
			"|<META content=\"default-src; script-src https://app.example/x/; connect-src &#39;self&#39;\"" +
				"\thttp-equiv=content-security-policy>",
		},
		{
			`<meta CSPscript-src><p>`,
			`|<meta CSP"script-src https://app.example/x/"><p>`,
		},
		{
			`<head></head><meta CSP'connect-src &apos;none&apos;'/><body>`,
			`<head>|</head><meta CSP'connect-src &#39;self&#39;'/><body>`,
		},
		{
			`<meta CSP"script-src 'nonce-b'; connect-src 'self'">`,
			`|<meta CSP"script-src &#39;nonce-b&#39; &#39;nonce-N&#39;; connect-src &#39;self&#39;">`,
		},
		{
			`<meta CSP"script-src 'strict-dynamic'">`,
			`|<meta CSP"script-src &#39;strict-dynamic&#39; &#39;nonce-N&#39;">`,
		},
		{
			`<meta CSP"script-src 'strict-dynamic'"><script type=importmap></script><p>`,
			`<meta CSP"script-src &#39;strict-dynamic&#39; &#39;nonce-N&#39;"><script type=importmap></script>|<p>`,
		},
		{
			`<meta CSP"img-src 'self'"><title>t</title><meta CSP"connect-src x" a='b'>`,
			`|<meta CSP"img-src 'self'"><title>t</title><meta CSP"connect-src x &#39;self&#39;" a='b'>`,
		},
	} {
		page := strings.NewReader(strings.ReplaceAll(c.page, "CSP", csp))
		got := strings.ReplaceAll(through(t, newInjector(nil, tokenLimit), page), testTag, "|")
		if want := strings.ReplaceAll(c.want, "CSP", csp); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
	wantsInjected(t, func(limit int) *injector { return newInjector(nil, max(limit, 1024)) },
		`<head>|<meta `+csp+`"img-src 'self'">`,
		`<head>|<meta `+csp+`"script-src 'nonce-N'; connect-src 'SELF'">`,
		`<head>|<meta http-equiv="Content-Security-Policy-Report-Only" content="script-src 'self'">`,
		`<head>|<meta `+csp+`>`,
		`<head>|<meta name="Content-Security-Policy" content="script-src 'self'">`,
		`<head>|<title><meta `+csp+`"script-src 'self'"></title>`,
		`<head>|<script>"<meta `+csp+`\"script-src 'self'\">"</script>`,
		`<head>|<noscript><meta `+csp+`"script-src 'self'"></noscript>`,
		`<head>|<template><meta `+csp+`"script-src 'self'"></template><p>`,
		`<head>|<!--<meta `+csp+`"script-src 'self'">--><p>`,
		`<head>|<p><meta `+csp+`"script-src 'self'">`,
		`<head>|</head>text<meta `+csp+`"script-src 'self'">`,
		`<head>|<meta `+csp+`"script-src 'self'`,
	)
}

func TestAPageIsSeenAsItComes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ comes, goes string }{
		{"<!doctype html><ht", "<!doctype html>"},
		{"<!-- much of a comm", "<!-- much of a comm"},
		{"  \n ", "  \n "},
		{"  \n <", "  \n "},
		{"Hello, wor", "|Hello, wor"},
		{"<html><p>Hello, wor", "<html>|<p>Hello, wor"},
		{"<html><body>Hello<b", "<html>|<body>Hello<b"},
		{"<head><title>Chat</title><body>Hello, wor", "<head>|<title>Chat</title><body>Hello, wor"},
		{"<head></head>\n<body class", "<head>"},
		{"<head><script type=module>let a", "<head>|<script type=module>let a"},
		{"<head><script type=module></scr", "<head>|<script type=module></scr"},
	} {
		var dst bytes.Buffer
		in := newInjector(&dst, tokenLimit)
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

// endless repeats something for ever.
type endless struct {
	begin, again string
	n            int
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n < len(e.begin) {
		n := copy(p, e.begin[e.n:])
		e.n += n
		return n, nil
	}
	n := 0
	for n+len(e.again) <= len(p) {
		n += copy(p[n:], e.again)
	}
	e.n += n
	return n, nil
}

// TestNothingIsHeldThatIsTooLong has a page that never ends in one token, and looks at how much of
// it an injector holds.
func TestNothingIsHeldThatIsTooLong(t *testing.T) {
	t.Parallel()
	const size = 128 << 10
	begins := []string{
		"", "<!--", "<!doctype ", "<html a='", "<head ", "<head a=", "<title>", "<head><script>",
		"<head><script><!--<script>", "<head><template>", "<x ", "</x ", "<?", "</?", "<head><meta content='",
		"<noscript>",
	}
	for _, begin := range begins {
		for _, again := range []string{"a", " ", "<", "-", "<a ", "\n<p>"} {
			for _, xml := range []bool{false, true} {
				in := newInjector(nil, 4<<10)
				in.xml = xml
				if most := mostHeld(t, in, &endless{begin: begin, again: again}, size); most > 64<<10 {
					t.Errorf("%q and %q for ever: %d bytes were held", begin, again, most)
				}
			}
		}
	}
}

// mostHeld returns how much of an endless page an injector holds at most, of that many bytes.
func mostHeld(t *testing.T, in *injector, page *endless, size int) (most int) {
	t.Helper()
	in.dst = io.Discard
	err := in.run(readerFunc(func(p []byte) (int, error) {
		most = max(most, cap(in.held), cap(in.seen), cap(in.kept))
		if page.n > size {
			return 0, errStopped
		}
		return page.Read(p[:min(len(p), 4<<10)])
	}))
	if err != nil && !errors.Is(err, errStopped) {
		t.Errorf("%q and %q for ever: %v", page.begin, page.again, err)
	}
	return most
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestWhatAReaderOrWriterSaysIsTold(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"<!-- ", "<html", "<html><head>", "<html><head><title>", ""} {
		for _, xml := range []bool{false, true} {
			in := newInjector(io.Discard, 16)
			in.xml = xml
			src := io.MultiReader(strings.NewReader(page), iotest.ErrReader(io.ErrClosedPipe))
			if err := in.run(src); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("%q that breaks off: got %v", page, err)
			}
		}
	}
	in := newInjector(writerFunc(func([]byte) (int, error) { return 0, io.ErrShortWrite }), 16)
	if err := in.run(strings.NewReader("<head><p>")); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("a writer that fails: got %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }
