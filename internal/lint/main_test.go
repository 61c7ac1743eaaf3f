package main

import (
	"slices"
	"strings"
	"testing"
)

func TestLinesThatAreTooLongAreReported(t *testing.T) {
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, tt := range []struct {
		name, source string
		want         []string
	}{
		{"a comment of 100 columns", "\t// " + x(93) + "\n", nil},
		{"a comment of 101 columns", "\t// " + x(94) + "\n", []string{"1: a comment of 101 columns; at most 100"}},
		{"code of 120 columns", "\n\t\t" + x(112), nil},
		{"code of 121 columns", "\n\t\t" + x(113), []string{"2: code of 121 columns; at most 120"}},
		{"code with a comment behind it counts as code", x(80) + " // " + x(36), nil},
		{"a preformatted comment counts as code", "//\t" + x(114), nil},
		{"letters count, not bytes", strings.Repeat("ü", 120), nil},
		{"excused at its end", x(121) + " " + excuse + " // a key\n" + x(121),
			[]string{"2: code of 121 columns; at most 120"}},
		{"excused by the line above", "\t" + excuse + " // a key\n" + x(121) + "\n" + x(121),
			[]string{"3: code of 121 columns; at most 120"}},
		{"excused without a reason", x(121) + " " + excuse + " //",
			[]string{"1: " + excuse + " needs a reason: " + excuse + " // REASON"}},
		{"an excuse that nothing needs", excuse + " // a key\n" + x(120),
			[]string{"2: " + excuse + " that is not needed"}},
		{"an excuse in quotes is none", `"` + excuse + `" ` + x(121), []string{"1: code of 136 columns; at most 120"}},
	} {
		if got := longLines([]byte(tt.source)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: reports %q, want %q", tt.name, got, tt.want)
		}
	}
}
