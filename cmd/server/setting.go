package main

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// setting is one thing that can be set. Its name is that of its flag and of its key in the YAML
// file, and [setting.variable] is its name in the environment. The texts for people are Markdown:
// the README prints them as they are, and --help leaves out the backticks.
type setting struct {
	name     string
	standard string // the value that is set where no source has one
	unset    string // for people: what holds where there is no value
	meaning  string
	kind     kind
	choices  []string          // nothing else is right; empty: kind says all
	set      func(value) error // the error says what would be right; nil: load reads it itself
}

// kind says what a value of a setting looks like, and which sources may have it.
type kind int

const (
	oneValue   kind = iota // a text
	manyValues             // separated by commas where they are not a list of the file
	yesNo                  // a flag without a value means true
	aDuration              // as [time.ParseDuration] reads it, or 0
	aNumber                // whole, 0 or more
	aFile                  // the path of one
	aFolder                // likewise
	fileOnly               // neither a flag nor an environment variable
)

// variable is the name of the setting in the environment.
func (s setting) variable() string {
	return "CURFEW_" + strings.ToUpper(strings.ReplaceAll(s.name, "-", "_"))
}

// shownDefault is what people read of the value that holds where no source has one, in Markdown.
func (s setting) shownDefault() string {
	if s.standard != "" {
		return "`" + s.standard + "`"
	}
	return s.unset
}

// value is what a source has for a setting, as it is written there. A YAML list keeps commas
// within its items.
type value struct {
	text string
	list []string
}

// items are the values of a list: those of the file, or the parts of the text between commas.
func (v value) items() []string {
	if v.list != nil {
		return v.list
	}
	var items []string
	for item := range strings.SplitSeq(v.text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

func (v value) String() string {
	if v.list != nil {
		return strings.Join(v.list, ",")
	}
	return v.text
}

// withoutPassword is a value as it may be shown: of a URL with an account, what follows that.
func withoutPassword(text string) string {
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		if at := strings.LastIndex(rest, "@"); at >= 0 {
			return scheme + "://…" + rest[at:]
		}
	}
	return text
}

// The functions below make what a setting does with its value.

func text(to *string) func(value) error {
	return func(v value) error { *to = v.text; return nil }
}

func texts(to *[]string) func(value) error {
	return func(v value) error { *to = v.items(); return nil }
}

func boolean(to *bool) func(value) error {
	return func(v value) (err error) {
		if *to, err = strconv.ParseBool(v.text); err != nil {
			return errors.New("must be true or false")
		}
		return nil
	}
}

func number(to *int) func(value) error {
	return func(v value) error {
		n, err := strconv.Atoi(v.text)
		if err != nil {
			return errors.New("must be a number, 0 or more")
		}
		*to = n
		return nil
	}
}

func duration(to *time.Duration) func(value) error {
	return func(v value) error {
		if v.text == "0" {
			*to = 0
			return nil
		}
		d, err := time.ParseDuration(v.text)
		if err != nil || d < 0 {
			return errors.New("must be a duration as 90s, 10m or 22h")
		}
		*to = d
		return nil
	}
}

// positive is a duration that may not be 0.
func positive(to *time.Duration) func(value) error {
	return func(v value) error {
		if err := duration(to)(v); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("must be more than 0")
		}
		return nil
	}
}

// contents calls take with the path and the contents of the file that a value names, unless it
// is empty.
func contents(take func(path string, data []byte) error) func(value) error {
	return func(v value) error {
		if v.text == "" {
			return nil
		}
		data, err := os.ReadFile(v.text)
		if err != nil {
			return fmt.Errorf("must be a readable file: %w", err)
		}
		return take(v.text, data)
	}
}

// certificates reads the certificates of a file in PEM.
func certificates(to **x509.CertPool) func(value) error {
	return contents(func(_ string, pem []byte) error {
		*to = x509.NewCertPool()
		if !(*to).AppendCertsFromPEM(pem) {
			return errors.New("must hold certificates in PEM")
		}
		return nil
	})
}

// hasDotSegment reports whether a path has a segment . or .., which browsers resolve.
func hasDotSegment(path string) bool {
	for segment := range strings.SplitSeq(path, "/") {
		if segment == "." || segment == ".." {
			return true
		}
	}
	return false
}
