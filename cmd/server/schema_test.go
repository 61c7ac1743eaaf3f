package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// compiledSchema is what curfew schema prints, as a validator reads it.
func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	status, out, errs := curfew(t, "schema")
	if status != 0 || errs != "" {
		t.Fatalf("schema: status %d, %s", status, errs)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(out))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("curfew.schema.json", document); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("curfew.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

// validates judges a YAML file by the schema, as an editor does.
func validates(t *testing.T, schema *jsonschema.Schema, file string) error {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(file), &v); err != nil {
		t.Fatalf("%q: %v", file, err)
	}
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return schema.Validate(document)
}

func TestSchemaTakesWhatTheServerTakes(t *testing.T) {
	schema := compiledSchema(t)
	for _, file := range []string{
		"", "{}", "node-name: 0123", "admin-groups: [on, 7, 'a, b']", "admin-groups: a, b", "max-lifetime: 0",
		"audit-keep: 1h30m0.5s", "testing: true",
		"profile: kiosk\npolicies:\n  - group: a\n    max-sessions: 1\n    warn-after: 1m\n",
		"upstreams:\n  - {path: /, url: http://127.0.0.1:1}\n",
	} {
		if err := validates(t, schema, file); err != nil {
			t.Errorf("%q: %v", file, err)
		}
		if _, err := loadFile(t, file); err != nil {
			t.Errorf("%q is no settings: %v", file, err)
		}
	}
}

func TestSchemaRefusesWhatTheServerRefuses(t *testing.T) {
	schema := compiledSchema(t)
	for _, file := range []string{
		"lisen: x", "- a", "config: x", "warn-after: 9", "warn-after: 9 minutes", "audit-keep: -1h", "testing: maybe",
		"max-sessions: many", "max-sessions: -1", "max-sessions: 1.5", "profile: strict", "log-level: loud",
		"node-name: [a]", "node-name: {a: b}", "admin-groups: [a, '']", "admin-groups: [[a]]", "presence: all",
		"languages: [tlh]", "policies: {group: a}", "policies:\n  - warn-after: 1m\n",
		"policies:\n  - group: a\n    colour: red\n", "policies:\n  - group: a\n    extend-on: smile\n",
		"upstreams:\n  - path: /a\n", "upstreams:\n  - {path: a, url: 'http://b'}\n",
	} {
		if validates(t, schema, file) == nil {
			t.Errorf("%q is taken", file)
		}
		if _, err := loadFile(t, file); err == nil {
			t.Errorf("%q is taken by the server", file)
		}
	}
}

// TestKindsOfSettingsAreTrue compares what the table says of values with what becomes of them.
func TestKindsOfSettingsAreTrue(t *testing.T) {
	schema := compiledSchema(t)
	samples := []string{"1h30m", "10m", "7", "no such thing", "12 parsecs", "-5s", "1.5"}
	for _, s := range (&config{}).settings() {
		if s.set == nil || s.kind == aFile || s.kind == aFolder || s.kind == yesNo ||
			s.name == "extend-on" { // a policy judges it as a whole
			continue
		}
		for _, sample := range slices.Concat(samples, s.choices) {
			serverSays := s.set(value{text: sample})
			schemaSays := validates(t, schema, fmt.Sprintf("%s: %s", s.name, sample))
			isTyped := len(s.choices) > 0 || s.kind == aDuration || s.kind == aNumber
			switch {
			case serverSays == nil && schemaSays != nil:
				t.Errorf("%s: the server takes %q, the schema says %v", s.name, sample, schemaSays)
			case serverSays != nil && schemaSays == nil && isTyped && s.kind != manyValues:
				t.Errorf("%s: the schema takes %q, the server says %v", s.name, sample, serverSays)
			case serverSays != nil && !isTyped && strings.HasPrefix(serverSays.Error(), "must be a duration"):
				t.Errorf("%s: is a duration, and its kind does not say so", s.name)
			}
		}
	}
}
