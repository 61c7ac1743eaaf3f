package page

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// FuzzInject holds the injector against a parser of HTML. The tag is what the parser finds first in
// the head, and takes nothing away from the rest of the document; no other byte changes; and it is
// all the same how long a token may be, and in what pieces the page comes.
func FuzzInject(f *testing.F) {
	for _, seed := range []string{
		"<!doctype html><html><head><title>t</title></head><body>b</body></html>",
		"<!-- c --> \n<head><script><!-- <script></script> --></script><style>a</style><p>",
		"</p><html a='>'><template><p></template></head><!doctype x><body>",
		"<head><noscript>x</noscript><noframes></noframes></head> <meta><title>",
		"<?xml ?><frameset><noframes>",
		"<head><script type=importmap>{}</script><link>",
		"<html><HEAD/><a =b=c d/e='f'g>",
		"&#9;text",
	} {
		f.Add([]byte(seed), 7, 3)
	}
	f.Fuzz(func(t *testing.T, page []byte, limit, chunk int) {
		if bytes.Contains(bytes.ToLower(page), []byte("http-equiv")) || bytes.Contains(page, []byte(testTag)) {
			return
		}
		whole := through(t, newInjector(nil, len(page)+16), bytes.NewReader(page))
		if without := strings.Replace(whole, testTag, "", 1); without != string(page) || without == whole {
			t.Fatalf("%q becomes %q", page, whole)
		}
		pieces := &chunks{b: page, size: 1 + abs(chunk)%8}
		got := through(t, newInjector(nil, 16+abs(limit)%64), pieces)
		if got != whole && !unfinished(string(page)) && !strings.Contains(strings.ToLower(string(page)), "importmap") {
			t.Fatalf("%q in pieces becomes %q, and at once %q", page, got, whole)
		}
		checkTree(t, string(page), whole)
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

// chunks gives bytes a few at a time.
type chunks struct {
	b    []byte
	size int
}

func (c *chunks) Read(p []byte) (int, error) {
	if len(c.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.b[:min(c.size, len(c.b))])
	c.b = c.b[n:]
	return n, nil
}

// checkTree compares the documents of a page without the tag and with it.
func checkTree(t *testing.T, page, injected string) {
	t.Helper()
	before, err := html.Parse(strings.NewReader(page))
	if err != nil {
		return
	}
	after, err := html.Parse(strings.NewReader(injected))
	if err != nil {
		t.Fatal(err)
	}
	head := findHead(after)
	var script *html.Node
	for n := head.FirstChild; n != nil && script == nil; n = n.NextSibling {
		if n.Data == "script" && len(n.Attr) == 1 && n.Attr[0].Val == "curfew.js" {
			script = n
		}
	}
	if script == nil {
		if unfinished(page) {
			return
		}
		t.Fatalf("%q: the tag is not in the head: %s", injected, render(after))
	}
	if script != head.FirstChild && !strings.Contains(strings.ToLower(page), "importmap") {
		t.Fatalf("%q: the tag is not the first in the head: %s", injected, render(after))
	}
	head.RemoveChild(script)
	dropSpace(head) // a reference to a space before the head is in it then, where nobody sees it
	dropSpace(findHead(before))
	if got, want := render(after), render(before); got != want {
		t.Fatalf("%q: the tag changes the document to\n%s\nfrom\n%s", injected, got, want)
	}
}

// dropSpace takes white space away from the beginning of a head.
func dropSpace(head *html.Node) {
	if c := head.FirstChild; c != nil && c.Type == html.TextNode && strings.TrimSpace(c.Data) == "" {
		head.RemoveChild(c)
	}
}

// unfinished reports whether a page ends in something that nothing can follow.
func unfinished(page string) bool {
	z := html.NewTokenizer(strings.NewReader(page))
	last := ""
	for z.Next() != html.ErrorToken {
		last = string(z.Raw())
	}
	return len(z.Raw()) > 0 || len(last) > 1 && last[0] == '<' && strings.IndexByte("!?/", last[1]) >= 0
}

func findHead(n *html.Node) *html.Node {
	if n.Data == "head" && n.Type == html.ElementNode {
		return n
	}
	for c := n.FirstChild; c != nil; c = c.NextSibling {
		if head := findHead(c); head != nil {
			return head
		}
	}
	return nil
}

func render(n *html.Node) string {
	var b strings.Builder
	if err := html.Render(&b, n); err != nil {
		return err.Error()
	}
	return b.String()
}
