package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"curfew/internal/standards"
)

// requirementTables are the tables of requirements as docs/security.md has them.
func requirementTables() string {
	var b strings.Builder
	for _, s := range standards.All() {
		verdicts := make(map[standards.Verdict]int)
		for _, r := range s.Requirements {
			verdicts[r.Verdict]++
		}
		fmt.Fprintf(&b, "## %s\n\n%s [Source](%s).\n\n%d met, %d partly, %d not met, %d not Curfew's.\n\n", s.Name,
			strings.TrimSpace(s.About), s.Source, verdicts[standards.Met], verdicts[standards.Partly],
			verdicts[standards.Unmet], verdicts[standards.Elsewhere])
		b.WriteString("| requirement | asks | Curfew | settings | tests |\n|---|---|---|---|---|\n")
		for _, r := range s.Requirements {
			id, does := r.ID, strings.TrimSpace(r.Does)
			if r.Level != "" {
				id += " (" + r.Level + ")"
			}
			if r.Verdict != standards.Met {
				verdict := r.Verdict.String()
				does = "**" + strings.ToUpper(verdict[:1]) + verdict[1:] + ".** " + does
			}
			var settings, tests []string
			for _, c := range r.Settings {
				settings = append(settings, strings.TrimSuffix("`"+c.Setting+"` "+c.Asks(), " "))
			}
			for _, test := range r.Tests {
				tests = append(tests, "`"+test+"`")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", id, r.Asks, does, strings.Join(settings, "<br>"),
				strings.Join(tests, "<br>"))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

func TestSecurityPageHasTheRequirements(t *testing.T) {
	const (
		file  = "../../docs/security.md"
		begin = "<!-- requirements: printed by go test ./cmd/server -run Security -update -->\n"
	)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, got, began := strings.Cut(string(data), begin)
	if !began {
		t.Fatalf("%s lacks %q", file, begin)
	}
	want := "\n" + strings.TrimSuffix(requirementTables(), "\n")
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got != want {
		t.Errorf("the tables of %s are not those of internal/standards: run go test ./cmd/server -run Security -update",
			file)
	}
}

// titles of e2e tests, whichever quotes they stand in.
var titles = regexp.MustCompile("\\btest\\(\\s*(?:'([^'\n]*)'|\"([^\"\n]*)\"|`([^`\n]*)`)")

// tags stand at the end of titles.
var tags = regexp.MustCompile(`( @\w+)+$`)

// sources finds tests by what requirements call them.
type sources map[string]string // the text of a folder's Go files, or of a spec

// has reports whether there is a test of that name.
func (s sources) has(t *testing.T, test string) bool {
	place, name, _ := strings.Cut(test, " ")
	pattern := filepath.Join("../..", place, "*.go")
	spec, isSpec := strings.CutPrefix(place, "e2e/")
	if isSpec {
		pattern = filepath.Join("../../e2e", spec+".spec.ts")
	}
	if _, read := s[place]; !read {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s[place] += string(data)
		}
	}
	switch {
	case isSpec:
		for _, m := range titles.FindAllStringSubmatch(s[place], -1) {
			if title := m[1] + m[2] + m[3]; tags.ReplaceAllString(title, "") == name {
				return true
			}
		}
		return false
	case place == "session/storetest":
		return strings.Contains(s[place], fmt.Sprintf("\t{%q, ", name))
	}
	return strings.Contains(s[place], "\nfunc "+name+"(t *testing.T) {") ||
		strings.Contains(s[place], "\nfunc "+name+"(f *testing.F) {")
}

func TestRequirementsNameTestsAndSettingsThatThereAre(t *testing.T) {
	known := make(map[string]bool)
	for _, s := range (&config{}).settings() {
		known[s.name] = true
	}
	values := valuesOfServer(&config{})
	for name, value := range valuesOfPolicy(groupPolicies(&config{})[0].Policy) {
		values[name] = value
	}
	tests, names := make(sources), make(map[string]bool)
	for _, s := range standards.All() {
		for _, r := range s.Requirements {
			name := s.NameOf(r)
			if names[name] || r.Asks == "" || r.Does == "" || strings.ContainsAny(r.Asks+r.Does, "|\n") {
				t.Errorf("%s stands twice, or lacks what must fit in a row", name)
			}
			names[name] = true
			isCurfews := r.Verdict == standards.Met || r.Verdict == standards.Partly
			if !isCurfews && r.Verdict != standards.Unmet && r.Verdict != standards.Elsewhere {
				t.Errorf("%s: verdict %q", name, r.Verdict)
			}
			if isCurfews != (len(r.Tests) > 0) {
				t.Errorf("%s is %s, and names %d tests", name, r.Verdict, len(r.Tests))
			}
			for _, test := range r.Tests {
				if !tests.has(t, test) {
					t.Errorf("%s is held by %q, and there is no such test", name, test)
				}
			}
			for _, c := range r.Settings {
				if _, judged := values[c.Setting]; !known[c.Setting] || c.Asks() != "" && !judged {
					t.Errorf("%s: there is no setting %s, or check-config does not know its value", name, c)
				}
			}
		}
	}
	threats, err := os.ReadFile("../../docs/threats.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([\\w/]+ Test\\w+)`").FindAllStringSubmatch(string(threats), -1)
	for _, m := range named {
		if !tests.has(t, m[1]) {
			t.Errorf("docs/threats.md names %q, and there is no such test", m[1])
		}
	}
	if len(named) == 0 {
		t.Error("docs/threats.md names no tests")
	}
	for _, gone := range []string{"hub TestNothing", "hub TestFloo", "nowhere TestFlood", "hub flood",
		"session/storetest nothing", "e2e/leaving Back after the end", "e2e/nowhere Back after the end shows nothing"} {
		if tests.has(t, gone) {
			t.Errorf("%q is found", gone)
		}
	}
}

func TestCheckConfigSaysWhichRequirementsTheSettingsMeet(t *testing.T) {
	file := filepath.Join(t.TempDir(), "curfew.yaml")
	text := "profile: nist-aal2\npolicies:\n  - {group: till, expire-after: 15m, warn-after: 14m, max-lifetime: 12h, " +
		"keep-page: 0}\n  - {group: night, max-lifetime: 0}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	check := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		args = append([]string{"check-config", "--config", file}, args...)
		if code := dispatch(t.Context(), args, nil, &stdout, &stderr); code != 0 {
			t.Fatalf("%v: status %d: %s", args, code, stderr.String())
		}
		return stdout.String()
	}
	_, rest, _ := strings.Cut(check("--ldap-watch", "off"), "\n\n(everybody)\n")
	everybody, rest, _ := strings.Cut(rest, "\ntill\n")
	till, rest, _ := strings.Cut(rest, "\nnight\n")
	night, server, _ := strings.Cut(rest, "\n(the server)\n")
	for _, tt := range []struct{ part, says, not string }{
		{everybody, `meets .*NIST SP 800-63B-4 2\.2\.3.*WCAG 2\.2\.1`, `meets .*PCI`},
		{everybody, `misses +PCI DSS 8\.2\.8: expire-after 1h instead of 15m at most\n`, `misses .*2\.2\.3`},
		{till, `meets .*V14\.3\.1.*2\.3\.3, PCI DSS 8\.2\.8`, `misses .*PCI`},
		{till, `misses +WCAG 2\.2\.1: max-lifetime 12h instead of more than 20h\n`, `meets .*WCAG`},
		{night, `misses +ASVS V7\.3\.2: max-lifetime unlimited instead of some limit\n`, `misses .*2\.2\.1`},
		{server, `misses +ASVS V7\.4\.2: ldap-watch off instead of anything but off\n`, `meets .*V7`},
	} {
		if !regexp.MustCompile(tt.says).MatchString(tt.part) || regexp.MustCompile(tt.not).MatchString(tt.part) {
			t.Errorf("want %s, and not %s, in\n%s", tt.says, tt.not, tt.part)
		}
	}

	var r report
	if err := json.Unmarshal([]byte(check("--output", "json", "--testing")), &r); err != nil {
		t.Fatal(err)
	}
	missed := make(map[string]bool)
	for _, q := range r.Requirements {
		missed[q.Name] = q.Missed
	}
	if len(r.Policies) != 3 || r.Policies[1].Group != "till" || r.Policies[1].Settings["keep-page"] != "0" ||
		!slices.ContainsFunc(r.Misses, func(m miss) bool { return m.Requirement == "ASVS V13.4.2" }) ||
		!missed["PCI DSS 8.2.8"] || !missed["ASVS V13.4.2"] || missed["ASVS V7.2.3"] || missed["ASVS V7.4.2"] {
		t.Errorf("report = %+v", r)
	}
}
