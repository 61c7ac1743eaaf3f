package storetest

import (
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// DueRow is a session and the instant at which it ends if nothing more happens. Times count from
// its sign-in.
type DueRow struct {
	Name     string // ends the sentence "a session ends …"
	Policy   session.Policy
	Acted    time.Duration   // when its person acted last
	Tabs     []TabsChange    // what became known of its tabs, in this order
	Reloaded *session.Policy // replaces Policy after all that; nil: nothing does
	Forced   bool            // a forced logout of all sessions is in effect, which no record tells
	Ends     time.Duration   // the first instant, in whole milliseconds, at which it is due
	Why      session.Reason  // the reason it ends for then
}

// TabsChange is what becomes known of the tabs of a session at once. A zero time is none.
type TabsChange struct{ Opened, Asked, Closed time.Duration }

// news is c as a store is told it.
func (c TabsChange) news() session.TabTimes {
	at := func(d time.Duration) time.Time {
		if d == 0 {
			return time.Time{}
		}
		return start.Add(d)
	}
	return session.TabTimes{OpenedAt: at(c.Opened), AskedAt: at(c.Asked), ClosedAt: at(c.Closed)}
}

// Record is the session of the row, by the rules of session alone: what a store should make of it.
func (d DueRow) Record() session.Record {
	r := Record("ada")
	r.Policy, r.LastActiveAt = d.Policy, start.Add(d.Acted)
	for _, c := range d.Tabs {
		r.Leave(c.news())
	}
	if d.Reloaded != nil {
		r.Policy = *d.Reloaded
	}
	return r
}

// At is an instant of the row.
func (d DueRow) At(after time.Duration) time.Time { return start.Add(after) }

// DueRows are the rule of [session.Policy.EndsAt] in sentences, each on its boundary. Engines judge
// by a copy of that rule where they must, as Redis does in Lua: Run takes every store through all
// rows, and a test of session takes the policy through them.
func DueRows() []DueRow {
	rows := append(slices.Concat(idleOrLifetimeRows(), closeGraceRows(), reloadedRows()), DueRow{
		Name:   "by its own record, whatever forced logout is in effect: that is for its caller to judge",
		Forced: true,
		Ends:   10 * time.Minute,
		Why:    idle,
	})
	for i := range rows {
		if rows[i].Policy == (session.Policy{}) {
			rows[i].Policy = policy
		}
	}
	return rows
}

const idle, lifetime, browser = session.ReasonIdle, session.ReasonLifetime, session.ReasonBrowserClosed

// with is the usual policy with a change.
func with(change func(*session.Policy)) session.Policy {
	p := policy
	change(&p)
	return p
}

func unlimited() session.Policy { return with(func(p *session.Policy) { p.MaxLifetime = 0 }) }
func noGrace() session.Policy   { return with(func(p *session.Policy) { p.CloseGrace = 0 }) }

func idleOrLifetimeRows() []DueRow {
	return []DueRow{
		{
			Name: "when its idle timeout has passed since the sign-in",
			Ends: 10 * time.Minute,
			Why:  idle,
		},
		{
			Name:  "when its idle timeout has passed since the last activity",
			Acted: 7*time.Minute + 13*time.Millisecond,
			Ends:  17*time.Minute + 13*time.Millisecond,
			Why:   idle,
		},
		{
			Name:  "when its lifetime has passed, however active",
			Acted: 22*time.Hour - time.Millisecond,
			Ends:  22 * time.Hour,
			Why:   lifetime,
		},
		{
			Name:  "as idle where that is a millisecond before its lifetime",
			Acted: 22*time.Hour - 10*time.Minute - time.Millisecond,
			Ends:  22*time.Hour - time.Millisecond,
			Why:   idle,
		},
		{
			Name:  "as idle where both limits pass at once",
			Acted: 22*time.Hour - 10*time.Minute,
			Ends:  22 * time.Hour,
			Why:   idle,
		},
		{
			Name:  "by its lifetime where that is a millisecond before it is idle",
			Acted: 22*time.Hour - 10*time.Minute + time.Millisecond,
			Ends:  22 * time.Hour,
			Why:   lifetime,
		},
		{
			Name:   "only when idle where it has no lifetime",
			Policy: unlimited(),
			Acted:  100 * time.Hour,
			Ends:   100*time.Hour + 10*time.Minute,
			Why:    idle,
		},
		{
			Name:   "by a lifetime that is shorter than its idle timeout",
			Policy: with(func(p *session.Policy) { p.MaxLifetime = 5 * time.Minute }),
			Ends:   5 * time.Minute,
			Why:    lifetime,
		},
	}
}

func closed(at time.Duration) TabsChange { return TabsChange{Closed: at} }

func closeGraceRows() []DueRow {
	return []DueRow{
		{
			Name: "when the close grace has passed since its last tab was closed",
			Tabs: []TabsChange{closed(time.Minute)},
			Ends: time.Minute + 20*time.Second,
			Why:  browser,
		},
		{
			Name: "when the close grace has passed since it was closed once more",
			Tabs: []TabsChange{closed(time.Minute), {Opened: 61 * time.Second}, closed(62 * time.Second)},
			Ends: 82 * time.Second,
			Why:  browser,
		},
		{
			Name: "when idle where a tab came back in time",
			Tabs: []TabsChange{closed(time.Minute), {Opened: time.Minute + 20*time.Second - time.Millisecond}},
			Ends: 10 * time.Minute,
			Why:  idle,
		},
		{
			Name: "by the close grace where a tab came back too late",
			Tabs: []TabsChange{closed(time.Minute), {Opened: time.Minute + 20*time.Second}},
			Ends: time.Minute + 20*time.Second,
			Why:  browser,
		},
		{
			Name: "when idle where a navigation led on",
			Tabs: []TabsChange{{Asked: 59 * time.Second}, closed(time.Minute)},
			Ends: 10 * time.Minute,
			Why:  idle,
		},
		{
			Name:   "when idle where closing its last tab means nothing",
			Policy: noGrace(),
			Tabs:   []TabsChange{closed(time.Minute)},
			Ends:   10 * time.Minute,
			Why:    idle,
		},
		{
			Name: "when idle where the close grace passes at the same instant",
			Tabs: []TabsChange{closed(10*time.Minute - 20*time.Second)},
			Ends: 10 * time.Minute,
			Why:  idle,
		},
		{
			Name: "by the close grace where that passes a millisecond before it is idle",
			Tabs: []TabsChange{closed(10*time.Minute - 20*time.Second - time.Millisecond)},
			Ends: 10*time.Minute - time.Millisecond,
			Why:  browser,
		},
		{
			Name:  "by its lifetime where that passes within the close grace",
			Acted: 22*time.Hour - time.Minute,
			Tabs:  []TabsChange{closed(22*time.Hour - time.Second)},
			Ends:  22 * time.Hour,
			Why:   lifetime,
		},
	}
}

func reloadedRows() []DueRow {
	unlimited, noGrace := unlimited(), noGrace()
	shorter := with(func(p *session.Policy) { p.WarnAfter, p.ExpireAfter = time.Minute, 2*time.Minute })
	longer := with(func(p *session.Policy) { p.ExpireAfter = 30 * time.Minute })
	return []DueRow{
		{
			Name:     "sooner by a reloaded policy with a shorter idle timeout",
			Reloaded: &shorter,
			Acted:    time.Minute,
			Ends:     3 * time.Minute,
			Why:      idle,
		},
		{
			Name:     "later by a reloaded policy with a longer idle timeout",
			Reloaded: &longer,
			Ends:     30 * time.Minute,
			Why:      idle,
		},
		{
			Name:     "by the lifetime that a reloaded policy brings",
			Policy:   unlimited,
			Reloaded: &policy,
			Acted:    30 * time.Hour,
			Ends:     22 * time.Hour,
			Why:      lifetime,
		},
		{
			Name:     "only when idle where a reloaded policy takes the lifetime away",
			Reloaded: &unlimited,
			Acted:    22*time.Hour - time.Millisecond,
			Ends:     22*time.Hour + 10*time.Minute - time.Millisecond,
			Why:      idle,
		},
		{
			Name:     "by the close grace that a reloaded policy brings",
			Policy:   noGrace,
			Reloaded: &policy,
			Tabs:     []TabsChange{closed(time.Minute)},
			Ends:     time.Minute + 20*time.Second,
			Why:      browser,
		},
		{
			Name:     "when idle where a reloaded policy takes the close grace away",
			Reloaded: &noGrace,
			Tabs:     []TabsChange{closed(time.Minute)},
			Ends:     10 * time.Minute,
			Why:      idle,
		},
	}
}

// dueRows wants a store to judge each row as the policy does: a millisecond before, and at its end.
func dueRows(t *testing.T, s session.Store) {
	ctx := t.Context()
	var all []DueRow
	for _, forced := range []bool{false, true} { // once a forced logout is in effect, it is for all
		all = append(all, slices.DeleteFunc(DueRows(), func(d DueRow) bool { return d.Forced != forced })...)
	}
	for _, d := range all {
		want := d.Record()
		r := Record("ada")
		r.ID, r.Policy, r.LastActiveAt = want.ID, d.Policy, want.LastActiveAt
		create(t, s, r)
		for _, c := range d.Tabs {
			if _, err := s.Leave(ctx, r.ID, c.news()); err != nil {
				t.Fatal(err)
			}
		}
		if d.Reloaded != nil {
			if _, err := s.SetRules(ctx, r.ID, 0, session.Rules{Groups: r.Groups, Policy: *d.Reloaded}); err != nil {
				t.Fatal(err)
			}
		}
		if d.Forced {
			f := revocation("of all", session.Scope{Everyone: true})
			f.EffectiveAt, f.Number = f.At, r.SeenRevocation
			addRevocation(t, s, f)
		}
		end, why := want.Policy.EndsAt(&want)
		for _, by := range []time.Time{end.Add(-time.Millisecond), end} {
			phase, _ := want.Policy.At(&want, by)
			first, err := s.End(ctx, r.ID, session.End{Reason: why, At: by}, by)
			switch due := phase == session.Expired; {
			case due && (err != nil || !first):
				t.Errorf("a session ends %s: End by %s = %v, %v, want the first end", d.Name, by.Sub(start), first, err)
			case !due:
				wantError(t, "a session ends "+d.Name+": End by "+by.Sub(start).String(), err, session.ErrNotDue)
			}
		}
	}
}
