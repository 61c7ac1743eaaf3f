package session

import (
	"strings"
	"testing"
	"time"
)

func TestPoliciesThatAreAMistakeTogether(t *testing.T) {
	group := func(name string, warn, expire, lifetime time.Duration) GroupPolicy {
		p := GroupPolicy{name, Policy{
			WarnAfter:   warn,
			ExpireAfter: expire,
			MaxLifetime: lifetime,
			ExtendOn:    ExtendOnActivity,
		}}
		if err := p.Validate(false); err != nil {
			t.Fatalf("%s alone: %v", name, err)
		}
		return p
	}
	early := group("early", time.Minute, time.Hour, 8*time.Hour)
	short := group("short", 59*time.Minute+30*time.Second, time.Hour, 50*time.Minute)
	long := group("long", 110*time.Minute, 2*time.Hour, 30*time.Minute)
	open := group("open", 30*time.Minute, 2*time.Hour, 0)
	for _, row := range []struct {
		why    string
		groups []GroupPolicy
		want   []string // in the message
	}{
		{"one alone", []GroupPolicy{early}, nil},
		{"two that fit", []GroupPolicy{early, open}, nil},
		{"a warning of one is longer than the lifetime of the other", []GroupPolicy{early, short},
			[]string{"early and short", "max-lifetime 50m0s"}},
		{"each such pair once", []GroupPolicy{early, short, open, long}, []string{"early and short", "open and long"}},
	} {
		err := Policies{Groups: row.groups}.Validate(false)
		if len(row.want) == 0 && err != nil {
			t.Errorf("%s: %v, want no mistake", row.why, err)
		}
		for _, want := range row.want {
			if err == nil || strings.Count(err.Error(), want) != 1 {
				t.Errorf("%s: %v, want %q once", row.why, err, want)
			}
		}
	}
}
