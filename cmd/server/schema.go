package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"strings"

	"curfew/session"
)

// The JSON Schema of the YAML file, for editors and for checks before a roll-out. It is a little
// stricter than [readFile]: one spelling of true and false, and no empty values.

// schemaAddress is the dialect of the schema.
const schemaAddress = "https://json-schema.org/draft/2020-12/schema"

// durationPattern is what [time.ParseDuration] reads of what is not negative.
const durationPattern = `^\+?(0|((\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h))+)$`

// object is an object in JSON.
type object = map[string]any

// schemaCommand prints the schema of the YAML file.
func schemaCommand(_ context.Context, c invocation) error {
	if len(c.args) > 0 && isHelp(c.args[0]) {
		return flag.ErrHelp
	}
	if len(c.args) > 0 {
		return errUsage{errors.New("takes no argument")}
	}
	e := json.NewEncoder(c.stdout)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(fileSchema())
}

// fileSchema is the schema of the YAML file.
func fileSchema() object {
	properties := make(object)
	for _, s := range (&config{}).settings() {
		if s.name != "config" {
			properties[s.name] = s.schema()
		}
	}
	return object{
		"$schema":              schemaAddress,
		"title":                "Settings of Curfew",
		"description":          "The file of --config. Durations are as 90s, 10m or 22h.",
		"type":                 []string{"object", "null"},
		"properties":           properties,
		"additionalProperties": false,
	}
}

// schema describes the values of the setting.
func (s setting) schema() object {
	o := s.values()
	o["description"] = strings.ReplaceAll(s.meaning, "`", "")
	if s.standard != "" && s.kind != yesNo && s.kind != manyValues {
		o["default"] = s.standard
	}
	return o
}

func (s setting) values() object {
	text := object{"type": []string{"string", "number", "boolean"}} // as it is written
	if len(s.choices) > 0 {
		text = object{"enum": s.choices}
	}
	switch {
	case s.name == "policies":
		return listOf(policySchema())
	case s.name == "upstreams":
		pair := object{"path": object{"type": "string", "pattern": "^/"}, "url": object{"type": "string"}}
		return listOf(entrySchema(pair, "path", "url"))
	case s.kind == manyValues:
		separated := object{"type": []string{"string", "number", "boolean"}}
		item := object{"allOf": []object{text, {"not": object{"type": "string", "pattern": `^\s*$`}}}}
		return object{"anyOf": []object{listOf(item), separated}}
	case s.kind == yesNo:
		return object{"type": "boolean"}
	case s.kind == aNumber:
		return object{"type": "integer", "minimum": 0}
	case s.kind == aDuration:
		return object{"anyOf": []object{{"type": "string", "pattern": durationPattern}, {"const": 0}}}
	case s.kind == aFile, s.kind == aFolder:
		return object{"type": "string"}
	}
	return text
}

// policySchema is that of an entry of policies.
func policySchema() object {
	properties := object{"group": object{
		"type":        []string{"string", "number", "boolean"},
		"description": "the group whose members it is for",
	}}
	for _, s := range policySettings(&session.Policy{}) {
		properties[s.name] = s.schema()
	}
	return entrySchema(properties, "group")
}

func entrySchema(properties object, required ...string) object {
	return object{
		"type":                 "object",
		"properties":           properties,
		"required":             required,
		"additionalProperties": false,
	}
}

func listOf(items object) object { return object{"type": "array", "items": items} }
