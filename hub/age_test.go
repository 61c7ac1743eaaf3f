package hub

import (
	"errors"
	"testing"
	"time"

	"curfew/hub/wire"
	"curfew/session"
	"curfew/session/faulty"
)

// older ages the user's session.
func (u *user) older(by time.Duration) {
	u.t.Helper()
	if now, err := u.Age(u.t.Context(), u.token.ID().Ref(), by); err != nil || time.Until(now).Abs() > time.Minute {
		u.t.Errorf("Age by %s = %s, %v, want the time of now", by, now, err)
	}
}

func TestAgeTellsEachDueTimeInItsOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, keeping(standard))
		ada, other := r.signIn("ada"), r.signIn("ada")
		one, two, others := ada.openTab(), ada.openTab(), other.openTab()
		ada.older(8 * time.Minute)
		for _, tab := range []*page{one, two} {
			m := tab.Next(wire.KindActive)
			if m["warn_in_ms"] != 60e3 || m["expire_in_ms"] != 120e3 {
				t.Errorf("8 minutes older: told %v, want the warning in a minute", m)
			}
		}
		ada.older(3 * time.Hour)
		for _, tab := range []*page{one, two} {
			if m := tab.Next(wire.KindWarn); m["expire_in_ms"] != 60e3 {
				t.Errorf("hours older: warned by %v, want a minute before the end", m)
			}
			tab.Next(wire.KindExpire)
		}
		record, err := r.store.Get(t.Context(), ada.token.ID())
		if err != nil || record.End == nil || record.End.Reason != session.ReasonIdle ||
			time.Since(record.End.At).Round(time.Second) != 3*time.Hour-2*time.Minute {
			t.Fatalf("the end is %+v, %v, want idle, when it was due", record.End, err)
		}
		e, err := r.Ended(t.Context(), &record)
		if err != nil || e.Keep.Round(time.Second) != time.Hour+2*time.Minute {
			t.Errorf("pages wait %s, %v, want what is left of 4 hours", e.Keep, err)
		}
		status, err := r.Check(t.Context(), other.token.ID())
		if err != nil || status.WarnIn != 9*time.Minute || status.ExpireIn != 10*time.Minute {
			t.Errorf("another session is %+v, %v, want it untouched", status, err)
		}
		others.Silent()
	})
}

func TestAgeFiresEachDeadline(t *testing.T) {
	for _, tt := range []struct {
		by     time.Duration
		change func(*session.Policy)
		leaves bool
		reason session.Reason // of the end; empty: it goes on
	}{
		{by: 10*time.Minute - time.Second},
		{by: 10 * time.Minute, reason: session.ReasonIdle},
		{by: 2 * time.Hour, change: func(p *session.Policy) { p.ExpireAfter = 3 * time.Hour },
			reason: session.ReasonLifetime},
		{by: 19 * time.Second, leaves: true},
		{by: 20 * time.Second, leaves: true, reason: session.ReasonBrowserClosed},
	} {
		bubble(t, func(t *testing.T) {
			p := standard
			if tt.change != nil {
				tt.change(&p)
			}
			r := startHub(t, p)
			ada := r.signIn("ada")
			if tt.leaves {
				ada.openTab().Leave("close")
				pass(time.Millisecond)
			}
			ada.older(tt.by)
			if tt.reason != "" {
				ada.wantsEnded(tt.reason)
				return
			}
			ada.wantsAlive()
		})
	}
}

func TestAgeOfTheEndedAndTheUnknown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := startHub(t, keeping(standard))
		ada := r.signIn("ada")
		pass(10*time.Minute + time.Second)
		ada.wantsEnded(session.ReasonIdle)
		ada.older(3 * time.Hour)
		record, _ := r.store.Get(t.Context(), ada.token.ID())
		e, err := r.Ended(t.Context(), &record)
		if err != nil || e.Keep != time.Hour-time.Second || e.Since != 3*time.Hour+time.Second {
			t.Errorf("3 hours after its end: %+v, %v, want an hour left of 4", e, err)
		}
		ada.older(21 * time.Hour)
		for _, ref := range []string{ada.token.ID().Ref(), "", "nobody", ada.token.ID().String()} {
			if _, err := r.Age(t.Context(), ref, 0); !errors.Is(err, session.ErrNotFound) {
				t.Errorf("Age of %q = %v, want ErrNotFound", ref, err)
			}
		}
	})
}

func TestAnAgedSessionStaysSoAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		folder := t.TempDir()
		r := startHubIn(t, folder, standard)
		ada := r.signIn("ada")
		pass(time.Minute)
		if err := r.Act(t.Context(), ada.token.ID(), 0, false); err != nil {
			t.Fatal(err)
		}
		ada.older(4 * time.Minute)
		r.stop()
		ada.rig = startHubIn(t, folder, standard)
		status, err := ada.Check(t.Context(), ada.token.ID())
		if err != nil || status.WarnIn != 5*time.Minute || time.Since(status.Record.CreatedAt) != 5*time.Minute {
			t.Errorf("after a restart: %+v, %v, want it 5 minutes old and acted in 4 minutes ago", status, err)
		}
	})
}

// keeping is p with pages that wait.
func keeping(p session.Policy) session.Policy {
	p.KeepPage = 4 * time.Hour
	return p
}

// startAgingMember starts a node over a store that others share in memory, as with --testing.
func startAgingMember(t *testing.T, shared *sharedStore, name string) *rig {
	t.Helper()
	m := &member{faulty.Store{Store: unclosed{shared}, Faults: faulty.New(1)}, shared}
	clock := new(session.TestClock)
	return startHubWith(t, m, Options{
		Store:     m,
		Shared:    m,
		Clock:     clock,
		TestClock: clock,
		Policies:  session.Policies{Global: standard},
		Node:      name,
	})
}

func TestAgeReachesTabsOnOtherNodes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		one, two, three := startAgingMember(t, shared, "one"), startAgingMember(t, shared, "two"),
			startAgingMember(t, shared, "three")
		ada := one.signIn("ada")
		pass(time.Second)
		tabs := []*page{ada.openTab(), ada.on(two).openTab()}
		ada.on(three).older(8 * time.Minute)
		for _, tab := range tabs {
			if m := tab.Next(wire.KindActive); m["warn_in_ms"] != 59e3 {
				t.Errorf("8 minutes older: told %v, want the warning in 59 s", m)
			}
		}
		ada.on(three).older(time.Hour)
		for _, tab := range tabs {
			tab.Next(wire.KindWarn)
			if m := tab.Next(wire.KindExpire); m["reason"] != "idle" {
				t.Errorf("an hour older: told %v, want the end by idle time", m)
			}
		}
		for _, node := range []*rig{one, two, three} {
			if _, err := ada.on(node).Check(t.Context(), ada.token.ID()); !errors.Is(err, session.ErrEnded) {
				t.Errorf("on a node: %v, want it over", err)
			}
		}
	})
}

func TestANodeThatMissedAnAgeLearnsOfItFromTheStore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		shared := openShared(t)
		one, two := startAgingMember(t, shared, "one"), startAgingMember(t, shared, "two")
		ada := one.signIn("ada")
		pass(time.Second)
		if _, err := shared.Age(t.Context(), ada.token.ID().Ref(), 5*time.Minute); err != nil {
			t.Fatal(err)
		}
		read, _ := shared.Get(t.Context(), ada.token.ID())
		read.Age(-5 * time.Minute) // as somebody has read it before
		for _, node := range []*rig{one, two} {
			status, err := node.Check(t.Context(), ada.token.ID())
			if err != nil || status.ExpireIn != 299*time.Second {
				t.Errorf("on a node it is %+v, %v, want 299 s left", status, err)
			}
			local{node.Hub}.Reconcile(t.Context(), read)
			if left := time.Until(node.lookup(read.ID).movableEnd(&standard)); left != 299*time.Second {
				t.Errorf("after an old reading %s are left, want 299 s", left)
			}
		}
	})
}
