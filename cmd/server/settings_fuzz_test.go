package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzSettings gives one setting any value by a flag, by the environment and by the file. All three
// mean the same: the same mistakes are told, or the same is set.
func FuzzSettings(f *testing.F) {
	for i, s := range (&config{}).settings() {
		for _, text := range []string{s.standard, "-1"} {
			f.Add(i, text)
		}
	}
	for i, text := range []string{"0", "1e3s", "9223372036854775807", "true", "http://[::1]", "10.0.0.0/8, ::/0",
		"/a\u202e", "~",
		"*", "!!x", "{}", "0x10", "1_000", "2026-01-02", "null", " x "} {
		f.Add(i, text)
	}
	folder := f.TempDir()
	f.Fuzz(func(t *testing.T, i int, text string) {
		all := (&config{}).settings()
		s := all[uint(i)%uint(len(all))]
		if s.kind == fileOnly || s.kind == aFile || s.kind == aFolder || s.name == "config" || text == "" ||
			!utf8.ValidString(text) || strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }) {
			return // YAML has no other characters
		}
		quoted, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, "curfew.yaml")
		if err := os.WriteFile(path, []byte(s.name+": "+string(quoted)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		byFlag, wrong := load([]string{"--" + s.name + "=" + text}, nil)
		byVariable, wrongVariable := load(nil, []string{s.variable() + "=" + text})
		byFile, wrongFile := load([]string{"--config", path}, nil)
		if toldAs(wrong) != toldAs(wrongVariable) || toldAs(wrong) != toldAs(wrongFile) {
			t.Fatalf("%s %q: the flag is told %q, the variable %q, the file %q", s.name, text, toldAs(wrong),
				toldAs(wrongVariable), toldAs(wrongFile))
		}
		if wrong != nil {
			return
		}
		if flag, variable, file := policyText(byFlag), policyText(byVariable), policyText(byFile); flag != variable ||
			flag != file {
			t.Errorf("%s %q: the flag sets %s, the variable %s, the file %s", s.name, text, flag, variable, file)
		}
	})
}

func toldAs(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// policyText is what can be compared of settings: the rules of sessions, which have most of them.
func policyText(c *config) string {
	text, err := json.Marshal(c.sessions.policies.Global)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
