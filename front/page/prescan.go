package page

import (
	"bytes"
	"strings"
)

// prescanned is how many bytes of a page browsers look at for its charset before they parse it.
const prescanned = 1024

// prescan finds the label of the charset that the first bytes of an HTML page declare, as browsers
// do before they parse it (HTML §13.2.3.2, "prescan a byte stream to determine its encoding").
// Without any it returns "". Once it finds one, further bytes change nothing; whole says that there
// are none, or that browsers look at no more.
func prescan(b []byte, whole bool) string {
	b = b[:min(len(b), prescanned)]
	switch {
	case bytes.HasPrefix(b, []byte("<\x00?\x00x\x00")):
		return "utf-16le"
	case bytes.HasPrefix(b, []byte("\x00<\x00?\x00x")):
		return "utf-16be"
	}
	for s := (prescanner{b}); len(s.b) > 0; {
		label, ok := s.step()
		if label != "" {
			return label
		}
		if !ok {
			break
		}
	}
	if whole {
		return xmlEncoding(b)
	}
	return ""
}

// prescanner reads the bytes that are left.
type prescanner struct{ b []byte }

// step goes past the next thing that is one to the prescan, and returns the label of a charset that
// it declares. It says no where that reaches the end of the bytes.
func (s *prescanner) step() (label string, ok bool) {
	b := s.b
	switch {
	case b[0] != '<':
		return "", s.skip(1)
	case bytes.HasPrefix(b, []byte("<!--")):
		end := bytes.Index(b[2:], []byte("-->"))
		return "", end >= 0 && s.skip(2+end+3)
	case len(b) > 5 && strings.EqualFold(string(b[1:5]), "meta") && (isSpace(b[5]) || b[5] == '/'):
		s.skip(5)
		return s.meta()
	case len(b) > 1 && isLetter(b[1]), len(b) > 2 && b[1] == '/' && isLetter(b[2]):
		end := bytes.IndexFunc(b, func(r rune) bool { return r == '>' || r < 0x80 && isSpace(byte(r)) })
		if end < 0 {
			return "", false
		}
		s.skip(end)
		for {
			name, _, ok := s.attribute()
			if !ok || name == "" {
				return "", ok && s.skip(1)
			}
		}
	case len(b) > 1 && (b[1] == '!' || b[1] == '/' || b[1] == '?'):
		end := bytes.IndexByte(b, '>')
		return "", end >= 0 && s.skip(end+1)
	}
	return "", s.skip(1)
}

func (s *prescanner) skip(n int) bool {
	s.b = s.b[min(n, len(s.b)):]
	return true
}

// meta reads the attributes of a meta element.
func (s *prescanner) meta() (label string, ok bool) {
	seen := make(map[string]bool)
	pragma, needsPragma := false, false
	for {
		name, value, ok := s.attribute()
		if !ok {
			return "", false
		}
		if name == "" {
			break
		}
		if seen[name] {
			continue
		}
		seen[name] = true
		switch name {
		case "http-equiv":
			pragma = value == "content-type"
		case "content":
			if found := charsetIn(value); label == "" && encodingNamed(found) != "" && !seen["charset"] {
				label, needsPragma = found, true
			}
		case "charset":
			label, needsPragma = value, false
		}
	}
	switch encodingNamed(label) {
	case "":
		label = ""
	case "utf-16le", "utf-16be":
		label = "utf-8" // since it could be read
	case "x-user-defined":
		label = "windows-1252"
	}
	if needsPragma && !pragma {
		label = ""
	}
	return strings.TrimSpace(label), s.skip(1)
}

// attribute reads an attribute, in lower case, and returns no name at the end of a tag. It says no
// where the bytes end.
func (s *prescanner) attribute() (name, value string, ok bool) {
	s.b = bytes.TrimLeft(s.b, " \t\n\f\r/")
	if len(s.b) == 0 {
		return "", "", false
	}
	if s.b[0] == '>' {
		return "", "", true
	}
	end := bytes.IndexAny(s.b[1:], "= \t\n\f\r/>") // a = that begins a name is part of it
	if end < 0 {
		return "", "", false
	}
	name = asciiLower(s.b[:end+1])
	s.b = s.b[end+1:]
	rest := bytes.TrimLeft(s.b, " \t\n\f\r")
	if len(rest) == 0 || rest[0] != '=' {
		return name, "", len(rest) > 0
	}
	s.b = bytes.TrimLeft(rest[1:], " \t\n\f\r")
	if len(s.b) == 0 {
		return "", "", false
	}
	switch quote := s.b[0]; quote {
	case '"', '\'':
		end := bytes.IndexByte(s.b[1:], quote)
		if end < 0 {
			return "", "", false
		}
		value = asciiLower(s.b[1 : 1+end])
		s.b = s.b[end+2:]
	default:
		end := bytes.IndexAny(s.b, " \t\n\f\r>")
		if end < 0 {
			return "", "", false
		}
		value = asciiLower(s.b[:end])
		s.b = s.b[end:]
	}
	return name, value, true
}

func asciiLower(b []byte) string {
	b = bytes.Clone(b)
	for i, c := range b {
		b[i] = lower(c)
	}
	return string(b)
}

// charsetIn finds the label in the content of a meta element, as text/html; charset=LABEL (HTML
// §2.4.5, "extracting a character encoding from a meta element").
func charsetIn(content string) string {
	const blank = " \t\n\f\r"
	for {
		_, after, ok := strings.Cut(content, "charset")
		if !ok {
			return ""
		}
		content = after
		value, ok := strings.CutPrefix(strings.TrimLeft(content, blank), "=")
		if !ok {
			continue
		}
		value = strings.TrimLeft(value, blank)
		if value != "" && (value[0] == '"' || value[0] == '\'') {
			label, _, closed := strings.Cut(value[1:], value[:1])
			if !closed {
				return ""
			}
			return label
		}
		if end := strings.IndexAny(value, blank+";"); end >= 0 {
			value = value[:end]
		}
		return value
	}
}

// xmlEncoding finds the label in the XML declaration that a page begins with (HTML §13.2.3.2, "get
// an XML encoding").
func xmlEncoding(b []byte) string {
	declaration, _, ok := bytes.Cut(b, []byte(">"))
	if !ok || !bytes.HasPrefix(declaration, []byte("<?xml")) {
		return ""
	}
	_, value, _ := bytes.Cut(declaration, []byte("encoding"))
	value, ok = bytes.CutPrefix(bytes.TrimLeft(value, " \t\n\f\r"), []byte("="))
	value = bytes.TrimLeft(value, " \t\n\f\r")
	if !ok || len(value) == 0 || value[0] != '"' && value[0] != '\'' {
		return ""
	}
	label, _, ok := bytes.Cut(value[1:], value[:1])
	switch name := encodingNamed(string(label)); {
	case !ok || name == "":
		return ""
	case strings.HasPrefix(name, "utf-16"):
		return "utf-8"
	}
	return strings.TrimSpace(string(label))
}
