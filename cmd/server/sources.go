package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"curfew/session"
)

// load reads the YAML file, the environment and the flags, the later ones winning, and validates
// all. Its error is [flag.ErrHelp] where a flag asks for help, and otherwise joins all mistakes of
// all sources.
func load(args, environ []string) (*config, error) {
	c := &config{}
	all := c.settings()
	flags, mistakes := readFlags(all, args)
	if slices.ContainsFunc(mistakes, func(e error) bool { return errors.Is(e, flag.ErrHelp) }) {
		return nil, flag.ErrHelp
	}
	environment := readEnvironment(all, environ)
	path, ok := flags["config"]
	if !ok {
		path = environment["config"]
	}
	given := make(map[string]value)
	var file fileContents
	if path.text != "" {
		var wrong []error
		file, wrong = readFile(all, path.text)
		mistakes = append(mistakes, wrong...)
		maps.Copy(given, file.given)
	}
	maps.Copy(given, environment)
	maps.Copy(given, flags)

	mistakes = append(mistakes, set(all, given)...)
	mistakes = append(mistakes, c.sessions.addPolicies(file.policies)...)
	mistakes = append(mistakes, c.application.addUpstreams(file.upstreams)...)
	mistakes = append(mistakes, c.validate(given)...)
	if len(mistakes) == 0 {
		if err := c.sessions.policies.Validate(c.operation.testing); err != nil {
			mistakes = append(mistakes, fmt.Errorf("policies: %w", err))
		}
	}
	if len(mistakes) > 0 {
		return nil, errors.Join(mistakes...)
	}
	return c, nil
}

// set gives each setting what its sources have for it, or else its standard.
func set(all []setting, given map[string]value) (mistakes []error) {
	for _, s := range all {
		v, ok := given[s.name]
		if s.set == nil || !ok && s.standard == "" {
			continue
		}
		if !ok {
			v = value{text: s.standard}
		}
		err := s.set(v)
		if v.list != nil && s.kind != manyValues {
			err = errors.New("must be one value, not a list")
		}
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("%s %q: %w", s.name, withoutPassword(v.String()), err))
		}
	}
	return mistakes
}

// readFlags collects the flags and goes on after a mistake.
func readFlags(all []setting, args []string) (given map[string]value, mistakes []error) {
	given = make(map[string]value)
	fs := flag.NewFlagSet("curfew", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	for _, s := range all {
		note := func(text string) error { given[s.name] = value{text: text}; return nil }
		switch s.kind {
		case yesNo:
			fs.BoolFunc(s.name, s.meaning, note)
		case fileOnly:
		default:
			fs.Func(s.name, s.meaning, note)
		}
	}
	for len(args) > 0 {
		if err := fs.Parse(args); err != nil {
			mistakes = append(mistakes, err)
			args = fs.Args()
			isFlag := len(args) > 0 && strings.HasPrefix(args[0], "-")
			isLeft := strings.HasPrefix(err.Error(), "bad flag syntax") // Parse steps over all other mistakes
			if len(args) > 0 && (isLeft || !isFlag) {
				args = args[1:] // no flag at all, or the value of one that is not known
			}
			continue
		}
		if args = fs.Args(); len(args) > 0 {
			mistakes = append(mistakes,
				fmt.Errorf("argument %q: there is no such command, or the flag before it needs no value", args[0]))
			args = args[1:]
		}
	}
	return given, mistakes
}

// readEnvironment collects the variables. One that is set and empty counts as not set.
func readEnvironment(all []setting, environ []string) map[string]value {
	given := make(map[string]value)
	for _, s := range all {
		for _, e := range environ {
			if text, ok := strings.CutPrefix(e, s.variable()+"="); ok && text != "" && s.kind != fileOnly {
				given[s.name] = value{text: text}
			}
		}
	}
	return given
}

// policyEntry is an entry of policies in the file.
type policyEntry struct {
	group string
	given map[string]value
}

// policy completes the entry from the global one.
func (e policyEntry) policy(global session.Policy) (session.Policy, error) {
	p := global
	var mistakes []error
	for _, s := range policySettings(&p) {
		if v, ok := e.given[s.name]; ok {
			if err := s.set(v); err != nil {
				mistakes = append(mistakes, fmt.Errorf("%s %q: %w", s.name, v, err))
			}
		}
	}
	return p, errors.Join(mistakes...)
}

// addPolicies adds the policies of groups, once the global one is set.
func (c *sessionsConfig) addPolicies(entries []policyEntry) (mistakes []error) {
	for i, e := range entries {
		p, err := e.policy(c.policies.Global)
		if err != nil {
			mistakes = append(mistakes, fmt.Errorf("policies, entry %d (%s): %w", i+1, e.group, err))
		}
		c.policies.Groups = append(c.policies.Groups, session.GroupPolicy{Group: e.group, Policy: p})
	}
	return mistakes
}
