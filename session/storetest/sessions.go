package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"curfew/session"
)

func roundTrip(t *testing.T, s session.Store) {
	want := Record("ada")
	want.Before, want.Continues = session.NewToken().ID(), true
	create(t, s, want)
	if got := get(t, s, want.ID); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func createTwice(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	_, err := s.Create(t.Context(), r, 0)
	wantError(t, "Create while it lives", err, session.ErrExists)
	mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
	_, err = s.Create(t.Context(), r, 0)
	wantError(t, "Create after the end", err, session.ErrExists)
}

func unknown(t *testing.T, s session.Store) {
	id, ctx := session.NewToken().ID(), t.Context()
	_, err := s.Get(ctx, id)
	wantError(t, "Get", err, session.ErrNotFound)
	wantError(t, "Save", s.Save(ctx, id, 0, nil), session.ErrNotFound)
	_, err = s.Leave(ctx, id, session.TabTimes{ClosedAt: start})
	wantError(t, "Leave", err, session.ErrNotFound)
	_, err = s.SetRules(ctx, id, 0, session.Rules{Policy: policy})
	wantError(t, "SetRules", err, session.ErrNotFound)
	_, err = s.CancelRevocation(ctx, "unknown", start, "ada")
	wantError(t, "CancelRevocation", err, session.ErrNotFound)
	_, err = s.End(ctx, id, end(session.ReasonLogout, 0), time.Time{})
	wantError(t, "End", err, session.ErrNotFound)
	known := create(t, s, Record("ada"))
	if unknown, err := s.Touch(ctx, []session.Activity{{ID: id, At: start}, {ID: known.ID, At: start}}); err != nil ||
		!slices.Equal(unknown, []session.ID{id}) {
		t.Errorf("Touch = %v, %v, want the unknown one told", unknown, err)
	}
}

func endKeep(t *testing.T, s session.Store) {
	ended, living := create(t, s, Record("ada")), create(t, s, Record("grace"))
	why := session.End{
		Reason:    session.ReasonReplaced,
		At:        start.Add(time.Second),
		Actor:     "ada",
		Message:   "ä <b>",
		Data:      map[string]string{"device": "ä on <b>/1|", "empty": ""},
		Cause:     "gone",
		Continued: true,
	}
	mustEnd(t, s, ended.ID, why)
	for _, id := range []session.ID{ended.ID, ended.ID, living.ID, session.NewToken().ID()} {
		if err := s.EndKeep(t.Context(), id); err != nil {
			t.Errorf("EndKeep: %v", err)
		}
	}
	why.KeepOver = true
	if got := get(t, s, ended.ID).End; got == nil || !reflect.DeepEqual(*got, why) {
		t.Errorf("the end is %+v, want %+v", got, why)
	}
	if got := get(t, s, living.ID); got.End != nil {
		t.Errorf("a session that lived ended: %+v", got.End)
	}
}

func endTwice(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	first := session.End{
		Reason:  session.ReasonAdmin,
		At:      start.Add(time.Second),
		Actor:   "grace",
		Message: "Maintenance <b>now</b>",
	}
	mustEnd(t, s, r.ID, first)
	if again, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, time.Minute), time.Time{}); again || err != nil {
		t.Errorf("second End = %v, %v, want false and no error", again, err)
	}
	if got := get(t, s, r.ID); got.End == nil || !reflect.DeepEqual(*got.End, first) {
		t.Errorf("End = %+v, want %+v", got.End, first)
	}
}

// formerEnd: earlier versions stored their own sentences as the message.
func formerEnd(t *testing.T, s session.Store) {
	for _, why := range []session.End{
		{Reason: session.ReasonReplaced, Message: "You were signed out because of a newer sign-in: curl, 192.0.2.7."},
		{Reason: session.ReasonLogout, Message: "This session was ended from your account page."},
	} {
		r := create(t, s, Record("ada"))
		why.At = start.Add(time.Second)
		mustEnd(t, s, r.ID, why)
		got := get(t, s, r.ID).End
		if got == nil || got.Text() != why.Message || got.AdminText() != "" || got.Data != nil {
			t.Errorf("the end is %+v, want the text %q, and none by an administrator", got, why.Message)
		}
	}
}

func endRace(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	reasons := []session.Reason{session.ReasonIdle, session.ReasonLogout, session.ReasonAdmin, session.ReasonReplaced}
	firsts := make([]bool, 32)
	var wg sync.WaitGroup
	for i := range firsts {
		wg.Go(func() {
			var err error
			firsts[i], err = s.End(t.Context(), r.ID, end(reasons[i%len(reasons)], 0), time.Time{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	winner := slices.Index(firsts, true)
	if winner < 0 || slices.Index(firsts[winner+1:], true) >= 0 {
		t.Fatalf("first = %v, want exactly one true", firsts)
	}
	if got, want := get(t, s, r.ID).End.Reason, reasons[winner%len(reasons)]; got != want {
		t.Errorf("reason = %s, want that of the first caller, %s", got, want)
	}
	if n := len(eventsOf(t, s, session.EventSessionEnd)); n != 1 {
		t.Errorf("%d session-end lines, want 1", n)
	}
}

func endIfDue(t *testing.T, s session.Store) {
	r := create(t, s, Record("ada"))
	deadline := start.Add(policy.ExpireAfter)
	_, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline.Add(-time.Millisecond))
	wantError(t, "a millisecond before the deadline", err, session.ErrNotDue)
	touch(t, s, r.ID, time.Minute)
	_, err = s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline)
	wantError(t, "at a deadline that activity has moved", err, session.ErrNotDue)
	first, err := s.End(t.Context(), r.ID, end(session.ReasonIdle, 0), deadline.Add(time.Minute))
	if !first || err != nil {
		t.Errorf("at the moved deadline: %v, %v, want the first end", first, err)
	}
}

func endedIsFinal(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	mustEnd(t, s, r.ID, end(session.ReasonLogout, time.Second))
	before := get(t, s, r.ID)
	wantError(t, "Save", s.Save(ctx, r.ID, r.Version, []byte("late")), session.ErrEnded)
	_, err := s.Leave(ctx, r.ID, session.TabTimes{ClosedAt: start})
	wantError(t, "Leave", err, session.ErrEnded)
	_, err = s.SetRules(ctx, r.ID, r.Revision, session.Rules{})
	wantError(t, "SetRules", err, session.ErrEnded)
	touch(t, s, r.ID, 2*time.Second)
	if after := get(t, s, r.ID); !reflect.DeepEqual(after, before) {
		t.Errorf("got  %+v\nwant %+v", after, before)
	}
}

func saveRacesEnd(t *testing.T, s session.Store) {
	for range 20 {
		r := create(t, s, Record("ada"))
		var saved error
		var wg sync.WaitGroup
		wg.Go(func() { saved = s.Save(t.Context(), r.ID, 0, []byte("values")) })
		wg.Go(func() { mustEnd(t, s, r.ID, end(session.ReasonLogout, 0)) })
		wg.Wait()
		if saved != nil && !errors.Is(saved, session.ErrEnded) {
			t.Fatalf("Save: %v, want nil or ErrEnded", saved)
		}
		if get(t, s, r.ID).End == nil {
			t.Fatal("the save has revived the session")
		}
	}
}

func saveConflict(t *testing.T, s session.Store) {
	r, ctx := create(t, s, Record("ada")), t.Context()
	if err := s.Save(ctx, r.ID, 0, []byte("one")); err != nil {
		t.Fatal(err)
	}
	wantError(t, "Save with the old version", s.Save(ctx, r.ID, 0, []byte("lost update")), session.ErrConflict)
	if got := get(t, s, r.ID); got.Version != 1 || string(got.Values) != "one" {
		t.Errorf("got version %d, values %q, want 1, \"one\"", got.Version, got.Values)
	}
}

func live(t *testing.T, s session.Store) {
	want := map[session.ID]bool{}
	for i := range 2100 { // more than any page of a scan
		r := Record(fmt.Sprintf("user%d", i))
		create(t, s, r)
		if i%7 == 0 {
			mustEnd(t, s, r.ID, end(session.ReasonLogout, 0))
		} else {
			want[r.ID] = true
		}
		if i > 300 && testing.Short() {
			break
		}
	}
	n := 0
	for r, err := range s.Live(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !want[r.ID] {
			t.Fatalf("listed twice or ended: %v", r.ID)
		}
		delete(want, r.ID)
		n++
	}
	if len(want) > 0 {
		t.Errorf("%d live sessions listed, %d missing", n, len(want))
	}
}
