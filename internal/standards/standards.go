// Package standards says what standards ask of a guard of sessions, and how Curfew answers: for
// each requirement what Curfew does, which settings decide about it, and which tests hold it.
// People read this in docs/security.md, which is printed from it, and check-config judges the
// running settings by it. It imports nothing of ours.
package standards

import (
	"bytes"
	"embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.yaml.in/yaml/v3"
)

// Standard is a document, with what it requires.
type Standard struct {
	Name         string        `yaml:"name"`
	Short        string        `yaml:"short"` // what stands before the ID of a requirement
	Source       string        `yaml:"source"`
	About        string        `yaml:"about"` // Markdown
	Requirements []Requirement `yaml:"requirements"`
}

// NameOf is how a requirement of the standard is called beside those of others.
func (s Standard) NameOf(r Requirement) string { return strings.TrimSpace(s.Short + " " + r.ID) }

// Requirement is one of a standard. Asks and Does are Markdown.
type Requirement struct {
	ID       string      `yaml:"id"`
	Level    string      `yaml:"level"` // empty where the standard has none
	Asks     string      `yaml:"asks"`
	Verdict  Verdict     `yaml:"verdict"`
	Does     string      `yaml:"does"`
	Settings []Condition `yaml:"settings"`
	// each is a folder with the name of a Go test of its package, session/storetest with the name
	// of a case, or e2e/SPEC with the title of a test, without its tags
	Tests []string `yaml:"tests"`
}

// Verdict says how far Curfew meets a requirement, given the right settings.
type Verdict string

// The verdicts.
const (
	Met       Verdict = "met"
	Partly    Verdict = "partly"
	Unmet     Verdict = "unmet"
	Elsewhere Verdict = "elsewhere" // it is not Curfew's to meet
)

// String is the verdict as people read it.
func (v Verdict) String() string {
	switch v {
	case Unmet:
		return "not met"
	case Elsewhere:
		return "not Curfew's"
	}
	return string(v)
}

// Condition names a setting, and what a requirement asks of its value if that can be said:
// "expire-after <= 15m", "max-lifetime is limited", "ldap-watch != off", or the name alone.
type Condition struct {
	Setting string
	op      string // empty: any value
	bound   string
}

// UnmarshalText reads a condition.
func (c *Condition) UnmarshalText(text []byte) error {
	words := strings.Fields(string(text))
	switch {
	case len(words) == 1:
		*c = Condition{Setting: words[0]}
		return nil
	case len(words) == 3 && strings.Join(words[1:], " ") == "is limited":
		*c = Condition{Setting: words[0], op: "<", bound: "unlimited"}
		return nil
	case len(words) == 3 && (words[1] == "=" || words[1] == "!="):
		*c = Condition{words[0], words[1], words[2]}
		return nil
	case len(words) == 3 && (words[1] == "<=" || words[1] == ">=" || words[1] == ">"):
		if _, err := amount(words[2]); err != nil {
			return err
		}
		*c = Condition{words[0], words[1], words[2]}
		return nil
	}
	return fmt.Errorf("condition %q: must be a setting, or a setting with =, !=, <=, >= or > and a value", text)
}

// String is the condition as people read it.
func (c Condition) String() string {
	if c.op == "" {
		return c.Setting
	}
	return c.Setting + ": " + c.Asks()
}

// Asks says what value is right, as the end of a sentence, and is empty where any is.
func (c Condition) Asks() string {
	switch c.op {
	case "<=":
		if c.bound == "0" {
			return "0"
		}
		return c.bound + " at most"
	case ">":
		return "more than " + c.bound
	case ">=":
		return c.bound + " at least"
	case "<":
		return "some limit"
	case "=":
		return c.bound
	case "!=":
		return "anything but " + c.bound
	}
	return ""
}

// Unlimited is the value of a setting that sets no limit.
const Unlimited = "unlimited"

// Holds reports whether a value of the setting meets the condition.
func (c Condition) Holds(value string) bool {
	switch c.op {
	case "":
		return true
	case "=":
		return value == c.bound
	case "!=":
		return value != c.bound
	case "<":
		return value != Unlimited
	}
	if value == Unlimited {
		return c.op == ">" || c.op == ">="
	}
	got, err := amount(value)
	if err != nil {
		return false
	}
	bound, _ := amount(c.bound) // UnmarshalText has read it
	switch c.op {
	case ">":
		return got > bound
	case ">=":
		return got >= bound
	}
	return got <= bound
}

// amount is a duration or a number, to be compared with another one.
func amount(text string) (float64, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return d.Seconds(), nil
	}
	return strconv.ParseFloat(text, 64)
}

//go:embed *.yaml
var files embed.FS

// All are the standards, in the order in which they are documented.
var All = sync.OnceValue(func() (all []Standard) {
	for _, name := range []string{"asvs.yaml", "nist.yaml", "payment-health.yaml", "wcag.yaml"} {
		text, err := files.ReadFile(name)
		if err != nil {
			panic(err) // embedded
		}
		var s Standard
		decoder := yaml.NewDecoder(bytes.NewReader(text))
		decoder.KnownFields(true)
		if err := decoder.Decode(&s); err != nil {
			panic(fmt.Sprintf("%s: %v", name, err)) // embedded
		}
		all = append(all, s)
	}
	return all
})
