package storetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"curfew/session"
)

// states takes sessions through any inputs in any order and at any times, and compares each with a
// model.
func states(t *testing.T, s session.Store) {
	Checks(t, "8")
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{ctx: ctx, store: s, want: Record("ada")}
		m.want.Policy = DrawPolicy(t)
		if _, err := s.Create(ctx, m.want, 0); err != nil {
			t.Fatalf("Create: %v", err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":          m.check,
			"act":       m.act,
			"tabs":      m.leave,
			"rules":     m.setRules,
			"age":       m.age,
			"end":       m.end,
			"keep over": m.endKeep,
			"save":      m.save,
		})
	})
}

// machine is a session and what the model says of it.
type machine struct {
	ctx   context.Context
	store session.Store
	want  session.Record
	was   session.Record // before the step
	free  bool           // the step may set the deadlines back
}

// DrawTime is an instant around the life of a session, mostly within minutes of its sign-in.
func DrawTime(t *rapid.T, what string) time.Time {
	ms := rapid.Int64Range(-60_000, 1_500_000).Draw(t, what)
	return start.Add(time.Duration(ms) * time.Millisecond)
}

// DrawPolicy draws a valid policy.
func DrawPolicy(t *rapid.T) session.Policy {
	duration := func(what string, from, to time.Duration) time.Duration {
		ms := rapid.Int64Range(from.Milliseconds(), to.Milliseconds()).Draw(t, what)
		return time.Duration(ms) * time.Millisecond
	}
	warn := duration("warn after", time.Millisecond, 10*time.Minute)
	lead := duration("lead", session.MinLead, 5*time.Minute)
	p := session.Policy{
		WarnAfter:   warn,
		ExpireAfter: warn + lead,
		CloseGrace:  duration("close grace", 0, time.Minute),
		ExtendOn:    rapid.SampledFrom([]session.ExtendOn{"activity", "confirm"}).Draw(t, "extend on"),
		KeepPage:    duration("keep page", 0, time.Hour),
	}
	if rapid.Bool().Draw(t, "has a lifetime") {
		p.MaxLifetime = lead + duration("lifetime beyond the lead", time.Millisecond, 20*time.Minute)
	}
	if err := p.Validate(false); err != nil {
		t.Fatalf("a policy that is none: %v", err)
	}
	return p
}

// due is the rule of the end by time, once more.
func due(r *session.Record) time.Time {
	ends := []time.Time{r.LastActiveAt.Add(r.Policy.ExpireAfter)}
	if r.Policy.MaxLifetime > 0 {
		ends = append(ends, r.CreatedAt.Add(r.Policy.MaxLifetime))
	}
	if r.Policy.CloseGrace > 0 && !r.LeftAt.IsZero() {
		ends = append(ends, r.LeftAt.Add(r.Policy.CloseGrace))
	}
	return slices.MinFunc(ends, time.Time.Compare)
}

// act tells of an act twice, whenever it was.
func (m *machine) act(t *rapid.T) {
	at := DrawTime(t, "acted at")
	for range 2 {
		unknown, err := m.store.Touch(m.ctx, []session.Activity{{ID: m.want.ID, At: at}})
		if err != nil || len(unknown) > 0 {
			t.Fatalf("Touch = %v, %v", unknown, err)
		}
	}
	if m.want.End == nil && at.After(m.want.LastActiveAt) && at.Before(due(&m.want)) {
		m.want.LastActiveAt = at
	}
}

func (m *machine) leave(t *rapid.T) {
	news := session.TabTimes{ClosedAt: DrawTime(t, "closed at")}
	if rapid.Bool().Draw(t, "opened") {
		news.OpenedAt = DrawTime(t, "opened at")
	}
	if rapid.Bool().Draw(t, "asked for a page") {
		news.AskedAt = DrawTime(t, "asked at")
	}
	_, err := m.store.Leave(m.ctx, m.want.ID, news)
	if m.over(t, "Leave", err) {
		return
	}
	m.want.Leave(news)
	before, after := m.was.Tabs, m.want.Tabs
	if after.OpenedAt.Before(before.OpenedAt) || after.AskedAt.Before(before.AskedAt) ||
		after.ClosedAt.Before(before.ClosedAt) {
		t.Errorf("a time of %+v has become an earlier one of %+v", before, after)
	}
	m.free = true // a closed browser ends sooner
	warnedBefore, _ := m.was.Policy.WarnedEnd(&m.was)
	if warned, _ := m.want.Policy.WarnedEnd(&m.want); !warned.Equal(warnedBefore) {
		t.Errorf("tabs have moved what people are warned of from %s to %s", warnedBefore, warned)
	}
}

func (m *machine) setRules(t *rapid.T) {
	rules := m.want.Rules()
	rules.Policy = DrawPolicy(t)
	stale := rapid.Bool().Draw(t, "of an older revision")
	revision := m.want.Revision
	if stale {
		revision--
	}
	now, err := m.store.SetRules(m.ctx, m.want.ID, revision, rules)
	switch {
	case stale && m.want.End == nil:
		if !errors.Is(err, session.ErrConflict) {
			t.Errorf("SetRules of an older revision = %v, want ErrConflict", err)
		}
	case !m.over(t, "SetRules", err):
		if now <= m.want.Revision {
			t.Errorf("revision %d becomes %d", m.want.Revision, now)
		}
		m.want.Policy, m.want.Revision, m.free = rules.Policy, now, true
	}
}

func (m *machine) age(t *rapid.T) {
	by := time.Duration(rapid.Int64Range(0, 60_000).Draw(t, "older by")) * time.Millisecond
	if _, err := m.store.Age(m.ctx, m.want.ID.Ref(), by); err != nil {
		t.Fatalf("Age: %v", err)
	}
	m.want.Age(by)
	m.free = true
}

func (m *machine) end(t *rapid.T) {
	e := session.End{
		Reason: rapid.SampledFrom(session.Reasons()).Draw(t, "reason"),
		At:     DrawTime(t, "ended at"),
	}
	var ifDueBy time.Time
	if rapid.Bool().Draw(t, "if it is due") {
		ifDueBy = DrawTime(t, "due by")
	}
	first, err := m.store.End(m.ctx, m.want.ID, e, ifDueBy)
	isDue := ifDueBy.IsZero() || !due(&m.want).After(ifDueBy)
	switch {
	case m.want.End != nil:
		if first || err != nil {
			t.Errorf("End of an ended session = %t, %v", first, err)
		}
	case !isDue:
		if first || !errors.Is(err, session.ErrNotDue) {
			t.Errorf("End of a session that is due at %s, if it is by %s = %t, %v", due(&m.want), ifDueBy, first, err)
		}
	case !first || err != nil:
		t.Errorf("End = %t, %v, want the first end", first, err)
	default:
		m.want.End = &e
	}
}

func (m *machine) endKeep(t *rapid.T) {
	if err := m.store.EndKeep(m.ctx, m.want.ID); err != nil {
		t.Fatalf("EndKeep: %v", err)
	}
	if m.want.End != nil {
		e := *m.want.End
		e.KeepOver = true
		m.want.End = &e
	}
}

func (m *machine) save(t *rapid.T) {
	values := rapid.SliceOfN(rapid.Byte(), 1, 8).Draw(t, "values")
	if err := m.store.Save(m.ctx, m.want.ID, m.want.Version, values); !m.over(t, "Save", err) {
		m.want.Values, m.want.Version = values, m.want.Version+1
	}
}

// over reports whether the session has ended, and wants a call to have failed just then.
func (m *machine) over(t *rapid.T, call string, err error) bool {
	if m.want.End == nil && err != nil || m.want.End != nil && !errors.Is(err, session.ErrEnded) {
		t.Fatalf("%s: %v; the session has the end %v", call, err, m.want.End)
	}
	return m.want.End != nil
}

// check compares the session with the model after a step, and holds it to the rules.
func (m *machine) check(t *rapid.T) {
	got, err := m.store.Get(m.ctx, m.want.ID)
	if err != nil {
		t.Fatalf("Get: %v", err)
	}
	if got.End != nil {
		m.want.Values = got.Values // a tombstone need not keep them
	}
	if !reflect.DeepEqual(got, m.want) {
		t.Fatalf("the session is\n%+v, want\n%+v", got, m.want)
	}
	if m.was.End != nil && got.End == nil {
		t.Error("an ended session lives again")
	}
	end, _ := got.Policy.EndsAt(&got)
	if !end.Equal(due(&got)) {
		t.Errorf("it ends at %s, want %s", end, due(&got))
	}
	if !m.was.CreatedAt.IsZero() && !m.free && end.Before(due(&m.was)) {
		t.Errorf("its end has moved back from %s to %s", due(&m.was), end)
	}
	CheckPhases(t, got)
	m.was, m.free = got, false
}
