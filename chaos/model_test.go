//go:build chaos

package chaos

import (
	"testing"
	"time"
)

// TestTheModelReports keeps the model honest: what must never happen is reported while a fault
// lasts, too, and what a fault excuses is not.
func TestTheModelReports(t *testing.T) {
	for _, test := range judgements(time.Now()) {
		reported := false
		w := &world{t: t, faults: test.faults, fail: func(string, ...any) { reported = true }}
		test.judge(w)
		if reported != test.want {
			t.Errorf("%s: reported %v, want %v", test.name, reported, test.want)
		}
	}
}

// judgement is something that the model sees at a time, and whether it has to be reported.
type judgement struct {
	name   string
	faults []fault
	judge  func(w *world)
	want   bool
}

func judgements(now time.Time) []judgement {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	lasting := fault{kind: kind{hinders: true}, from: ago(time.Second)}
	past := func(k kind, on string, from, to time.Duration) fault {
		return fault{
			kind: k,
			on:   on,
			from: ago(from),
			to:   ago(to),
		}
	}
	outage := past(kind{hinders: true}, "", 4*time.Second, 2*time.Second)
	deathOfA := past(kind{loses: true}, "a", 4*time.Second, 2*time.Second)
	deathOfB := past(kind{loses: true}, "b", 4*time.Second, 2*time.Second)
	cutOfA := past(kind{parts: true}, "a", 8*time.Second, time.Second)
	cutBefore := past(kind{parts: true}, "a", 8*time.Second, calmBound)
	cutOfB := past(kind{parts: true}, "b", 8*time.Second, time.Second)
	step := past(kind{skews: true}, "a", 9*time.Second, 2*time.Second)
	const minute = time.Minute
	with := func(t *tab) *visitor { return &visitor{tabs: map[*tab]*node{t: {name: "a"}}} }
	alive := func(v *visitor) func(*world) { return func(w *world) { w.judgeAlive(v, "a", now) } }
	idle := func(v *visitor) func(*world) { return func(w *world) { w.judgeIdle(v, now) } }
	closed := func(v *visitor) func(*world) { return func(w *world) { w.judgeClosed(v, now) } }
	return []judgement{
		{"alive long after the last act, during a fault", []fault{lasting}, alive(&visitor{began: ago(minute)}), true},
		{"alive soon after the last act", nil, alive(&visitor{began: ago(expireAfter)}), false},
		{"answered again after its end, during a fault", []fault{lasting},
			alive(&visitor{began: ago(time.Second), ended: ago(time.Second)}), true},
		{"ended early after an outage", []fault{outage}, idle(&visitor{acted: ago(5 * time.Second), on: "a"}), true},
		{"ended early, and the node that took the act has died over it", []fault{deathOfA},
			idle(&visitor{acted: ago(5 * time.Second), on: "a"}), false},
		{"ended early, and another node has died", []fault{deathOfB},
			idle(&visitor{acted: ago(5 * time.Second), on: "a"}), true},
		{"ended early, and the node that took the act was cut off just then", []fault{cutOfA},
			idle(&visitor{acted: ago(8 * time.Second), on: "a"}), false},
		{"ended early, and another node was cut off", []fault{cutOfB},
			idle(&visitor{acted: ago(8 * time.Second), on: "a"}), true},
		{"ended early, and the node that took the act has been back for long", []fault{cutBefore},
			idle(&visitor{acted: ago(8 * time.Second), on: "a"}), true},
		{"ended a second early by a clock that was stepped", []fault{step},
			idle(&visitor{acted: ago(expireAfter - time.Second), on: "b"}), false},
		{"ended a second early though no clock was stepped", nil,
			idle(&visitor{acted: ago(expireAfter - time.Second), on: "b"}), true},
		{"ended as its browser was closed, and a tab is open", nil, closed(with(&tab{opened: ago(minute)})), true},
		{"ended as its browser was closed, and a tab was open that was told so", nil, closed(with(&tab{
			opened: ago(minute),
			told:   "browser-closed",
			gone:   true,
			goneAt: now,
		})), true},
		{"ended as its browser was closed, and its tab had gone", nil,
			closed(with(&tab{opened: ago(minute), gone: true, goneAt: ago(closeGrace)})), false},
		{"ended as its browser was closed, and a tab has just come", nil, closed(with(&tab{opened: ago(time.Second)})),
			false},
		{"ended as its browser was closed, and a fault kept a tab from being known", []fault{lasting},
			closed(with(&tab{opened: ago(minute)})), false},
	}
}

func TestTheModelKnowsWhatIsOverdue(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	lasting := fault{kind: kind{hinders: true}, from: ago(time.Second)}
	hinders, fails := kind{hinders: true}, kind{fails: true}
	past := func(from, to time.Duration) fault { return fault{kind: hinders, from: ago(from), to: ago(to)} }
	for _, test := range []struct {
		name   string
		faults []fault
		want   bool
	}{
		{"nothing is broken", nil, true},
		{"a fault hinders it since then", []fault{{kind: hinders, from: ago(14 * time.Second)}}, false},
		{"a fault has come after a calm while", []fault{lasting}, true},
		{"a fault has just ended", []fault{past(20*time.Second, time.Second)}, false},
		{"a fault ended a while ago", []fault{past(20*time.Second, calmBound+time.Second)}, true},
		{"calls fail now and then", []fault{{kind: fails, from: ago(20 * time.Second)}}, true},
		{"a clock is wrong", []fault{{kind: kind{skews: true}, from: ago(20 * time.Second)}}, true},
	} {
		w := &world{t: t, faults: test.faults}
		if got := w.overdue(ago(15*time.Second), now, closeBound); got != test.want {
			t.Errorf("an end of 15 s ago is yet to be told, %s: overdue %v, want %v", test.name, got, test.want)
		}
	}
}
