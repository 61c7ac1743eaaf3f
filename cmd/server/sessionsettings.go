package main

import (
	"fmt"
	"slices"
	"strings"

	"curfew/session"
)

// The profile comes before the settings that override it.
func (c *sessionsConfig) settings() []setting {
	var names []string
	for _, p := range session.Profiles() {
		names = append(names, p.Name)
	}
	profile := setting{
		name:     "profile",
		standard: session.DefaultProfile,
		meaning:  "preset of the next seven: `" + strings.Join(names, "`, `") + "`",
		choices:  names,
		set: func(v value) error {
			policy, ok := profileNamed(v.text)
			if !ok {
				return fmt.Errorf("must be one of %s", strings.Join(names, ", "))
			}
			c.policies.Global = policy
			return nil
		},
	}
	return slices.Concat([]setting{profile}, policySettings(&c.policies.Global), []setting{
		{
			name:    "policies",
			meaning: "list of `{group, warn-after, …}`; the strictest of a user's groups holds, value by value",
			kind:    fileOnly,
		},
		{
			name:    "passive-paths",
			meaning: "paths whose navigations are no activity: exact, or a prefix ending in `*`",
			kind:    manyValues,
			set:     texts(&c.passivePaths),
		},
	})
}

// profileNamed is the policy of a profile, and false where there is no profile of that name.
func profileNamed(name string) (session.Policy, bool) {
	for _, p := range session.Profiles() {
		if p.Name == name {
			return p.Policy, true
		}
	}
	return session.Policy{}, false
}

// policySettings are the seven that a profile presets and that an entry of policies may have.
func policySettings(p *session.Policy) []setting {
	preset, _ := profileNamed(session.DefaultProfile)
	code := func(v any) string { return fmt.Sprintf("`%v`", v) }
	return []setting{
		{
			name:    "warn-after",
			unset:   code(short(preset.WarnAfter)),
			meaning: "idle time until the warning",
			kind:    aDuration,
			set:     duration(&p.WarnAfter),
		},
		{
			name:    "expire-after",
			unset:   code(short(preset.ExpireAfter)),
			meaning: "idle time until the session ends",
			kind:    aDuration,
			set:     duration(&p.ExpireAfter),
		},
		{
			name:    "max-lifetime",
			unset:   code(short(preset.MaxLifetime)),
			meaning: "age at which a session ends whatever happens; `0` for none",
			kind:    aDuration,
			set:     duration(&p.MaxLifetime),
		},
		{
			name:    "close-grace",
			unset:   code(short(preset.CloseGrace)),
			meaning: "how long a session outlives the closing of its last tab; `0` turns this off",
			kind:    aDuration,
			set:     duration(&p.CloseGrace),
		},
		{
			name:    "extend-on",
			unset:   code(preset.ExtendOn),
			meaning: "what withdraws an idle warning: any `activity`, or only `confirm`",
			choices: []string{string(session.ExtendOnActivity), string(session.ExtendOnConfirm)},
			set:     func(v value) error { p.ExtendOn = session.ExtendOn(v.text); return nil },
		},
		{
			name:    "max-sessions",
			unset:   code(preset.MaxSessions),
			meaning: "sessions per user; the oldest ends when one too many signs in; `0` for no limit",
			kind:    aNumber,
			set:     number(&p.MaxSessions),
		},
		{
			name:  "keep-page",
			unset: code(short(preset.KeepPage)),
			meaning: "how long a page whose session ended by time waits, blank, for the same person to sign in " +
				"again, `24h` at most; `0`: it is forgotten at once",
			kind: aDuration,
			set:  duration(&p.KeepPage),
		},
	}
}
