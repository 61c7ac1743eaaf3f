package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestWhatIsTooLargeIsReported(t *testing.T) {
	function := func(lines int) string { return "func f() {" + strings.Repeat("\n", lines-1) + "}\n" }
	object := func(fields int) string { return "type t struct {" + strings.Repeat("\n\ta int", fields) + "\n}\n" }
	const head = "package p\n\n"
	for _, tt := range []struct {
		name, file, source string
		want               []string
	}{
		{"a function of 60 lines", "a.go", head + function(60), nil},
		{"a function of 61 lines", "a.go", head + function(61), []string{"3: f of 61 lines; at most 60"}},
		{"excused", "a.go", head + "// f is long.\n//\n" + excuseFunction + " // a table\n" + function(61), nil},
		{"excused without a reason", "a.go", head + excuseFunction + "\n" + function(61),
			[]string{"4: " + excuseFunction + " needs a reason: " + excuseFunction + " // REASON"}},
		{"excused and short", "a.go", head + excuseFunction + " // a table\n" + function(2),
			[]string{"4: " + excuseFunction + " that is not needed"}},
		{"a struct of 20 fields", "a.go", head + object(20), nil},
		{"a struct of 21 fields", "a.go", head + object(21), []string{"3: t of 21 fields; at most 20"}},
		{"an excused struct", "a.go", head + excuseStruct + " // a row of the store\n" + object(21), nil},
		{"a file of 500 lines", "a.js", strings.Repeat("\n", 500), nil},
		{"a file of 501 lines", "a.js", strings.Repeat("\n", 501), []string{"1: a file of 501 lines; at most 500"}},
		{"an excused file", "a.ts", excuseFile + " // one subject\n" + strings.Repeat("\n", 501), nil},
	} {
		if got := tooLarge(tt.file, []byte(tt.source)); !slices.Equal(got, tt.want) {
			t.Errorf("%s: reports %s, want %s", tt.name, fmt.Sprint(got), fmt.Sprint(tt.want))
		}
	}
}
