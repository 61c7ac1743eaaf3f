package front

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// tokenLimit is the size from which a token is not held as a whole, but passed over; see skip.go.
const tokenLimit = 64 << 10

// errBody stops the tokenizer of an injector: the head of the page is over.
var errBody = errors.New("the head is over")

// injector copies a page up to the end of its head, and writes the tag into the head as its first
// element. Every other byte stays as it is, but for the policies in meta elements. What has been
// read is passed on as soon as it is certain that nothing stands before it, so that a page that
// comes slowly is seen as it comes; it holds no more than one token, of [tokenLimit] units.
//
// It counts in units of the page's charset, which are what the tokenizer sees as bytes.
type injector struct {
	dst   io.Writer
	src   io.Reader
	chars charset
	tag   string
	limit int

	held   []byte // of the page, from passed to fed
	seen   []byte // the same as the tokenizer sees it
	odd    []byte // the beginning of a unit
	fed    int    // units that the tokenizer has been given
	passed int    // units that were passed on
	pos    int    // where the current token begins

	passing   bool   // the rest of the current token changes nothing and is passed on as it comes
	raw       string // the element whose raw text follows
	inserted  bool
	over      bool // the head is over
	templates int  // how many template elements are open
}

// run reads the page from src until its head is over, and returns nil; what follows is src's. It
// returns nil at the end of src, too. Any other error is one of src or dst.
func (in *injector) run(src io.Reader) error {
	in.src = src
	z := in.tokenizer(in, "")
	for {
		kind, raw := z.Next(), z.Raw()
		if in.over {
			return in.finish()
		}
		if len(raw) >= in.limit {
			rest, err := in.long(raw, z.Buffered())
			if err != nil {
				return err
			}
			if in.over {
				return in.finish()
			}
			z = in.tokenizer(io.MultiReader(bytes.NewReader(rest), in), in.raw)
			continue
		}
		if kind == html.ErrorToken {
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return err
			}
			if err := in.insert(in.pos); err != nil {
				return err
			}
			return in.finish()
		}
		if err := in.token(z, kind, raw); err != nil {
			return err
		}
		if in.over {
			return in.finish()
		}
	}
}

// tokenizer reads from r, which begins with the raw text of an element unless that is empty.
func (in *injector) tokenizer(r io.Reader, raw string) *html.Tokenizer {
	if raw != "" {
		r = io.MultiReader(strings.NewReader("<"+raw+">"), r)
	}
	z := html.NewTokenizer(r)
	z.SetMaxBuf(in.limit)
	if raw != "" {
		z.Next()
	}
	return z
}

// token decides about a whole token, which begins at in.pos, and goes past it.
func (in *injector) token(z *html.Tokenizer, kind html.TokenType, raw []byte) error {
	end := in.pos + len(raw)
	name := ""
	switch kind {
	case html.StartTagToken, html.SelfClosingTagToken, html.EndTagToken:
		b, _ := z.TagName()
		name = string(b)
	case html.TextToken:
		if space := leadingSpace(raw); space < len(raw) && in.raw == "" && in.templates == 0 {
			return in.body(in.pos + space)
		}
	}
	if err := in.begin(kind, name); err != nil || in.over {
		return err
	}
	return in.end(kind, name, end)
}

// begin decides by the kind of a token and the name of its element what stands before it.
func (in *injector) begin(kind html.TokenType, name string) error {
	if kind == html.TextToken || kind == html.CommentToken || kind == html.DoctypeToken {
		return nil
	}
	start := kind != html.EndTagToken
	if !in.inserted && (start && name != "html" && name != "head" || !start && impliesHead(name)) {
		if err := in.insert(in.pos); err != nil {
			return err
		}
	}
	switch {
	case name == "template" && start:
		in.templates++
	case name == "template":
		in.templates = max(0, in.templates-1)
	case in.templates > 0:
	case start && !belongsToHead(name), !start && in.inserted && name != "head" && impliesHead(name):
		return in.body(in.pos)
	}
	return nil
}

// end goes past a token, which ends at a unit.
func (in *injector) end(kind html.TokenType, name string, at int) error {
	in.pos, in.passing, in.raw = at, false, rawText(kind, name)
	if !in.inserted && name == "head" {
		return in.insert(at)
	}
	return in.passTo(at)
}

// long goes past a token that is too long to be held. It passes the token on as it comes. raw is
// what the tokenizer has of it, from its beginning, and ahead what it has read behind that. long
// returns what of these, and of what it reads itself, stands behind the token.
func (in *injector) long(raw, ahead []byte) (rest []byte, err error) {
	b := append(raw[:len(raw):len(raw)], ahead...)
	kind, name, s, begun := in.classify(raw)
	if s == nil {
		return in.longText(raw, b)
	}
	if err := in.begin(kind, name); err != nil || in.over {
		return nil, err
	}
	in.passing = true
	gone := 0 // how much of the token came before b
	for at := begun; ; at = 0 {
		for i, c := range b[at:] {
			if over, ahead := s.next(c); over {
				i += at + 1
				return append(ahead, b[i:]...), in.end(kind, name, in.pos+gone+i-len(ahead))
			}
		}
		gone += len(b)
		b = make([]byte, 4<<10)
		n, err := in.Read(b)
		if n == 0 && err != nil {
			in.pos += gone
			return nil, ignoreEOF(err)
		}
		b = b[:n]
	}
}

// classify tells by its beginning what a long token is, and what finds its end if it begins with
// that many bytes less. Nothing does where it is text.
func (in *injector) classify(raw []byte) (kind html.TokenType, name string, s skipper, begun int) {
	switch {
	case in.raw == "script":
		return html.TextToken, "", &skipScript{}, 0
	case in.raw != "":
		return html.TextToken, "", &skipRaw{name: in.raw}, 0
	case raw[0] != '<' || !isMarkup(raw[1:]):
		return html.TextToken, "", nil, 0
	case bytes.HasPrefix(raw, []byte("<!--")):
		return html.CommentToken, "", &skipComment{}, len("<!--")
	case isComment(raw[1:]):
		return html.CommentToken, "", skipTo('>'), len("<!")
	case raw[1] == '/':
		return html.EndTagToken, tagName(raw[2:]), &skipTag{}, len("</")
	}
	return html.StartTagToken, tagName(raw[1:]), &skipTag{}, len("<")
}

// longText goes past long text outside of raw text. b begins with it, and it holds no tag but at
// its end, where one may begin.
func (in *injector) longText(raw, b []byte) (rest []byte, err error) {
	end := len(raw)
	if i := bytes.LastIndexByte(raw[end-2:], '<'); i >= 0 {
		end += i - 2
	}
	if space := leadingSpace(b[:end]); space < end && in.templates == 0 {
		return nil, in.body(in.pos + space)
	}
	return b[end:], in.end(html.TextToken, "", in.pos+end)
}

// tagName returns the name at the beginning of what stands behind a < or </.
func tagName(b []byte) string {
	end := bytes.IndexFunc(b, func(r rune) bool { return r == '/' || r == '>' || r < 0x80 && isSpace(byte(r)) })
	if end < 0 {
		end = len(b)
	}
	return strings.ToLower(string(b[:end]))
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// body says that the body of the page begins at a unit.
func (in *injector) body(at int) error {
	in.over = true
	return in.insert(at)
}

// insert passes on what stands before a unit, and writes the tag there unless it has been written.
func (in *injector) insert(at int) error {
	if in.inserted {
		return nil
	}
	in.inserted = true
	if err := in.passTo(at); err != nil {
		return err
	}
	_, err := in.dst.Write(in.chars.encode(in.tag))
	return err
}

// passTo passes on what stands before a unit.
func (in *injector) passTo(at int) error {
	n := at - in.passed
	if n <= 0 {
		return nil
	}
	b := in.held[:n*in.chars.width]
	in.held, in.seen, in.passed = in.held[len(b):], in.seen[n:], at
	_, err := in.dst.Write(b)
	return err
}

// finish passes on all that is left at the end of the page.
func (in *injector) finish() error {
	if err := in.passTo(in.fed); err != nil {
		return err
	}
	_, err := in.dst.Write(in.odd)
	in.odd = nil
	return err
}

// Read gives the tokenizer what it sees of the page. Whatever may be passed on is passed on before.
func (in *injector) Read(p []byte) (int, error) {
	if err := in.release(); err != nil {
		return 0, err
	}
	if in.over {
		return 0, errBody
	}
	if in.chars.width == 1 {
		n, err := in.src.Read(p)
		in.feed(p[:n], p[:n])
		return n, err
	}
	b := make([]byte, len(p)*in.chars.width)
	n := copy(b, in.odd)
	more, err := in.src.Read(b[n:])
	b = b[:n+more]
	units := len(b) / in.chars.width
	whole := units * in.chars.width
	in.odd = b[whole:]
	in.feed(b[:whole], p[:units])
	return units, err
}

// feed takes bytes of the page into what is held, and writes into seen what the tokenizer sees.
func (in *injector) feed(b, seen []byte) {
	in.held = append(in.held, b...)
	in.chars.project(seen, b)
	in.seen = append(in.seen, seen...)
	in.fed += len(seen)
}

// release passes on what can be passed on of a token that has not come as a whole.
func (in *injector) release() error {
	b := in.seen
	switch {
	case in.passing || in.raw != "":
		in.passing = true
		return in.passTo(in.fed)
	case len(b) > 1 && b[0] == '<' && isMarkup(b[1:]):
		if in.passing = isComment(b[1:]); in.passing {
			return in.passTo(in.fed)
		}
		return nil
	}
	space := leadingSpace(b)
	text := b[space:]
	if len(text) > 0 && in.templates == 0 && (text[0] != '<' || len(text) > 1 && !isMarkup(text[1:])) {
		return in.body(in.passed + space)
	}
	return in.passTo(in.passed + space)
}

// isMarkup says that a < and what follows it begin something else than text.
func isMarkup(b []byte) bool { return isLetter(b[0]) || b[0] == '/' || b[0] == '!' || b[0] == '?' }

// isComment says that a < and what follows it begin a comment, a document type or what counts as a
// comment. As long as that is open, it says no.
func isComment(b []byte) bool {
	return b[0] == '!' || b[0] == '?' || b[0] == '/' && len(b) > 1 && !isLetter(b[1])
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isSpace is what HTML takes for white space.
func isSpace(c byte) bool { return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == '\f' }

func leadingSpace(b []byte) int {
	for i, c := range b {
		if !isSpace(c) {
			return i
		}
	}
	return len(b)
}

// impliesHead says that an end tag before the head is not ignored.
func impliesHead(name string) bool {
	return name == "head" || name == "body" || name == "html" || name == "br"
}

// belongsToHead says that an element does not begin the body, before or behind the end tag of the
// head (HTML §13.2.6.4.4 and §13.2.6.4.6).
func belongsToHead(name string) bool {
	switch name {
	case "html", "head", "base", "basefont", "bgsound", "link", "meta", "noframes", "noscript", "script", "style",
		"template", "title":
		return true
	}
	return false
}

// rawText returns the name of an element whose content is text up to its end tag, of those that
// belong to a head, and nothing for others.
func rawText(kind html.TokenType, name string) string {
	if kind == html.EndTagToken || !strings.Contains(" noframes noscript script style title ", " "+name+" ") {
		return ""
	}
	return name
}
