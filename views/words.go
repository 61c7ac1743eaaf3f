package views

import (
	"strings"
	"time"

	"curfew/locale"
)

// inWords is a duration as people say it.
func inWords(l *locale.Locale, d time.Duration) string {
	count := func(unit string, n time.Duration) string {
		return text{key: "time." + unit, data: locale.Data{"Count": int(n)}}.in(l)
	}
	switch {
	case d >= time.Hour && d%time.Hour == 0:
		return count("hours", d/time.Hour)
	case d >= time.Minute && d%time.Minute == 0:
		return count("minutes", d/time.Minute)
	}
	return count("seconds", d/time.Second)
}

// ago is how long ago something was, as people say it.
func ago(l *locale.Locale, d time.Duration) string {
	count := func(unit string, n time.Duration) string {
		return text{key: "ago." + unit, data: locale.Data{"Count": int(n)}}.in(l)
	}
	switch {
	case d < time.Minute:
		return text{key: "ago.now"}.in(l)
	case d < time.Hour:
		return count("minutes", d/time.Minute)
	case d < 48*time.Hour:
		return count("hours", d/time.Hour)
	}
	return count("days", d/(24*time.Hour))
}

func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
