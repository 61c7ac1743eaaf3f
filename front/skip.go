package front

import "bytes"

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
	case len(t) == 0:
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
