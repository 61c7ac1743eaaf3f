package hub

import (
	"context"
	"errors"
	"slices"
	"time"

	"curfew/session"
)

// What the model of the random crowd says of sessions, tabs and ends.

// judge looks at all sessions and tabs.
func (c *crowd) judge() {
	now := time.Now()
	for _, v := range c.visitors {
		id := v.token.ID()
		if c.judged[id] {
			continue
		}
		r, err := c.truth.Get(c.t.Context(), id)
		if errors.Is(err, session.ErrNotFound) && v.lost {
			continue
		}
		if err != nil {
			c.t.Fatal(err)
		}
		if r.End == nil {
			if due, why := randomPolicy.EndsAt(&r); now.Sub(due) > lateness {
				c.t.Errorf("%s: is alive %s after it was due (%s)", v.name, now.Sub(due), why)
				c.judged[id] = true
			}
			continue
		}
		if c.judgeTabs(v, *r.End, now) && c.judgeLives(v, *r.End, now) {
			c.judged[id] = true
			c.ends[r.End.Reason]++
			c.judgeEnd(v, r)
		}
	}
}

// judgeTabs wants the tabs of an ended session told, none before the time that it was told before.
// all: none is waited for.
func (c *crowd) judgeTabs(v *visitor, end session.End, now time.Time) (all bool) {
	all = true
	for _, s := range v.tabs {
		st := s.state()
		switch {
		case st.told == session.ReasonIdle && st.toldAt.Before(st.until.Add(-c.tolerance)):
			c.t.Errorf("%s: a tab was told of the end (idle) %s before the time that it had been told before", v.name,
				st.until.Sub(st.toldAt))
		case st.told != "" || st.gone:
		case now.Sub(end.At) > untold:
			c.t.Errorf("%s: a tab was not told of the end (%s) within %s", v.name, end.Reason, now.Sub(end.At))
		default:
			all = false
		}
	}
	return all
}

// judgeLives wants the lives of an ended session over. all: none is waited for.
func (c *crowd) judgeLives(v *visitor, end session.End, now time.Time) (all bool) {
	goes := slices.ContainsFunc(v.lives, func(life context.Context) bool { return life.Err() == nil })
	if goes && now.Sub(end.At) > untold {
		c.t.Errorf("%s: a life goes on %s after the end (%s)", v.name, now.Sub(end.At), end.Reason)
		return true
	}
	return !goes
}

// judgeEnd wants an end to have its cause.
func (c *crowd) judgeEnd(v *visitor, r session.Record) {
	switch r.End.Reason {
	case session.ReasonIdle:
		if due := v.acted.Add(randomPolicy.ExpireAfter - c.tolerance); r.End.At.Before(due) {
			c.t.Errorf("%s: ended (idle) %s early", v.name, due.Sub(r.End.At))
		}
	case session.ReasonBrowserClosed:
		for _, s := range v.all {
			if s.openFrom(r.End.At.Add(-randomPolicy.CloseGrace-c.tolerance), r.End.At.Add(-c.tolerance)) {
				c.t.Errorf("%s: ended (browser closed) though a tab is open for %s", v.name, r.End.At.Sub(s.Opened))
			}
		}
	default:
		if !v.asked {
			c.t.Errorf("%s: ended (%s) though nobody asked for it", v.name, r.End.Reason)
		}
	}
}
