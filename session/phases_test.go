package session_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"curfew/session"
	"curfew/session/storetest"
)

// Stores go through the same in storetest.Run. Here there are forced logouts as well.
func TestASessionPassesItsPhasesInTheirOrder(t *testing.T) {
	storetest.Checks(t, "2000")
	rapid.Check(t, func(t *rapid.T) {
		r := storetest.Record("ada")
		r.Policy = storetest.DrawPolicy(t)
		r.LastActiveAt = storetest.DrawTime(t, "acted at")
		r.Leave(session.TabTimes{
			OpenedAt: storetest.DrawTime(t, "opened at"),
			AskedAt:  storetest.DrawTime(t, "asked at"),
			ClosedAt: storetest.DrawTime(t, "closed at"),
		})
		end, _ := r.Policy.EndsAt(&r)
		storetest.CheckPhases(t, r)
		f := session.Revocation{At: storetest.DrawTime(t, "forced at")}
		grace := time.Duration(rapid.Int64Range(0, 600_000).Draw(t, "grace")) * time.Millisecond
		f.EffectiveAt, f.Took = f.At.Add(grace), rapid.Bool().Draw(t, "was seen to take effect")
		r.Revocation = &f
		storetest.CheckPhases(t, r)
		if forced, _ := r.Policy.EndsAt(&r); !f.Took && !f.AtOnce() && forced.After(end) {
			t.Errorf("a forced logout moves the end from %s to %s", end, forced)
		}
	})
}

// Of the policies of several groups each value is the strictest, whatever their order.
func TestGroupsAreNeverLaxerTogether(t *testing.T) {
	storetest.Checks(t, "500")
	rapid.Check(t, func(t *rapid.T) {
		var ps session.Policies
		names := []string{"a", "b", "c"}
		for _, name := range names {
			ps.Groups = append(ps.Groups, session.GroupPolicy{Group: name, Policy: storetest.DrawPolicy(t)})
		}
		together := ps.For(names)
		slices.Reverse(ps.Groups)
		if got := ps.For(names); got != together {
			t.Errorf("in another order the policy is %+v, not %+v", got, together)
		}
		r := storetest.Record("ada")
		r.LastActiveAt = storetest.DrawTime(t, "acted at")
		r.LeftAt = storetest.DrawTime(t, "left at")
		end, _ := together.EndsAt(&r)
		for _, g := range ps.Groups {
			if got := together.Stricter(g.Policy); got != together {
				t.Errorf("stricter by what is in it already: %+v, not %+v", got, together)
			}
			if alone, _ := g.EndsAt(&r); end.After(alone) {
				t.Errorf("with all groups a session ends at %s, with %s alone at %s", end, g.Group, alone)
			}
			if g.ExtendOn == session.ExtendOnConfirm && together.ExtendOn != g.ExtendOn {
				t.Error("an act extends it, though a group wants a confirmation")
			}
		}
	})
}
