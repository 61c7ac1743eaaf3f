package page

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"golang.org/x/net/html"
)

// skipper finds the end of a token of any length. next takes its bytes one by one. It reports that
// the token is over, and which of the bytes that it was given do not belong to it, apart from case.
//
// Each follows the tokenizer of golang.org/x/net/html to the letter: tests hold them together.
type skipper interface {
	next(c byte) (over bool, ahead []byte)
}

// skipTo finds the first of a byte.
type skipTo byte

func (s skipTo) next(c byte) (bool, []byte) { return c == byte(s), nil }

// skipComment finds the end of a comment from behind its <!-- on (HTML §13.2.5.43 to 51).
type skipComment struct {
	begun  bool // something has come that cannot be its end
	dashes int  // just before, as many as count
	bang   bool // an exclamation mark behind two of them
}

func (s *skipComment) next(c byte) (bool, []byte) {
	bang := s.bang
	s.bang = false
	switch {
	case c == '>' && (s.dashes >= 2 || bang || !s.begun):
		return true, nil
	case c == '-':
		if s.dashes++; bang {
			s.begun, s.dashes = true, 1
		}
		return false, nil
	case c == '!' && s.dashes >= 2:
		s.bang = true
		s.dashes, s.begun = 0, true
		return false, nil
	}
	s.dashes, s.begun = 0, true
	return false, nil
}

// skipRaw finds the end of an element whose content is text, which is where its end tag begins.
type skipRaw struct {
	name string
	tag  []byte // what may become a tag, from its < on, in lower case
}

func (s *skipRaw) next(c byte) (bool, []byte) {
	switch matchTag(&s.tag, "</"+s.name, c) {
	case matched:
		return true, append(s.tag, c)
	case mismatched:
		s.begin(c)
	}
	return false, nil
}

func (s *skipRaw) begin(c byte) {
	if s.tag = s.tag[:0]; c == '<' {
		s.tag = append(s.tag, c)
	}
}

type match int

const (
	matching match = iota
	matched
	mismatched
)

// matchTag takes one more byte of what may become a tag: name, and one byte that ends a name, which
// is not taken.
func matchTag(tag *[]byte, name string, c byte) match {
	t := *tag
	switch {
	case len(t) == 0 || !strings.HasPrefix(name, string(t)):
		return mismatched
	case len(t) == len(name):
		if isSpace(c) || c == '/' || c == '>' {
			return matched
		}
		return mismatched
	case lower(c) != name[len(t)]:
		return mismatched
	}
	*tag = append(t, lower(c))
	return matching
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// skipScript finds the end of a script, which may hold the tags of scripts between <!-- and -->
// (HTML §13.2.5.15 to 31).
type skipScript struct {
	state  scriptState
	tag    []byte // what may become a tag or a <!--, from its < on, in lower case
	dashes int    // just before
}

type scriptState int

const (
	plainScript   scriptState = iota
	escapedScript             // behind <!--
	nestedScript              // behind a <script> in there
)

func (s *skipScript) next(c byte) (bool, []byte) {
	if len(s.tag) > 0 {
		over, taken := s.extend(c)
		if over {
			return true, append(s.tag, c)
		}
		if taken {
			return false, nil
		}
		s.tag = s.tag[:0]
	}
	switch {
	case c == '<':
		s.tag, s.dashes = append(s.tag, c), 0
	case c == '-':
		s.dashes++
	case c == '>' && s.dashes >= 2 && s.state != plainScript:
		s.state = plainScript
		fallthrough
	default:
		s.dashes = 0
	}
	return false, nil
}

// extend takes c as one more byte of a tag, if it can be one.
func (s *skipScript) extend(c byte) (over, taken bool) {
	switch matchTag(&s.tag, "</script", c) {
	case matching:
		return false, true
	case matched:
		if s.state != nestedScript {
			return true, true
		}
		s.state, s.tag = escapedScript, s.tag[:0]
		return false, true
	}
	switch s.state {
	case plainScript:
		const comment = "<!--"
		if len(s.tag) >= len(comment) || c != comment[len(s.tag)] {
			return false, false
		}
		if s.tag = append(s.tag, c); len(s.tag) == len(comment) {
			s.state, s.dashes, s.tag = escapedScript, 2, s.tag[:0]
		}
		return false, true
	case escapedScript:
		if len(s.tag) == 1 && !isLetter(c) {
			s.state = plainScript // the tokenizer has it so, other than the standard
			return false, false
		}
		switch matchTag(&s.tag, "<script", c) {
		case matching:
			return false, true
		case matched:
			s.state, s.tag = nestedScript, s.tag[:0]
			return false, true
		}
	}
	return false, false
}

// skipTag finds the end of a tag from behind its < or </ on (HTML §13.2.5.8 and 32 to 39).
type skipTag struct {
	state tagState
	quote byte
}

type tagState int

const (
	inTagName tagState = iota
	beforeKey
	inKey
	afterKey
	beforeValue
	inQuotes
	inValue
)

func (s *skipTag) next(c byte) (bool, []byte) {
	if s.state == inQuotes {
		if c == s.quote {
			s.state = beforeKey
		}
		return false, nil
	}
	if c == '>' {
		return true, nil
	}
	switch space := isSpace(c); s.state {
	case inTagName:
		if space || c == '/' {
			s.state = beforeKey
		}
	case beforeKey:
		if !space && c != '/' {
			s.state = inKey
		}
	case inKey, afterKey:
		switch {
		case c == '=':
			s.state = beforeValue
		case c == '/':
			s.state = beforeKey
		case space:
			s.state = afterKey
		default:
			s.state = inKey
		}
	case beforeValue:
		switch {
		case space:
		case c == '"' || c == '\'':
			s.state, s.quote = inQuotes, c
		default:
			s.state = inValue
		}
	case inValue:
		if space {
			s.state = beforeKey
		}
	}
	return false, nil
}

// span is where something stands in a tag.
type span struct{ start, end int }

// attributeSpan finds the value of an attribute in a start tag, without its quotes. Of several of
// that name the first counts.
func attributeSpan(tag []byte, name string) (value span, ok bool) {
	var s skipTag
	var key span
	for i, c := range tag[1:] {
		i++ // in tag
		was := s.state
		over, _ := s.next(c)
		if s.state == inKey && was != inKey {
			key.start = i
		}
		if was == inKey && (s.state != inKey || over) {
			key.end = i
		}
		if s.state == inQuotes && was != inQuotes {
			value.start = i + 1
		}
		if s.state == inValue && was != inValue {
			value.start = i
		}
		ended := was == inQuotes && s.state != inQuotes || was == inValue && (s.state != inValue || over)
		if ended && bytes.EqualFold(tag[key.start:key.end], []byte(name)) {
			value.end = i
			return value, true
		}
		if over {
			break
		}
	}
	return span{}, false
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
	if err := in.begin(kind, name); err != nil || in.head == inBody {
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
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return nil, err
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
	if space := leadingSpace(b[:end]); space < end && in.nested == 0 {
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
