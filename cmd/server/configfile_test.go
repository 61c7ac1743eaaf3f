package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// nested is a mapping that merges ten times the one before it, and so on.
func nested(levels int) string {
	var b strings.Builder
	b.WriteString("a0: &a0 {x: y}\n")
	for i := 1; i <= levels; i++ {
		fmt.Fprintf(&b, "a%d: &a%[1]d {<<: [%s]}\n", i, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10), ", "))
	}
	return b.String()
}

func TestAnchorsOfTheFileThatHoldThemselvesOrTooMuchAreRefused(t *testing.T) {
	began := time.Now()
	for _, tt := range []struct{ name, file, told string }{
		{"a list in itself", "admin-groups: &a [*a]\n", "admin-groups: must be a list of plain values, none of them empty"},
		{"a list in a list in itself", "admin-groups: &a [b, [*a]]\n", "must be a list of plain values, none of them empty"},
		{"a mapping merged into itself", "&a\n<<: *a\nnode-name: b\n", "anchors that hold themselves"},
		{"a mapping merged into itself many times", "&a\n<<: [*a, *a, *a]\n", "anchors that hold themselves"},
		{"two that merge each other", "&a\n<<: {<<: *a}\n", "anchors that hold themselves"},
		{"a policy", "policies:\n  - &a\n    <<: *a\n    group: b\n", "policies, entry 1: must have a group and settings of its policy: line 2: anchors that hold themselves"},
		{"policies in themselves", "policies: &a [*a]\n", "policies, entry 1: must have a group"},
		{"a value in itself", "node-name: &a {b: *a}\n", "node-name: must be a plain value or a list"},
		{"merges of merges", nested(20) + "<<: *a20\n", "anchors that stand for more than 4 MiB"},
		{"a long value many times", "node-name: &a " + strings.Repeat("x", 100_000) + "\npolicies: [" + strings.Repeat("{group: [*a]}, ", 10_000) + "]\n", "anchors that stand for more than 4 MiB"},
		{"a long file", "# " + strings.Repeat("x", maxFile), "has more than 1048576 bytes"},
	} {
		_, err := loadFile(t, tt.file)
		if err == nil || !strings.Contains(err.Error(), tt.told) {
			t.Errorf("%s: told\n%.500v\nwant %s", tt.name, err, tt.told)
		} else if n := len(err.Error()); n > 4*maxSaid {
			t.Errorf("%s: told in %d bytes", tt.name, n)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
}

func FuzzConfigFile(f *testing.F) {
	for _, seed := range []string{
		"", "---\n", "--- # c\n", "node-name: a\n---\nb: c\n", "admin-groups: &a [*a]\n", "&a\n<<: *a\n", "policies:\n  - &x {group: a}\n  - <<: [*x, *x]\n    group: b\n",
		"? [a]\n: b\n", "!!merge a: b\n", "a: !!binary x\n", "a: !!float x\n", "policies: [*a]", "expire-after: 20m\nadmin-groups: [a, 'b, c']\n", nested(3) + "<<: *a3\n",
	} {
		f.Add([]byte(seed))
	}
	known := settings(&config{})
	f.Fuzz(func(t *testing.T, data []byte) {
		file := filepath.Join(t.TempDir(), "curfew.yaml")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		given, groups, mistakes := readFile(known, file)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("it took %s", took)
		}
		if len(mistakes) > 0 {
			return
		}
		for name, v := range given {
			for _, one := range v.list {
				if strings.TrimSpace(one) == "" {
					t.Errorf("%s holds an empty text", name)
				}
			}
		}
		for _, g := range groups {
			if strings.TrimSpace(g.group) == "" {
				t.Errorf("a policy without a group: %+v", g)
			}
		}
	})
}
