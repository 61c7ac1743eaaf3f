package locale

import (
	"regexp"
	"strings"
)

// The isolates of Unicode (UAX #9, section 2.4): what stands between the first of these and popped
// has no part in the direction of the text around it.
const (
	isolate = '\u2068' // FIRST STRONG ISOLATE
	popped  = '\u2069' // POP DIRECTIONAL ISOLATE
)

// turns finds what runs from right to left, or may set a direction: the blocks whose characters are
// R or AL (UAX #9, table 4), and the marks. Static/texts.js has the same.
var turns = regexp.MustCompile(`[\x{590}-\x{8FF}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}\x{FB1D}-\x{FDFF}` +
	`\x{FE70}-\x{FEFF}\x{10800}-\x{10FFF}\x{1E800}-\x{1EFFF}]`)

// numeral finds a number, and nothing. Neither turns, and what is to be typed may be copied.
var numeral = regexp.MustCompile(`^[0-9]*$`)

// Isolated is a value, such that neither it nor the text around it turns the other: of a name like
// "ops (2)" in an Arabic sentence the bracket would move. What has nothing of the other direction
// in a language from left to right stays as it is.
func (l *Locale) Isolated(value string) string {
	if numeral.MatchString(value) || l.Dir != "rtl" && !turns.MatchString(value) {
		return value
	}
	return string(isolate) + balanced(value) + string(popped)
}

// balanced is a value that ends no isolate but those that it begins, and ends all of them: whoever
// may choose a name would choose the direction of the rest of the sentence.
func balanced(value string) string {
	open := 0
	value = strings.Map(func(r rune) rune {
		switch {
		case r >= '\u2066' && r <= isolate:
			open++
		case r == popped && open == 0:
			return -1
		case r == popped:
			open--
		}
		return r
	}, value)
	return value + strings.Repeat(string(popped), open)
}
