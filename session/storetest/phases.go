package storetest

import (
	"cmp"
	"flag"
	"os"
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// Checks says how many cases rapid draws in a test, and has it draw the same ones each time. With
// CURFEW_CHECKS in the environment it draws that many, and other ones each time.
func Checks(t *testing.T, usual string) {
	t.Helper()
	more := os.Getenv("CURFEW_CHECKS")
	seed := "7"
	if more != "" {
		seed = "0"
	}
	for name, value := range map[string]string{"checks": cmp.Or(more, usual), "seed": seed, "nofailfile": "true"} {
		if err := flag.Set("rapid."+name, value); err != nil {
			t.Fatalf("CURFEW_CHECKS: %v", err)
		}
	}
}

// CheckPhases wants a session to pass its phases in their order, at the instants that
// [session.Policy.At] names before, with a warning that begins before its end.
func CheckPhases(t interface{ Errorf(string, ...any) }, r session.Record) {
	p := r.Policy
	end, why := p.EndsAt(&r)
	warned, _ := p.WarnedEnd(&r)
	warns := []time.Time{r.LastActiveAt.Add(p.WarnAfter), warned.Add(-p.Lead())}
	instants := append(warns, r.CreatedAt, r.LastActiveAt, warned, end)
	for _, at := range slices.Clone(instants) {
		instants = append(instants, at.Add(-time.Millisecond), at.Add(time.Millisecond))
	}
	slices.SortFunc(instants, time.Time.Compare)
	before := session.Active
	for _, now := range instants {
		phase, next := p.At(&r, now)
		if phase < before && r.Revocation == nil { // a forced logout warns as soon as it is there
			t.Errorf("at %s the phase is %d, and was %d before", now, phase, before)
		}
		before = phase
		isOver := !now.Before(end) || r.Revocation != nil && (r.Revocation.Took || r.Revocation.AtOnce())
		if isOver != (phase == session.Expired) || next.IsZero() != isOver {
			t.Errorf("at %s the phase is %d, next %s; it ends at %s (%s)", now, phase, next, end, why)
		}
		if !isOver && (!next.After(now) || next.After(end)) {
			t.Errorf("at %s the next look is at %s; it ends at %s", now, next, end)
		}
		reason, of, shows := p.Warning(&r, now)
		if shows && (!now.Before(of) || of.Before(end) || reason != session.ReasonAdmin &&
			now.Before(of.Add(-p.Lead()))) {
			t.Errorf("at %s a warning (%s) of the end at %s shows; it ends at %s", now, reason, of, end)
		}
		if shows != (phase == session.Warning) && !isOver {
			t.Errorf("at %s the phase is %d, and a warning shows: %t", now, phase, shows)
		}
	}
}
