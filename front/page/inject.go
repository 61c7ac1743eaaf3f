package page

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

// tokenLimit is the size in units from which a token is not held as a whole, but passed on as it
// comes; see skip.go. It is also how much of a head is held at most while it is open whether the
// tag comes behind an import map.
const tokenLimit = 64 << 10

// errBody stops a tokenizer: the head of the page is over.
var errBody = errors.New("the head is over")

// injector copies a page up to the end of its head, and writes the tag into the head as its first
// element. Every other byte stays as it is, but for the policies in meta elements, which it widens.
// What has been read is passed on as soon as it is certain that nothing stands before it, so that a
// page that comes slowly is seen as it comes.
//
// Where an import map comes before any module, the tag comes behind it: there are browsers that
// ignore an import map once a module is being loaded, and the application's own modules would not
// be found.
//
// It counts in units of the page's charset, which are what the tokenizer sees as bytes.
type injector struct {
	dst    io.Writer
	src    io.Reader
	chars  charset
	tag    tagText
	xml    bool
	access scriptAccess // what policies in the page must allow
	limit  int
	hurry  bool // nothing is held that could be passed on

	held   []byte // of the page, from passed to fed
	seen   []byte // the same as the tokenizer sees it
	part   []byte // the beginning of a unit, which nothing has seen
	fed    int    // units that the tokenizer has been given
	passed int    // units that were passed on
	pos    int    // where the current token begins

	passing bool   // the rest of the current token changes nothing and is passed on as it comes
	raw     string // the element whose raw text follows
	head    headState
	kept    []byte // what follows the place of the tag, while that is open
	maps    bool   // in an import map
	nested  int    // how many template elements are open
}

// tagText is the tag as it is written into a page.
type tagText struct {
	text     string
	absolute string // the same behind a base element
	based    bool   // there is one in what follows the place of the tag
}

// headState is how far the injector has come.
type headState int

const (
	beforeTag headState = iota
	tagOpen             // the place of the tag is known, but an import map would move it
	afterTag
	inBody // and there is nothing more to do
)

// run reads the page from src until its head is over, and returns nil; what follows is src's. It
// returns nil at the end of src, too. Any other error is one of src or dst.
func (in *injector) run(src io.Reader) error {
	in.src = src
	if in.xml {
		return in.runXML()
	}
	z := in.tokenizer(in, "")
	for {
		kind, raw := z.Next(), z.Raw()
		switch {
		case in.head == inBody:
			return in.finish()
		case len(raw) >= in.limit:
			rest, err := in.long(raw, z.Buffered())
			if err != nil && err != errBody {
				return err
			}
			if in.head == inBody {
				return in.finish()
			}
			z = in.tokenizer(io.MultiReader(bytes.NewReader(rest), in), in.raw)
			continue
		case kind == html.ErrorToken:
			if err := z.Err(); !errors.Is(err, io.EOF) {
				return err
			}
			return errors.Join(in.insert(in.pos), in.settle(false), in.finish())
		}
		if err := in.token(z, kind, raw); err != nil {
			return err
		}
		if in.head == inBody {
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
	if raw != "" {
		z.Next()
	}
	z.SetMaxBuf(in.limit)
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
		if space := leadingSpace(raw); space < len(raw) && in.raw == "" && in.nested == 0 {
			return in.body(in.pos + space)
		}
	}
	if err := in.begin(kind, name); err != nil || in.head == inBody {
		return err
	}
	if kind != html.EndTagToken && in.nested == 0 && in.head != beforeTag {
		var err error
		switch name {
		case "meta":
			err = in.meta(end)
		case "script":
			err = in.script(end)
		case "base":
			in.tag.based = true
		}
		if err != nil {
			return err
		}
	}
	return in.end(kind, name, end)
}

// begin decides by the kind of a token and the name of its element what stands before it.
func (in *injector) begin(kind html.TokenType, name string) error {
	if kind == html.TextToken || kind == html.CommentToken || kind == html.DoctypeToken {
		return nil
	}
	start := kind != html.EndTagToken
	if start && name != "html" && name != "head" || !start && impliesHead(name) {
		if err := in.insert(in.pos); err != nil {
			return err
		}
	}
	switch {
	case name == "template" && start:
		in.nested++
	case name == "template":
		in.nested = max(0, in.nested-1)
	case in.nested > 0:
	case start && !belongsToHead(name), !start && name != "head" && impliesHead(name):
		return in.body(in.pos)
	}
	return nil
}

// end goes past a token, which ends at a unit.
func (in *injector) end(kind html.TokenType, name string, at int) error {
	in.pos, in.passing, in.raw = at, false, rawText(kind, name)
	if in.head == beforeTag && name == "head" {
		return in.insert(at)
	}
	if err := in.passTo(at); err != nil {
		return err
	}
	if in.maps && kind == html.EndTagToken && name == "script" {
		in.maps = false
		return in.settle(true)
	}
	return nil
}

// body says that the body of the page begins at a unit.
func (in *injector) body(at int) error {
	err := errors.Join(in.insert(at), in.settle(false))
	in.head = inBody
	return err
}

// insert says that the tag stands before a unit, unless an import map comes.
func (in *injector) insert(at int) error {
	if in.head != beforeTag {
		return nil
	}
	if err := in.passTo(at); err != nil {
		return err
	}
	in.head = tagOpen
	if in.hurry || in.xml {
		return in.settle(false)
	}
	return nil
}

// settle writes the tag, behind what has been kept since its place was known or before that.
func (in *injector) settle(behind bool) error {
	if in.head != tagOpen {
		return nil
	}
	in.head = afterTag
	var b []byte
	switch {
	case !behind:
		b = append(in.chars.encode(in.tag.text), in.kept...)
	case in.tag.based:
		b = append(in.kept, in.chars.encode(in.tag.absolute)...)
	default:
		b = append(in.kept, in.chars.encode(in.tag.text)...)
	}
	in.kept = nil
	return in.write(b)
}

// write sends bytes on their way, or keeps them as long as the tag may come before them.
func (in *injector) write(b []byte) error {
	if in.head == tagOpen {
		in.kept = append(in.kept, b...)
		return nil
	}
	_, err := in.dst.Write(b)
	return err
}

// passTo passes on what stands before a unit.
func (in *injector) passTo(at int) error {
	if at <= in.passed {
		return nil
	}
	b := in.dropTo(at)
	return in.write(b)
}

// dropTo returns what stands before a unit, and has it passed on no more.
func (in *injector) dropTo(at int) []byte {
	units := at - in.passed
	b := in.held[:units*in.chars.width()]
	in.held, in.seen, in.passed = in.held[len(b):], in.seen[units:], at
	return b
}

// finish passes on all that is left.
func (in *injector) finish() error {
	err := in.passTo(in.fed)
	part := in.part
	in.part = nil
	if err != nil || len(part) == 0 {
		return err
	}
	return in.write(part)
}

// hasten passes on what is held back only until more of the page is known. It may be called while
// run waits for more of the page.
func (in *injector) hasten() error {
	in.hurry = true
	return in.settle(false)
}

// Read gives the tokenizer what it sees of the page. Whatever can be passed on is passed on before.
func (in *injector) Read(p []byte) (int, error) {
	if err := in.release(); err != nil {
		return 0, err
	}
	if in.head == inBody {
		return 0, errBody
	}
	if len(in.kept)+len(in.held) > in.limit*in.chars.width() {
		if err := in.settle(false); err != nil {
			return 0, err
		}
	}
	return in.feed(p)
}

// feed reads more of the page into p, as the tokenizer sees it. p has room for 4 units at least.
func (in *injector) feed(p []byte) (units int, err error) {
	width := in.chars.width()
	start := len(in.held)
	in.held = append(in.held, in.part...)
	part := len(in.held) - start
	in.held = slices.Grow(in.held, len(p)*width)
	room := in.held[len(in.held) : start+len(p)*width]
	n, err := in.src.Read(room)
	b := in.held[start : start+part+n]
	units = in.chars.see(p, b)
	in.part = bytes.Clone(b[units*width:])
	in.held = in.held[:start+units*width]
	in.seen = append(in.seen, p[:units]...)
	in.fed += units
	return units, err
}

// release passes on what can be passed on of a token that has not come as a whole.
func (in *injector) release() error {
	b := in.seen
	switch {
	case in.passing || in.raw != "":
		in.passing = true
		return in.passTo(in.fed)
	case in.xml:
		return nil
	case len(b) > 1 && b[0] == '<' && isMarkup(b[1:]):
		if in.passing = isComment(b[1:]); in.passing {
			return in.passTo(in.fed)
		}
		return nil
	}
	space := leadingSpace(b)
	text := b[space:]
	if len(text) > 0 && in.nested == 0 && (text[0] != '<' || len(text) > 1 && !isMarkup(text[1:])) {
		return in.body(in.passed + space)
	}
	return in.passTo(in.passed + space)
}

// script decides about the start tag of a script, from in.pos to end: an import map moves the place
// of the tag behind it as long as that is open, and a module settles that there was none before.
func (in *injector) script(end int) error {
	if in.head != tagOpen {
		return nil
	}
	switch kind := in.attribute(end, "type"); {
	case strings.EqualFold(kind, "importmap"):
		in.maps = true
	case strings.EqualFold(kind, "module"):
		return in.settle(false)
	}
	return nil
}

// meta widens the policy of a meta element, whose tag stands from in.pos to end, and goes past what
// it changes. Browsers enforce policies of a page only where they stand in its head.
func (in *injector) meta(end int) error {
	if !strings.EqualFold(in.attribute(end, "http-equiv"), enforced) {
		return nil
	}
	was := in.attribute(end, "content")
	widened := in.access.widen(parsePolicies(was))
	tag := in.seen[in.pos-in.passed : end-in.passed]
	value, ok := attributeSpan(tag, "content")
	if !ok || widened == was {
		return nil
	}
	widened = html.EscapeString(widened)
	if quote := tag[value.start-1]; quote != '"' && quote != '\'' {
		widened = `"` + widened + `"`
	}
	if err := in.passTo(in.pos + value.start); err != nil {
		return err
	}
	in.dropTo(in.pos + value.end)
	return in.write(in.chars.encode(widened))
}

// attribute returns the value of an attribute of the start tag from in.pos to end.
func (in *injector) attribute(end int, name string) string {
	tag := in.seen[in.pos-in.passed : end-in.passed]
	if _, ok := attributeSpan(tag, name); !ok {
		return ""
	}
	z := html.NewTokenizer(bytes.NewReader(tag))
	z.Next()
	for _, more := z.TagName(); more; {
		var key, value []byte
		if key, value, more = z.TagAttr(); string(key) == name {
			return string(value)
		}
	}
	return ""
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

// impliesHead says that an end tag before the head is not ignored (HTML §13.2.6.4.2 and 3), and
// that one other than that of the head begins the body behind it.
func impliesHead(name string) bool {
	return name == "head" || name == "body" || name == "html" || name == "br"
}

// belongsToHead says that an element does not begin the body, before or behind the end tag of the
// head (HTML §13.2.6.4.4 and 6).
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
	if kind != html.EndTagToken {
		switch name {
		case "noframes", "noscript", "script", "style", "title":
			return name
		}
	}
	return ""
}
