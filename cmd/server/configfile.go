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

// The YAML file. A setting has the text that stands in the file, whatever YAML would make of it:
// the group 0123 is no number, the group on is no truth, and a name that looks like a date is none.

// field is a key of a mapping with its value.
type field struct {
	key   string
	value *yaml.Node
}

// Bounds of the file. Anchors let a short file say much: what it says is counted each time that it
// says it.
const (
	maxFile     = 1 << 20 // bytes
	maxSaid     = 4 << 20 // bytes of keys and values, aliases and merges resolved
	maxMerges   = 100     // of a mapping that is merged into one that is merged into one
	mappingCost = 16      // what an empty mapping counts
)

var (
	errItself  = errors.New("anchors that hold themselves")
	errTooMuch = fmt.Errorf("anchors that stand for more than %d MiB", maxSaid>>20)
)

// fileReader reads one file. It is done with when more was said than may be.
type fileReader struct{ said int }

// count adds what a part of the file says.
func (r *fileReader) count(n int) error {
	if r.said += n; r.said > maxSaid {
		return errTooMuch
	}
	return nil
}

// fieldsOf lists the fields of a mapping in their order. Those of a merge (<<) come after the
// mapping's own, which go before them.
func (r *fileReader) fieldsOf(n *yaml.Node) ([]field, error) { return r.fieldsAt(n, 0) }

func (r *fileReader) fieldsAt(n *yaml.Node, depth int) ([]field, error) {
	if n = target(n); n.Kind != yaml.MappingNode {
		return nil, errors.New("must be keys with values")
	}
	if depth > maxMerges {
		return nil, fmt.Errorf("line %d: %w", n.Line, errItself)
	}
	if err := r.count(mappingCost); err != nil {
		return nil, err
	}
	var (
		fields []field
		merged []*yaml.Node
	)
	known := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := target(n.Content[i]), target(n.Content[i+1])
		switch {
		case key.ShortTag() == "!!merge" && v.Kind == yaml.SequenceNode:
			merged = append(merged, v.Content...)
		case key.ShortTag() == "!!merge":
			merged = append(merged, v)
		case key.Kind != yaml.ScalarNode:
			return nil, fmt.Errorf("line %d: a key must be a plain word", key.Line)
		case known[key.Value]:
			return nil, fmt.Errorf("line %d: %q stands twice", key.Line, key.Value)
		default:
			known[key.Value] = true
			fields = append(fields, field{key.Value, v})
		}
	}
	for _, m := range merged {
		inherited, err := r.fieldsAt(m, depth+1)
		if err != nil {
			return nil, err
		}
		for _, i := range inherited {
			if !known[i.key] {
				known[i.key] = true
				fields = append(fields, i)
			}
		}
	}
	return fields, r.countKeys(fields)
}

func (r *fileReader) countKeys(fields []field) error {
	for _, one := range fields {
		if err := r.count(1 + len(one.key)); err != nil {
			return err
		}
	}
	return nil
}

// target is what an alias stands for.
func target(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

// fileContents are what a file says.
type fileContents struct {
	given     map[string]value
	policies  []policyEntry
	upstreams []upstreamEntry
}

// readFile reads the settings, and the lists that stand in the file only.
func readFile(all []setting, path string) (c fileContents, mistakes []error) {
	refuse := func(format string, args ...any) {
		mistakes = append(mistakes, fmt.Errorf("config %q: "+format, append([]any{path}, args...)...))
	}
	data, err := readAtMost(path, maxFile)
	if err != nil {
		refuse("must be a readable file: %w", err)
		return c, mistakes
	}
	var document, second yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&document); {
	case err == io.EOF:
		return c, nil // empty
	case err != nil:
		refuse("must be YAML: %w", err)
		return c, mistakes
	}
	if err := d.Decode(&second); err != io.EOF {
		refuse("must be one document, without a further --- in it")
	}
	var reader fileReader
	fields, err := reader.fieldsOf(document.Content[0])
	if err != nil && document.Content[0].ShortTag() != "!!null" {
		refuse("%w", err)
	}
	c.given = make(map[string]value)
	for _, f := range fields {
		var wrong []error
		switch f.key {
		case "policies":
			c.policies, wrong = reader.policies(f.value)
			mistakes = append(mistakes, wrong...)
			continue
		case "upstreams":
			c.upstreams, wrong = reader.upstreams(f.value)
			mistakes = append(mistakes, wrong...)
			continue
		}
		if f.key == "config" || !slices.ContainsFunc(all, func(s setting) bool { return s.name == f.key }) {
			refuse("there is no setting %q", f.key)
			continue
		}
		if c.given[f.key], err = reader.value(f.value); err != nil {
			refuse("%s: %w", f.key, err)
			delete(c.given, f.key)
		}
	}
	return c, mistakes
}

// readAtMost reads a file of limit bytes at most.
func readAtMost(path string, limit int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("has more than %d bytes", limit)
	}
	return data, err
}

// value is a scalar as it is written, or a list of such.
func (r *fileReader) value(n *yaml.Node) (value, error) {
	if err := r.count(1 + len(target(n).Value)); err != nil {
		return value{}, err
	}
	switch n = target(n); n.Kind {
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return value{}, nil
		}
		return value{text: n.Value}, nil
	case yaml.SequenceNode:
		list := []string{}
		for _, item := range n.Content {
			item = target(item)
			if item.Kind != yaml.ScalarNode || item.ShortTag() == "!!null" || strings.TrimSpace(item.Value) == "" {
				return value{}, errors.New("must be a list of plain values, none of them empty")
			}
			if err := r.count(1 + len(item.Value)); err != nil {
				return value{}, err
			}
			list = append(list, item.Value)
		}
		return value{list: list, text: strings.Join(list, ",")}, nil
	}
	return value{}, errors.New("must be a plain value or a list")
}

func (r *fileReader) policies(n *yaml.Node) (groups []policyEntry, mistakes []error) {
	if n = target(n); n.Kind != yaml.SequenceNode {
		return nil, []error{errors.New("policies: must be a list of entries, each with a group")}
	}
	known := policySettings(&session.Policy{})
	for i, e := range n.Content {
		refuse := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Errorf("policies, entry %d: "+format, append([]any{i + 1}, args...)...))
		}
		fields, err := r.fieldsOf(e)
		if err != nil {
			refuse("must have a group and settings of its policy: %w", err)
			if errors.Is(err, errTooMuch) {
				return groups, mistakes
			}
			continue
		}
		g := policyEntry{given: make(map[string]value)}
		for _, f := range fields {
			parsed, err := r.value(f.value)
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
		if r.said > maxSaid {
			return groups, mistakes // said once, not for each entry that follows
		}
		if strings.TrimSpace(g.group) == "" {
			refuse("must name its group")
		}
		groups = append(groups, g)
	}
	return groups, mistakes
}

// upstreamEntry is an entry of upstreams in the file.
type upstreamEntry struct{ path, url string }

func (r *fileReader) upstreams(n *yaml.Node) (entries []upstreamEntry, mistakes []error) {
	if n = target(n); n.Kind != yaml.SequenceNode {
		return nil, []error{errors.New("upstreams: must be a list of entries, each with path and url")}
	}
	for i, e := range n.Content {
		refuse := func(format string, args ...any) {
			mistakes = append(mistakes, fmt.Errorf("upstreams, entry %d: "+format, append([]any{i + 1}, args...)...))
		}
		fields, err := r.fieldsOf(e)
		if err != nil {
			refuse("must have path and url: %w", err)
			if errors.Is(err, errTooMuch) {
				return entries, mistakes
			}
			continue
		}
		var entry upstreamEntry
		known := map[string]*string{"path": &entry.path, "url": &entry.url}
		for _, f := range fields {
			parsed, err := r.value(f.value)
			to, ok := known[f.key]
			switch {
			case !ok:
				refuse("there is no setting %q of an upstream", f.key)
			case err == nil && parsed.list != nil:
				refuse("%s %q: must be one value, not a list", f.key, parsed)
			case err != nil:
				refuse("%s: %w", f.key, err)
			default:
				*to = parsed.text
			}
			if r.said > maxSaid {
				return entries, mistakes // said once, not for each entry that follows
			}
		}
		entries = append(entries, entry)
	}
	return entries, mistakes
}
