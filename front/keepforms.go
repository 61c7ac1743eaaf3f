package front

import (
	"errors"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ValidateForms reports a text that can be no CSS selector of forms; see [Options.KeepForms]. It
// leaves the grammar of selectors to browsers, which know more of it with each release. What XML
// cannot hold is refused, since the selector stands in pages of XHTML as well (XML 1.0 §2.2).
func ValidateForms(selector string) error {
	isStray := func(c rune) bool {
		return unicode.IsControl(c) && !strings.ContainsRune("\t\n\r", c) || c == 0xfffe || c == 0xffff
	}
	switch {
	case !utf8.ValidString(selector), strings.ContainsFunc(selector, isStray):
		return errors.New("must be a CSS selector as form.long, without control characters")
	case selector != "" && strings.TrimSpace(selector) == "":
		return errors.New("must be a CSS selector as form.long, and is blank")
	}
	return nil
}
