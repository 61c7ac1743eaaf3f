package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// importRule says which packages of ours a package may import, and why no others. Its names are
// relative to the module.
type importRule struct {
	name string
	may  string // separated by spaces
	why  string // ends the sentence "it may not, because …"
}

// wiring is what a program that wires a server together may import.
const wiring = "delivery directory directory/demo front front/spoofing hub hub/wire internal/metrics " +
	"internal/watching locale " +
	"session session/bolt session/exactjson session/faulty session/gorilla session/redis views"

// importRules has every package of the module. A new package gets a row here, in the commit that
// makes it.
var importRules = []importRule{
	// Floors: each stands on those above it.
	{"session", "", "its rules hold whatever stores records, opens sockets or renders pages"},
	{"session/exactjson", "", "it decodes JSON and knows nothing of what that means"},
	{"directory", "", "it says whom the directory lets in, and knows no session"},
	{"delivery", "session", "it sends lines of the trail, and knows neither who writes them nor where they are stored"},
	{"front", "front/page", "it stands before any application, and knows a session only as a user and a channel"},
	{"locale", "", "it has words, and knows no page that shows them"},
	{"static", "locale", "it prepares browser files and knows no page that includes them"},
	{"front/page", "", "it puts the tag into pages, and knows no session and no proxy"},
	{"front/spoofing", "", "it is a list of attempts on any proxy, and knows none"},
	{"hub", "hub/internal/cluster hub/internal/parallel hub/internal/revocation hub/internal/socket hub/wire session",
		"it takes stores by their interface; it links no engine, page or directory"},
	{"views", "directory front front/spoofing hub hub/wire locale session session/exactjson session/gorilla static",
		"its pages know sessions, not where they are stored"},

	// Rooms of the hub: none knows the hub, so that each can be read and tested alone.
	{"hub/wire", "session session/exactjson", "it is the protocol, and knows no tab and no connection"},
	{"hub/internal/cluster", "hub/internal/revocation session",
		"it is the conversation of nodes, and asks the hub through an interface of its own"},
	{"hub/internal/parallel", "", "it goes through lists, whatever is in them"},
	{"hub/internal/socket", "hub/internal/parallel hub/wire", "it moves bytes, and knows no session"},
	{"hub/internal/revocation", "session", "it knows what ends sessions, and no session in memory, tab or other node"},

	// Engines and adapters: a program chooses among them.
	{"session/bolt", "session", "an engine stores what the rules say, and knows no tab and no other engine"},
	{"session/redis", "session", "an engine stores what the rules say, and knows no tab and no other engine"},
	{"session/gorilla", "session", "it shows sessions to any net/http application, with or without a hub"},
	{"directory/demo", "directory", "it is a directory server and knows nobody's session"},

	{"internal/standards", "", "it says what standards ask, and judges what it is given"},
	{"internal/freeport", "", "it finds ports for the servers of tests"},
	{"internal/metrics", "delivery front hub hub/wire session views",
		"it is told by the parts of a server and asks them, and wires up none"},
	{"internal/watching", "directory hub session", "it joins a directory's watcher to a hub, and knows no page"},

	// Programs, and what stands in for one within another.
	{"curfew", "directory directory/demo front hub internal/watching session session/bolt session/gorilla views",
		"it wires up what one process needs to guard its own application, and no Redis"},
	{"cmd/server", wiring + " internal/standards", "it wires up a server and runs no test suite and no bench"},
	{"bench", wiring, "it measures what the program is made of"},
	{"examples/library", "curfew views", "it shows all that a program needs to know"},
	{"chaos", "", "it drives the real program from outside, as anybody can"},

	// For tests.
	{"internal/lint", "", "it reads source files, whatever they say"},
	{"hub/hubtest", "hub/wire session", "it is a page for tests, and knows no hub"},
	{"session/storetest", "session", "the same rules are tested on every engine"},
	{"session/faulty", "session", "it makes calls of any store fail, whichever engine that is"},
	{"views/apitest", "", "it reads the description of the API as any client can"},
	{"session/redis/redistest", "internal/freeport",
		"it starts servers of Redis and knows nothing of what is stored there"},
}

const module = "curfew/"

// mistakenImports lists what rules forbid of packages, which are the lines "PACKAGE IMPORT…" of go
// list.
func mistakenImports(rules []importRule, packages string) (mistakes []string) {
	refuse := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	gone := make(map[string]importRule)
	for _, r := range rules {
		if _, twice := gone[r.name]; twice || r.why == "" {
			refuse("the rule of %s stands twice, or does not say why", r.name)
		}
		gone[r.name] = r
	}
	for line := range strings.Lines(packages) {
		words := strings.Fields(line)
		name := strings.TrimPrefix(words[0], module)
		rule, known := gone[name]
		if !known {
			refuse("%s is a new package: importRules must say what it may import", name)
			continue
		}
		delete(gone, name)
		for _, imported := range words[1:] {
			imported, ours := strings.CutPrefix(imported, module)
			if (ours || imported+"/" == module) && !slices.Contains(strings.Fields(rule.may), imported) {
				refuse("%s imports %s, and it may not, because %s", name, imported, rule.why)
			}
		}
	}
	for name := range gone {
		refuse("there is no package %s any more: it has a rule", name)
	}
	slices.Sort(mistakes)
	return mistakes
}

// TestImportsPointRight keeps the arrows of docs/architecture.md honest.
func TestImportsPointRight(t *testing.T) {
	const format = `{{.ImportPath}} {{join .Imports " "}}`
	packages, err := exec.Command("go", "list", "-tags", "chaos", "-f", format, module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, mistake := range mistakenImports(importRules, string(packages)) {
		t.Error(mistake)
	}
}

func TestImportRulesCatchWhatTheyForbid(t *testing.T) {
	rules := []importRule{
		{"session", "", "it is pure"},
		{"session/redis", "session", "it is an engine"},
		{"hub", "session", "it links no engine"},
	}
	const right = "curfew/hub context curfew/session\ncurfew/session time\n"
	for _, tt := range []struct {
		name, packages string
		told           []string
	}{
		{"all is right", right + "curfew/session/redis curfew/session github.com/redis/go-redis/v9\n", nil},
		{"an engine imports the hub", right + "curfew/session/redis curfew/hub\n",
			[]string{"session/redis imports hub, and it may not, because it is an engine"}},
		{"the floor imports an engine", "curfew/hub\ncurfew/session curfew/session/redis\ncurfew/session/redis\n",
			[]string{"session imports session/redis, and it may not, because it is pure"}},
		{"a package below a known one", right + "curfew/session/redis\ncurfew/session/redis/cluster curfew/hub\n",
			[]string{"session/redis/cluster is a new package: importRules must say what it may import"}},
		{"a package is gone", right, []string{"there is no package session/redis any more: it has a rule"}},
	} {
		if got := mistakenImports(rules, tt.packages); !slices.Equal(got, tt.told) {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.told)
		}
	}
}
