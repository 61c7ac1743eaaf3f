package page

import (
	"bytes"
	"errors"
	"io"
)

// runXML is run for a page in XML, where no element is implied and none has text up to its end tag.
// Of a page that is not well formed browsers show at most what comes before the fault.
func (in *injector) runXML() error {
	x := &xmlReader{in: in}
	for in.head != inBody {
		tag, err := x.next()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				return err
			}
			break
		}
		if err := errors.Join(x.decide(tag), in.passTo(x.pos)); err != nil {
			return err
		}
	}
	if in.fed == 0 { // nothing came: the tag alone is a page, too
		if err := in.insert(0); err != nil {
			return err
		}
	}
	return in.finish()
}

// xmlReader reads the tags of a page in XML for an injector, and passes on what stands between.
type xmlReader struct {
	in     *injector
	ahead  []byte // what has been read and not gone past
	pos    int    // where ahead begins
	end    error  // behind ahead
	last   byte   // before ahead
	inRoot bool   // the start tag of the root has gone by
}

// xmlTag is a tag from the position of the injector to that of the reader.
type xmlTag struct {
	start, empty bool
	name         string // without its prefix
	full         []byte // with it, as it stands in the page
	long         bool   // it was passed on as it came
}

// next goes past the next tag, which is not yet passed on.
func (x *xmlReader) next() (xmlTag, error) {
	in := x.in
	for {
		in.pos, in.passing = x.pos, false
		s, isTag := x.classify()
		if s == nil {
			return xmlTag{}, x.end
		}
		in.passing = !isTag
		tag, err := x.through(s)
		if err != nil || isTag {
			return tag, err
		}
		if err := in.passTo(x.pos); err != nil {
			return tag, err
		}
	}
}

// classify tells what finds the end of what begins, and whether that is a tag.
func (x *xmlReader) classify() (s skipper, isTag bool) {
	const cdata = "<![CDATA["
	for len(x.ahead) < len(cdata) && x.end == nil {
		x.more()
	}
	switch b := x.ahead; {
	case len(b) == 0:
		return nil, false
	case b[0] != '<':
		return skipText{}, false
	case bytes.HasPrefix(b, []byte("<!--")):
		x.take(len("<!--"))
		return &skipComment{begun: true}, false
	case bytes.HasPrefix(b, []byte(cdata)):
		return &skipUntil{end: []byte("]]>")}, false
	case bytes.HasPrefix(b, []byte("<?")):
		return &skipUntil{end: []byte("?>")}, false
	case bytes.HasPrefix(b, []byte("<!")) && x.inRoot:
		// Nothing is declared within an element. A browser shows what came before, so the tag is
		// needed here.
		x.take(len("<!"))
		return skipNothing{}, true
	case bytes.HasPrefix(b, []byte("<!")):
		x.take(len("<!"))
		return &skipDoctype{}, false
	}
	x.take(len("<"))
	return &skipTag{}, true
}

// through goes past what s finds the end of.
func (x *xmlReader) through(s skipper) (tag xmlTag, err error) {
	in := x.in
	for {
		for i, c := range x.ahead {
			if over, ahead := s.next(c); over {
				x.take(i + 1 - len(ahead))
				if !tag.long && !in.passing {
					tag = x.tag()
				}
				tag.empty = tag.start && x.last == '/'
				return tag, nil
			}
			x.last = c
		}
		x.take(len(x.ahead))
		if x.end != nil {
			return tag, x.end
		}
		if !in.passing && x.pos-in.pos >= in.limit {
			tag = x.tag()
			tag.long, in.passing = true, true
		}
		x.more()
	}
}

// tag reads the name of a tag that has not been passed on.
func (x *xmlReader) tag() (t xmlTag) {
	in := x.in
	b := in.seen[len("<"):]
	start := 1
	if t.start = b[0] != '/'; !t.start {
		b, start = b[1:], 2
	}
	end := bytes.IndexAny(b, " \t\r\n/>")
	if end < 0 {
		end = len(b)
	}
	_, local, prefixed := bytes.Cut(b[:end], []byte(":"))
	if !prefixed {
		local = b[:end]
	}
	t.name = string(local)
	width := in.chars.width()
	t.full = bytes.Clone(in.held[start*width : (start+end)*width])
	return t
}

// more reads more of the page.
func (x *xmlReader) more() {
	b := make([]byte, 4<<10)
	var n int
	n, x.end = x.in.Read(b)
	x.ahead = append(x.ahead, b[:n]...)
}

func (x *xmlReader) take(n int) {
	x.ahead = x.ahead[n:]
	x.pos += n
}

// decide decides about a tag. The script goes into the head; into a head of its own, where an
// element of HTML has none; and right into the root of any other document.
func (x *xmlReader) decide(t xmlTag) error {
	in := x.in
	head := `<head xmlns="` + xhtmlSpace + `">` + in.tag.text + "</head>"
	switch {
	case in.head == afterTag:
		if t.start && t.name == "meta" && !t.long {
			return in.meta(x.pos)
		}
		if t.name == "body" || t.name == "head" {
			in.head = inBody
		}
		return nil
	case !x.inRoot && t.start && t.name == "html" && !t.empty:
		x.inRoot = true
		return nil
	case !x.inRoot && t.start && t.name == "html":
		return x.fill(t, head)
	case !x.inRoot && t.start:
		return x.fill(t, in.tag.text)
	case x.inRoot && t.start && t.name == "head" && t.empty:
		return x.fill(t, in.tag.text)
	case x.inRoot && t.start && t.name == "head":
		return in.insert(x.pos)
	case x.inRoot:
		in.head = inBody
		return errors.Join(in.passTo(in.pos), in.write(in.chars.encode(head)))
	}
	return nil
}

// fill writes something into an element as the first that it holds.
func (x *xmlReader) fill(t xmlTag, content string) error {
	in := x.in
	in.head = inBody
	if !t.empty {
		return errors.Join(in.passTo(x.pos), in.write(in.chars.encode(content)))
	}
	if t.long { // its end has been passed on
		return nil
	}
	if err := in.passTo(x.pos - len("/>")); err != nil {
		return err
	}
	in.dropTo(x.pos)
	b := append(in.chars.encode(">"+content+"</"), t.full...)
	return in.write(append(b, in.chars.encode(">")...))
}

// skipText finds the end of text.
type skipText struct{}

func (skipText) next(c byte) (bool, []byte) { return c == '<', []byte("<") }

// skipNothing is over at once.
type skipNothing struct{}

func (skipNothing) next(c byte) (bool, []byte) { return true, []byte{c} }

// skipUntil finds the first of a few bytes, and is over behind them.
type skipUntil struct {
	end  []byte
	tail []byte
}

func (s *skipUntil) next(c byte) (bool, []byte) {
	if len(s.tail) == len(s.end) {
		copy(s.tail, s.tail[1:])
		s.tail = s.tail[:len(s.end)-1]
	}
	s.tail = append(s.tail, c)
	return bytes.Equal(s.tail, s.end), nil
}

// skipDoctype finds the end of a document type declaration from behind its <! on, which may have
// declarations, comments and processing instructions within.
type skipDoctype struct {
	within skipper // a comment or an instruction
	quote  byte
	open   int    // declarations that are open within
	last   uint32 // the last four bytes
}

func (s *skipDoctype) next(c byte) (bool, []byte) {
	if s.within != nil {
		if over, _ := s.within.next(c); over {
			s.within = nil
		}
		return false, nil
	}
	if s.quote != 0 {
		if c == s.quote {
			s.quote = 0
		}
		return false, nil
	}
	s.last = s.last<<8 | uint32(c)
	switch {
	case s.last == '<'<<24|'!'<<16|'-'<<8|'-':
		s.within = &skipComment{begun: true}
		s.open--
	case s.last&0xffff == '<'<<8|'?':
		s.within = &skipUntil{end: []byte("?>")}
		s.open--
	case c == '"' || c == '\'':
		s.quote = c
	case c == '<':
		s.open++
	case c == '>' && s.open == 0:
		return true, nil
	case c == '>':
		s.open--
	}
	return false, nil
}
