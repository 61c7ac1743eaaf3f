package main

import (
	"fmt"
	"slices"
	"strings"

	"curfew/internal/standards"
	"curfew/session"
)

// verdicts are the requirements of standards that settings decide about.
type verdicts struct {
	met    []string // their names
	missed []miss
}

// miss is a requirement that settings do not meet.
type miss struct {
	Requirement string  `json:"requirement"`
	Settings    []wrong `json:"settings"`
}

// wrong is a setting whose value a requirement does not allow.
type wrong struct {
	Setting string `json:"setting"`
	Value   string `json:"value"`
	Asked   string `json:"asked"`
}

func (m miss) String() string {
	var list []string
	for _, w := range m.Settings {
		list = append(list, fmt.Sprintf("%s %s instead of %s", w.Setting, w.Value, w.Asked))
	}
	return m.Requirement + ": " + strings.Join(list, ", ")
}

// judge judges values of settings by the requirements that name one of them and say what is right.
func judge(values map[string]string) (v verdicts) {
	for _, s := range standards.All() {
		for _, r := range s.Requirements {
			m, judged := miss{Requirement: s.NameOf(r)}, false
			for _, c := range r.Settings {
				value, ok := values[c.Setting]
				if !ok || c.Asks() == "" {
					continue
				}
				judged = true
				if !c.Holds(value) {
					m.Settings = append(m.Settings, wrong{c.Setting, value, c.Asks()})
				}
			}
			switch {
			case len(m.Settings) > 0:
				v.missed = append(v.missed, m)
			case judged:
				v.met = append(v.met, m.Requirement)
			}
		}
	}
	return v
}

// valuesOfPolicy are the values of the settings of a policy, as requirements are compared with
// them.
func valuesOfPolicy(p session.Policy) map[string]string {
	return map[string]string{
		"warn-after":   short(p.WarnAfter),
		"expire-after": short(p.ExpireAfter),
		"max-lifetime": limit(p.MaxLifetime, standards.Unlimited),
		"close-grace":  limit(p.CloseGrace, standards.Unlimited),
		"extend-on":    string(p.ExtendOn),
		"max-sessions": count(p.MaxSessions, standards.Unlimited),
		"keep-page":    limit(p.KeepPage, "0"),
	}
}

// valuesOfServer are those of settings that hold for everybody alike.
func valuesOfServer(c *config) map[string]string {
	return map[string]string{
		"ldap-watch":      string(c.directory.watch),
		"ldap-poll-every": short(c.directory.pollEvery),
		"hsts":            limit(c.http.hsts.maxAge, "0"),
		"testing":         fmt.Sprint(c.operation.testing),
	}
}

// groupPolicies are the policy of everybody, and that of the members of each group that has one.
func groupPolicies(c *config) []session.GroupPolicy {
	list := []session.GroupPolicy{{Group: everybody, Policy: c.sessions.policies.Global}}
	for _, g := range c.sessions.policies.Groups {
		known := func(other session.GroupPolicy) bool {
			return session.FoldName(other.Group) == session.FoldName(g.Group)
		}
		if !slices.ContainsFunc(list[1:], known) {
			list = append(list, session.GroupPolicy{Group: g.Group, Policy: c.sessions.policies.For([]string{g.Group})})
		}
	}
	return list
}

// everybody stands for those whose groups have no policy.
const everybody = "(everybody)"

// report is what check-config finds, as JSON.
type report struct {
	Policies     []policyReport      `json:"policies"`
	Server       map[string]string   `json:"server"` // the settings of the server that standards ask for
	Misses       []miss              `json:"misses"` // of the server
	Warnings     []string            `json:"warnings"`
	Requirements []requirementReport `json:"requirements"`
}

type policyReport struct {
	Group    string              `json:"group,omitempty"` // empty: everybody
	Settings map[string]string   `json:"settings"`
	LaxerBy  map[string][]string `json:"laxer_than"` // by profile
	Misses   []miss              `json:"misses"`
}

type requirementReport struct {
	Name     string   `json:"name"`
	Level    string   `json:"level,omitempty"`
	Asks     string   `json:"asks"`
	Curfew   string   `json:"curfew"` // how far it is met, given the right settings
	Does     string   `json:"does"`
	Settings []string `json:"settings"`
	Tests    []string `json:"tests"`
	Missed   bool     `json:"missed"` // by a setting of the server or of a policy
}

func newReport(c *config) (r report) {
	missed := make(map[string]bool)
	judged := func(values map[string]string) []miss {
		list := judge(values).missed
		for _, m := range list {
			missed[m.Requirement] = true
		}
		return orEmpty(list)
	}
	for i, p := range groupPolicies(c) {
		one := policyReport{Settings: valuesOfPolicy(p.Policy), LaxerBy: make(map[string][]string)}
		one.Misses = judged(one.Settings)
		if i > 0 {
			one.Group = p.Group
		}
		for _, profile := range session.Profiles() {
			if list := laxer(p.Policy, profile.Policy); len(list) > 0 && profile.Name != session.DefaultProfile {
				one.LaxerBy[profile.Name] = list
			}
		}
		r.Policies = append(r.Policies, one)
	}
	r.Server = valuesOfServer(c)
	r.Misses, r.Warnings = judged(r.Server), orEmpty(warnings(c))
	for _, s := range standards.All() {
		for _, q := range s.Requirements {
			one := requirementReport{
				Name:     s.NameOf(q),
				Level:    q.Level,
				Asks:     q.Asks,
				Curfew:   q.Verdict.String(),
				Does:     q.Does,
				Settings: []string{},
				Tests:    orEmpty(q.Tests),
				Missed:   missed[s.NameOf(q)],
			}
			for _, condition := range q.Settings {
				one.Settings = append(one.Settings, condition.String())
			}
			r.Requirements = append(r.Requirements, one)
		}
	}
	return r
}

// orEmpty is a list that JSON has as [] where it has nothing.
func orEmpty[T any](list []T) []T { return append([]T{}, list...) }
