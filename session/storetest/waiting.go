package storetest

import (
	"slices"
	"testing"
	"time"

	"curfew/session"
)

// Ended sessions of which pages may wait.

var ofAll = session.Scope{Everyone: true}

func ofUser(name string) session.Scope { return session.Scope{User: name} }

// waitsAt lists the refs that the store yields at an instant.
func waitsAt(t *testing.T, s session.Store, now time.Time, scope session.Scope) (refs []string) {
	t.Helper()
	for r, err := range s.Waiting(t.Context(), now, scope) {
		if err != nil {
			t.Fatal(err)
		}
		if r.End == nil {
			t.Errorf("%s lives, and waits", r.User)
		}
		refs = append(refs, r.ID.Ref())
	}
	slices.Sort(refs)
	return refs
}

// keeping is a session whose pages wait for so long.
func keeping(user string, keep time.Duration) session.Record {
	r := Record(user)
	r.Policy.KeepPage = keep
	return r
}

// waiting: a store yields what session.Record.KeepUntil says, to the millisecond.
func waiting(t *testing.T, s session.Store) {
	const keep = 4 * time.Hour
	continued := end(session.ReasonReplaced, time.Minute)
	continued.Continued = true
	rows := []struct {
		name string
		of   session.Record
		end  session.End
		long time.Duration // from its end on
	}{
		{"by idleness", keeping("a", keep), end(session.ReasonIdle, time.Minute), keep},
		{"by its lifetime", keeping("b", time.Millisecond), end(session.ReasonLifetime, 0), time.Millisecond},
		{"replaced in its browser", keeping("c", session.MaxKeepPage), continued, session.MaxKeepPage},
		{"replaced elsewhere", keeping("d", keep), end(session.ReasonReplaced, time.Minute), 0},
		{"signed out", keeping("e", keep), end(session.ReasonLogout, time.Minute), 0},
		{"forced out", keeping("f", keep), end(session.ReasonAdmin, time.Minute), 0},
		{"its pages are forgotten at once", keeping("g", 0), end(session.ReasonIdle, time.Minute), 0},
	}
	create(t, s, keeping("live", keep))
	for _, row := range rows {
		mustEnd(t, s, create(t, s, row.of).ID, row.end)
	}
	for _, row := range rows {
		ended := row.of
		ended.End = &row.end
		until := row.end.At.Add(row.long)
		if keep := ended.KeepUntil(); row.long > 0 && !keep.Equal(until) || row.long == 0 && !keep.IsZero() {
			t.Errorf("%s: its pages wait until %v, want %v", row.name, keep, until)
		}
		for at, want := range map[time.Duration]bool{-time.Millisecond: row.long > 0, 0: false} {
			now := until.Add(at)
			if got := slices.Contains(waitsAt(t, s, now, ofAll), row.of.ID.Ref()); got != want {
				t.Errorf("%s: waits at %v: %v, want %v", row.name, now.Sub(row.end.At), got, want)
			}
			if got := waitsAt(t, s, now, ofUser(row.of.User)); len(got) > 0 != want {
				t.Errorf("%s: of the user at %v: %q, want it: %v", row.name, now.Sub(row.end.At), got, want)
			}
		}
	}
	if all := waitsAt(t, s, start.Add(time.Hour), ofAll); len(all) != 2 {
		t.Errorf("%d wait after an hour, want 2", len(all))
	}
}

// waitingOfUser: a name is compared as the directory compares it.
func waitingOfUser(t *testing.T, s session.Store) {
	const keep = 4 * time.Hour
	theirs := create(t, s, keeping("Grace Höpper", keep))
	for _, id := range []session.ID{theirs.ID, create(t, s, keeping("grace", keep)).ID} {
		mustEnd(t, s, id, end(session.ReasonIdle, time.Minute))
	}
	for _, spelling := range []string{"GRACE HÖPPER", " grace  höpper ", "Grace Höpper"} {
		if got := waitsAt(t, s, start.Add(time.Hour), ofUser(spelling)); !slices.Equal(got, []string{theirs.ID.Ref()}) {
			t.Errorf("of %q wait %q, want the one of that name", spelling, got)
		}
	}
}

// waitingOfSessions: sessions that are named are found among others.
func waitingOfSessions(t *testing.T, s session.Store) {
	var want []string
	for i, name := range []string{"ada", "grace", "linus"} {
		r := create(t, s, keeping(name, time.Hour))
		mustEnd(t, s, r.ID, end(session.ReasonIdle, time.Minute))
		if i > 0 {
			want = append(want, r.ID.Ref())
		}
	}
	slices.Sort(want)
	named, _ := session.NewRefs(append(want, session.NewToken().ID().Ref()))
	if got := waitsAt(t, s, start.Add(time.Minute), session.Scope{Refs: named}); !slices.Equal(got, want) {
		t.Errorf("of a list wait %q, want %q", got, want)
	}
	if got := waitsAt(t, s, start.Add(time.Minute), session.Scope{Session: want[0]}); !slices.Equal(got, want[:1]) {
		t.Errorf("of one session wait %q, want %q", got, want[:1])
	}
	if got := waitsAt(t, s, start.Add(time.Minute), session.Scope{Group: "staff"}); len(got) != 3 {
		t.Errorf("%d wait of a group, want all, for the caller to judge", len(got))
	}
}

// waitingPruned: housekeeping forgets no session too early, and none is listed whose tombstone is
// gone.
func waitingPruned(t *testing.T, s session.Store) {
	short, long := keeping("ada", time.Hour), keeping("ada", session.MaxKeepPage)
	for _, r := range []session.Record{short, long} {
		mustEnd(t, s, create(t, s, r).ID, end(session.ReasonIdle, 0))
	}
	for _, tt := range []struct {
		pruned, asked time.Duration
		want          int
	}{
		{time.Hour - time.Millisecond, 0, 2},
		{time.Hour, 0, 1}, // as if the clock were set back
		{session.TombstoneFor - time.Millisecond, session.TombstoneFor - time.Millisecond, 1},
		{session.TombstoneFor, 0, 0},
	} {
		if err := s.Prune(t.Context(), start.Add(tt.pruned), 90*24*time.Hour); err != nil {
			t.Fatal(err)
		}
		if got := waitsAt(t, s, start.Add(tt.asked), ofAll); len(got) != tt.want {
			t.Errorf("pruned after %v: %d wait, want %d", tt.pruned, len(got), tt.want)
		}
	}
}
