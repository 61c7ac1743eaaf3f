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

func TestPolicyAt(t *testing.T) {
	left := func(r Record, at time.Duration) Record {
		r.LeftAt = t0.Add(at)
		return r
	}
	unlimited := standard
	unlimited.MaxLifetime, unlimited.CloseGrace = 0, 0
	tests := []struct {
		name   string
		policy Policy
		record Record
		now    time.Duration
		phase  Phase
		next   time.Duration
	}{
		{"just signed in", standard, at(0, 0), 0, Active, 9 * time.Minute},
		{"a nanosecond before the warning", standard, at(0, 0), 9*time.Minute - 1, Active, 9 * time.Minute},
		{"at the warning", standard, at(0, 0), 9 * time.Minute, Warning, 10 * time.Minute},
		{"a nanosecond before the end", standard, at(0, 0), 10*time.Minute - 1, Warning, 10 * time.Minute},
		{"at the end", standard, at(0, 0), 10 * time.Minute, Expired, 0},
		{"long after the end", standard, at(0, 0), 24 * time.Hour, Expired, 0},
		{"activity moves both", standard, at(0, 5*time.Minute), 13 * time.Minute, Active, 14 * time.Minute},
		{"activity in the future of a stepped clock", standard, at(0, time.Minute), 0, Active, 10 * time.Minute},
		{"the lifetime cuts the idle time", standard, at(0, 55*time.Minute), 58 * time.Minute, Active,
			59 * time.Minute},
		{"the lifetime warns as long before its end", standard, at(0, 58*time.Minute), 59 * time.Minute, Warning,
			time.Hour},
		{"the lifetime ends whatever happens", standard, at(0, time.Hour), time.Hour, Expired, 0},
		{"no lifetime", unlimited, at(0, 100*time.Hour), 100 * time.Hour, Active, 100*time.Hour + 9*time.Minute},
		{"a closed browser is not warned", standard, left(at(0, 0), time.Minute), time.Minute, Active,
			time.Minute + 20*time.Second},
		{"a closed browser ends", standard, left(at(0, 0), time.Minute), time.Minute + 20*time.Second, Expired, 0},
		{"closed within the warning: the earlier end counts", standard, left(at(0, 0), 9*time.Minute+50*time.Second),
			9*time.Minute + 55*time.Second, Warning, 10 * time.Minute},
		{"without a close grace nothing comes of closing", unlimited, left(at(0, 0), 0), time.Minute, Active,
			9 * time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			phase, next := tt.policy.At(&tt.record, t0.Add(tt.now))
			want := time.Time{}
			if tt.next != 0 {
				want = t0.Add(tt.next)
			}
			if phase != tt.phase || !next.Equal(want) {
				t.Errorf("At = %v, %v, want %v, %v", phase, next, tt.phase, want)
			}
		})
	}
}

func TestStandingWarningIsTheOneOfTheEarliestEnd(t *testing.T) {
	tests := []struct {
		name   string
		active time.Duration
		now    time.Duration
		want   Reason // empty: none stands
	}{
		{"none before its time", 40 * time.Minute, 49*time.Minute - 1, ""},
		{"idle", 40 * time.Minute, 49 * time.Minute, ReasonIdle},
		{"both stand, idle ends first", 50*time.Minute - time.Second, 59*time.Minute + time.Second, ReasonIdle},
		{"both stand, the lifetime ends first", 50*time.Minute + time.Second, 59*time.Minute + 2*time.Second,
			ReasonLifetime},
		{"nothing stands at the end", 40 * time.Minute, 50 * time.Minute, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := at(0, tt.active)
			why, _, ok := standard.Warning(&r, t0.Add(tt.now))
			if ok != (tt.want != "") || ok && why != tt.want {
				t.Errorf("Standing = %v, %v, want %q", why, ok, tt.want)
			}
		})
	}
}

func TestPolicyValidate(t *testing.T) {
	change := func(f func(*Policy)) Policy {
		p := standard
		f(&p)
		return p
	}
	tests := []struct {
		name   string
		policy Policy
		want   []string // in the error; none: valid
	}{
		{"the standard one", standard, nil},
		{"exactly 20 s", change(func(p *Policy) { p.WarnAfter = p.ExpireAfter - MinLead }), nil},
		{"less than 20 s", change(func(p *Policy) { p.WarnAfter = p.ExpireAfter - MinLead + 1 }), []string{"WCAG"}},
		{"warning after the end", change(func(p *Policy) { p.WarnAfter = p.ExpireAfter }), []string{"expire-after"}},
		{"no lifetime", change(func(p *Policy) { p.MaxLifetime = 0 }), nil},
		{"a lifetime that is all warning", change(func(p *Policy) { p.MaxLifetime = time.Minute }),
			[]string{"max-lifetime"}},
		{"all wrong at once", Policy{
			WarnAfter:   -1,
			ExpireAfter: -2,
			MaxLifetime: -1,
			CloseGrace:  -1,
			MaxSessions: -1,
			ExtendOn:    "never",
		},
			[]string{"warn-after", "expire-after", "max-lifetime", "close-grace", "max-sessions", "extend-on"}},
		{"the zero value", Policy{}, []string{"warn-after", "extend-on"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.policy.Validate(false)
			if (err != nil) != (len(tt.want) > 0) {
				t.Fatalf("Validate = %v", err)
			}
			for _, word := range tt.want {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("Validate = %v, want it to name %s", err, word)
				}
			}
		})
	}
	short := change(func(p *Policy) { p.WarnAfter, p.ExpireAfter = time.Second, 2*time.Second })
	if err := short.Validate(true); err != nil {
		t.Errorf("testing refuses a short warning: %v", err)
	}
	for _, p := range Profiles() {
		if err := p.Validate(false); err != nil {
			t.Errorf("profile %s: %v", p.Name, err)
		}
	}
}

func TestGroupPoliciesAreMixedValueByValue(t *testing.T) {
	ps := Policies{Global: standard, Groups: []GroupPolicy{
		{"lax", Policy{
			WarnAfter:   50 * time.Minute,
			ExpireAfter: time.Hour,
			CloseGrace:  0,
			ExtendOn:    ExtendOnConfirm,
			MaxSessions: 5,
		}},
		{"strict", Policy{
			WarnAfter:   time.Minute,
			ExpireAfter: 2 * time.Minute,
			MaxLifetime: time.Hour,
			CloseGrace:  time.Minute,
			ExtendOn:    ExtendOnActivity,
		}},
	}}
	tests := []struct {
		name   string
		groups []string
		want   Policy
	}{
		{"no listed group", []string{"staff"}, ps.Global},
		{"one entry, laxer than the global policy", []string{"staff", "lax"}, ps.Groups[0].Policy},
		{"two entries", []string{"strict", "lax"}, Policy{
			WarnAfter:   time.Minute,
			ExpireAfter: 2 * time.Minute,
			MaxLifetime: time.Hour,
			CloseGrace:  time.Minute,
			ExtendOn:    ExtendOnConfirm,
			MaxSessions: 5,
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := ps.For(tt.groups); got != tt.want {
				t.Errorf("For = %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestMixedPoliciesStayValid(t *testing.T) {
	profiles := Profiles()
	for _, a := range profiles {
		for _, b := range profiles {
			if err := a.Stricter(b.Policy).Validate(false); err != nil {
				t.Errorf("%s with %s: %v", a.Name, b.Name, err)
			}
		}
	}
}

func TestHeartbeatAndSlack(t *testing.T) {
	tests := []struct{ warn, expire, beat, slack time.Duration }{
		{9 * time.Minute, 10 * time.Minute, 15 * time.Second, time.Minute},
		{90 * time.Second, 2 * time.Minute, 7500 * time.Millisecond, 12 * time.Second},
		{time.Second, 3 * time.Second, 250 * time.Millisecond, 300 * time.Millisecond},
	}
	for _, tt := range tests {
		p := Policy{WarnAfter: tt.warn, ExpireAfter: tt.expire}
		if p.HeartbeatEvery() != tt.beat || p.Slack() != tt.slack {
			t.Errorf("%s/%s: heartbeat %s, slack %s, want %s, %s", tt.warn, tt.expire, p.HeartbeatEvery(), p.Slack(),
				tt.beat, tt.slack)
		}
	}
}
