package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"curfew/internal/freeport"
	"curfew/session/redis/redistest"
)

// The dashboard, the alerts and the reference page, beside what a running server shows.

// family is a metric as /metrics shows it.
type family struct {
	kind, help string
	labels     map[string]map[string]bool // values by label
}

var sample = regexp.MustCompile(`^(\w+)(?:\{(.*)\})? \S+$`)

// families reads the text format of Prometheus. No label here holds a comma or a quotation mark.
func families(t *testing.T, text string) map[string]*family {
	t.Helper()
	all := map[string]*family{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		word := strings.SplitN(line, " ", 4)
		switch {
		case strings.HasPrefix(line, "# HELP "):
			all[word[2]] = &family{help: word[3], labels: map[string]map[string]bool{}}
			continue
		case strings.HasPrefix(line, "# TYPE "):
			all[word[2]].kind = word[3]
			continue
		}
		parts := sample.FindStringSubmatch(line)
		if parts == nil {
			t.Fatalf("not a sample: %s", line)
		}
		one := all[familyOf(all, parts[1])]
		for label := range strings.SplitSeq(parts[2], ",") {
			if name, value, ok := strings.Cut(label, "="); ok && name != "le" {
				if one.labels[name] == nil {
					one.labels[name] = map[string]bool{}
				}
				one.labels[name][strings.Trim(value, `"`)] = true
			}
		}
	}
	return all
}

// familyOf is the metric that a series belongs to; that of a histogram has several.
func familyOf(all map[string]*family, series string) string {
	for _, end := range []string{"_bucket", "_sum", "_count"} {
		if name, ok := strings.CutSuffix(series, end); ok && all[name] != nil && all[name].kind == "histogram" {
			return name
		}
	}
	return series
}

// shownBy is what a server over Redis shows that sends events, which has all metrics that there
// are.
func shownBy(t *testing.T) map[string]*family {
	t.Helper()
	flags := startReceiver(t, 204).flags(t)
	_, _, admin := startAPI(t, append(flags, "--audit-syslog", fmt.Sprintf("tcp://127.0.0.1:%d", freeport.Reserve(t)),
		"--redis-url", redistest.Start(t).URL())...)
	_, text := admin.do("/metrics", nil, "Authorization", admin.header.Get("Authorization"))
	return families(t, text)
}

var (
	selector = regexp.MustCompile(`\b((?:curfew|process|go)_\w+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`(\w+)(=~|!=|!~|=)"([^"]*)"`)
	grouping = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// checkExpression wants all that an expression names to exist. It returns the metrics.
func checkExpression(t *testing.T, all map[string]*family, where, expression string) (names []string) {
	t.Helper()
	known := map[string]bool{"instance": true, "job": true, "le": true} // of the Prometheus server, and of histograms
	for _, found := range selector.FindAllStringSubmatch(expression, -1) {
		name := familyOf(all, found[1])
		one := all[name]
		if one == nil {
			t.Errorf("%s: there is no metric %s", where, found[1])
			continue
		}
		names = append(names, name)
		if one.kind == "histogram" && name == found[1] {
			t.Errorf("%s: %s is a histogram, which has no series of its name", where, name)
		}
		for label := range one.labels {
			known[label] = true
		}
		for _, m := range matcher.FindAllStringSubmatch(found[2], -1) {
			if m[1] == "instance" || m[1] == "job" {
				continue
			}
			matches := func(value string) bool { return value == m[3] }
			if strings.HasSuffix(m[2], "~") {
				matches = regexp.MustCompile("^(?:" + m[3] + ")$").MatchString
			}
			if !slices.ContainsFunc(slices.Collect(maps.Keys(one.labels[m[1]])), matches) {
				t.Errorf("%s: %s has no %s that is %s; it has %v", where, name, m[1], m[3], one.labels[m[1]])
			}
		}
	}
	for _, found := range grouping.FindAllStringSubmatch(expression, -1) {
		for label := range strings.SplitSeq(found[1], ",") {
			if !known[strings.TrimSpace(label)] {
				t.Errorf("%s: none of its metrics has the label %s", where, label)
			}
		}
	}
	if len(names) == 0 {
		t.Errorf("%s: %q names no metric", where, expression)
	}
	return names
}

// alertRule is an alert of deploy/alerts.yaml.
type alertRule struct {
	Alert       string
	Expr        string
	Labels      map[string]string
	Annotations map[string]string
}

func alertRules(t *testing.T) (rules []alertRule) {
	t.Helper()
	var file struct{ Groups []struct{ Rules []alertRule } }
	if err := yaml.Unmarshal(fileOf(t, "../../deploy/alerts.yaml"), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		rules = append(rules, g.Rules...)
	}
	if len(rules) < 6 {
		t.Fatalf("%d alerts were read", len(rules))
	}
	return rules
}

func fileOf(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDashboardAlertsAndReferenceNameTheMetricsThatThereAre(t *testing.T) {
	t.Parallel()
	all := shownBy(t)
	t.Run("alerts", func(t *testing.T) {
		page := string(fileOf(t, "../../docs/metrics.md"))
		for _, rule := range alertRules(t) {
			checkExpression(t, all, rule.Alert, rule.Expr)
			for _, text := range []string{rule.Labels["severity"], rule.Annotations["summary"],
				rule.Annotations["description"]} {
				if text == "" {
					t.Errorf("%s: has no severity, summary or description", rule.Alert)
				}
			}
			if !strings.Contains(page, "| `"+rule.Alert+"` |") {
				t.Errorf("%s: is not in docs/metrics.md", rule.Alert)
			}
		}
	})
	t.Run("dashboard", func(t *testing.T) { checkDashboard(t, all) })
	t.Run("reference", func(t *testing.T) {
		page := string(fileOf(t, "../../docs/metrics.md"))
		for _, name := range slices.Sorted(maps.Keys(all)) {
			if !strings.HasPrefix(name, "curfew_") {
				continue
			}
			if row := reference(name, all[name]); !strings.Contains(page, row) {
				t.Errorf("docs/metrics.md lacks\n%s", row)
			}
		}
		for _, found := range regexp.MustCompile("(?m)^\\| `(curfew_\\w+)`").FindAllStringSubmatch(page, -1) {
			if all[found[1]] == nil {
				t.Errorf("docs/metrics.md: there is no metric %s", found[1])
			}
		}
	})
}

// reference is the row of a metric in docs/metrics.md.
func reference(name string, one *family) string {
	label := ""
	for name, values := range one.labels {
		label = fmt.Sprintf("`%s`: %s", name, strings.Join(slices.Sorted(maps.Keys(values)), ", "))
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s |\n", name, one.kind, label, one.help)
}

// checkDashboard wants every metric in a panel of deploy/grafana.json, and each panel in its place.
func checkDashboard(t *testing.T, all map[string]*family) {
	t.Helper()
	type place struct{ X, Y, W, H int }
	var board struct {
		UID    string
		Panels []struct {
			ID      int
			Title   string
			GridPos place
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(fileOf(t, "../../deploy/grafana.json"), &board); err != nil || board.UID == "" {
		t.Fatal(board.UID, err)
	}
	shown, ids, taken := map[string]bool{}, map[int]string{}, map[place]string{}
	for _, p := range board.Panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%s has the id of %s", p.Title, other)
		}
		ids[p.ID] = p.Title
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := place{X: p.GridPos.X + x, Y: p.GridPos.Y + y}
				if other, ok := taken[at]; ok || at.X >= 24 {
					t.Fatalf("%s lies over %q, or beyond the edge", p.Title, other)
				}
				taken[at] = p.Title
			}
		}
		for _, target := range p.Targets {
			for _, name := range checkExpression(t, all, p.Title, target.Expr) {
				shown[name] = true
			}
		}
	}
	for name := range all {
		if strings.HasPrefix(name, "curfew_") && !shown[name] {
			t.Errorf("no panel shows %s", name)
		}
	}
}

// promtool runs the tool of the package prometheus of Debian. make install gets it.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	tool, err := exec.LookPath("promtool")
	if err != nil {
		if tool, err = filepath.Abs("../../bin/promtool"); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPrometheusTakesAlertsAndConfiguration(t *testing.T) {
	t.Parallel()
	promtool(t, "check", "rules", "../../deploy/alerts.yaml")
	promtool(t, "test", "rules", "../../deploy/alerts_test.yaml")
	tested := string(fileOf(t, "../../deploy/alerts_test.yaml"))
	for _, rule := range alertRules(t) {
		if !strings.Contains(tested, `alertname="`+rule.Alert+`",alertstate="firing"`) {
			t.Errorf("%s: no test has it fire", rule.Alert)
		}
	}
	_, rest, _ := strings.Cut(string(fileOf(t, "../../docs/metrics.md")), "```yaml\n")
	config, _, ok := strings.Cut(rest, "```")
	path := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil || !ok {
		t.Fatal("docs/metrics.md has no configuration: ", err)
	}
	promtool(t, "check", "config", "--syntax-only", path)
}
