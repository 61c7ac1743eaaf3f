package cluster

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"curfew/session"
)

func TestRestoringEndsGoesOnWhereItStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, local, _ := startMember(t)
		const many = 1000
		for range many {
			m.NoteEnd(session.NewToken().ID(),
				session.End{Reason: session.ReasonLogout, At: session.Millis(time.Now())})
		}
		var calls atomic.Int64
		local.restoreEnd = func(ctx context.Context, _ session.ID) error {
			calls.Add(1)
			select {
			case <-time.After(2 * time.Second):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		tries := 0
		for {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			err := m.restoreEnds(ctx, "two")
			cancel()
			if tries++; err == nil {
				break
			}
			if tries > 10 {
				t.Fatalf("not restored in %d tries of 5 s: %v", tries, err)
			}
		}
		first := int(calls.Load())
		if tries == 1 || first > many+64*tries {
			t.Errorf("%d calls in %d tries for %d ends, want each to be written once", first, tries, many)
		}
		if err := m.restoreEnds(t.Context(), "three"); err != nil || int(calls.Load()) < first+many {
			t.Errorf("after the next fail-over: %v, %d calls more, want all ends written again", err,
				int(calls.Load())-first)
		}
	})
}

func TestRevocationsThatAFailOverMustNotLose(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	tests := []struct {
		name                                      string
		at, effectiveAt, cancelledAt, blocksUntil time.Time
		want                                      bool
	}{
		{"made a moment ago", ago(time.Second), ago(time.Second), time.Time{}, time.Time{}, true},
		{"made and done with an hour ago", ago(time.Hour), ago(time.Hour), time.Time{}, time.Time{}, false},
		{"made an hour ago, and still in its grace", ago(time.Hour), now.Add(time.Hour), time.Time{}, time.Time{},
			true},
		{"made an hour ago, in effect since a minute", ago(time.Hour), ago(time.Minute), time.Time{}, time.Time{},
			true},
		{"made an hour ago, cancelled a minute ago", ago(2 * time.Hour), ago(time.Hour), ago(time.Minute), time.Time{},
			true},
		{"made an hour ago, and still blocking", ago(time.Hour), ago(time.Hour), time.Time{}, now.Add(time.Minute),
			true},
	}
	for _, test := range tests {
		r := session.Revocation{
			At:          test.at,
			EffectiveAt: test.effectiveAt,
			CancelledAt: test.cancelledAt,
			BlockUntil:  test.blocksUntil,
		}
		if got := mustSurviveFailover(&r, now); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestAFailOverThatHasLostLinesHasAllLookedAt(t *testing.T) {
	m, local, store := startMember(t)
	m.recovery.begin(100, "one")
	now := session.Millis(time.Now())
	local.revocations = []session.Revocation{{ID: "new", At: now}, {ID: "old", At: now.Add(-time.Hour)}}
	local.live = []session.Record{record("ada")}

	m.recovery.noteEpoch(session.Heartbeat{Epoch: "two"}, 100)
	store.line = 100
	if err := m.restore(t.Context(), "two"); err != nil {
		t.Fatal(err)
	}
	local.wantTold() // no line was lost
	if len(store.restored) != 1 || store.restored[0].ID != "new" {
		t.Errorf("revocations %+v were written again, want the new one", store.restored)
	}
	m.recovery.restoredTo("two")

	m.recovery.noteEpoch(session.Heartbeat{Epoch: "three"}, 100)
	store.line = 90
	if err := m.restore(t.Context(), "three"); err != nil {
		t.Fatal(err)
	}
	local.wantTold("look at all that live", "signed in ada")
	if after := m.recovery.nextLine(); after > 90 {
		t.Errorf("lines are read after %d, and the last is 90", after)
	}
}

func TestDeadlinesAreNotJudgedRightAfterTheStoreWasAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, _, _ := startMember(t)
		m.recovery.begin(0, "one")
		if wait := m.DeferEnd(); wait != 0 {
			t.Errorf("at first they wait %s", wait)
		}
		m.recovery.setAway(true)
		if !m.StoreAway() || m.DeferEnd() == 0 {
			t.Error("they are judged while the store is away")
		}
		if back := m.recovery.noteEpoch(session.Heartbeat{Epoch: "one"}, 0); !back {
			t.Error("that the store is back goes unnoticed")
		}
		m.recovery.setAway(false)
		if m.DeferEnd() == 0 {
			t.Error("they are judged before nodes have written what they know")
		}
		time.Sleep(recoverFor)
		if wait := m.DeferEnd(); wait != 0 {
			t.Errorf("after %s they wait %s", recoverFor, wait)
		}
	})
}

// What a store does not know while it is away, or has failed over, means nothing.
func TestNobodyIsLostWhileTheStoreIsNotWell(t *testing.T) {
	m, local, _ := startMember(t)
	m.recovery.begin(0, "one")
	m.takePulse(session.Heartbeat{Asked: time.Now(), Lease: time.Minute})
	ada := record("ada")
	local.SignedIn(ada)
	r := &m.recovery
	suspected := func(change func()) bool {
		r.mu.Lock()
		away, seen, recovered, leased := r.away, r.seenEpoch, r.recovered, r.leased
		change()
		r.mu.Unlock()
		m.Suspect(ada.ID)
		r.mu.Lock()
		r.away, r.seenEpoch, r.recovered, r.leased = away, seen, recovered, leased
		r.mu.Unlock()
		_, yes := m.lost.suspects[ada.ID]
		delete(m.lost.suspects, ada.ID)
		return yes
	}
	for name, change := range map[string]func(){
		"away":        func() { r.away = true },
		"failed over": func() { r.seenEpoch = "another" },
		"unsettled":   func() { r.recovered = time.Now().Add(time.Minute) },
		"unleased":    func() { r.leased = time.Now().Add(-time.Second) },
	} {
		if suspected(change) {
			t.Errorf("%s: a session counts as lost", name)
		}
	}
	if !suspected(func() {}) {
		t.Error("a session that is missing from a store that is well is not looked at")
	}
	if m.Suspect(session.NewToken().ID()); len(m.lost.suspects) > 0 {
		t.Error("a session that this node does not know is looked at")
	}
}

func TestNobodyBelievesAStoreWhoseLeaseHasRunOut(t *testing.T) {
	m, _, _ := startMember(t)
	m.takePulse(session.Heartbeat{Asked: time.Now(), Lease: time.Minute})
	if err := m.InReach(); err != nil {
		t.Errorf("InReach = %v", err)
	}
	m.takePulse(session.Heartbeat{Asked: time.Now().Add(-time.Hour), Lease: time.Minute})
	if err := m.InReach(); err == nil {
		t.Error("a store that has taken no write for an hour is in reach")
	}
}
