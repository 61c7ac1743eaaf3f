package views

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"curfew/locale"
)

// Times of a forced logout, as its form has them: a while after something, or a time of day where
// the administrator is.

// at is the choice of a time of day, where others are a number of seconds.
const at = "at"

// graceChoices and blockChoices are the numbers of seconds that the form offers.
var (
	graceChoices = []int{0, 60, 300, 900, 1800, 3600}
	blockChoices = []int{0, 300, 900, 1800, 3600}
)

// moment is when something is to happen, as it was filled in.
type moment struct {
	Choice string // seconds, or at
	Clock  string // with at: a time of day, such as 14:30
	// Fixed is the instant that Clock has come to mean, once that was shown: RFC 3339. Whoever
	// confirms too late must not be understood to mean the same time tomorrow.
	Fixed string
}

// IsAt reports whether a time of day is chosen.
func (m moment) IsAt() bool { return m.Choice == at }

// after is how long after start the moment is, for people in a zone. The text is what is wrong with
// it; empty for nothing. now is not after start.
func (m moment) after(start, now time.Time, zone *time.Location) (time.Duration, text) {
	if !m.IsAt() {
		n, err := strconv.ParseInt(cmp0(m.Choice), 10, 32)
		if err != nil || n < 0 || time.Duration(n)*time.Second > maxGrace {
			return 0, text{key: "logoutForm.noTime"}
		}
		return time.Duration(n) * time.Second, text{}
	}
	if m.Fixed != "" {
		fixed, err := time.Parse(time.RFC3339, m.Fixed)
		switch {
		case err != nil || fixed.Sub(start) > maxGrace:
			return 0, text{key: "logoutForm.noTime"}
		case fixed.Before(now):
			return 0, text{key: "logoutForm.timePassed", data: locale.Data{"Clock": m.Clock}}
		}
		return max(0, fixed.Sub(start)), text{}
	}
	clock, err := time.Parse("15:04", m.Clock)
	if err != nil {
		return 0, text{key: "logoutForm.noTime"}
	}
	local := start.In(zone)
	day := local.Day()
	next := time.Date(local.Year(), local.Month(), day, clock.Hour(), clock.Minute(), 0, 0, zone)
	if !next.After(start) {
		next = time.Date(local.Year(), local.Month(), day+1, clock.Hour(), clock.Minute(), 0, 0, zone)
	}
	return next.Sub(start), text{}
}

// lasting is how long after start something ends that begins then. The arguments and the text are
// as for after; it is wrong, too, if the end that was shown is not after the start.
func (m moment) lasting(start, now time.Time, zone *time.Location) (time.Duration, text) {
	d, fault := m.after(start, now, zone)
	if m.IsAt() && d == 0 && fault.key == "" {
		fault = text{key: "logoutForm.timePassed", data: locale.Data{"Clock": m.Clock}}
	}
	return d, fault
}

// wholeSeconds is d in seconds, rounded up.
func wholeSeconds(d time.Duration) int { return int((d + time.Second - 1) / time.Second) }

// cmp0 is 0 for a field that was left empty.
func cmp0(s string) string {
	if s == "" {
		return "0"
	}
	return s
}

// zoneOf is the zone of a browser whose clock is so many minutes before UTC, as its form says. One
// without script says nothing, and is told times in UTC.
func zoneOf(offset string) *time.Location {
	minutes, err := strconv.Atoi(offset)
	if err != nil || minutes == 0 || minutes < -14*60 || minutes > 14*60 {
		return time.UTC
	}
	sign, m := "+", minutes
	if m < 0 {
		sign, m = "-", -m
	}
	name := fmt.Sprintf("UTC%s%d", sign, m/60)
	if m%60 != 0 {
		name += fmt.Sprintf(":%02d", m%60)
	}
	return time.FixedZone(name, minutes*60)
}

// choice is an option of the form.
type choice struct {
	Value, Text string
	Chosen      bool
}

// choices are the options for m: those that there always are, and what was asked for otherwise.
func (m moment) choices(l *locale.Locale, area string, offered []int) []choice {
	say := func(key string) string { return text{key: area + key}.in(l) }
	list := []choice{}
	chosen := false
	add := func(seconds int) {
		c := choice{Value: strconv.Itoa(seconds), Text: say("Now")}
		if seconds > 0 {
			data := locale.Data{"Time": inWords(l, time.Duration(seconds)*time.Second)}
			c.Text = text{key: area + "After", data: data}.in(l)
		}
		c.Chosen = c.Value == cmp0(m.Choice)
		chosen = chosen || c.Chosen
		list = append(list, c)
	}
	for _, seconds := range offered {
		add(seconds)
	}
	if n, err := strconv.Atoi(m.Choice); err == nil && !chosen && n > 0 {
		add(n)
	}
	return append(list, choice{Value: at, Text: say("At"), Chosen: m.IsAt()})
}

// piece is a part of a sentence: a text, or an instant, which the page shows in the zone of its
// browser where it has a script.
type piece struct {
	Text string `json:"text"`
	At   string `json:"at,omitempty"` // RFC 3339; Text is the instant for browsers without script
	// Moves says that the instant is a while from now, whenever that is: it is later for whoever
	// waits before they confirm.
	Moves bool `json:"-"`
}

// timed is the text of a key that has an instant in it, as Time.
func timed(l *locale.Locale, key string, instant piece, pairs ...any) []piece {
	const mark = "\uFFFC"
	data := locale.Pairs(append(pairs, "Time", mark)...)
	before, after, ok := strings.Cut(text{key: key, data: data}.in(l), mark)
	if !ok {
		return []piece{{Text: before}}
	}
	return []piece{{Text: before}, instant, {Text: after}}
}

// instantIn is an instant as it is shown without script: with its zone, and with its date unless
// that is today's.
func instantIn(t, now time.Time, zone *time.Location) piece {
	t, now = t.Round(time.Second).In(zone), now.In(zone) // what is confirmed a moment later is still at 14:30
	format := "15:04 MST"
	if t.YearDay() != now.YearDay() || t.Year() != now.Year() {
		format = "2006-01-02 15:04 MST"
	}
	return piece{Text: t.Format(format), At: t.UTC().Format(time.RFC3339)}
}
