package views

import (
	"fmt"
	"strings"
	"time"

	"curfew/locale"
)

// sentence is a text in parts, so that names in it can be links and instants can be told in local
// time, whatever their places in the sentence of a language are.
type sentence []part

// part is a piece of a sentence: plain text, a name, an instant or a time that is left.
type part struct {
	Text   string
	IsName bool // from outside: it may run in the other direction
	Link   string
	At     time.Time // an instant; zero for anything else
	// Left is a time that is left in milliseconds, which the page's script counts down; 0 for
	// anything else.
	Left int64
}

// markOf stands in a text for a value that becomes a part of its own, until the text is cut there.
// It is no character of any text.
func markOf(i int) string { return "\x00" + string(rune('A'+i)) + "\x00" }

// sentenceIn says a text in a language, and cuts it into parts. Its data may hold parts; nothing
// else in them comes from outside.
func (t text) sentenceIn(l *locale.Locale) sentence {
	var parts []part
	data := make(locale.Data, len(t.data))
	for name, v := range t.data {
		if p, ok := v.(part); ok {
			v = markOf(len(parts))
			parts = append(parts, p)
		}
		data[name] = v
	}
	var cut sentence
	for i, piece := range strings.Split(text{t.key, data, t.said}.in(l), "\x00") {
		switch {
		case i%2 == 1:
			cut = append(cut, parts[piece[0]-'A'])
		case piece != "":
			cut = append(cut, part{Text: piece})
		}
	}
	return cut
}

// Instant is At as pages and scripts have it; empty for anything else.
func (p part) Instant() string {
	if p.At.IsZero() {
		return ""
	}
	return p.At.UTC().Format(time.RFC3339Nano)
}

// instantPart is an instant.
func instantPart(at time.Time) part { return part{Text: utc(at), At: at} }

// leftPart is a time that is left, in the form of a clock: 9:45, 1:09:45.
func leftPart(d time.Duration) part {
	seconds := int64((d + time.Second - 1) / time.Second)
	text := fmt.Sprintf("%d:%02d", seconds/60%60, seconds%60)
	if seconds >= 3600 {
		text = fmt.Sprintf("%d:%02d:%02d", seconds/3600, seconds/60%60, seconds%60)
	}
	return part{Text: text, Left: d.Milliseconds()}
}

// utc is an instant as a page has it until its script tells it in local time.
func utc(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05") + " UTC" }
