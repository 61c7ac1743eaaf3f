package session

import (
	"testing"
	"time"
)

func TestRevocationCovers(t *testing.T) {
	id := NewToken().ID()
	r := Record{
		ID:             id,
		User:           "ada",
		SeenRevocation: 5,
		Groups:         []Group{{Name: "staff", SeenRevocation: 5}, {Name: "admins", SeenRevocation: 9}},
	}
	tests := []struct {
		name       string
		revocation Revocation
		want       bool
	}{
		{"a later revocation about the user", Revocation{Number: 6, Scope: Scope{User: "ada"}}, true},
		{"a revocation that the sign-in knew of", Revocation{Number: 5, Scope: Scope{User: "ada"}}, false},
		{"another user", Revocation{Number: 6, Scope: Scope{User: "grace"}}, false},
		{"everyone", Revocation{Number: 6, Scope: Scope{Everyone: true}}, true},
		{"everyone except this one", Revocation{Number: 6, Scope: Scope{Everyone: true}, Except: id.Ref()}, false},
		{"the session itself", Revocation{Number: 6, Scope: Scope{Session: id.Ref()}}, true},
		{"another session", Revocation{Number: 6, Scope: Scope{Session: NewToken().ID().Ref()}}, false},
		{"a list with the session", Revocation{Number: 6, Scope: Scope{Refs: refsOf(NewToken().ID(), id)}}, true},
		{"a list that the sign-in knew of", Revocation{Number: 5, Scope: Scope{Refs: refsOf(id)}}, false},
		{"a list except this one", Revocation{Number: 6, Scope: Scope{Refs: refsOf(id)}, Except: id.Ref()}, false},
		{"a list of others", Revocation{Number: 6, Scope: Scope{Refs: refsOf(NewToken().ID())}}, false},
		{"a list of nobody", Revocation{Number: 6, Scope: Scope{Refs: refsOf()}}, false},
		{"a group", Revocation{Number: 6, Scope: Scope{Group: "staff"}}, true},
		{"a group that was joined after the revocation", Revocation{Number: 9, Scope: Scope{Group: "admins"}}, false},
		{"a group that was joined before the revocation", Revocation{Number: 10, Scope: Scope{Group: "admins"}}, true},
		{"a group of others", Revocation{Number: 6, Scope: Scope{Group: "kiosk"}}, false},
		{"called off in time", Revocation{
			Number:      6,
			Scope:       Scope{User: "ada"},
			EffectiveAt: t0,
			CancelledAt: t0.Add(-time.Millisecond),
		}, false},
		{"the user in other letters", Revocation{Number: 6, Scope: Scope{User: " ADA"}}, true},
		{"a group in other letters", Revocation{Number: 6, Scope: Scope{Group: "\uff33taff"}}, true},
		{"without a grace, called off by a clock that is behind", Revocation{
			Number:      6,
			Scope:       Scope{User: "ada"},
			At:          t0,
			EffectiveAt: t0,
			CancelledAt: t0.Add(-time.Second),
		}, true},
		{"called off at its effect: too late", Revocation{
			Number:      6,
			Scope:       Scope{User: "ada"},
			EffectiveAt: t0,
			CancelledAt: t0,
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.revocation.Ends(&r); got != tt.want {
				t.Errorf("Ends = %v, want %v", got, tt.want)
			}
		})
	}
}

func refsOf(ids ...ID) Refs {
	var list []string
	for _, id := range ids {
		list = append(list, id.Ref())
	}
	refs, _ := NewRefs(list)
	return refs
}

func TestRevocationIsPast(t *testing.T) {
	const grace, block = 48 * time.Hour, 72 * time.Hour
	for _, tt := range []struct {
		name       string
		revocation Revocation
		after      time.Duration // so long after t0 it is past, and not before
	}{
		{"at once", Revocation{At: t0, EffectiveAt: t0}, RevocationKeptFor},
		{"after a grace", Revocation{At: t0, EffectiveAt: t0.Add(grace)}, grace + RevocationKeptFor},
		{"with a block", Revocation{At: t0, EffectiveAt: t0, BlockUntil: t0.Add(block)}, block},
	} {
		if tt.revocation.IsPast(t0.Add(tt.after)) || !tt.revocation.IsPast(t0.Add(tt.after+1)) {
			t.Errorf("%s: it is not past from %v on", tt.name, tt.after)
		}
	}
}

func TestRevocationBlocks(t *testing.T) {
	until := t0.Add(time.Minute)
	tests := []struct {
		name       string
		revocation Revocation
		user       string
		groups     []string
		now        time.Time
		want       bool
	}{
		{"the user", Revocation{Scope: Scope{User: "ada"}, BlockUntil: until}, "ada", nil, t0, true},
		{"the user in other letters", Revocation{Scope: Scope{User: "ADA"}, BlockUntil: until}, "ada", nil, t0, true},
		{"a group in other letters", Revocation{Scope: Scope{Group: "Staff"}, BlockUntil: until}, "ada",
			[]string{"sTaff "}, t0, true},
		{"at its end", Revocation{Scope: Scope{User: "ada"}, BlockUntil: until}, "ada", nil, until, false},
		{"without a block", Revocation{Scope: Scope{User: "ada"}}, "ada", nil, t0, false},
		{"called off", Revocation{Scope: Scope{User: "ada"}, BlockUntil: until, CancelledAt: t0}, "ada", nil, t0,
			false},
		{"a member of the group", Revocation{Scope: Scope{Group: "staff"}, BlockUntil: until}, "ada",
			[]string{"staff"}, t0, true},
		{"an admin, by the group", Revocation{Scope: Scope{Group: "staff"}, BlockUntil: until}, "ada",
			[]string{"staff", "admins"}, t0, true},
		{"everyone", Revocation{Scope: Scope{Everyone: true}, BlockUntil: until}, "ada", nil, t0, true},
		{"an admin, by everyone", Revocation{Scope: Scope{Everyone: true}, BlockUntil: until}, "ada",
			[]string{"admins"}, t0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.revocation.Blocks(tt.user, tt.groups, []string{"admins"}, tt.now); got != tt.want {
				t.Errorf("Blocks = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestForcedLogoutAmongTheWarnings(t *testing.T) {
	forced := func(r Record, at time.Duration) Record {
		r.Revocation = &Revocation{EffectiveAt: t0.Add(at)}
		return r
	}
	tests := []struct {
		name   string
		record Record
		now    time.Duration
		phase  Phase
		next   time.Duration
		why    Reason // of the warning that stands
	}{
		{"it stands from its beginning", forced(at(0, 0), 5*time.Minute), 0, Warning, 5 * time.Minute, ReasonAdmin},
		{"it ends the session", forced(at(0, 0), 5*time.Minute), 5 * time.Minute, Expired, 0, ""},
		{"the idle warning is yet to come", forced(at(0, 0), 30*time.Minute), time.Minute, Warning, 9 * time.Minute,
			ReasonAdmin},
		{"of two that stand the one of the earlier end is told", forced(at(0, 0), 30*time.Minute), 9 * time.Minute,
			Warning, 10 * time.Minute, ReasonIdle},
		{"the idle timeout ends it before", forced(at(0, 0), 30*time.Minute), 10 * time.Minute, Expired, 0, ""},
		{"within the idle warning", forced(at(0, 0), 9*time.Minute+30*time.Second), 9 * time.Minute, Warning,
			9*time.Minute + 30*time.Second, ReasonAdmin},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := t0.Add(tt.now)
			phase, next := standard.At(&tt.record, now)
			why, _, ok := standard.Warning(&tt.record, now)
			if tt.phase != phase || tt.next != 0 && !next.Equal(t0.Add(tt.next)) {
				t.Errorf("At = %v, %v, want %v, %v", phase, next.Sub(t0), tt.phase, tt.next)
			}
			if ok != (tt.why != "") || ok && why != tt.why {
				t.Errorf("Standing = %q, %v, want %q", why, ok, tt.why)
			}
		})
	}
}

func TestDeviceNamesBrowserAndSystem(t *testing.T) {
	for agent, want := range map[string]string{
		"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0": "Firefox on Linux",

		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 " +
			"Safari/537.36 Edg/156.0": "Edge on Windows",

		"Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) " +
			"Version/19.0 Mobile Safari/604.1": "Safari on iPhone",

		"curl/8.1": "curl",
		"":         "an unknown browser",
	} {
		if got := Device(agent); got != want {
			t.Errorf("Device(%q) = %q, want %q", agent, got, want)
		}
	}
}

func TestScopeMeansExactlyOneThing(t *testing.T) {
	for _, s := range []Scope{{User: "ada"}, {Group: "staff"}, {Session: "abc"}, {Everyone: true}} {
		if err := s.Validate(); err != nil {
			t.Errorf("%+v: %v", s, err)
		}
	}
	for _, s := range []Scope{{}, {User: "ada", Everyone: true}, {User: " "}, {Group: "\u00ad"},
		{User: "\u200b", Group: "staff"}} {
		if err := s.Validate(); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func TestLogoutWithoutAGraceIsOverWhateverTheClockSays(t *testing.T) {
	r := at(0, 0)
	r.LeftAt = t0.Add(time.Second) // closing the browser would end it before, by that clock
	r.Revocation = &Revocation{At: t0.Add(time.Hour), EffectiveAt: t0.Add(time.Hour)}
	if phase, _ := standard.At(&r, t0); phase != Expired {
		t.Errorf("phase %v, want over", phase)
	}
	if _, why := standard.EndsAt(&r); why != ReasonAdmin {
		t.Errorf("it ends as %s", why)
	}
	if why, _, ok := standard.Warning(&r, t0); ok {
		t.Errorf("it warns of %s", why)
	}
	r.Revocation = &Revocation{At: t0, EffectiveAt: t0.Add(time.Hour), Took: true}
	if phase, _ := standard.At(&r, t0); phase != Expired {
		t.Errorf("seen to take effect, then the clock was set back: phase %v, want over", phase)
	}
}

func TestGroupsOfPoliciesAreComparedAsTheDirectoryDoes(t *testing.T) {
	strict := standard
	strict.ExpireAfter -= time.Second
	ps := Policies{Global: standard, Groups: []GroupPolicy{{Group: "Interns", Policy: strict}}}
	if ps.For([]string{"staff", "iNTERNS "}) != strict || ps.For([]string{"intern"}) != standard {
		t.Error("the policy of a group is not found by another spelling, or by another name")
	}
}
