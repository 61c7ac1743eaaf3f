package views

import (
	"fmt"
	"strings"
	"time"
)

// Words of the server that several pages need. All others stand where they are shown: in the
// templates of pages/, beside the errors (errors.go and their handlers), and the reasons of an end
// in session.Reason. What the page itself says is in static/words.js and static/plain.js.

func plural(n int, unit string) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", unit)
	}
	return fmt.Sprintf("%d %ss", n, unit)
}

// inWords is a duration as people say it.
func inWords(d time.Duration) string {
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return plural(int(d/time.Hour), "hour")
	case d >= time.Minute && d%time.Minute == 0:
		return plural(int(d/time.Minute), "minute")
	}
	return plural(int(d/time.Second), "second")
}

// ago is how long ago something was, as people say it.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return inWords(d.Truncate(time.Minute)) + " ago"
	case d < 48*time.Hour:
		return inWords(d.Truncate(time.Hour)) + " ago"
	}
	return plural(int(d/(24*time.Hour)), "day") + " ago"
}

func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
