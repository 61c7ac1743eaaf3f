package directory

import (
	"errors"
	"strconv"
	"strings"
	"time"
)

var errTime = errors.New("no time of a directory")

// generalizedTime reads every form of RFC 4517 §3.3.13: YYYYMMDDHH[MM[SS]], a fraction of the last
// unit after a point or a comma, and Z or a difference ±HH[MM]. A leap second is the second that
// follows.
func generalizedTime(text string) (time.Time, error) {
	digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
	if digits != 10 && digits != 12 && digits != 14 {
		return time.Time{}, errTime
	}
	field := func(from, to int) int {
		n, _ := strconv.Atoi(text[from:min(to, digits)]) // digits only, or none: 0
		return n
	}
	year, month, day, hour := field(0, 4), field(4, 6), field(6, 8), field(8, 10)
	minute, second := 0, 0
	unit := time.Hour
	if digits >= 12 {
		minute, unit = field(10, 12), time.Minute
	}
	if digits == 14 {
		second, unit = field(12, 14), time.Second
	}
	lastDay := time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
	if month < 1 || month > 12 || day < 1 || day > lastDay || hour > 23 || minute > 59 || second > 60 {
		return time.Time{}, errTime
	}
	at := time.Date(year, time.Month(month), day, hour, minute, second, 0, time.UTC)
	fraction, rest, err := fractionOf(text[digits:], unit)
	if err != nil {
		return time.Time{}, err
	}
	offset, err := zone(rest)
	return at.Add(fraction - offset), err
}

// fractionOf reads what may follow the digits: a point or a comma, and digits.
func fractionOf(text string, unit time.Duration) (d time.Duration, rest string, err error) {
	if !strings.HasPrefix(text, ".") && !strings.HasPrefix(text, ",") {
		return 0, text, nil
	}
	digits := text[1 : len(text)-len(strings.TrimLeft(text[1:], "0123456789"))]
	part, err := strconv.ParseFloat("0."+digits, 64)
	if err != nil || digits == "" {
		return 0, "", errTime
	}
	return time.Duration(part * float64(unit)), text[1+len(digits):], nil
}

func zone(text string) (time.Duration, error) {
	if text == "Z" {
		return 0, nil
	}
	if len(text) != 3 && len(text) != 5 || text[0] != '+' && text[0] != '-' ||
		strings.Trim(text[1:], "0123456789") != "" {
		return 0, errTime
	}
	hours, _ := strconv.Atoi(text[1:3])
	minutes, _ := strconv.Atoi(text[3:])
	if hours > 23 || minutes > 59 {
		return 0, errTime
	}
	offset := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
	if text[0] == '-' {
		offset = -offset
	}
	return offset, nil
}

// Active Directory counts 100 ns from 1601 (MS-ADTS, LargeInteger); these two counts stand for no
// time at all.
const (
	ticksUnset = 0
	ticksNever = 1<<63 - 1
)

// ticks reads such a count. ok is false for what is none, and for the two that are no time.
func ticks(text string) (at time.Time, ok bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= ticksUnset || n == ticksNever {
		return time.Time{}, false
	}
	const from1601 = 11644473600 // seconds until 1970
	return time.Unix(n/1e7-from1601, n%1e7*100).UTC(), true
}

// days reads a count of days from 1970 (shadow(5)); negative ones are none.
func days(text string) (at time.Time, ok bool) {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return time.Time{}, false
	}
	return time.Unix(n*24*60*60, 0).UTC(), true
}
