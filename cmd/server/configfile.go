package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"curfew/session"
)

// The YAML file. A setting has the text that stands in the file, whatever YAML would make of it: the group 0123 is no number,
// the group on is no truth, and a name that looks like a date is none.

// field is a key of a mapping with its value.
type field struct {
	key   string
	value *yaml.Node
}

// fieldsOf lists the fields of a mapping in their order. Those of a merge (<<) come after the mapping's own, which go before
// them.
func fieldsOf(n *yaml.Node) (fields []field, err error) {
	if n = target(n); n.Kind != yaml.MappingNode {
		return nil, errors.New("must be keys with values")
	}
	var merged []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := target(n.Content[i]), target(n.Content[i+1])
		switch {
		case key.ShortTag() == "!!merge" && v.Kind == yaml.SequenceNode:
			merged = append(merged, v.Content...)
		case key.ShortTag() == "!!merge":
			merged = append(merged, v)
		case key.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: a key must be a plain word", key.Line)
		case has(fields, key.Value):
			return nil, fmt.Errorf("line %d: %q stands twice", key.Line, key.Value)
		default:
			fields = append(fields, field{key.Value, v})
		}
	}
	for _, m := range merged {
		inherited, err := fieldsOf(m)
		if err != nil {
			return nil, err
		}
		for _, f := range inherited {
			if !has(fields, f.key) {
				fields = append(fields, f)
			}
		}
	}
	return fields, nil
}

func has(fields []field, key string) bool {
	return slices.ContainsFunc(fields, func(f field) bool { return f.key == key })
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// readFile reads the settings and the policies of groups.
func readFile(all []setting, path string) (given map[string]value, groups []groupEntry, mistakes []error) {
	refuse := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("config %q: "+format, append([]any{path}, args...)...))
	}
	data, err := os.ReadFile(path)
	if err != nil {
		refuse("must be a readable file: %w", err)
		return nil, nil, mistakes
	}
	var document, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&document); {
	case err == io.EOF:
		return nil, nil, nil // empty
	case err != nil:
		refuse("must be YAML: %w", err)
		return nil, nil, mistakes
	}
	if err := d.Decode(&second); err != io.EOF {
		refuse("must be one document, without a further --- in it")
	}
	fields, err := fieldsOf(document.Content[0])
	if err != nil && document.Content[0].ShortTag() != "!!null" {
		refuse("%w", err)
	}
	given = make(map[string]value)
	for _, f := range fields {
		if f.key == "policies" {
			entries, err := readPolicies(f.value)
			groups = entries
			mistakes = append(mistakes, err...)
			continue
		}
		if f.key == "config" || !slices.ContainsFunc(all, func(s setting) bool { return s.name == f.key }) {
			refuse("there is no setting %q", f.key)
			continue
		}
		if given[f.key], err = yamlValue(f.value); err != nil {
			refuse("%s: %w", f.key, err)
			delete(given, f.key)
		}
	}
	return given, groups, mistakes
}

// yamlValue is a scalar as it is written, or a list of such.
func yamlValue(n *yaml.Node) (value, error) {
	switch n = target(n); n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return value{}, nil
		}
		return value{text: n.Value}, nil
	case yaml.SequenceNode:
		list := []string{}
		for _, item := range n.Content {
			inner, err := yamlValue(item)
			if err != nil || inner.list != nil || strings.TrimSpace(inner.text) == "" {
				return value{}, errors.New("must be a list of plain values, none of them empty")
			}
			list = append(list, inner.text)
		}
		return value{list: list, text: strings.Join(list, ",")}, nil
	}
	return value{}, errors.New("must be a plain value or a list")
}

func readPolicies(n *yaml.Node) (groups []groupEntry, mistakes []error) {
	if n = target(n); n.Kind != yaml.SequenceNode {
		return nil, []error{errors.New("policies: must be a list of entries, each with a group")}
	}
	known := policySettings(&session.Policy{})
	for i, e := range n.Content {
		refuse := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Errorf("policies, entry %d: "+format, append([]any{i + 1}, args...)...))
		}
		fields, err := fieldsOf(e)
		if err != nil {
			refuse("must have a group and settings of its policy: %w", err)
			continue
		}
		g := groupEntry{given: make(map[string]value)}
		for _, f := range fields {
			parsed, err := yamlValue(f.value)
			switch {
			case err == nil && parsed.list != nil:
				refuse("%s %q: must be one value, not a list", f.key, parsed)
			case err != nil:
				refuse("%s: %w", f.key, err)
			case f.key == "group":
				g.group = parsed.text
			case slices.ContainsFunc(known, func(s setting) bool { return s.name == f.key }):
				g.given[f.key] = parsed
			default:
				refuse("there is no setting %q of a policy", f.key)
			}
		}
		if strings.TrimSpace(g.group) == "" {
			refuse("must name its group")
		}
		groups = append(groups, g)
	}
	return groups, mistakes
}
