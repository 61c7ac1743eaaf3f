package page

import (
	"bytes"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// charset is how the characters of a page are written, as far as markup goes. A page is never
// decoded and encoded again: a tokenizer sees one byte for each unit of it, and the page itself
// goes on as it is.
type charset interface {
	// width is how many bytes a unit has.
	width() int
	// see writes into seen, for each unit of b, its character if that is ASCII, and something
	// above ASCII if not. It returns how many units it did; the rest of b is no whole character.
	see(seen, b []byte) int
	// encode writes ASCII. Where it stands in a page there is no shift in force.
	encode(ascii string) []byte
}

// charsetNamed returns the charset of a name of the Encoding Standard.
func charsetNamed(name string) charset {
	switch name {
	case "utf-16le":
		return utf16{low: 0, high: 1}
	case "utf-16be":
		return utf16{low: 1, high: 0}
	case "iso-2022-jp":
		return &iso2022jp{}
	}
	return bytewise{}
}

// bytewise is every charset that writes what delimits markup as ASCII does, and never in a
// character of several bytes. That is all but the others here.
type bytewise struct{}

func (bytewise) width() int                 { return 1 }
func (bytewise) see(seen, b []byte) int     { return copy(seen, b) }
func (bytewise) encode(ascii string) []byte { return []byte(ascii) }

// beyondASCII is what a tokenizer sees of other characters.
const beyondASCII = 0xff

// utf16 says at which of two bytes the low and the high one stand.
type utf16 struct{ low, high int }

func (utf16) width() int { return 2 }

func (u utf16) see(seen, b []byte) int {
	units := len(b) / 2
	for i := range units {
		seen[i] = beyondASCII
		if c := b[2*i+u.low]; b[2*i+u.high] == 0 && c < 0x80 {
			seen[i] = c
		}
	}
	return units
}

func (u utf16) encode(ascii string) []byte {
	b := make([]byte, 2*len(ascii))
	for i := range len(ascii) {
		c, high := ascii[i], byte(0)
		if c >= 0x80 {
			c, high = 0xfd, 0xff // what stands for a character that is lost
		}
		b[2*i+u.low], b[2*i+u.high] = c, high
	}
	return b
}

// iso2022jp is ISO-2022-JP, in which escape sequences shift to characters that are written in bytes
// of ASCII.
type iso2022jp struct{ shifted bool }

func (*iso2022jp) width() int                 { return 1 }
func (*iso2022jp) encode(ascii string) []byte { return []byte(ascii) }

func (c *iso2022jp) see(seen, b []byte) int {
	for i := 0; i < len(b); i++ {
		switch {
		case b[i] == 0x1b && len(b)-i < 3:
			return i
		case b[i] == 0x1b:
			shift := byte(beyondASCII)
			switch string(b[i+1 : i+3]) {
			case "(B", "(J": // ASCII, or nearly
				c.shifted, shift = false, ' '
			case "(I", "$@", "$B":
				c.shifted = true
			}
			seen[i], seen[i+1], seen[i+2] = shift, shift, shift
			i += 2
		case c.shifted:
			seen[i] = beyondASCII
		default:
			seen[i] = b[i]
		}
	}
	return len(b)
}

// byteOrderMark returns the name of the charset that a page begins with a mark of, and the length
// of the mark (Encoding §6, BOM sniff).
func byteOrderMark(b []byte) (name string, length int) {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return "utf-8", 3
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return "utf-16le", 2
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return "utf-16be", 2
	}
	return "", 0
}

// encodingNamed returns the name by which the Encoding Standard knows a label, and nothing for a
// label that it does not know.
func encodingNamed(label string) string {
	e, err := htmlindex.Get(label)
	if err != nil {
		return ""
	}
	name, err := htmlindex.Name(e)
	if err != nil {
		return ""
	}
	return name
}

// charsetParameter splits a Content-Type into the label of its charset and everything else. Of
// several parameters of that name the first counts (MIME Sniffing §4.4).
func charsetParameter(contentType string) (label, rest string) {
	found := false
	var kept []string
	for i, part := range splitParameters(contentType) {
		name, value, _ := strings.Cut(part, "=")
		if i == 0 || !strings.EqualFold(strings.TrimSpace(name), "charset") { // the first is the type itself
			kept = append(kept, part)
			continue
		}
		if !found {
			found = true
			label = strings.Trim(strings.TrimSpace(value), `"`)
		}
	}
	return label, strings.Join(kept, ";")
}

// splitParameters splits at semicolons that are in no quoted string.
func splitParameters(s string) (parts []string) {
	quoted, start := false, 0
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == ';' && !quoted:
			parts = append(parts, s[start:i])
			start = i + 1
		}
	}
	return append(parts, s[start:])
}
