package directory

import (
	"testing"
	"time"
)

func TestEveryTimeThatADirectoryWritesIsRead(t *testing.T) {
	tests := []struct{ text, want string }{
		{"20260102030405Z", "2026-01-02T03:04:05Z"},
		{"202601020304Z", "2026-01-02T03:04:00Z"},
		{"2026010203Z", "2026-01-02T03:00:00Z"},
		{"20260102030405.5Z", "2026-01-02T03:04:05.5Z"},
		{"20260102030405,125Z", "2026-01-02T03:04:05.125Z"},
		{"202601020304.5Z", "2026-01-02T03:04:30Z"},
		{"2026010203.25Z", "2026-01-02T03:15:00Z"},
		{"2026010203,5+01", "2026-01-02T02:30:00Z"},
		{"20260102030405+0130", "2026-01-02T01:34:05Z"},
		{"20260102030405-0500", "2026-01-02T08:04:05Z"},
		{"20260102030405.0Z", "2026-01-02T03:04:05Z"},
		{"20161231235960Z", "2017-01-01T00:00:00Z"}, // a leap second
		{"20240229000000Z", "2024-02-29T00:00:00Z"},
		{"000001010000Z", "0000-01-01T00:00:00Z"},
		{"99991231235959Z", "9999-12-31T23:59:59Z"},
		{"", ""}, {"Z", ""}, {"20260102030405", ""}, {"20260102030405z", ""}, {"2026010203040Z", ""}, {"20260102Z", ""},
		{"20260102030405.Z", ""}, {"20260102030405Zx", ""}, {"20261302030405Z", ""}, {"20260002030405Z", ""},
		{"20260100030405Z", ""},
		{"20250229000000Z", ""}, {"20260102240000Z", ""}, {"20260102036000Z", ""}, {"20260102030461Z", ""},
		{"20260102030405+1", ""},
		{"20260102030405+2400", ""}, {"20260102030405+0060", ""}, {"20260102030405+01:00", ""}, {"２０２６0102030405Z", ""},
		{"-0260102030405Z", ""},
	}
	for _, tt := range tests {
		at, err := generalizedTime(tt.text)
		got := ""
		if err == nil {
			got = at.UTC().Format(time.RFC3339Nano)
		}
		if got != tt.want {
			t.Errorf("%q: %q, %v, want %q", tt.text, got, err, tt.want)
		}
	}
}

func TestCountsAreTimesUnlessTheyStandForNone(t *testing.T) {
	for text, want := range map[string]string{
		"116444736000000000":  "1970-01-01T00:00:00Z",
		"132223104000000000":  "2020-01-01T00:00:00Z",
		"132223104000000001":  "2020-01-01T00:00:00.0000001Z",
		"0":                   "",
		"9223372036854775807": "",
		"9223372036854775808": "",
		"-1":                  "", "": "", "never": "",
	} {
		at, ok := ticks(text)
		if ok != (want != "") || ok && at.Format(time.RFC3339Nano) != want {
			t.Errorf("ticks %q: %s, %v, want %q", text, at, ok, want)
		}
	}
	for text, want := range map[string]string{
		"0":           "1970-01-01",
		"1":           "1970-01-02",
		"20089":       "2025-01-01",
		"-1":          "",
		"":            "",
		"99999999999": "",
	} {
		at, ok := days(text)
		if ok != (want != "") || ok && at.Format(time.DateOnly) != want {
			t.Errorf("days %q: %s, %v, want %q", text, at, ok, want)
		}
	}
}

func FuzzTimes(f *testing.F) {
	f.Add("20260102030405.5+0130")
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := generalizedTime(text); err == nil && (at.Year() < -1 || at.Year() > 10000) {
			t.Errorf("%q: %s", text, at)
		}
		ticks(text)
		days(text)
	})
}
